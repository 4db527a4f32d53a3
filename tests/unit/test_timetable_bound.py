"""The bound is above every timetable and met by the exact one; what rules cost is what they cost by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tasks.core.timetable.bound import Extra, relax
from tasks.core.timetable.checker import violations
from tasks.core.timetable.exact import front, solve
from tasks.core.timetable.grid import empties, grid_of, objectives, schedule_of, worth
from tasks.core.timetable.problem import Goals, Rules
from tests.timetable_worlds import WORLDS, with_odd_shares, world


def small(**rules):
    """Five slots and four programmes: 3,125 plans, few enough to try all."""
    whole = world(10, 3, supply=0.4, **rules)
    return replace(
        whole,
        slots=whole.slots[:5],
        revenue=whole.revenue[:, :5].round(),
        audience=whole.audience[:, :5].round(),
        rules=replace(whole.rules, most_idle_minutes=120, least_filled=0.1),
    )


def best_of_all(problem):
    grid = grid_of(problem)
    plans = np.array(list(product(range(grid.empty + 1), repeat=grid.slots)))
    kept = [plan for plan in plans if not violations(problem, schedule_of(problem, plan))]
    return max(worth(grid, plan) for plan in kept)


@pytest.mark.parametrize("rules", [{}, {"in_a_row": 1}, {"per_day": 1}])
def test_the_exact_timetable_is_the_best_of_all_there_are(rules):
    problem = with_odd_shares(small(**rules), 1)
    grid = grid_of(problem)
    found = solve(grid, grid.weights)
    assert not violations(problem, schedule_of(problem, found.plan))
    assert worth(grid, found.plan) == pytest.approx(best_of_all(problem), abs=1e-6)
    assert found.bound >= worth(grid, found.plan) - 1e-9
    assert found.bound == pytest.approx(worth(grid, found.plan), abs=1e-5)


@pytest.mark.parametrize("name", WORLDS)
def test_the_exact_timetable_of_a_day_breaks_no_rule_and_meets_its_bound(name):
    problem = WORLDS[name](20, 5)
    grid = grid_of(problem)
    found = solve(grid, grid.weights)
    assert not violations(problem, schedule_of(problem, found.plan))
    assert 0 <= found.bound - worth(grid, found.plan) + 1e-9 < 1e-4
    assert relax(grid, grid.weights).bound >= found.bound - 1e-9
    assert empties(grid, found.plan[None])[0] == (~grid.allowed[:-1].any(0)).sum()


def test_a_use_more_never_lowers_the_best():
    problem = world(20, 7, supply=0.8)
    more = replace(problem, programmes=tuple(replace(each, uses=each.uses + 1) for each in problem.programmes))
    grid = grid_of(problem)
    # On the scale of the first grid, so that the two are comparable.
    wider = replace(grid, uses=grid_of(more).uses)
    assert worth(wider, solve(wider, grid.weights).plan) >= worth(grid, solve(grid, grid.weights).plan) - 1e-6


def test_another_order_of_the_programmes_is_worth_the_same():
    problem = world(20, 8)
    order = np.random.default_rng(0).permutation(len(problem.programmes))
    other = replace(
        problem,
        programmes=tuple(problem.programmes[number] for number in order),
        revenue=problem.revenue[order],
        audience=problem.audience[order],
    )
    one, two = grid_of(problem), grid_of(other)
    first, second = solve(one, one.weights).plan, solve(two, two.weights).plan
    assert worth(one, first) == pytest.approx(worth(two, second), abs=2e-6)


def test_a_row_beside_the_rules_is_kept_and_one_that_cannot_be_gives_no_plan():
    grid = grid_of(replace(world(20, 9), goals=Goals(1, 0, 0), rules=Rules()))
    free = objectives(grid, solve(grid, grid.weights).plan[None])[0]
    least = Extra(-grid.audience[:-1], -float(free[1] + 0.02))
    bound_by = objectives(grid, solve(grid, grid.weights, [least]).plan[None])[0]
    assert bound_by[1] >= free[1] + 0.02 - 1e-6
    assert bound_by[0] < free[0]


def test_the_exact_front_trades_revenue_for_audience():
    grid = grid_of(world(20, 9))
    points = objectives(grid, np.array(front(grid, 5)))[:, :2]
    ordered = points[np.argsort(points[:, 0])]
    assert (np.diff(ordered[:, 1]) <= 1e-6).all()
    assert ordered[-1, 0] > ordered[0, 0]
