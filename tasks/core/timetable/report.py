"""What a run of the timetable comes to, as tables: the schedule, its totals, the front, what changed and why.

Files and pages are made of these; how a schedule is found, and how a page looks, do not belong here.

The interval of a total takes the errors of one day's airings as fully correlated, for they share its weather, its
rivals and its news, and those of different days as independent: half-widths are added within a day, and days in
squares. No correlation within a day can make it wider. A model that is wrong everywhere the same way is not in it: that
is what the honest number stands beside it for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.timetable.changes import Change, changes
from tasks.core.timetable.checker import totals
from tasks.core.timetable.honest import GOALS, Honest
from tasks.core.timetable.problem import Problem, Schedule
from tasks.core.timetable.solve import Timetable

Floats = npt.NDArray[np.float64]
NEW, CURRENT = "new", "current"
Schema = Mapping[str, type[pl.DataType]]
PLACE: Schema = {"slot": pl.String, "day": pl.Date, "start": pl.Datetime}
FIGURES: Schema = dict.fromkeys((goal + end for goal in GOALS for end in ("", "_low", "_high")), pl.Float64)
ROWS: Schema = {
    **PLACE,
    **{"minutes": pl.Int64, "programme": pl.String, "genre": pl.String, "restricted": pl.Boolean},
    **FIGURES,
    **{"idle_minutes": pl.Int64, "why_empty": pl.String},
}
TOTALS: Schema = {
    **{"timetable": pl.String, "goal": pl.String},
    **dict.fromkeys(("value", "low", "high", "held_out", "held_out_low", "held_out_high"), pl.Float64),
}
CHANGES: Schema = {
    **PLACE,
    **{"before": pl.String, "after": pl.String, "revenue": pl.Float64, "audience": pl.Float64},
    **{"broke": pl.String, "why": pl.String},
}
FRONT: Schema = {
    **{"plan": pl.Int64, "revenue": pl.Float64, "audience": pl.Float64, "balance": pl.Float64},
    **{"empty": pl.Int64, "chosen": pl.Boolean},
}
ALTERNATIVES: Schema = {
    "alternative": pl.Int64,
    **PLACE,
    **{"programme": pl.String, "instead_of": pl.String, "differs": pl.Boolean},
}


@dataclass(frozen=True, eq=False)
class Predicted:
    """Everything predicted for the pairs, programmes × slots, NaN where nothing was predicted.

    ``low`` and ``high`` are the interval of one airing, by "revenue" and "audience".
    """

    revenue: Floats
    audience: Floats
    low: Mapping[str, Floats]
    high: Mapping[str, Floats]


@dataclass(frozen=True, eq=False)
class Plan:
    """What a run comes to: what was asked, what was predicted, what was found, and what airs without it."""

    problem: Problem
    predicted: Predicted
    timetable: Timetable
    alternatives: tuple[tuple[str | None, ...], ...]
    current: tuple[str | None, ...] | None
    honest: Honest | None


@dataclass(frozen=True)
class Total:
    """The sum of one goal over a schedule, and its interval."""

    value: float
    low: float
    high: float


def frames(plan: Plan) -> Mapping[str, pl.DataFrame]:
    """Return the tables "timetable", "totals", "changes", "front" and "alternatives"."""
    return {
        "timetable": _timetable(plan),
        "totals": _totals(plan),
        "changes": pl.DataFrame([asdict(each) for each in changes_of(plan)], schema=CHANGES),
        "front": _front(plan),
        "alternatives": _alternatives(plan),
    }


def changes_of(plan: Plan) -> tuple[Change, ...]:
    """Return what changes against the current timetable, slot by slot; nothing where there is none."""
    tables = {"revenue": plan.predicted.revenue, "audience": plan.predicted.audience}
    return () if plan.current is None else changes(plan.problem, tables, plan.current, plan.timetable.schedule)


def total(plan: Plan, schedule: Schedule, goal: str) -> Total:
    """Return the sum of *goal* over *schedule* and its interval; what nothing was predicted for counts nothing."""
    pairs = pairs_of(plan, schedule)
    value = float(sum(_table(plan, goal)[pair] for pair in pairs))
    below, above = (_half_width(plan, goal, pairs, ends) for ends in (plan.predicted.low, plan.predicted.high))
    return Total(value, max(value - below, 0.0), value + above)


def pairs_of(plan: Plan, schedule: Schedule) -> list[tuple[int, int]]:
    """Return (programme, slot) of what is shown and was predicted."""
    place = names_of(plan.problem)
    shown = [(place[name], slot) for slot, name in enumerate(schedule) if name in place]
    return [pair for pair in shown if np.isfinite(plan.predicted.revenue[pair] + plan.predicted.audience[pair])]


def goals_of(plan: Plan) -> tuple[str, ...]:
    """Return the goals something is predicted of; a goal that no champion serves is 0 everywhere."""
    return tuple(goal for goal in GOALS if bool((_table(plan, goal) > 0).any()))


def names_of(problem: Problem) -> Mapping[str | None, int]:
    """Return the row of each programme by its name."""
    return {each.name: number for number, each in enumerate(problem.programmes)}


def summary(plan: Plan) -> dict[str, Any]:
    """Return the machine-readable twin: every table as rows, the gap, and the honest number; moments in ISO 8601."""
    found = plan.timetable
    return {
        "value": found.value,
        "bound": found.bound,
        "gap": found.gap,
        "totals": _plain(_totals(plan)),
        "honest": None if plan.honest is None else asdict(plan.honest),
        "missing": [asdict(each) for each in found.missing],
        "goals": asdict(plan.problem.goals),
        "timetable": _plain(_timetable(plan)),
        "changes": _plain(frames(plan)["changes"]),
        "front": _plain(_front(plan)),
        "alternatives": _plain(_alternatives(plan)),
    }


def _table(plan: Plan, goal: str) -> Floats:
    return plan.predicted.revenue if goal == "revenue" else plan.predicted.audience


def _half_width(plan: Plan, goal: str, pairs: list[tuple[int, int]], ends: Mapping[str, Floats]) -> float:
    by_day: dict[object, float] = {}
    for pair in pairs:
        day = plan.problem.slots[pair[1]].day
        by_day[day] = by_day.get(day, 0.0) + abs(float(ends[goal][pair] - _table(plan, goal)[pair]))
    return float(np.sqrt(sum(width**2 for width in by_day.values())))


def _timetable(plan: Plan) -> pl.DataFrame:
    problem, schedule = plan.problem, plan.timetable.schedule
    place = names_of(problem)
    why = {each.slot: each.sentence for each in plan.timetable.missing}
    rows = []
    for number, (slot, name) in enumerate(zip(problem.slots, schedule, strict=True)):
        show = None if name is None else problem.programmes[place[name]]
        row = {"slot": slot.name, "day": slot.day, "start": slot.start, "minutes": slot.minutes, "programme": name}
        if show is None:
            rows.append(row | {"why_empty": why[slot.name] if slot.available else "the slot is not available"})
        else:
            row |= {"genre": show.genre, "restricted": show.restricted, "idle_minutes": slot.minutes - show.minutes}
            rows.append(row | _figures(plan, (place[show.name], number)))
    return pl.DataFrame(rows, schema=ROWS)


def _figures(plan: Plan, pair: tuple[int, int]) -> dict[str, float]:
    """Return of one airing both goals, each with its interval."""
    low, high = plan.predicted.low, plan.predicted.high
    ends = {goal: (("", _table(plan, goal)), ("_low", low[goal]), ("_high", high[goal])) for goal in GOALS}
    return {goal + end: float(table[pair]) for goal, tables in ends.items() for end, table in tables}


def _totals(plan: Plan) -> pl.DataFrame:
    named = {NEW: plan.timetable.schedule} | ({} if plan.current is None else {CURRENT: plan.current})
    named |= {f"alternative {number}": each for number, each in enumerate(plan.alternatives, 1)}
    rows = [row for name, schedule in named.items() for row in _total_rows(plan, name, schedule)]
    return pl.DataFrame(rows, schema=TOTALS)


def _total_rows(plan: Plan, name: str, schedule: Schedule) -> Iterator[dict[str, Any]]:
    known = known_of(plan, schedule)
    whole = totals(plan.problem, known)
    differ = sum(one != other for one, other in zip(schedule, plan.timetable.schedule, strict=True))
    for goal in GOALS:
        found = total(plan, schedule, goal)
        honest = getattr(plan.honest, goal) if plan.honest and name == NEW else None
        yield {"timetable": name, "goal": goal, "value": found.value, "low": found.low, "high": found.high} | {
            f"held_out{end}": getattr(honest, field) if honest else None
            for end, field in (("", "held_out"), ("_low", "low"), ("_high", "high"))
        }
    for goal, value in (("balance", whole.balance), ("empty slots", whole.empty), ("slots that differ", differ)):
        yield {"timetable": name, "goal": goal, "value": float(value)}


def known_of(plan: Plan, schedule: Schedule) -> tuple[str | None, ...]:
    """Return *schedule* with what nothing was predicted for left out."""
    there = {slot for _, slot in pairs_of(plan, schedule)}
    return tuple(name if slot in there else None for slot, name in enumerate(schedule))


def _front(plan: Plan) -> pl.DataFrame:
    rows = []
    for number, schedule in enumerate(plan.timetable.front, 1):
        whole = totals(plan.problem, schedule)
        rows.append({"plan": number, **asdict(whole), "chosen": schedule == plan.timetable.schedule})
    return pl.DataFrame(rows, schema=FRONT)


def _alternatives(plan: Plan) -> pl.DataFrame:
    rows = [
        {"alternative": number, "slot": slot.name, "day": slot.day, "start": slot.start, "programme": name}
        | {"instead_of": first, "differs": name != first}
        for number, schedule in enumerate(plan.alternatives, 1)
        for slot, name, first in zip(plan.problem.slots, schedule, plan.timetable.schedule, strict=True)
    ]
    return pl.DataFrame(rows, schema=ALTERNATIVES)


def _plain(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as JSON takes them: moments as text, what is no number as nothing."""
    days, moments = pl.selectors.date().dt.to_string("iso"), pl.selectors.datetime().dt.strftime("%Y-%m-%dT%H:%M:%S")
    return frame.with_columns(days, moments, pl.selectors.float().fill_nan(None)).to_dicts()
