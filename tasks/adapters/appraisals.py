"""Appraisals in the store: per scored day and ring one signed record of what is known of its truth so far.

A record is a partition with the day's labels as its table: a later batch of actuals replaces it as a whole, the same
batch never, so a killed run is finished by its rerun. What errors mean is core's word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import contents, frames, partitions, predictions, shadows
from tasks.adapters.blobs import blob_key, blob_path
from tasks.adapters.bundles import Bundle
from tasks.adapters.counting import trained_until
from tasks.adapters.predictions import Day
from tasks.adapters.scoring import VERSION
from tasks.adapters.signing import Signer, trusted_keys
from tasks.adapters.store import Store, address
from tasks.core.actuals import Actuals, Appraised, keys_of, label_columns, matched, merge, truth_of, unanswered
from tasks.core.appraisal import (
    ACTUAL,
    ENTITY,
    HIGH,
    LOW,
    NAIVE,
    PREDICTED,
    RIVAL,
    Appraisal,
    Arrival,
    Expected,
    degraded,
    judge,
    realise,
    stand_beside,
)
from tasks.core.baselines import baselines, naive_features
from tasks.core.digests import plain
from tasks.core.evaluation import slice_labels
from tasks.core.partitions import Partition, Table
from tasks.core.promise import Promise, expected_error, promise_of
from tasks.core.scoring import columns_of
from tasks.core.splitting import witness_of
from tasks.core.values import Blob, Entry
from tasks.errors import BadRequest, Conflict, HomeDamaged
from tasks.workloads.spec import Target, Workload

KIND, LABELS = "appraisals", "labels"
APPRAISAL: TypeAdapter[Appraisal] = TypeAdapter(Appraisal)
# Two years of days: as many as are read, asked and drawn.
NEWEST = 730
TRIES = 20


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


@dataclass(frozen=True)
class Kept:
    """A record with the labels it was made from."""

    about: Appraisal
    labels: pl.DataFrame


def known(store: Store, keys: Path, workload: str, ring: str) -> tuple[Appraisal, ...]:
    """Return the appraisals of the ring's days, oldest first."""
    days = [(day, name) for day, name in partitions.days(store, KIND, workload) if name == ring][-NEWEST:]
    return of_days(store, keys, workload, days)


def of_days(store: Store, keys: Path, workload: str, days: Iterable[tuple[str, str]]) -> tuple[Appraisal, ...]:
    """Return the appraisals of *days*, each a day and its ring; one that nobody appraised is left out."""
    found = (_record(store, keys, workload, ring, day) for day, ring in days)
    return tuple(_about(each) for each in found if each is not None)


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


def appraise_all(
    store: Store,
    signer: Signer,
    keys: Path,
    spec: Workload,
    champion: Entry,
    actuals: Actuals | None,
    only: str | None,
    folder: Path,
) -> Appraised:
    """Appraise the scored days of the champion's ring, the day *only* where one is named; *folder* is scratch.

    Raises BadRequest where nothing was scored then, or actuals without times name no day.
    """
    ring = champion.ring
    days = _asked(store, spec, ring, actuals, only)
    teachers: dict[str, Teacher] = {}
    left = frames.read(store, actuals.labels) if actuals else None
    changed: list[str] = []
    ambiguous = 0
    for date_of in days:
        day = predictions.read(store, trusted_keys(keys), spec.name, ring, date_of, predictions.ANYWHERE)
        version = day.about.version
        if version not in teachers:
            teachers[version] = teacher(store, keys, spec, version)
        if appraise(store, signer, keys, spec, teachers[version], day, actuals, folder)[1]:
            changed.append(date_of)
        if actuals and left is not None:
            scored = predictions.rows(store, day).select(keys_of(spec)).collect()
            left, several = unanswered(left, scored, spec)
            ambiguous += several
    found = known(store, keys, spec.name, ring)
    return Appraised(
        workload=spec.name,
        ring=ring,
        champion=champion.number,
        version=champion.version,
        actuals=actuals,
        known=found,
        changed=tuple(changed),
        unmatched=left.height - ambiguous if left is not None else 0,
        ambiguous=ambiguous,
        degraded=degraded(found, champion.number),
    )


