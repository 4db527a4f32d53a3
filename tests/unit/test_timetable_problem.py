"""What a timetable problem may say, which pairs its mask lets through and why not, and what the checker finds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta

import numpy as np
import pytest

from tasks.core.timetable.checker import totals, violations
from tasks.core.timetable.grid import assign, empties, grid_of, objectives, plan_of, schedule_of, worth
from tasks.core.timetable.mask import Reason, reasons
from tasks.core.timetable.problem import Goals, Problem, Programme, Rules, Slot, Window
from tasks.errors import BadRequest

DAY = date(2026, 11, 23)


def slot(name, at, minutes=60, day=DAY, **more):
    start = datetime.combine(day, time.fromisoformat(at))
    return Slot(name, day, start, minutes, **more)


SLOTS = (slot("noon", "12:00"), slot("one", "13:00"), slot("nine", "21:00"), slot("ten", "22:00"))
SHOWS = (
    Programme("quiz", "fun", 60, uses=2),
    Programme("farce", "fun", 50),
    Programme("crime", "drama", 60, restricted=True),
    Programme("saga", "drama", 55, uses=2),
)
REVENUE = np.array([[4, 3, 2, 1], [1, 2, 3, 4], [9, 9, 5, 6], [2, 2, 2, 2.0]])
BEER = frozenset({"beer"})
AUDIENCE = np.ones((4, 4))
PROBLEM = Problem(SLOTS, SHOWS, REVENUE, AUDIENCE)


def against(problem, show, slot):
    names = [each.name for each in problem.programmes], [each.name for each in problem.slots]
    return Reason(int(reasons(problem)[names[0].index(show), names[1].index(slot)]))


def with_show(name, **more):
    return replace(PROBLEM, programmes=tuple(replace(each, **more) if each.name == name else each for each in SHOWS))


def with_slot(name, **more):
    return replace(PROBLEM, slots=tuple(replace(each, **more) if each.name == name else each for each in SLOTS))


def test_a_restricted_programme_waits_for_the_watershed_to_the_minute():
    assert against(PROBLEM, "crime", "one") == Reason.WATERSHED
    assert not against(PROBLEM, "crime", "nine")
    shifted = replace(SLOTS[2], start=SLOTS[2].start - timedelta(minutes=1))
    early = replace(PROBLEM, slots=(*SLOTS[:2], shifted, SLOTS[3]))
    assert against(early, "crime", "nine") == Reason.WATERSHED
    assert "restricted, at 20:59; wanted 21:00" in violations(early, (None, None, "crime", None))[0].sentence


def test_half_past_midnight_is_after_the_watershed_of_the_day_before():
    late = slot("late", "00:30", day=DAY + timedelta(days=1))
    night = replace(PROBLEM, slots=(*SLOTS[:3], replace(late, day=DAY)))
    assert not against(night, "crime", "late")
    assert not violations(night, (None, None, None, "crime"))


@pytest.mark.parametrize(
    ("problem", "show", "where", "reason", "rule"),
    [
        (with_slot("noon", available=False), "quiz", "noon", Reason.CLOSED, "availability"),
        (with_slot("noon", kept_for="saga"), "quiz", "noon", Reason.KEPT, "availability"),
        (with_show("quiz", minutes=61), "quiz", "noon", Reason.TOO_LONG, "length"),
        (with_show("quiz", minutes=29), "quiz", "noon", Reason.TOO_SHORT, "length"),
        (replace(PROBLEM, rules=Rules(max_minutes=59)), "quiz", "noon", Reason.TOO_LONG, "length"),
        (replace(PROBLEM, rules=Rules(min_minutes=61)), "quiz", "noon", Reason.TOO_SHORT, "length"),
        (with_show("quiz", rights=(Window(DAY + timedelta(days=1), DAY + timedelta(days=9)),)), "quiz", "noon",
         Reason.RIGHTS, "rights"),
        (with_show("quiz", unavailable=frozenset({DAY})), "quiz", "noon", Reason.UNAVAILABLE, "availability"),
        (replace(with_slot("noon", advertisers=BEER), programmes=with_show("quiz", excludes=BEER).programmes), "quiz",
         "noon", Reason.ADVERTISER, "advertiser"),
        (with_show("quiz", uses=0), "quiz", "noon", Reason.NO_USES, "uses"),
    ],
)  # fmt: skip
def test_the_mask_and_the_checker_refuse_the_same_pair(problem, show, where, reason, rule):
    assert against(problem, show, where) == reason
    assert [each.rule for each in violations(problem, (show, None, None, None))] == [rule]


def test_a_pair_without_a_prediction_is_refused_by_both():
    revenue = REVENUE.copy()
    revenue[0, 0] = np.nan
    problem = replace(PROBLEM, revenue=revenue)
    assert against(problem, "quiz", "noon") == Reason.NO_PREDICTION
    assert violations(problem, ("quiz", None, None, None))[0].rule == "prediction"


def test_the_checker_counts_uses_runs_and_the_cap_of_a_day():
    assert not violations(PROBLEM, ("quiz", "farce", "crime", "quiz"))
    twice = violations(PROBLEM, ("farce", "saga", "farce", None))
    assert [(each.rule, each.slots) for each in twice] == [("uses", ("noon", "nine"))]
    strict = replace(PROBLEM, rules=Rules(in_a_row=1, per_day=2))
    found = violations(strict, ("quiz", "farce", "crime", "quiz"))
    assert [(each.rule, each.slots) for each in found] == [
        ("per day", ("noon", "one", "ten")),
        ("in a row", ("noon", "one")),
    ]


def test_an_empty_slot_and_a_new_day_end_a_run():
    strict = replace(PROBLEM, rules=Rules(in_a_row=1))
    assert not violations(strict, ("quiz", None, "quiz", "saga"))
    morrow = DAY + timedelta(days=1)
    days = tuple(replace(each, day=morrow, start=each.start + timedelta(days=1)) for each in SLOTS[2:])
    assert not violations(replace(strict, slots=(*SLOTS[:2], *days)), ("saga", "quiz", "farce", "crime"))


def test_a_schedule_of_strangers_or_of_another_length_is_said():
    assert violations(PROBLEM, ("quiz",))[0].sentence == "1 slots are filled, 4 are asked for"
    assert violations(PROBLEM, ("opera", None, None, None))[0].rule == "programme"


def test_totals_and_objectives_agree_by_hand():
    schedule = ("quiz", "farce", "crime", "saga")
    assert totals(PROBLEM, schedule).revenue == 4 + 2 + 5 + 2
    assert totals(PROBLEM, schedule).balance == 1
    grid = grid_of(PROBLEM)
    plan = plan_of(PROBLEM, schedule)
    assert schedule_of(PROBLEM, plan) == schedule
    revenue, audience, balance = objectives(grid, plan[None])[0]
    assert revenue * grid.scales[0] == pytest.approx(13)
    assert audience * grid.scales[1] == pytest.approx(4)
    assert balance == 1
    # The best assignment shows quiz twice, farce and crime in the only slots they pay in: 4 + 3 + 3 + 6.
    assert grid.scales == (16, 4)
    assert worth(grid, plan) == pytest.approx(0.5 * 13 / 16 + 0.3 + 0.2)
    assert totals(PROBLEM, ("quiz", None, None, None)).balance == pytest.approx(1 - (0.25 + 0.5) / 2)


def test_the_assignment_leaves_empty_what_nothing_fits():
    grid = grid_of(with_slot("one", minutes=20))
    plan = assign(grid.revenue, grid.allowed, grid.uses)
    assert plan[1] == grid.empty
    assert empties(grid, plan[None]).tolist() == [1]


def test_a_slot_that_is_not_available_is_not_missed():
    grid = grid_of(with_slot("one", available=False))
    assert empties(grid, np.array([[0, 4, 1, 4]])).tolist() == [1]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"slots": ()}, "there is no slot"),
        ({"slots": (SLOTS[0], SLOTS[0])}, "'noon' is there 2 times"),
        ({"slots": (replace(SLOTS[0], kept_for="opera"), *SLOTS[1:])}, "is no programme"),
        ({"slots": (replace(SLOTS[0], minutes=61), *SLOTS[1:])}, "before 'noon' ends"),
        ({"slots": (replace(SLOTS[0], minutes=0), *SLOTS[1:])}, "0 minutes"),
        ({"programmes": (*SHOWS[:3], replace(SHOWS[3], uses=-1))}, "-1 uses"),
        ({"rules": Rules(in_a_row=0)}, "0 of a genre in a row"),
        ({"rules": Rules(per_day_of={"fun": -1})}, "cap of -1"),
        ({"rules": Rules(watershed=time(5))}, "wanted an end before it"),
        ({"goals": Goals(0, 0, 0)}, "wanted none below 0 and one above"),
        ({"goals": Goals(shares={"fun": 0.5})}, "sum to 0.5"),
        ({"revenue": REVENUE[:2]}, r"wanted programmes × slots, \(4, 4\)"),
        ({"audience": -AUDIENCE}, "has a value of -1"),
    ],
)
def test_a_problem_that_contradicts_itself_is_refused(change, said):
    with pytest.raises(BadRequest, match=said):
        replace(PROBLEM, **change)
