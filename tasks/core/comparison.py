"""Challenger against champion on the same rows: the evidence of the gates, and not their verdict.

A comparison is honest only on rows the champion never learned from; which those are is found here too. Where nothing
honest can be said the outcome is *inconclusive* with its reason, never silence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core import metrics
from tasks.core.intervals import entity_sums
from tasks.core.paired import DRAWS, Halves, Odds, halves, holm, odds
from tasks.core.values import Interval
from tasks.workloads.spec import Gate

Floats = npt.NDArray[np.float64]
Standing = Literal["better", "non_inferior", "worse", "inconclusive"]

# What is held out of the fewest rows a workload may learn from (100); an interval drawn from fewer entities says less
# than it promises.
ENTITIES_LEAST = 20


@dataclass(frozen=True)
class Part:
    """A part of the compared rows that is looked at on its own: a label of a slice."""

    slice: str
    label: str
    rows: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SliceComparison:
    """Challenger and champion on the rows of one slice.

    ``p_worse`` is the p-value of *worse by more than the slice margin*, corrected for all slices of all targets that
    have enough rows to be judged (``judged``).
    """

    slice: str
    label: str
    rows: int
    change: Interval
    p_worse: float
    judged: bool


@dataclass(frozen=True)
class Comparison:
    """Challenger and champion on the same holdout rows, paired.

    ``change`` = MAE(challenger) / MAE(champion) − 1: **below 0 the challenger is better**. *better*: the whole interval
    is below 0, and ``p_better``, corrected for the number of targets, is not above ``alpha``. *non_inferior*: the
    interval is below the margin. *worse*: it is above 0 and reaches beyond the margin. Else, and where nothing could be
    measured (``change`` is None), *inconclusive*; ``reason`` says what stood in the way or which rows were left out.
    ``champion`` is its version; ``rows`` is how many were compared, in ``units`` that were drawn whole. ``odds`` says
    how often the rule errs on these rows. ``slices`` is None where nobody looked.
    """

    target: str
    champion: str
    outcome: Standing
    change: Interval | None
    margin: float
    confidence: float
    rows: int
    reason: str = ""
    units: int = 0
    p_better: float = 1.0
    odds: Odds | None = None
    slices: tuple[SliceComparison, ...] | None = None

    @property
    def alpha(self) -> float:
        """The one-sided error rate of each bound of the interval: what is drawn is what decides."""
        return one_sided(self.confidence)


def one_sided(confidence: float) -> float:
    """Return the one-sided error rate of each bound of an interval."""
    return round((1 - confidence) / 2, 12)


def compare(
    actual: Floats,
    by_champion: Floats,
    by_challenger: Floats,
    *,
    target: str,
    champion: str,
    margin: float,
    confidence: float,
    seed: int,
    entities: npt.NDArray[np.intp] | None = None,
    draws: int = DRAWS,
    reason: str = "",
    gate: Gate | None = None,
    parts: Sequence[Part] = (),
    chance: bool = False,
) -> Comparison:
    """Compare errors row by row, drawing whole entities (numbered from 0) where they are given.

    With *gate*, the odds of the rule and its slices (*parts*) are looked at as well. One comparison alone is not
    corrected for the others: ``corrected`` does that.
    """
    strange = int(np.sum(~np.isfinite(by_champion) | ~np.isfinite(by_challenger) | ~np.isfinite(actual)))
    if strange:
        told = f"{strange} of {actual.size} rows have a label or a prediction that is no number"
        return not_compared(target, champion, margin=margin, confidence=confidence, reason=told)
    units = np.arange(actual.size) if entities is None else entities
    was, now = (
        _sums(metrics.errors(actual, answer, chance=chance), units, parts) for answer in (by_champion, by_challenger)
    )
    drawn = halves(was, now, seed=seed, draws=draws)
    change = drawn.interval(one_sided(confidence))
    found = Comparison(
        target, champion, standing(change, margin), change, margin, confidence, actual.size, reason,
        units=len(was), p_better=drawn.p_below(0.0),
    )  # fmt: skip
    if gate is None:
        return found
    return replace(
        found,
        odds=odds(
            was[:, 0], now[:, 0], alpha=found.alpha, margin=margin, regression=gate.regression_to_detect, seed=seed
        ),
        slices=tuple(_slice(drawn, place, part, units, gate) for place, part in enumerate(parts, start=1)),
    )


def corrected(found: Sequence[Comparison]) -> tuple[Comparison, ...]:
    """Return comparisons of one challenger as they stand together (Holm): *better* by targets, *worse* by slices.

    *non_inferior* needs no correction: a challenger must show it for every target the champion serves, and who must
    pass all of several tests errs no more often than in one (intersection-union: Berger 1982).
    """
    better = holm([each.p_better for each in found])
    judged = [(at, place) for at, each in enumerate(found) for place, part in _judged(each)]
    worse = dict(zip(judged, holm([(found[at].slices or ())[place].p_worse for at, place in judged]), strict=True))
    return tuple(
        replace(
            each,
            p_better=p_value,
            outcome="non_inferior" if each.outcome == "better" and p_value > each.alpha else each.outcome,
            slices=_with_p_values(each.slices, {place: p for (which, place), p in worse.items() if which == at}),
        )
        for at, (each, p_value) in enumerate(zip(found, better, strict=True))
    )


def _judged(comparison: Comparison) -> list[tuple[int, SliceComparison]]:
    return [(place, part) for place, part in enumerate(comparison.slices or ()) if part.judged]


def _with_p_values(
    slices: tuple[SliceComparison, ...] | None, p_values: Mapping[int, float]
) -> tuple[SliceComparison, ...] | None:
    if slices is None:
        return None
    return tuple(
        replace(part, p_worse=p_values[place]) if place in p_values else part for place, part in enumerate(slices)
    )


def _sums(errors: Floats, units: npt.NDArray[np.intp], parts: Sequence[Part]) -> Floats:
    """Return one row of sums per unit: of all its rows, then of those in each part."""
    terms = [errors, *(np.where(part.rows, errors, 0.0) for part in parts)]
    return entity_sums(np.column_stack(terms), units)


def _slice(drawn: Halves, place: int, part: Part, units: npt.NDArray[np.intp], gate: Gate) -> SliceComparison:
    rows, drawable = int(part.rows.sum()), np.unique(units[part.rows]).size
    return SliceComparison(
        slice=part.slice,
        label=part.label,
        rows=rows,
        change=drawn.interval(one_sided(gate.confidence), place),
        p_worse=drawn.p_above(gate.slice_margin, drawable, place),
        judged=rows >= gate.min_slice_rows and drawable >= ENTITIES_LEAST,
    )


def not_compared(target: str, champion: str, *, margin: float, confidence: float, reason: str) -> Comparison:
    """Return the comparison that could not be made, with the reason."""
    return Comparison(target, champion, "inconclusive", None, margin, confidence, 0, reason)


def standing(change: Interval, margin: float) -> Standing:
    """Return what an interval of the change of error shows, given the margin a challenger may be worse by."""
    if change.high < 0:
        return "better"
    if change.high <= margin:
        return "non_inferior"
    return "worse" if change.low > 0 else "inconclusive"


def learned_from(
    rows: pl.DataFrame, held_out: pl.Series, *, entity: str, label: str, refitted_on_all: bool
) -> pl.Series:
    """Return the entities a model learned from: those of its training *rows* with a label, but for its holdout.

    *held_out* are the numbers (``_row``) of its holdout rows; a model that was refitted on all rows has none.
    """
    names = _labelled(rows, label).select(pl.col(entity).cast(pl.String).fill_null(""), "_row")
    if refitted_on_all:
        return names[entity].unique()
    kept = names.filter(pl.col("_row").is_in(held_out.implode()))[entity]
    return names.filter(~pl.col(entity).is_in(kept.implode()))[entity].unique()


def learned_until(
    rows: pl.DataFrame, held_out: pl.Series, *, moment: str, label: str, refitted_on_all: bool, known_at: str = ""
) -> datetime | None:
    """Return the newest moment a model learned from, out of what ``learned_from`` takes; None: from no row.

    One fitted on all rows learned from labels until the last of them was known, at *known_at*; of any other no label
    was known later than the first row it held out.
    """
    learned, moments = _labelled(rows, label), [moment]
    if not refitted_on_all:
        learned = learned.filter(~pl.col("_row").is_in(held_out.implode()))
    elif known_at in rows.columns:
        moments.append(known_at)
    newest: datetime | None = learned.select(pl.max_horizontal(moments).max()).item()
    return newest


def unseen(entities: pl.Series, learned: pl.Series) -> pl.Series:
    """Say which rows belong to an entity the champion has not learned from."""
    return ~entities.cast(pl.String).fill_null("").is_in(learned.implode())


def _labelled(rows: pl.DataFrame, label: str) -> pl.DataFrame:
    if label not in rows.columns:
        return rows
    return rows.filter(pl.col(label).cast(pl.Float64, strict=False).is_finite().fill_null(False))


@dataclass(frozen=True)
class Ground:
    """The challenger's holdout rows: which the champion has not learned from, and which it can answer.

    ``blocks`` are the blocks of time they lie in, where those are drawn and not the entities; ``seen_by_time``: what
    the champion has learned from is a stretch of time and not entities.
    """

    entities: pl.Series
    unseen: pl.Series
    answerable: pl.Series
    blocks: pl.Series | None = None
    seen_by_time: bool = False

    @property
    def units(self) -> pl.Series:
        """What each row is drawn with."""
        return self.entities if self.blocks is None else self.blocks

    @property
    def rows(self) -> pl.Series:
        """Which rows are fair to compare on."""
        return self.unseen & self.answerable

    @property
    def left_out(self) -> str:
        """Say how many rows are left out of the comparison and why; empty if none is."""
        seen, strange, rows = int((~self.unseen).sum()), int((~self.answerable).sum()), self.units.len()
        known = "the time" if self.seen_by_time else "the entities"
        told = [
            f"the champion learned from {known} of {seen} of {rows} holdout rows; they are left out",
            f"the champion was taught other features and not given {strange} of {rows} holdout rows; they are left out",
        ]
        return "; ".join(sentence for sentence, count in zip(told, (seen, strange), strict=True) if count)

    @property
    def too_few(self) -> str:
        """Say why too few units are left to compare on; empty if enough are."""
        left = self.units.filter(self.rows).n_unique()
        if left >= ENTITIES_LEAST:
            return ""
        what = "entities" if self.blocks is None else "blocks of time"
        few = f"{left} {what} are left to compare on, at least {ENTITIES_LEAST} are wanted"
        return "; ".join(filter(None, (self.left_out, few)))
