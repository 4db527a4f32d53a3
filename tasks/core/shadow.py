"""A challenger scores what the champion scores, and nobody acts on it: where both differ, and whether that was clean.

Frames of answers come in, small values go out. Who waits, and where cycles are kept, belongs to the adapters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.metrics import spearman

Floats = npt.NDArray[np.float64]

# Rows that are compared of a batch, evenly spread: a share is then known to a tenth of a point.
COMPARED_ROWS_MOST = 1_000_000
TOP_SHARE = 0.01
TOP_LEAST, TOP_MOST = 10, 1_000
MOVERS, SEGMENTS = 10, 10
SEGMENT_ROWS_LEAST = 30


@dataclass(frozen=True)
class Limits:
    """How many rows may leave the champion's interval, and how alike both must order the rows, in a clean cycle."""

    flip_rate_most: float
    rank_correlation_least: float


@dataclass(frozen=True)
class Mover:
    """A row both answered, most differently; in the target's unit."""

    entity: str
    champion: float
    challenger: float


@dataclass(frozen=True)
class Segment:
    """The rows of one slice: how many, and their median relative change."""

    slice: str
    label: str
    rows: int
    change: float


@dataclass(frozen=True)
class Difference:
    """Challenger against champion on one target of one batch.

    ``flip_rate`` is the share of rows whose challenger's prediction lies outside the champion's interval; ``change``
    the median relative change, 2·|a − b| / (|a| + |b|), between 0 and 2; ``churn`` the share of the champion's ``top``
    rows that are not among the challenger's.
    """

    target: str
    rows: int
    flip_rate: float
    change: float
    rank_correlation: float
    top: int
    churn: float
    movers: tuple[Mover, ...]
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Cycle:
    """One batch that a challenger scored beside the champion of a ring; ``faults`` says why it is not clean."""

    workload: str
    ring: str
    date: str
    run: str
    snapshot: str
    champion: str
    challenger: str
    rows: int
    differences: tuple[Difference, ...]
    faults: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether it counts for the challenger."""
        return not self.faults


def compare(target: str, rows: pl.DataFrame, slices: Sequence[pl.Series]) -> Difference:
    """Compare *rows*: ``entity``, the champion's ``was``, ``low`` and ``high``, the challenger's ``now``, all finite.

    *slices* are the labels of the same rows, one series per slice, named as it.
    """
    was, now = rows["was"].to_numpy(), rows["now"].to_numpy()
    outside = (now < rows["low"].to_numpy()) | (now > rows["high"].to_numpy())
    change = relative_change(was, now)
    top = int(np.clip(round(rows.height * TOP_SHARE), min(TOP_LEAST, rows.height), TOP_MOST))
    return Difference(
        target=target,
        rows=rows.height,
        flip_rate=float(outside.mean()),
        change=float(np.median(change)),
        rank_correlation=spearman(was, now),
        top=top,
        churn=1.0 - len(set(_largest(was, top)) & set(_largest(now, top))) / top,
        movers=_movers(rows, np.abs(now - was)),
        segments=_segments(change, slices),
    )


def relative_change(was: Floats, now: Floats) -> Floats:
    """Return 2·|a − b| / (|a| + |b|) per row; 0 where both are 0."""
    size = np.abs(was) + np.abs(now)
    return np.where(size > 0, 2.0 * np.abs(now - was) / np.where(size > 0, size, 1.0), 0.0)


def faults_of(difference: Difference, limits: Limits) -> tuple[str, ...]:
    """Say why this difference is for a person to look at; nothing if it is within *limits*."""
    found = []
    if difference.flip_rate > limits.flip_rate_most:
        found.append(
            f"{difference.target}: {difference.flip_rate:.0%} of the rows left the champion's interval, "
            f"at most {limits.flip_rate_most:.0%} may"
        )
    if difference.rank_correlation < limits.rank_correlation_least:
        found.append(
            f"{difference.target}: the ranks correlate by {difference.rank_correlation:.2f}, "
            f"wanted {limits.rank_correlation_least}"
        )
    return tuple(found)


def clean_in_a_row(cycles: Iterable[Cycle]) -> int:
    """Return how many of the newest cycles were clean one after the other.

    A day counts once, and so does a batch that was scored on several days: the same rows twice prove nothing new.
    """
    days: dict[str, bool] = {}
    seen: set[str] = set()
    for cycle in sorted(cycles, key=lambda each: (each.date, each.clean, each.ring)):
        if cycle.clean and cycle.snapshot in seen:
            continue
        seen.add(cycle.snapshot)
        days[cycle.date] = days.get(cycle.date, True) and cycle.clean
    streak = 0
    for clean in days.values():
        streak = streak + 1 if clean else 0
    return streak


def _largest(values: Floats, count: int) -> list[int]:
    return [int(place) for place in np.argsort(-values, kind="stable")[:count]]


def _movers(rows: pl.DataFrame, moved: Floats) -> tuple[Mover, ...]:
    chosen = rows[_largest(moved, MOVERS)].select("entity", "was", "now")
    return tuple(Mover(str(entity), was, now) for entity, was, now in chosen.iter_rows())


def _segments(change: Floats, slices: Sequence[pl.Series]) -> tuple[Segment, ...]:
    """Return the labels whose rows changed most."""
    found = []
    for labels in slices:
        table = pl.DataFrame({"label": labels, "change": change}).group_by("label").agg(pl.len(), pl.median("change"))
        found += [Segment(labels.name, *row) for row in table.filter(pl.col("len") >= SEGMENT_ROWS_LEAST).iter_rows()]
    return tuple(sorted(found, key=lambda each: (-each.change, each.slice, each.label))[:SEGMENTS])
