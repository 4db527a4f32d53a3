"""Programmes that nothing tells apart are solved as one and shown in turns, and no timetable is worth less for it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tasks.core.timetable.alternatives import alternatives
from tasks.core.timetable.bound import relax
from tasks.core.timetable.checker import violations
from tasks.core.timetable.evolution import Settings
from tasks.core.timetable.evolution_ga import GaSettings
from tasks.core.timetable.exact import solve
from tasks.core.timetable.grid import UNLIMITED, grid_of, plan_of, worth
from tasks.core.timetable.kinds import kinds_of
from tasks.core.timetable.solve import Turned, timetable
from tests.timetable_plans import evening
from tests.timetable_worlds import with_many_alike, world

SMALL = {"hybrid": Settings(population=8, generations=2), "ga": GaSettings(population=8, generations=2)}


def twins(**turned):
    """An evening of three slots with A, B, C, and a twin of A after them that differs only in what is turned."""
    problem = evening().problem
    twin = replace(problem.programmes[0], name="A too", uses=1, **turned)
    more = {
        name: np.vstack([table, table[:1]]) for name, table in vars(problem).items() if name in {"revenue", "audience"}
    }
    return replace(problem, programmes=(*problem.programmes, twin), **more)


def test_twins_are_one_kind_with_the_uses_of_both():
    kinds = kinds_of(grid_of(twins()))
    assert kinds.of.tolist() == [0, 1, 2, 0, 3]
    assert kinds.grid.uses[:-1].tolist() == [3, 1, 2]
    assert kinds.grid.empty == 3


@pytest.mark.parametrize("turned", [{"genre": "quiz"}, {"minutes": 61}, {"restricted": True}])
def test_another_genre_or_another_slot_allowed_is_another_kind(turned):
    problem = twins(**turned)
    early = replace(problem.slots[0], start=problem.slots[0].start.replace(hour=10))
    assert len(set(kinds_of(grid_of(replace(problem, slots=(early, *problem.slots[1:])))).of[:-1])) == 4


def test_a_value_that_differs_in_one_slot_makes_another_kind_unless_it_is_not_allowed_there():
    problem = twins()
    problem.revenue[3, 1] += 1e-9
    assert kinds_of(grid_of(problem)).of.tolist() == [0, 1, 2, 3, 4]
    closed = replace(problem, slots=(problem.slots[0], replace(problem.slots[1], available=False), problem.slots[2]))
    assert kinds_of(grid_of(closed)).of.tolist() == [0, 1, 2, 0, 3]


def test_more_uses_than_a_number_of_the_machine_holds_are_as_many_as_there_are_slots():
    problem = twins()
    endless = tuple(replace(each, uses=2**63) for each in problem.programmes)
    found = timetable(replace(problem, programmes=endless), "exact")
    assert kinds_of(grid_of(replace(problem, programmes=endless))).grid.uses.tolist() == [UNLIMITED] * 4
    assert found.schedule == ("A", "B", "A too")


def test_those_of_a_kind_take_turns_until_their_uses_are_gone():
    kinds = kinds_of(grid_of(twins()))
    assert kinds.named(np.array([0, 0, 0])).tolist() == [0, 3, 0]
    assert kinds.named(np.array([3, 0, 1])).tolist() == [4, 0, 1]


def test_without_twins_nothing_changes():
    grid = grid_of(evening().problem)
    kinds = kinds_of(grid)
    assert kinds.of.tolist() == [0, 1, 2, 3]
    assert (kinds.grid.revenue == grid.revenue).all() and (kinds.grid.uses == grid.uses).all()


def test_the_best_timetable_and_the_bound_are_those_of_single_programmes():
    problem = with_many_alike(world(20, 5))
    grid = grid_of(problem)
    fewer = kinds_of(grid)
    assert fewer.grid.empty < grid.empty
    alone, together = solve(grid, grid.weights), solve(fewer.grid, grid.weights)
    assert worth(grid, fewer.named(together.plan)) == pytest.approx(worth(grid, alone.plan), abs=1e-6)
    assert together.bound == pytest.approx(alone.bound, abs=1e-5)


@pytest.mark.parametrize("engine", ["hybrid", "exact", "ga"])
def test_every_engine_names_programmes_and_breaks_no_rule(engine):
    problem = with_many_alike(world(20, 5))
    found = timetable(problem, engine, Turned(SMALL.get(engine)), partial=True)
    assert not violations(problem, found.schedule)
    assert found.value <= found.bound + 1e-9
    assert worth(grid_of(problem), plan_of(problem, found.schedule)) == pytest.approx(found.value)


def test_an_alternative_is_more_than_another_name_for_the_same():
    problem = with_many_alike(world(20, 5))
    kinds = kinds_of(grid_of(problem))
    first = timetable(problem, "exact").schedule
    others = alternatives(problem, first, many=2, differ=4)
    assert len(others) == 2
    for other in others:
        one, two = (kinds.of[plan_of(problem, each)] for each in (first, other.schedule))
        assert (one != two).sum() >= 4
        assert other.loss > 0


def test_a_relaxation_goes_on_from_the_columns_of_another():
    grid = grid_of(world(20, 5))
    whole = relax(grid, grid.weights)
    again = relax(grid, grid.weights, begun=whole.master)
    assert again.bound == pytest.approx(whole.bound, abs=1e-6)
    assert len(again.master.show) == len(whole.master.show)
