"""The week as a grid: a column per broadcast day, a block per slot where its time is, coloured and named by genre.

On a phone the days stand below one another and blocks follow in order. The style is in ``templates/timetable.css``;
what the rest of the page says does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import groupby

from tasks.core.page.timetable_charts import amount
from tasks.core.timetable.problem import Slot
from tasks.core.timetable.report import Plan, goals_of, names_of

# Hues there are; a ninth genre has the first again with a dashed edge, and every block says its genre in words.
HUES = 8
DAYS_A_WEEK = 7
# The shortest slot's block holds four lines of text, as long as that makes no day longer than a screen or two.
BLOCK_REM, MOST_REM_AN_HOUR, LEAST_REM_AN_HOUR = 4.1, 6.0, 2.6


@dataclass(frozen=True)
class Block:
    """A slot as drawn: where it begins and how long it is in per cent of the day's column, and what it says."""

    at: float
    long: float
    tone: str
    clock: str
    title: str
    genre: str
    figures: str
    note: str
    state: str


@dataclass(frozen=True)
class Day:
    """A column of the grid."""

    name: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Week:
    """At most seven broadcast days, the hours they share, and how tall their columns are."""

    title: str
    days: tuple[Day, ...]
    hours: tuple[tuple[float, str], ...]
    rem: float


def weeks(plan: Plan) -> tuple[Week, ...]:
    """Return the grid, seven days at a time."""
    tones = genre_tones(plan)
    numbered = list(enumerate(plan.problem.slots))
    days = [(day, list(slots)) for day, slots in groupby(numbered, key=lambda each: each[1].day)]
    return tuple(_week(plan, days[first : first + DAYS_A_WEEK], tones) for first in range(0, len(days), DAYS_A_WEEK))


def genre_tones(plan: Plan) -> Mapping[str, str]:
    """Return the class of each genre, in the order of their names."""
    genres = sorted({each.genre for each in plan.problem.programmes})
    return {name: f"hue-{n % HUES + 1}" + " again" * (n >= HUES) for n, name in enumerate(genres)}


def _week(plan: Plan, days: Sequence[tuple[date, list[tuple[int, Slot]]]], tones: Mapping[str, str]) -> Week:
    slots = [slot for _, day in days for _, slot in day]
    first = min(_minute(slot) for slot in slots) // 60
    last = -(-max(_minute(slot) + slot.minutes for slot in slots) // 60)
    hours = tuple((100 * (hour - first) / (last - first), f"{hour % 24:02d}:00") for hour in range(first, last))
    wanted = BLOCK_REM * 60 / min(slot.minutes for slot in slots)
    rem = min(max(wanted, LEAST_REM_AN_HOUR), MOST_REM_AN_HOUR) * (last - first)
    found = tuple(
        Day(f"{day:%a %-d %b}", tuple(_block(plan, number, slot, tones, first, last) for number, slot in of_day))
        for day, of_day in days
    )
    start = f"{days[0][0]:%-d %B} to " if len(days) > 1 else ""
    return Week(f"{start}{days[-1][0]:%-d %B %Y}", found, hours, round(rem, 1))


def _block(plan: Plan, number: int, slot: Slot, tones: Mapping[str, str], first: int, last: int) -> Block:
    minutes = 60 * (last - first)
    at, long = 100 * (_minute(slot) - 60 * first) / minutes, 100 * slot.minutes / minutes
    name, clock = plan.timetable.schedule[number], f"{slot.start:%H:%M}"
    if name is None:
        state, title = ("empty", "nothing fits") if slot.available else ("closed", "not available")
        return Block(at, long, "", clock, title, f"{slot.minutes} min", "", "", state)
    pair = names_of(plan.problem)[name], number
    show = plan.problem.programmes[pair[0]]
    changed = plan.current is not None and plan.current[number] != name
    idle = slot.minutes - show.minutes
    note = f"{idle} min idle" if idle else ""
    figures = " · ".join(amount(float(getattr(plan.predicted, goal)[pair]), goal) for goal in goals_of(plan))
    return Block(at, long, tones[show.genre], clock, name, show.genre, figures, note, "changed" if changed else "")


def _minute(slot: Slot) -> int:
    """Return the minute of the broadcast day; after midnight it goes on beyond 1,440."""
    return int((slot.start - datetime.combine(slot.day, time(), slot.start.tzinfo)) / timedelta(minutes=1))
