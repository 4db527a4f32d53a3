"""How groups change with the months: a season, a trend, and the months at which a level changes.

The decomposition is the classical additive one (centred moving average over a year: Macaulay 1931). Change points are
those of the least squares with a price on each (optimal partitioning: Jackson et al. 2005), so that noise has none.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.errors import DataRejected

Floats = npt.NDArray[np.float64]

YEAR = 12
# Two whole years: with fewer, a season cannot be told from a trend.
MONTHS_LEAST = 2 * YEAR
# A level lasts half a year at least; shorter is an event.
LEVEL_LEAST = 6
# The price of a change in noise variances × log(months): BIC takes 2 (a place and a level); noise whose own variance
# is guessed from it, and which follows itself a little, needs more. At 5, about 1 of 100 flat series has one.
PRICE = 5.0
# Apart by no more than this share of the largest, values are one value but for the order they were added up in.
ALIKE = 1e-9
MONTH, GROUP, ROWS, SHARE = "month", "group", "rows", "share"


def find_trends(rows: pl.DataFrame, moment: str, by: str, figures: Sequence[str]) -> pl.DataFrame:
    """Return one line per group, figure and month: its mean, trend, season, remainder, level and whether that is new.

    ``share``, the group's share of the month's rows in %, is a figure too: 0 in a month that has rows of others only.
    A month without rows has no other ``value`` and is bridged. Groups with fewer than two years of months are left out;
    raises DataRejected if none is left.
    """
    dated = rows.drop_nulls([moment, by]).with_columns(pl.col(moment).dt.month_start().dt.date().alias(MONTH))
    means = [pl.col(name).cast(pl.Float64).fill_nan(None).mean() for name in figures]
    monthly = dated.group_by(pl.col(by).alias(GROUP), MONTH).agg(pl.len().alias(ROWS), *means)
    monthly = monthly.with_columns((100.0 * pl.col(ROWS) / pl.col(ROWS).sum().over(MONTH)).alias(SHARE))
    known = monthly.select(MONTH).unique()
    parts = [
        _decomposed(_shares(each, known) if figure == SHARE else each, figure)
        for each in monthly.sort(GROUP, MONTH).partition_by(GROUP, maintain_order=True)
        if each[MONTH].n_unique() >= MONTHS_LEAST
        for figure in (SHARE, *figures)
        if each[figure].count() >= MONTHS_LEAST
    ]
    if not parts:
        raise DataRejected(
            f"none of {monthly[GROUP].n_unique()} groups of {by!r} has {MONTHS_LEAST} months of rows with a {moment!r} "
            f"({dated.height:,} of {rows.height:,} rows have one); bring rows that say when they are from"
        )
    return pl.concat(parts)


def _shares(months: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return a group's *months* with every *known* one in which only others have rows: its share of those is 0."""
    whole = known.join(months.select(MONTH, ROWS, SHARE), on=MONTH, how="left").with_columns(pl.col(SHARE).fill_null(0))
    return whole.with_columns(pl.lit(months[GROUP][0]).alias(GROUP))


def _decomposed(months: pl.DataFrame, figure: str) -> pl.DataFrame:
    every = months.select(pl.date_range(pl.col(MONTH).min(), pl.col(MONTH).max(), "1mo").alias(MONTH))
    whole = every.join(months.select(MONTH, ROWS, pl.col(figure).alias("value")), on=MONTH, how="left")
    bridged = whole["value"].interpolate().fill_null(strategy="backward").fill_null(strategy="forward")
    series, month = bridged.to_numpy(), whole[MONTH].dt.month().to_numpy()
    season = seasons(series, month)
    starts = changes(series - season)
    place = np.searchsorted(starts, np.arange(series.size), side="right") - 1
    level = np.array([(series - season)[place == each].mean() for each in range(len(starts))])[place]
    trend = _smooth(series)
    return whole.with_columns(
        pl.lit(months[GROUP][0]).alias(GROUP),
        pl.lit(figure).alias("figure"),
        pl.col(ROWS).fill_null(0),
        trend=trend,
        season=season,
        remainder=series - trend - season,
        level=level,
        changed=np.isin(np.arange(series.size), starts[1:]),
    ).select(
        GROUP, "figure", MONTH, ROWS, "value", "trend", "season", "remainder", "level", "changed"
    )  # fmt: skip


def seasons(series: Floats, month: npt.NDArray[np.integer]) -> Floats:
    """Return what each month of the year adds to the trend: the median over years; twelve add up to nothing."""
    apart = series - _smooth(series)
    inner = slice(YEAR // 2, -(YEAR // 2))
    own = np.array([np.median(apart[inner][month[inner] == each]) for each in range(1, YEAR + 1)])
    season: Floats = (own - own.mean())[month - 1]
    return season


def changes(series: Floats) -> list[int]:
    """Return where each level begins, 0 first: the cheapest parts, at ``PRICE`` for each change."""
    count = series.size
    if np.ptp(series) <= ALIKE * np.abs(series).max():
        return [0]
    # Of differences, so that a change of level does not pass for noise; squared, so that rare values count as noise.
    price = PRICE * np.log(count) * np.diff(series).var() / 2
    sums, squares = (np.concatenate([[0.0], np.cumsum(values)]) for values in (series, series**2))
    best, came = np.full(count + 1, np.inf), np.zeros(count + 1, dtype=int)
    best[0] = -price
    for end in range(LEVEL_LEAST, count + 1):
        start = np.arange(0, end - LEVEL_LEAST + 1)
        cost = squares[end] - squares[start] - (sums[end] - sums[start]) ** 2 / (end - start)
        total = best[start] + cost + price
        came[end] = int(start[np.argmin(total)])
        best[end] = float(total.min())
    found, end = [], count
    while end > 0:
        end = int(came[end])
        found.append(end)
    return found[::-1]


def _smooth(series: Floats) -> Floats:
    """Return the mean of a year around each month, its outer months by half; the ends keep the nearest whole one."""
    weights = np.array([0.5, *([1.0] * (YEAR - 1)), 0.5]) / YEAR
    inner = np.convolve(series, weights, mode="valid")
    return np.pad(inner, YEAR // 2, mode="edge")
