"""Tables of what was predicted, for whoever reads them: every scored row with its truth, and what it was worth by day.

Projections of scored days and of the labels known so far: nothing here is kept anywhere else, and all of it can be made
again. Pure: frames in, frames out; which days there are, and where tables lie, belongs to the adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from tasks.core import metrics
from tasks.core.actuals import keys_of
from tasks.core.encoding import numbers
from tasks.core.scales import Scale, fit_scale, label_unit
from tasks.core.scoring import columns_of
from tasks.workloads.spec import Target, Workload

PREDICTIONS, METRICS = "predictions", "model_metrics"
# What a label's column is called beside the scored rows, which have a column of that name.
ACTUAL = "_actual"
METRICS_KEY = ("ring", "model_version", "target", "date")
METRICS_SCHEMA = {
    "ring": pl.String,
    "model_version": pl.String,
    "target": pl.String,
    "date": pl.Date,
    "rows": pl.Int64,
    "mae": pl.Float64,
    "mase": pl.Float64,
    "mae_scaled": pl.Float64,
    "coverage": pl.Float64,
}


@dataclass(frozen=True)
class Taught:
    """What a version learned from: until when, and each target's scale by the labels it saw."""

    until: datetime
    scales: Mapping[str, Scale]


def predictions_key(spec: Workload) -> tuple[str, ...]:
    """Return the columns that name one row of the predictions."""
    return ("ring", "date", *keys_of(spec), "target")


def taught(spec: Workload, labels: pl.DataFrame, until: datetime) -> Taught:
    """Return what a version was taught whose training set had these *labels*, and no row after *until*."""
    seen = {each.name: numbers(labels[each.column].drop_nulls()) for each in spec.targets}
    scales = {
        each.name: fit_scale(each, seen[each.name], label_unit(each, seen[each.name]))
        for each in spec.targets
        if seen[each.name].size
    }
    return Taught(until, scales)


def predicted_rows(
    spec: Workload, scored: pl.DataFrame, labels: pl.DataFrame, before: pl.DataFrame, ring: str, date: str
) -> pl.DataFrame:
    """Return a scored day as one row per scored row and target: what was said, who said it, and what came true.

    ``last_value`` is the label of the time before, out of *before*; ``actual`` and it are null while nobody knows them.
    """
    keys = keys_of(spec)
    truth = labels.rename({each.column: f"{each.column}{ACTUAL}" for each in spec.targets})
    known = scored.join(truth, on=keys, how="left", maintain_order="left")
    told = known.join(before, on=keys, how="left", maintain_order="left").with_columns(
        pl.lit(ring).alias("ring"), pl.lit(date).str.to_date().alias("date")
    )
    parts = [_of_target(told, spec, each) for each in spec.targets if each.name in scored.columns]
    return pl.concat(parts).unique(list(predictions_key(spec)), keep="last", maintain_order=True)


def first_said(spec: Workload, rows: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    """Return the *rows* whose entity, moment and target were not *said* before: each prediction is told once.

    A source that grows is scored anew every day, and most of what is said then was said before.
    """
    return rows.join(said, on=[*keys_of(spec), "target"], how="anti", maintain_order="left")


def learned_from(spec: Workload, rows: pl.DataFrame, versions: Mapping[str, Taught]) -> pl.DataFrame:
    """Add ``was_learned``: whether the row is not after all that its version learned from, where time parts the two."""
    until = {version: each.until for version, each in versions.items()}
    by_time = spec.holdout.by == "time"
    newest = pl.col("model_version").replace_strict(until, default=None, return_dtype=rows.schema[spec.event_time])
    return rows.with_columns(((pl.col(spec.event_time) <= newest) & by_time).fill_null(False).alias("was_learned"))


def metrics_rows(spec: Workload, rows: pl.DataFrame, versions: Mapping[str, Taught]) -> pl.DataFrame:
    """Return what each version's answers of a day were worth, by target, on rows it did not learn from."""
    known = rows.filter(pl.col("actual").is_not_null() & pl.col("predicted").is_finite() & ~pl.col("was_learned"))
    groups = known.partition_by(list(METRICS_KEY), as_dict=True, maintain_order=True)
    found = [_worth(spec, part, versions[str(key[1])], key) for key, part in groups.items()]
    return pl.DataFrame(found, schema=METRICS_SCHEMA, orient="row")


def _of_target(told: pl.DataFrame, spec: Workload, target: Target) -> pl.DataFrame:
    said, low, high = columns_of(target.name)
    by = pl.col(f"{target.name}_by") if f"{target.name}_by" in told.columns else pl.lit(None, pl.String)
    last = pl.col(target.previous).cast(pl.Float64) if target.previous else pl.lit(None, pl.Float64)
    return told.select(
        "ring",
        "date",
        *keys_of(spec),
        pl.lit(target.name).alias("target"),
        pl.col(said).alias("predicted"),
        pl.col(low).alias("low"),
        pl.col(high).alias("high"),
        by.alias("scored_by"),
        "model_version",
        "run_id",
        pl.col(f"{target.column}{ACTUAL}").alias("actual"),
        last.alias("last_value"),
    )


def _worth(spec: Workload, rows: pl.DataFrame, of: Taught, key: tuple[object, ...]) -> tuple[object, ...]:
    target = spec.target(str(key[2]))
    actual, said = rows["actual"].to_numpy(), rows["predicted"].to_numpy()
    mae = metrics.mae(actual, said, chance=target.is_chance)
    told = rows.filter(pl.col("last_value").is_not_null())
    mase = None
    if told.height:
        beside, own, last = (told[name].to_numpy() for name in ("actual", "predicted", "last_value"))
        errors = (metrics.mae(beside, guess, chance=target.is_chance) for guess in (own, last))
        mase = metrics.mase(*errors)
    scale = of.scales[target.name]
    scaled = metrics.mae(scale.link(actual) / scale.spread, scale.link(said) / scale.spread, chance=target.is_chance)
    held = rows.select(pl.col("actual").is_between("low", "high").mean()).item()
    return (*key, rows.height, mae, mase, scaled, held)
