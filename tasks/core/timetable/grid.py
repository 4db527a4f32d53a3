"""The problem as arrays, made once, and what a plan is worth in it. Only arithmetic every solver needs is here.

A plan is an array of programme numbers, one per slot; the number after the last programme is an empty slot. Values are
scaled so that 1 is what the best assignment without rules on genres would bring.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from tasks.core.timetable.mask import reasons
from tasks.core.timetable.problem import Problem, Schedule

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.intp]
Bools = npt.NDArray[np.bool_]
# What an empty slot costs: more than two timetables can differ by otherwise, as scores lie between 0 and 1.
EMPTY_COSTS = 2.0
UNLIMITED = 1 << 30


@dataclass(frozen=True, eq=False)
class Grid:
    """A problem as arrays; programmes first, slots second, and after the last programme and genre a row for *empty*.

    ``revenue`` and ``audience`` are scaled; ``scales`` turns them back. ``weights`` are those of revenue, audience and
    balance, and sum to 1. ``caps`` are of days × genres.
    """

    allowed: Bools
    reasons: npt.NDArray[np.uint16]
    revenue: Floats
    audience: Floats
    scales: tuple[float, float]
    genre: Ints
    uses: Ints
    day: Ints
    caps: Ints
    shares: Floats
    weights: Floats
    available: Bools
    in_a_row: int

    @property
    def empty(self) -> int:
        """Return the number that stands for an empty slot."""
        return len(self.genre) - 1

    @property
    def slots(self) -> int:
        """Return how many slots there are."""
        return len(self.day)

    @property
    def genres(self) -> int:
        """Return how many genres there are, *empty* not among them."""
        return len(self.shares)

    def values(self, weights: Floats) -> Floats:
        """Return programmes × slots what a pair adds to the score under these weights, without the balance."""
        return np.asarray(weights[0] * self.revenue + weights[1] * self.audience)


def grid_of(problem: Problem) -> Grid:
    """Return the problem as arrays."""
    found = reasons(problem)
    allowed = np.vstack([found == 0, np.ones((1, len(problem.slots)), bool)])
    genres = sorted({each.genre for each in problem.programmes} | set(problem.goals.shares))
    days = sorted({slot.day for slot in problem.slots})
    uses = np.array([*(min(each.uses, UNLIMITED) for each in problem.programmes), UNLIMITED])
    revenue, revenue_scale = _scaled(problem.revenue, allowed, uses)
    audience, audience_scale = _scaled(problem.audience, allowed, uses)
    shares = problem.goals.shares or dict.fromkeys(genres, 1 / len(genres))
    cap = [problem.rules.per_day_of.get(genre, problem.rules.per_day) for genre in genres]
    weights = np.array([problem.goals.revenue, problem.goals.audience, problem.goals.balance], float)
    return Grid(
        allowed=allowed,
        reasons=found,
        revenue=revenue,
        audience=audience,
        scales=(revenue_scale, audience_scale),
        genre=np.array([*(genres.index(each.genre) for each in problem.programmes), len(genres)]),
        uses=uses,
        day=np.array([days.index(slot.day) for slot in problem.slots]),
        caps=np.tile([*cap, UNLIMITED], (len(days), 1)),
        shares=np.array([shares.get(genre, 0.0) for genre in genres]),
        weights=weights / weights.sum(),
        available=np.array([slot.available for slot in problem.slots]),
        in_a_row=problem.rules.in_a_row,
    )


def _scaled(values: Floats, allowed: Bools, uses: Ints) -> tuple[Floats, float]:
    whole = np.vstack([np.where(allowed[:-1], values, 0.0), np.zeros((1, values.shape[1]))])
    scale = float(np.take_along_axis(whole, assign(whole, allowed, uses)[None], 0).sum())
    return whole / (scale or 1.0), scale or 1.0


def assign(values: Floats, allowed: Bools, uses: Ints) -> Ints:
    """Return the plan of the greatest sum that keeps uses and the mask, and no rule on genres (Hungarian method)."""
    empty, slots = len(uses) - 1, values.shape[1]
    copies = np.repeat(np.arange(empty), np.minimum(uses[:-1], slots))
    gain = np.where(allowed[copies], values[copies] + EMPTY_COSTS * max(float(values.max()), 1.0), 0.0)
    plan = np.full(slots, empty)
    row, slot = linear_sum_assignment(gain, maximize=True)
    fits = allowed[copies[row], slot]
    plan[slot[fits]] = copies[row[fits]]
    return plan


def objectives(grid: Grid, plans: Ints) -> Floats:
    """Return plans × (revenue, audience, balance), each 1 at best."""
    slots = np.arange(grid.slots)
    counts = (grid.genre[plans][:, :, None] == np.arange(grid.genres)).sum(axis=1)
    off = np.abs(counts / max(int(grid.available.sum()), 1) - grid.shares).sum(axis=1)
    return np.stack([grid.revenue[plans, slots].sum(1), grid.audience[plans, slots].sum(1), 1 - off / 2], axis=1)


def empties(grid: Grid, plans: Ints) -> Ints:
    """Return how many available slots each plan leaves empty."""
    return np.asarray(((plans == grid.empty) & grid.available).sum(axis=1))


def worth(grid: Grid, plan: Ints, weights: Floats | None = None) -> float:
    """Return the weighted score of one plan, less what its empty slots cost: what every solver makes great."""
    by = grid.weights if weights is None else weights
    return float(objectives(grid, plan[None])[0] @ by - EMPTY_COSTS * empties(grid, plan[None])[0])


def gap_of(value: float, bound: float) -> float:
    """Return how far a plan's worth may be below the best, as a share of the score the best could have at most.

    A slot more than need be left empty is thus a gap of over 200 %.
    """
    empty = max(0, math.ceil(-bound / EMPTY_COSTS))
    return float(max(bound - value, 0.0) / max(bound + EMPTY_COSTS * empty, 1e-12))


def schedule_of(problem: Problem, plan: Ints) -> tuple[str | None, ...]:
    """Return the plan as names of programmes."""
    names = [*(each.name for each in problem.programmes), None]
    return tuple(names[number] for number in plan)


def plan_of(problem: Problem, schedule: Schedule) -> Ints:
    """Return names of programmes as a plan."""
    number = {each.name: place for place, each in enumerate(problem.programmes)}
    return np.array([len(number) if name is None else number[name] for name in schedule])


def relaxed(grid: Grid, rule: str) -> Grid:
    """Return the grid with one rule a step looser: ``uses``, ``in a row`` or ``per day``."""
    if rule == "uses":
        return replace(grid, uses=np.minimum(grid.uses + 1, UNLIMITED))
    if rule == "in a row":
        return replace(grid, in_a_row=grid.in_a_row + 1)
    return replace(grid, caps=np.minimum(grid.caps + 1, UNLIMITED))
