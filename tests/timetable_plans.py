"""Plans to be written and drawn: two evenings whose figures can be added up by hand, and a week as a run finds it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from functools import cache

import numpy as np

from tasks.core.timetable.alternatives import alternatives
from tasks.core.timetable.evolution import Settings
from tasks.core.timetable.honest import Beside, Honest
from tasks.core.timetable.problem import Goals, Problem, Programme, Rules, Slot
from tasks.core.timetable.report import Plan, Predicted
from tasks.core.timetable.solve import Turned, timetable
from tests.timetable_worlds import world


def evening() -> Plan:
    """Return a plan of three slots over two days: A, B; A."""
    slots = tuple(
        Slot(name, date(2026, 11, day), datetime(2026, 11, day, hour), 60)
        for name, day, hour in (("one", 23, 20), ("two", 23, 21), ("three", 24, 20))
    )
    shows = (Programme("A", "news", 60, uses=2), Programme("B", "drama", 50), Programme("C", "drama", 60, uses=2))
    revenue = np.array([[40.0, 20, 10], [20, 30, 5], [30, 25, 6]])
    problem = Problem(slots, shows, revenue, 10 * revenue, Rules(), Goals(0.6, 0.4, 0))
    return plan_of(problem, current=("C", "B", "C"))


@cache
def week(slots: int = 20, seed: int = 5) -> Plan:
    """Return a plan with every part a run may have: a front, alternatives, what airs now, and the honest number."""
    problem = world(slots, seed)
    found = timetable(problem, turned=Turned(Settings(population=24, generations=8, memetic=1)))
    current = timetable(replace(problem, goals=replace(problem.goals, revenue=0, audience=1)), "exact").schedule
    others = tuple(each.schedule for each in alternatives(problem, found.schedule, 2, slots // 5))
    plan = plan_of(problem, current)
    revenue, audience = found.totals.revenue, found.totals.audience
    honest = Honest(
        Beside(revenue, 0.94 * revenue, 0.9 * revenue, 0.99 * revenue, 0.9 * revenue, 0.88 * revenue),
        Beside(audience, 0.97 * audience, 0.93 * audience, 1.01 * audience, 1.07 * audience, 1.04 * audience),
        "by a second model, fitted on airings the first never saw.",
    )
    return replace(plan, timetable=found, alternatives=others, honest=honest)


def plan_of(problem: Problem, current: tuple[str | None, ...] | None, *, partial: bool = False) -> Plan:
    """Return the exact plan of *problem*; the interval of one airing is a tenth of its prediction each way."""
    tables = {"revenue": problem.revenue, "audience": problem.audience}
    low, high = ({goal: share * table for goal, table in tables.items()} for share in (0.9, 1.1))
    predicted = Predicted(problem.revenue, problem.audience, low, high)
    return Plan(problem, predicted, timetable(problem, "exact", partial=partial), (), current, None)
