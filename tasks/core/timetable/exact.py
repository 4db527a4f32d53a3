"""The best timetable there is, proven: the relaxation of bound.py with whole numbers, by HiGHS.

A pair whose price shows that no timetable with it can beat the one in hand is left out, so a thousand slots stay within
reach. Work is limited in nodes and not in seconds, so that the same input gives the same plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp

from tasks.core.timetable.bound import (
    Extra,
    Master,
    Relaxation,
    all_runs,
    bound_at_least,
    coefficients,
    costs,
    one_per_slot,
    relax,
)
from tasks.core.timetable.grid import Floats, Grid, Ints, worth

NODES, NEAR = 2_000, 1e-6


@dataclass(frozen=True, eq=False)
class Proven:
    """A plan, and what no plan under the same weights and rows can exceed; no plan where none keeps the rows."""

    plan: Ints | None
    bound: float


def solve(grid: Grid, weights: Floats, extras: Sequence[Extra] = (), nodes: int = NODES) -> Proven:
    """Return the best plan under these weights that keeps the rules and the *extras*, with its bound."""
    relaxation = relax(grid, weights, extras)
    return round_up(grid, weights, relaxation, nodes)


def round_up(grid: Grid, weights: Floats, relaxation: Relaxation, nodes: int = NODES, near: float = NEAR) -> Proven:
    """Return the best plan, given the relaxation: first of its columns, then of all that could be better.

    A first plan as *near* the bound is enough.
    """
    first = _whole(grid, weights, relaxation.master, nodes)
    value = -np.inf if first.plan is None else worth(grid, first.plan, weights)
    if relaxation.bound - value < near:
        return Proven(first.plan, relaxation.bound)
    show, slot = np.nonzero(bound_at_least(relaxation, value))
    second = _whole(grid, weights, replace(relaxation.master, show=show, slot=slot), nodes)
    better = second.plan is not None and worth(grid, second.plan, weights) > value
    # What was left out cannot beat the first plan, so the greater of the two is a bound on everything.
    return Proven(second.plan if better else first.plan, min(relaxation.bound, max(second.bound, value)))


def front(grid: Grid, points: int, nodes: int = NODES) -> list[Ints]:
    """Return plans with the best revenue at equal steps of audience (ε-constraint), its ends first."""
    nearly = (np.array([1.0, 1e-4, 0.0]), np.array([1e-4, 1.0, 0.0]))
    ends = [solve(grid, weights, nodes=nodes).plan for weights in nearly]
    plans = [plan for plan in ends if plan is not None]
    if len(plans) < 2:
        return plans
    # Without the columns of the greatest audience no programme could reach what is asked for.
    begun = relax(grid, nearly[1]).master
    low, high = (float(grid.audience[plan, np.arange(grid.slots)].sum()) for plan in plans)
    for least in np.linspace(low, high, points)[1:-1]:
        relaxation = relax(grid, nearly[0], [Extra(-grid.audience[:-1], -float(least))], begun)
        plan = round_up(grid, nearly[0], relaxation, nodes).plan
        plans += [] if plan is None else [plan]
    return plans


def _whole(grid: Grid, weights: Floats, master: Master, nodes: int) -> Proven:
    full = replace(master, runs=all_runs(grid))
    rows, most = coefficients(grid, full, weights)
    cost, columns = costs(grid, full, weights), len(full.show)
    found = milp(
        cost,
        integrality=(np.arange(len(cost)) < columns).astype(int),
        bounds=Bounds(0, np.inf),
        constraints=[LinearConstraint(rows, -np.inf, most), LinearConstraint(one_per_slot(grid, full), 1, 1)],
        options={"node_limit": nodes, "mip_rel_gap": NEAR},
    )
    bound = np.inf if found.mip_dual_bound is None else float(weights[2] - found.mip_dual_bound)
    if found.x is None:
        return Proven(None, -np.inf if found.status == 2 else bound)
    plan = np.full(grid.slots, grid.empty)
    shown = found.x[:columns] > 0.5
    plan[full.slot[shown]] = full.show[shown]
    return Proven(plan, bound)
