"""What a timetable must reach in how few CPU seconds on one core; and that what is simpler does not reach it."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from tasks.core.timetable.bound import relax
from tasks.core.timetable.checker import violations
from tasks.core.timetable.evolution import evolve
from tasks.core.timetable.evolution_ga import GaSettings, Genetic
from tasks.core.timetable.exact import front
from tasks.core.timetable.grid import assign, grid_of, objectives, plan_of, schedule_of
from tasks.core.timetable.problem import Goals
from tasks.core.timetable.solve import timetable
from tests.timetable_worlds import WORLDS, world

# By slots: the greatest gap, and the CPU seconds.
WANTED = {50: (0.005, 3.0), 200: (0.01, 8.0), 1000: (0.02, 30.0)}


def area(points, corner):
    """Return what the points dominate above the corner: the hypervolume of two goals."""
    total, height = 0.0, corner[1]
    for x, y in points[np.argsort(-points[:, 0])]:
        if x > corner[0] and y > height:
            total += (x - corner[0]) * (y - height)
            height = y
    return total


def reached(name, slots, capsys):
    problem = WORLDS[name](slots, 9000)
    began = time.process_time()
    found = timetable(problem, partial=True)
    seconds = time.process_time() - began
    with capsys.disabled():
        print(f"\ntimetable, {slots} slots, {name}: gap {found.gap:.3%}, {seconds:.1f} CPU s, front {len(found.front)}")
    assert not violations(problem, found.schedule)
    assert found.totals.empty == (name == "an impossible slot")
    gap, most = WANTED[slots]
    assert found.gap <= gap
    assert seconds <= most


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_fifty_slots_are_within_half_a_percent_in_three_seconds(name, capsys):
    reached(name, 50, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", WORLDS)
def test_two_hundred_slots_are_within_one_percent_in_eight_seconds(name, capsys):
    reached(name, 200, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plain", "one in a row", "many alike"])
def test_a_thousand_slots_are_within_two_percent_in_thirty_seconds(name, capsys):
    reached(name, 1000, capsys)


@pytest.mark.slow
def test_the_front_has_nearly_all_the_area_of_the_exact_one(capsys):
    problem = replace(world(50, 9000), goals=Goals(0.6, 0.4, 0.0))
    grid = grid_of(problem)
    exact = objectives(grid, np.array(front(grid, 16)))[:, :2]
    found = timetable(problem)
    ours = objectives(grid, np.array([plan_of(problem, each) for each in found.front]))[:, :2]
    # The corner is a tenth of the front's extent below it, so that the ends count too.
    corner = exact.min(axis=0) - 0.1 * np.ptp(exact, axis=0)
    ratio = area(ours, corner) / area(exact, corner)
    with capsys.disabled():
        print(f"\ntimetable, 50 slots: {ratio:.3f} of the exact front's area, {len(ours)} plans")
    assert ratio >= 0.95


@pytest.mark.slow
@pytest.mark.parametrize("slots", [50, 200])
def test_a_genetic_algorithm_with_penalties_does_not_reach_it(slots, capsys):
    problem = world(slots, 9000)
    grid = grid_of(problem)
    run = Genetic(grid, GaSettings(repaired=False, patience=100), relax(grid, grid.weights).bound)
    run.start()
    evolve(run)
    left = violations(problem, schedule_of(problem, run.state().front[0]))
    with capsys.disabled():
        print(f"\ntimetable, {slots} slots, penalties: {len(left)} rules broken, gap {run.progress().gap:.1%}")
    assert left or run.progress().gap > WANTED[slots][0]


@pytest.mark.slow
@pytest.mark.parametrize("slots", [50, 200])
def test_an_assignment_that_is_not_repaired_breaks_rules(slots):
    problem = world(slots, 9000)
    grid = grid_of(problem)
    plan = assign(grid.values(grid.weights), grid.allowed, grid.uses)
    assert {each.rule for each in violations(problem, schedule_of(problem, plan))} & {"in a row", "per day"}
