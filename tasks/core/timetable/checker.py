"""The second opinion: reads a timetable against the raw inputs, slot by slot, and says every rule it breaks.

It shares no code with what made the timetable, by design: only the declared values are imported. Slow and plain is
right here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tasks.core.timetable.problem import Problem, Programme, Rules, Schedule, Slot


@dataclass(frozen=True)
class Violation:
    """A rule that is broken: which, in which slots, and a sentence with the figures."""

    rule: str
    slots: tuple[str, ...]
    sentence: str


@dataclass(frozen=True)
class Totals:
    """What a timetable comes to; ``balance`` is 1 where every genre has its wanted share of the available slots."""

    revenue: float
    audience: float
    balance: float
    empty: int


def violations(problem: Problem, schedule: Schedule) -> list[Violation]:
    """Return every rule the schedule breaks, in the order of the slots; an empty slot breaks none."""
    if len(schedule) != len(problem.slots):
        return [Violation("slots", (), f"{len(schedule)} slots are filled, {len(problem.slots)} are asked for")]
    known = {each.name: each for each in problem.programmes}
    strange = [
        Violation("programme", (slot.name,), f"{name!r} in {slot.name!r} is no programme")
        for slot, name in zip(problem.slots, schedule, strict=True)
        if name is not None and name not in known
    ]
    if strange:
        return strange
    place = {name: number for number, name in enumerate(known)}
    found: list[Violation] = []
    shown: list[tuple[Slot, Programme]] = []
    for number, (slot, name) in enumerate(zip(problem.slots, schedule, strict=True)):
        if name is None:
            continue
        shown.append((slot, known[name]))
        found += [*_pair(known[name], slot, problem.rules), *_length(known[name], slot, problem.rules)]
        if math.isnan(problem.revenue[place[name], number] + problem.audience[place[name], number]):
            found.append(Violation("prediction", (slot.name,), f"nothing is predicted for {name!r} in {slot.name!r}"))
    by_slot = {slot.name: show for slot, show in shown}
    return [*found, *_uses(shown), *_days(shown, problem.rules), *_runs(problem, by_slot)]


def totals(problem: Problem, schedule: Schedule) -> Totals:
    """Return what the schedule comes to, by adding up slot after slot."""
    place = {each.name: number for number, each in enumerate(problem.programmes)}
    revenue = audience = 0.0
    genres: Counter[str] = Counter()
    for number, name in enumerate(schedule):
        if name is not None:
            revenue += float(problem.revenue[place[name], number])
            audience += float(problem.audience[place[name], number])
            genres[problem.programmes[place[name]].genre] += 1
    available = sum(slot.available for slot in problem.slots)
    empty = sum(slot.available and name is None for slot, name in zip(problem.slots, schedule, strict=True))
    every = sorted({each.genre for each in problem.programmes} | set(problem.goals.shares))
    wanted = problem.goals.shares or dict.fromkeys(every, 1 / len(every))
    off = sum(abs(genres[genre] / max(available, 1) - wanted.get(genre, 0.0)) for genre in every)
    return Totals(revenue, audience, 1 - off / 2, empty)


def _pair(show: Programme, slot: Slot, rules: Rules) -> Iterator[Violation]:
    def broken(rule: str, sentence: str) -> Violation:
        return Violation(rule, (slot.name,), f"{show.name!r} in {slot.name!r}: {sentence}")

    if not slot.available:
        yield broken("availability", "the slot is not available")
    if slot.kept_for is not None and slot.kept_for != show.name:
        yield broken("availability", f"the slot is kept for {slot.kept_for!r}")
    if slot.day in show.unavailable:
        yield broken("availability", f"the programme is not available on {slot.day}")
    if show.restricted and rules.watershed_ends <= slot.start.time() < rules.watershed:
        yield broken("watershed", f"restricted, at {slot.start:%H:%M}; wanted {rules.watershed:%H:%M} or later")
    if show.rights and all(slot.day < window.first or slot.day > window.last for window in show.rights):
        yield broken("rights", f"no rights on {slot.day}")
    for advertiser in sorted(show.excludes & slot.advertisers):
        yield broken("advertiser", f"must not be shown beside {advertiser!r}")


def _length(show: Programme, slot: Slot, rules: Rules) -> Iterator[Violation]:
    def broken(sentence: str) -> Violation:
        return Violation("length", (slot.name,), f"{show.name!r} in {slot.name!r}: {sentence}")

    if show.minutes > slot.minutes:
        yield broken(f"{show.minutes} minutes do not fit into {slot.minutes}")
    if slot.minutes - show.minutes > rules.most_idle_minutes or show.minutes < rules.least_filled * slot.minutes:
        yield broken(f"{show.minutes} of {slot.minutes} minutes leave too much of the slot idle")
    if not rules.min_minutes <= show.minutes <= rules.max_minutes:
        yield broken(f"{show.minutes} minutes are not from {rules.min_minutes} to {rules.max_minutes}")


def _uses(shown: list[tuple[Slot, Programme]]) -> Iterator[Violation]:
    where: dict[str, list[str]] = {}
    for slot, show in shown:
        where.setdefault(show.name, []).append(slot.name)
    for name, uses in {show.name: show.uses for _, show in shown}.items():
        if len(where[name]) > uses:
            sentence = f"{name!r} is shown {len(where[name])} times, at most {uses}"
            yield Violation("uses", tuple(where[name]), sentence)


def _days(shown: list[tuple[Slot, Programme]], rules: Rules) -> Iterator[Violation]:
    count: dict[tuple[str, str], list[str]] = {}
    for slot, show in shown:
        count.setdefault((slot.day.isoformat(), show.genre), []).append(slot.name)
    for (day, genre), names in count.items():
        cap = rules.per_day_of.get(genre, rules.per_day)
        if len(names) > cap:
            yield Violation("per day", tuple(names), f"{genre} is shown {len(names)} times on {day}, at most {cap}")


def _runs(problem: Problem, shown: dict[str, Programme]) -> Iterator[Violation]:
    run: list[str] = []
    before: tuple[object, str] | None = None
    for slot in problem.slots:
        show = shown.get(slot.name)
        now = None if show is None else (slot.day, show.genre)
        run = [*run, slot.name] if now is not None and now == before else [slot.name]
        before = now
        if show is not None and len(run) > problem.rules.in_a_row:
            sentence = f"{len(run)} of {show.genre} in a row up to {slot.name!r}, at most {problem.rules.in_a_row}"
            yield Violation("in a row", tuple(run), sentence)
