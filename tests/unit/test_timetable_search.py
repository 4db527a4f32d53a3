"""What the search makes is legal, better than its start, and the same again; what cannot be filled is said, and why."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tasks.core.timetable import checkpoint
from tasks.core.timetable.alternatives import alternatives
from tasks.core.timetable.bound import relax
from tasks.core.timetable.checker import violations
from tasks.core.timetable.evolution import Search, Settings, evolve
from tasks.core.timetable.evolution_ga import CROSSOVERS, MUTATIONS, SELECTIONS, GaSettings, Genetic, broken
from tasks.core.timetable.grid import empties, gap_of, grid_of, schedule_of, worth
from tasks.core.timetable.polish import polish, reassign
from tasks.core.timetable.repair import repair
from tasks.core.timetable.seeds import directions, propose
from tasks.core.timetable.solve import Turned, timetable
from tasks.errors import BadRequest, NoTimetable
from tests.timetable_worlds import WORLDS, with_an_impossible_slot, world

SMALL = Settings(population=12, generations=4, memetic=1)


@pytest.mark.parametrize("name", WORLDS)
def test_any_wish_is_repaired_into_a_plan_that_breaks_no_rule(name):
    problem = WORLDS[name](20, 3)
    grid, draw = grid_of(problem), np.random.default_rng(1)
    wishes = draw.integers(grid.empty + 1, size=(8, 20))
    for plan in repair(grid, wishes, np.tile(grid.weights, (8, 1)), draw):
        assert not violations(problem, schedule_of(problem, plan))
        assert not violations(problem, schedule_of(problem, polish(grid, plan, grid.weights)))


def test_a_legal_plan_is_left_as_it_is_and_polishing_never_makes_it_worse():
    grid, draw = grid_of(world(20, 4)), np.random.default_rng(2)
    wishes = draw.integers(grid.empty, size=(6, 20))
    weights = np.tile(grid.weights, (6, 1))
    plans = repair(grid, wishes, weights, draw)
    full = plans[empties(grid, plans) == 0]
    assert len(full)
    assert (repair(grid, full, weights[: len(full)], draw) == full).all()
    for plan in full:
        again = reassign(grid, plan, grid.weights)
        assert (grid.genre[again] == grid.genre[plan]).all()
        assert worth(grid, again) >= worth(grid, plan) - 1e-12
        assert worth(grid, polish(grid, plan, grid.weights)) >= worth(grid, again) - 1e-12


def test_directions_begin_with_the_wanted_one_and_leave_out_what_has_no_weight():
    found = directions(np.array([0.7, 0.3, 0.0]), steps=2)
    assert found[0].tolist() == [0.7, 0.3, 0]
    assert found[:, 2].tolist() == [0, 0, 0, 0]
    assert found[2].tolist() == [0.5, 0.5, 0]


def test_a_gap_is_a_share_of_the_score_and_a_missed_slot_more_than_all_of_it():
    assert gap_of(0.9, 0.9) == 0
    assert gap_of(0.72, 0.8) == pytest.approx(0.1)
    assert gap_of(-1.28, -1.2) == pytest.approx(0.1)
    assert gap_of(-1.28, 0.8) > 2


@pytest.mark.parametrize("engine", ["hybrid", "exact"])
def test_a_timetable_comes_with_a_bound_it_does_not_exceed(engine):
    found = timetable(world(20, 5), engine, Turned(SMALL))
    assert found.value <= found.bound + 1e-9
    assert 0 <= found.gap < 0.01
    assert found.totals.empty == 0
    assert not found.missing


def test_a_search_taken_up_again_ends_as_if_it_had_never_stopped():
    grid = grid_of(world(20, 6))
    relaxation = relax(grid, grid.weights)

    def fresh(settings):
        return Search(grid, settings, relaxation.bound)

    whole = fresh(SMALL)
    whole.start(*propose(grid, relaxation))
    states = []
    evolve(whole, keep=states.append)
    rest = fresh(SMALL)
    rest.go_on(states[1])
    evolve(rest)
    ended, again = whole.state(), rest.state()
    assert (ended.population == again.population).all()
    assert (ended.front == again.front).all()
    assert ended.log == again.log
    assert ended.chance == again.chance


def random_numbers():
    return random.Random(4).getstate()


def test_a_genetic_run_goes_on_from_its_checkpoint_and_leaves_the_process_its_own_chance():
    grid = grid_of(world(20, 6))
    settings = GaSettings(population=10, generations=4)
    belongs_to = checkpoint.identity(grid, settings)
    whole, kept = Genetic(grid, settings, 1.0), []
    whole.start()
    random.setstate(random_numbers())
    evolve(whole, keep=lambda state: kept.append(checkpoint.encoded(state, belongs_to)))
    assert random.getstate() == random_numbers()
    rest = Genetic(grid, settings, 1.0)
    rest.go_on(checkpoint.decoded(kept[0], belongs_to))
    evolve(rest)
    assert checkpoint.encoded(rest.state(), belongs_to) == kept[-1]


def test_a_checkpoint_of_another_problem_or_of_no_run_is_refused():
    grid, other = grid_of(world(20, 6)), grid_of(world(20, 7))
    run = Genetic(grid, GaSettings(population=4), 1.0)
    run.start()
    kept = checkpoint.encoded(run.state(), checkpoint.identity(grid, GaSettings(population=4)))
    with pytest.raises(BadRequest, match="begin anew, or hand over the same inputs"):
        checkpoint.decoded(kept, checkpoint.identity(other, GaSettings(population=4)))
    with pytest.raises(BadRequest, match="are no checkpoint"):
        checkpoint.decoded(kept[:50], checkpoint.identity(grid, GaSettings(population=4)))


@pytest.mark.parametrize("selection", SELECTIONS)
@pytest.mark.parametrize("crossover", CROSSOVERS)
@pytest.mark.parametrize("mutation", MUTATIONS)
def test_every_operator_of_the_genetic_engine_gives_a_legal_timetable(selection, crossover, mutation):
    settings = GaSettings(8, 2, selection, crossover=crossover, mutation=mutation)
    found = timetable(world(20, 5), "ga", Turned(settings), partial=True)
    assert found.value <= found.bound


def test_broken_rules_are_counted_as_the_checker_counts_them():
    problem = world(20, 5, in_a_row=1)
    grid = grid_of(problem)
    plan = np.array([grid.empty] * 18 + [int(np.flatnonzero(grid.allowed[:-1, 18:].all(axis=1))[0])] * 2)
    uses = problem.programmes[plan[-1]].uses
    assert broken(grid, plan[None]).tolist() == [1 + max(2 - uses, 0)]


def test_a_misspelt_operator_or_the_settings_of_another_engine_are_refused():
    with pytest.raises(BadRequest, match="'wheel' is no selection; wanted one of: tournament, roulette"):
        GaSettings(selection="wheel")
    with pytest.raises(BadRequest, match="this engine wants Settings"):
        timetable(world(20, 5), "hybrid", Turned(GaSettings()))


def test_alternatives_differ_from_each_other_in_as_many_slots_as_asked():
    problem = world(20, 5)
    first = timetable(problem, "exact").schedule
    others = alternatives(problem, first, many=3, differ=4)
    assert len(others) == 3
    for one, other in combinations([first, *(each.schedule for each in others)], 2):
        assert sum(a != b for a, b in zip(one, other, strict=True)) >= 4
        assert not violations(problem, other)
    assert [each.loss for each in others] == sorted(each.loss for each in others)
    assert others[0].loss > 0


def test_an_impossible_slot_is_named_with_its_reasons_and_what_to_relax():
    problem = with_an_impossible_slot(world(20, 7))
    with pytest.raises(NoTimetable, match=r"(?s)1 of 20 slots.*slot '000-3': programmes kept out 30 by too long"):
        timetable(problem, "exact")
    found = timetable(problem, "exact", partial=True)
    assert [each.slot for each in found.missing] == ["000-3"]
    assert "lengthen the slot" in next(iter(found.missing[0].relax))
    assert found.schedule[3] is None
    assert found.gap < 1e-4


def test_a_shortage_of_uses_is_said_to_be_one():
    few = world(20, 8)
    few = replace(few, programmes=tuple(replace(each, uses=min(each.uses, 1)) for each in few.programmes))
    short = replace(few, programmes=few.programmes[:14], revenue=few.revenue[:14], audience=few.audience[:14])
    with pytest.raises(NoTimetable, match="allow programmes another showing"):
        timetable(short, "exact")


def test_a_misspelt_engine_is_refused():
    with pytest.raises(BadRequest, match="the engines are: hybrid, ga, exact"):
        timetable(world(20, 5), "hybird")
