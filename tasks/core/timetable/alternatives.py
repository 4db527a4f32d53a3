"""Other timetables nearly as good: each differs from all before in at least so many slots, and is the best that does.

Each found one becomes a row of the linear programme (a no-good cut), so what comes next cannot be near it; the columns
of one are where the next begins. Programmes that nothing tells apart count as the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.core.timetable.bound import Extra, Master, relax
from tasks.core.timetable.checker import violations
from tasks.core.timetable.exact import round_up
from tasks.core.timetable.grid import Grid, Ints, grid_of, plan_of, schedule_of, worth
from tasks.core.timetable.kinds import kinds_of
from tasks.core.timetable.problem import Problem, Schedule
from tasks.errors import BadRequest

# An alternative need not be proven the best: a few nodes, and a thousandth below the bound will do.
NODES, NEAR = 50, 1e-3


@dataclass(frozen=True)
class Alternative:
    """Another schedule, and how much less it is worth than the first, as a share of the first's worth."""

    schedule: tuple[str | None, ...]
    loss: float


def alternatives(problem: Problem, first: Schedule, many: int, differ: int) -> tuple[Alternative, ...]:
    """Return at most *many* schedules, the best first, any two of which and the first differ in *differ* slots or more.

    There are fewer where rules leave no more. Raises BadRequest for a distance no two schedules can have.
    """
    if not 1 <= differ <= len(problem.slots):
        raise BadRequest(f"timetables cannot differ in {differ} slots; wanted 1 to {len(problem.slots)}")
    kinds = kinds_of(grid_of(problem))
    grid, found = kinds.grid, list[Alternative]()
    master: Master | None = None
    plans = [kinds.of[plan_of(problem, first)]]
    best = worth(grid, plans[0])
    for _ in range(many):
        relaxation = relax(grid, grid.weights, [_away_from(grid, each, differ) for each in plans], master)
        plan, master = round_up(grid, grid.weights, relaxation, NODES, NEAR).plan, relaxation.master
        if plan is None or not _apart(plan, plans, differ):
            break
        schedule = schedule_of(problem, kinds.named(plan))
        if violations(problem, schedule):
            break
        plans.append(plan)
        found.append(Alternative(schedule, (best - worth(grid, plan)) / max(abs(best), 1e-12)))
    return tuple(sorted(found, key=lambda each: each.loss))


def _away_from(grid: Grid, plan: Ints, differ: int) -> Extra:
    """Return the row that lets at most so many slots show what the plan shows there."""
    same = (plan[None, :] == np.arange(grid.empty)[:, None]).astype(float)
    return Extra(same, float(max((plan < grid.empty).sum() - differ, 0)))


def _apart(plan: Ints, others: Sequence[Ints], differ: int) -> bool:
    return all(int((plan != other).sum()) >= differ for other in others)