def _asked(store: Store, spec: Workload, ring: str, actuals: Actuals | None, only: str | None) -> tuple[str, ...]:
    days = predictions.days(store, spec.name, ring, predictions.ANYWHERE)[-NEWEST:]
    if not days or (only and only not in days):
        raise BadRequest(
            f"no predictions of {spec.name} in {ring} {f'of {only} ' if only else ''}are published in {store.uri}; "
            f"there are those of {', '.join(days[-3:]) or 'no day'}; run: greenlight score {spec.name} --input PATH"
        )
    if actuals and not actuals.by_time and not only:
        raise BadRequest(
            f"{actuals.source} does not say when its {actuals.rows_in} rows were seen, so it is not known which of the "
            f"{len(days)} scored days they are the truth of; name the day with --date, or their time with --observed-at"
        )
    return (only,) if only else days


def appraise(
    store: Store,
    signer: Signer,
    keys: Path,
    spec: Workload,
    of: Teacher,
    day: Day,
    actuals: Actuals | None,
    folder: Path,
) -> tuple[Appraisal, bool]:
    """Return what is known of *day* with what the *actuals* say of it, and whether that was news.

    *spec* holds the gate numbers of the day's ring. Raises Conflict where others keep replacing the record.
    """
    about = day.about
    for _ in range(TRIES):
        stood = partitions.standing(store, KIND, spec.name, about.date, about.ring)
        before = _read(store, keys, spec.name, about.ring, about.date)
        labels, arrivals = _with(store, spec, before, day, actuals)
        rivals = tuple(shadows.answers(store, trusted_keys(keys), day))
        named = tuple(version for version, _ in rivals)
        if before is not None and (before.about.run, before.about.arrivals, before.about.beside_runs) == (
            about.run,
            arrivals,
            named,
        ):
            return before.about, False
        made = _made(store, spec, of, day, labels, rivals)
        made = replace(made, arrivals=arrivals, beside_runs=named)
        table = Table((frames.keep(store, labels, folder, "labels"),), labels.height)
        record = Partition(KIND, spec.name, about.date, about.ring, about.run, {LABELS: table}, plain(made))
        try:
            return made, partitions.publish(store, signer, record, source=store, replaces=stood)
        except Conflict:
            continue
    raise Conflict(f"{spec.name} in {about.ring}: others appraised {about.date} {TRIES} times meanwhile; run again")


def keep_page(store: Store, appraised: Appraised, html: str) -> str:
    """Keep the page of a ring's errors and return where people find it."""
    store.put(_page_key(appraised), html.encode())
    return where_page(store, appraised)


def where_page(store: Store, appraised: Appraised) -> str:
    """Return where people find the page."""
    return address(store, _page_key(appraised))


def answering(store: Store, spec: Workload, day: Day, actuals: Actuals) -> pl.DataFrame:
    """Return the labels of *actuals* that rows of the day answer to, with their keys."""
    scored = predictions.rows(store, day).select(keys_of(spec)).collect()
    return matched(scored, frames.read(store, actuals.labels), spec)


def _with(
    store: Store, spec: Workload, before: Kept | None, day: Day, actuals: Actuals | None
) -> tuple[pl.DataFrame, tuple[Arrival, ...]]:
    """Return all labels of the day and the batches they came with; a batch that brought none is not among them."""
    kept, arrivals = (before.labels, before.about.arrivals) if before else (None, ())
    if kept is None:
        kept = predictions.rows(store, day).select(keys_of(spec)).limit(0).collect()
        kept = kept.with_columns(pl.lit(None, pl.Float64).alias(name) for name in label_columns(spec))
    if actuals is None or any(each.batch == actuals.batch for each in arrivals):
        return kept, arrivals
    merged = merge(kept, answering(store, spec, day, actuals), spec)
    if not merged.new and not merged.revised:
        return kept, arrivals
    return merged.labels, (*arrivals, Arrival(actuals.batch, merged.new, merged.revised))


def _made(
    store: Store, spec: Workload, of: Teacher, day: Day, labels: pl.DataFrame, rivals: tuple[tuple[str, Table], ...]
) -> Appraisal:
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


def _page_key(appraised: Appraised) -> str:
    return f"reports/{appraised.workload}/errors-{appraised.ring}.html"


def _read(store: Store, keys: Path, workload: str, ring: str, day: str) -> Kept | None:
    found = _record(store, keys, workload, ring, day)
    return Kept(_about(found), partitions.scan(store, found.tables[LABELS]).collect()) if found else None


def _record(store: Store, keys: Path, workload: str, ring: str, day: str) -> Partition | None:
    return partitions.read(store, trusted_keys(keys), KIND, workload, day, ring)


def _about(found: Partition) -> Appraisal:
    try:
        return APPRAISAL.validate_python(found.about)
    except ValidationError as error:
        raise HomeDamaged(
            f"{found.key} is of another format ({error.error_count()} fields differ); delete it, then run again with "
            "every batch of actuals"
        ) from error
