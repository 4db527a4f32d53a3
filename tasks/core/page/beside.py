"""Challenger beside champion, row by row: how either fits, which rows move most, and who was right in the end.

Pure: frames of ``contests.side_by_side`` in, small values out. Whether a change is allowed is for the gates.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise

import numpy as np
import polars as pl

from tasks.core.appraisal import Appraisal
from tasks.core.page.sheet import CalibrationBin, Fit, Landed, Mover, Side, Spread
from tasks.core.shadow import Cycle
from tasks.workloads.spec import Target

MOST_MOVERS = 8
BINS_MOST, ROWS_PER_BIN = 10, 15
THIRDS = ("lowest third of its predictions", "middle third", "highest third")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def fits(target: Target, rows: pl.DataFrame, side: Side) -> Fit:
    """Say how well ``predicted`` fits ``actual`` on *rows*."""
    known = rows.select(pl.col("actual", "predicted").cast(pl.Float64)).drop_nulls().drop_nans()
    known = known.sort("predicted", "actual", maintain_order=True)
    return Fit(target.name, side, known.height, tuple(_bins(known)), tuple(_spreads(known, logs(target))))


def movers(target: Target, rows: pl.DataFrame) -> tuple[Mover, ...]:
    """Return the rows whose prediction changes most from champion to challenger: by ratio, or by difference."""
    before, after = pl.col("by_champion").cast(pl.Float64), pl.col("predicted").cast(pl.Float64)
    moved = (after.log1p() - before.log1p()).abs() if logs(target) else (after - before).abs()
    known = rows.with_columns(moved=moved).filter(pl.col("moved").is_finite() & (pl.col("moved") > 0))
    first = known.sort("moved", "row", descending=[True, False]).head(MOST_MOVERS)
    return tuple(
        Mover(
            target.name, each["row"], str(each["entity"] or ""), each["actual"], each["by_champion"], each["predicted"]
        )
        for each in first.iter_rows(named=True)
    )


def scored_movers(batch: Cycle) -> Iterator[Mover]:
    """Yield the same of a batch that both have scored, as it was found then."""
    for each in batch.differences:
        for moved in each.movers[:MOST_MOVERS]:
            yield Mover(each.target, None, moved.entity, None, moved.champion, moved.challenger)


def landed(known: Iterable[Appraisal], champion: str, challenger: str, targets: Collection[str]) -> tuple[Landed, ...]:
    """Return what came true of the days that *champion* scored beside *challenger*; the same rows twice are one."""
    days: dict[str, Appraisal] = {}
    for day in sorted(known, key=lambda each: each.date):
        if day.version == champion and any(each.version == challenger for each in day.beside):
            days.setdefault(day.snapshot, day)
    return tuple(
        Landed(day.ring, day.date, his.target, its.rows, his.rows, his.mae, its.mae, its.change)
        for day in days.values()
        for his in day.realised
        for its in day.beside
        if (its.version, its.target) == (challenger, his.target) and his.target in targets
    )


def as_champion(rows: pl.DataFrame) -> pl.DataFrame:
    """Return *rows* with the champion's predictions for the challenger's."""
    return rows.with_columns(predicted="by_champion")


def logs(target: Target) -> bool:
    """Whether ratios say more of the target than differences."""
    return target.transform == "log1p"


def _bins(known: pl.DataFrame) -> Iterator[CalibrationBin]:
    count = max(1, min(BINS_MOST, known.height // ROWS_PER_BIN))
    for some in _cut(known, count):
        low, middle, high = (float(some["actual"].quantile(q, "linear") or 0) for q in (0.25, 0.5, 0.75))
        predicted = float(some["predicted"].quantile(0.5, "linear") or 0)
        yield CalibrationBin(some.height, *map(_figure, (predicted, middle, low, high)))


def _spreads(known: pl.DataFrame, ratios: bool) -> Iterator[Spread]:
    rows = known.filter((pl.col("actual") > 0) & (pl.col("predicted") > 0)) if ratios else known
    miss = (pl.col("predicted") / pl.col("actual")).log(2) if ratios else pl.col("predicted") - pl.col("actual")
    missed = rows.with_columns(miss=miss)
    parts = zip(THIRDS, _cut(missed, 3), strict=False)
    for name, some in (("all rows", missed), *(parts if missed.height >= 3 * ROWS_PER_BIN else ())):
        if some.height:
            yield Spread(name, some.height, *(_figure(float(some["miss"].quantile(q, "linear"))) for q in QUANTILES))


def _cut(rows: pl.DataFrame, count: int) -> Iterator[pl.DataFrame]:
    """Yield *count* parts of sorted rows, as even as can be."""
    ends = np.linspace(0, rows.height, count + 1).round().astype(int)
    yield from (rows.slice(a, b - a) for a, b in pairwise(ends.tolist()) if b > a)


def _figure(value: float) -> float:
    return float(f"{value:.9g}")
