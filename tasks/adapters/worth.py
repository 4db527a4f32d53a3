"""Works out what a scored day was worth: its answers beside the truth, a naive guess, and what challengers said.

What a version was taught is read out of its bundle, what is known of a row out of the day's snapshot. What an error
means is core's word; which labels there are, and what is kept of it all, is the appraisals'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from tasks.adapters import contents, frames, partitions, predictions
from tasks.adapters.blobs import blob_key, blob_path
from tasks.adapters.bundles import Bundle
from tasks.adapters.counting import trained_until
from tasks.adapters.predictions import Day
from tasks.adapters.scoring import VERSION
from tasks.adapters.store import Store
from tasks.core.actuals import keys_of, label_columns, truth_of
from tasks.core.appraisal import (
    ACTUAL,
    ENTITY,
    HIGH,
    LOW,
    NAIVE,
    PREDICTED,
    RIVAL,
    Appraisal,
    Expected,
    judge,
    realise,
    stand_beside,
)
from tasks.core.baselines import baselines, naive_features
from tasks.core.evaluation import slice_labels
from tasks.core.partitions import Table
from tasks.core.promise import Promise, expected_error, promise_of
from tasks.core.scoring import columns_of
from tasks.core.splitting import witness_of
from tasks.core.values import Blob
from tasks.errors import HomeDamaged
from tasks.workloads.spec import Target, Workload


@dataclass(frozen=True)
class Teacher:
    """What the version that scored a day was taught: what its errors are held against."""

    bundle: Bundle
    trained_until: datetime
    learned: pl.DataFrame
    naive: Mapping[str, str]
    promises: Mapping[str, Promise | None]


@dataclass(frozen=True)
class Around:
    """The day's keys with every label known, the workload's group and the witness; and each row's label by slice."""

    rows: pl.DataFrame
    slices: tuple[pl.Series, ...]


def teacher(store: Store, keys: Path, spec: Workload, version: str) -> Teacher:
    """Return what *version* was taught."""
    bundle = contents.open_verified(store, keys, spec.name, version)
    evidence = contents.evidence_of(bundle)
    training = pl.scan_parquet(blob_path(store, evidence.training_set.rows))
    until = trained_until(store, spec, bundle)
    if until is None:
        raise HomeDamaged(f"the training set of {spec.name} {version} has no row; restore it from a backup")
    named = {*label_columns(spec), *([spec.group] if spec.group else []), *naive_features(spec)}
    learned = training.select("_row", *dict.fromkeys([spec.entity, spec.witness])).collect()
    entities = learned.select("_row", witness_of(spec, learned).alias(ENTITY))
    holdouts = {each.target: frames.read(store, each.predictions) for each in evidence.evaluations}
    return Teacher(
        bundle=bundle,
        trained_until=until,
        learned=training.select(sorted(named)).collect(),
        naive={each.target: each.baseline for each in evidence.evaluations},
        promises={
            target: promise_of(
                rows.join(entities, left_on="row", right_on="_row", how="inner", maintain_order="left"),
                chance=spec.target(target).is_chance,
            )
            for target, rows in holdouts.items()
        },
    )


def worked_out(
    store: Store, spec: Workload, of: Teacher, day: Day, labels: pl.DataFrame, rivals: tuple[tuple[str, Table], ...]
) -> Appraisal:
    """Return what the answers of *day*, and of its *rivals* by version, were worth by the *labels* known of it.

    *spec* holds the gate numbers of the day's ring. Which batches the labels came with is not known here.
    """
    about, confidence = day.about, spec.gate.confidence
    around = _around(store, spec, day, labels)
    realised, expected, beside = [], [], []
    for target in (spec.target(name) for name in about.targets):
        rows = _rows(store, spec, of, day, target, around, rivals)
        promise, is_known = of.promises[target.name], pl.col(ACTUAL).is_not_null()
        told, waiting = rows.filter(is_known), rows.filter(~is_known)
        if promise is not None and waiting.height:
            expected.append(Expected(target.name, waiting.height, expected_error(promise, waiting, confidence)))
        if not told.height:
            continue
        parts, chance = [each.name for each in around.slices], target.is_chance
        realised.append(realise(target.name, told, parts, promise, confidence, chance=chance))
        for version, _ in rivals:
            if version in told.columns:
                heard = told.with_columns(pl.col(version).alias(RIVAL)).filter(pl.col(RIVAL).is_finite())
                beside += [stand_beside(target.name, version, heard, confidence, chance=chance)] if heard.height else []
    return Appraisal(
        workload=about.workload,
        ring=about.ring,
        date=about.date,
        run=about.run,
        snapshot=about.snapshot,
        version=about.version,
        champion=about.champion,
        age_days=(date.fromisoformat(about.date) - of.trained_until.astimezone(UTC).date()).days,
        rows_scored=about.rows_scored,
        arrivals=(),
        realised=tuple(realised),
        expected=tuple(expected),
        beside=tuple(beside),
        beside_runs=(),
        judgements=tuple(judge(each, spec.gate) for each in realised),
    )


