"""The honest number: what a timetable comes to by a model that did not choose it.

An optimiser looks for the largest predictions, and among many pairs the largest are large by mistake as often as by
merit; its own total is therefore too high (the optimizer's curse; Smith and Winkler 2006). The errors of a second
model, fitted on rows the first never saw, were not looked for: what it says of the same timetable is not flattered.
Where both err alike, in features they share or in pairs unlike any that aired, neither number knows.

What the caller hands in, and nothing else is needed:

1. By target ("revenue", "audience") a ``Witness``: ``witness(spec, rows, target, candidate)`` fits it from all rows of
   the champion's training set (the holdout, which the champion did not learn from, is parted here) with the algorithm
   and parameters of the champion for that target. It takes a CPU second or two a target.
2. By target the table *second*, programmes × slots: ``witness.model.score(pairs)["expected"]`` of the very feature rows
   that the champion was handed, NaN where it was handed none.
3. ``judge(problem, schedule, second, {target: witness.aired})`` is the ``Honest`` of the plan.

Where the champion was fitted again on all rows (policy ``refit_on_all``) it has seen what the witness learned from: say
so with *seen_by_both*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.encoding import masked, numbers
from tasks.core.models import Model, calibrate, learn, optional_features
from tasks.core.scales import label_unit
from tasks.core.splitting import split
from tasks.core.timetable.problem import Problem, Schedule
from tasks.core.training import training_rows
from tasks.errors import BadRequest
from tasks.workloads.spec import Candidate, Target, Workload

Floats = npt.NDArray[np.float64]
GOALS = ("revenue", "audience")
DRAWS, CONFIDENCE, SEED = 2_000, 0.9, 13


@dataclass(frozen=True, eq=False)
class Aired:
    """Airings the witness did not learn from: the number of each one's day, what came true, what it says of it."""

    day: npt.NDArray[np.int64]
    actual: Floats
    predicted: Floats


@dataclass(frozen=True, eq=False)
class Witness:
    """A model of one target fitted on rows the champion did not see, and what it says of those the champion saw."""

    model: Model
    aired: Aired


@dataclass(frozen=True)
class Beside:
    """A total as the optimiser sees it, as the witness does, and the interval of what is likely to come true.

    ``own_now`` and ``held_out_now`` are the same of the timetable that airs now, over what both know of it.
    """

    own: float
    held_out: float
    low: float
    high: float
    own_now: float | None = None
    held_out_now: float | None = None

    @property
    def flattery(self) -> float:
        """Return by what share of the honest number the optimiser's own is above it."""
        return self.own / self.held_out - 1 if self.held_out > 0 else float("nan")

    @property
    def own_gain(self) -> float | None:
        """Return by how much the optimiser sees its own above what airs now."""
        return None if self.own_now is None else self.own - self.own_now

    @property
    def honest_gain(self) -> float | None:
        """Return by how much the witness does."""
        return None if self.held_out_now is None else self.held_out - self.held_out_now


@dataclass(frozen=True)
class Honest:
    """Both totals beside each other, and in a sentence how the second was come by."""

    revenue: Beside
    audience: Beside
    how: str


def witness(spec: Workload, rows: pl.DataFrame, target: Target, candidate: Candidate, *, threads: int = 1) -> Witness:
    """Fit *candidate* on the holdout of *rows*, and correct it by the rows before, which it does not see.

    Raises DataRejected where there are too few rows.
    """
    unseen, seen = rows[split(spec, rows, target).holdout], training_rows(spec, rows, target)
    optional = optional_features(spec, target)
    unit = label_unit(target, numbers(seen[target.column]))
    learned = learn(spec, unseen, target, candidate, unit=unit, threads=threads)
    actual = numbers(seen[target.column])
    links = (learned.link(each) for each in (seen, masked(seen, optional)))
    full, bare = (calibrate(link, learned.scale.link(actual), log=learned.scale.log) for link in links)
    model = Model(target.name, target.unit, learned, optional, full, bare)
    day = seen[spec.event_time].dt.epoch("d").to_numpy()
    return Witness(model, Aired(day, actual, model.expected(seen)))


def judge(
    problem: Problem,
    schedule: Schedule,
    second: Mapping[str, Floats],
    aired: Mapping[str, Aired],
    *,
    current: Schedule | None = None,
    seen_by_both: bool = False,
) -> Honest:
    """Return what *schedule* comes to by the tables of *problem* and by *second*, with a 90 % interval of the latter.

    With *current* the same of what airs now: in a gain, what both models get wrong everywhere cancels. Raises
    BadRequest where *second* lacks a pair that is shown.
    """
    shown = _pairs(problem, schedule)
    days = len({problem.slots[slot].day for _, slot in shown})
    own = {"revenue": problem.revenue, "audience": problem.audience}
    beside = {}
    for goal in GOALS:
        promised, held_out = (float(sum(table[pair] for pair in shown)) for table in (own[goal], second[goal]))
        if not np.isfinite(held_out):
            raise BadRequest(
                f"the second {goal} of a pair that is shown is missing; hand in every pair the first predicted"
            )
        low, high = _interval(aired[goal], days)
        now = _now(problem, current, own[goal], second[goal])
        beside[goal] = Beside(promised, held_out, held_out * low, held_out * high, *now)
    return Honest(beside["revenue"], beside["audience"], _how(aired, days, seen_by_both))


def _pairs(problem: Problem, schedule: Schedule) -> list[tuple[int, int]]:
    places = {each.name: number for number, each in enumerate(problem.programmes)}
    return [(places[name], slot) for slot, name in enumerate(schedule) if name in places]


def _now(problem: Problem, current: Schedule | None, own: Floats, second: Floats) -> tuple[float, float] | tuple[()]:
    if current is None:
        return ()
    known = [pair for pair in _pairs(problem, current) if np.isfinite(own[pair] + second[pair])]
    return float(sum(own[pair] for pair in known)), float(sum(second[pair] for pair in known))


def _interval(aired: Aired, days: int) -> tuple[float, float]:
    """Return the ends of actual ÷ predicted of so many days, drawn whole from those that aired."""
    _, place = np.unique(aired.day, return_inverse=True)
    sums = np.stack([np.bincount(place, weights=each) for each in (aired.actual, aired.predicted)], axis=1)
    drawn = np.random.default_rng(SEED).integers(len(sums), size=(DRAWS, max(days, 1)))
    totals = sums[drawn].sum(axis=1)
    ratio = totals[:, 0] / np.maximum(totals[:, 1], 1e-12)
    low, high = np.quantile(ratio, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _how(aired: Mapping[str, Aired], days: int, seen_by_both: bool) -> str:
    rows = min(each.actual.size for each in aired.values())
    caveat = " The champion was fitted again on all rows, so it saw those too: not wholly independent." * seen_by_both
    return (
        "by a second model of the same kind, fitted only on the newest airings, which the champion never learned from; "
        f"interval: {CONFIDENCE:.0%} of the totals of {days} days drawn whole from {rows:,} airings that the second "
        f"model did not learn from.{caveat}"
    )