def _around(store: Store, spec: Workload, day: Day, labels: pl.DataFrame) -> Around:
    """Read what is known of the day's rows from the snapshot they came from; without it there are no slices.

    Nor are there witnesses: each row then errs by itself.
    """
    keys = keys_of(spec)
    group = [name for name in dict.fromkeys([spec.group, spec.holdout.within]) if name and name not in keys]
    before = naive_features(spec)
    scored = predictions.rows(store, day).select(keys).collect()
    truths = [truth_of(scored, labels, name, keys) for name in label_columns(spec)]
    head = store.head(blob_key(day.about.snapshot))
    if head is None:
        unknown = {name: pl.String for name in group} | {name: pl.Float64 for name in before}
        nothing = (pl.lit(None, kind).alias(name) for name, kind in unknown.items())
        return Around(scored.with_columns(*truths, *nothing), ())
    wanted = dict.fromkeys([*keys, *group, *before, *(part.column for part in spec.slices)])
    derived = spec.derive(pl.scan_parquet(blob_path(store, Blob(day.about.snapshot, head.size)))).select(list(wanted))
    context = derived.unique(keys, keep="first").collect()
    rows = scored.join(context, on=keys, how="left", maintain_order="left")
    # A slice by the outcome sorts by what came true, as far as that is known.
    rows = rows.with_columns(
        pl.coalesce(truth, pl.col(truth.name).cast(pl.Float64)) if truth.name in rows.columns else truth
        for truth in truths
    )
    slices = tuple(slice_labels(part, rows).alias(spec.title_of(part)) for part in spec.slices)
    around = (rows[name].cast(pl.String) if name in group else rows[name] for name in (*group, *before))
    return Around(scored.with_columns(*truths, *around), slices)


def _rows(
    store: Store,
    spec: Workload,
    of: Teacher,
    day: Day,
    target: Target,
    around: Around,
    rivals: tuple[tuple[str, Table], ...],
) -> pl.DataFrame:
    """Return the day's rows that its version answered with a number, as ``appraisal`` wants them."""
    said = zip(columns_of(target.name), (PREDICTED, LOW, HIGH), strict=True)
    # In an experiment another version answered half of the rows, whose errors are none of the champion's; and where
    # time parts what is learned from what is judged, what it learned from says nothing of its errors.
    own = pl.col(VERSION) == day.about.version
    if spec.holdout.by == "time":
        own &= pl.col(spec.event_time) > of.trained_until
    told = (pl.when(own).then(pl.col(name)).alias(to) for name, to in said)
    answers = predictions.rows(store, day).select(told).collect()
    taught = of.learned.filter(pl.col(target.column).is_not_null())
    naive = baselines(spec, taught, around.rows, target)[of.naive[target.name]]
    heard = [
        partitions.scan(store, table).select(pl.col(target.name).alias(version)).collect()
        for version, table in rivals
        if target.name in partitions.scan(store, table).collect_schema()
    ]
    truth = around.rows.select(witness_of(spec, around.rows).alias(ENTITY), pl.col(target.column).alias(ACTUAL))
    rows = truth.with_columns(pl.Series(NAIVE, naive), *around.slices)
    return pl.concat([answers, rows, *heard], how="horizontal").filter(pl.col(PREDICTED).is_finite())
