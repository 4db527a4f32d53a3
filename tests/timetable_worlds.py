"""Broadcast days to fill whose every table is drawn from a seed: what a timetable is tried on, easy and awkward.

Ten slots a day from 10:00 to midnight, eight genres with their hours and weekends, programmes of different quality;
revenue and audience go together (correlation about 0.7) but not always.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta

import numpy as np

from tasks.core.timetable.problem import Goals, Problem, Programme, Rules, Slot, Window

GENRES = ("news", "drama", "comedy", "sport", "film", "kids", "music", "factual")
PEAK_HOUR = np.array([19, 21, 20, 16, 22, 11, 23, 18])
WEEKEND = np.array([0.8, 1.0, 1.0, 1.5, 1.2, 1.3, 1.1, 0.9])
PER_THOUSAND = np.array([6, 10, 9, 12, 11, 5, 7, 8.0])
ADVERTISERS = ("bank", "beer", "toys", "cars")
A_DAY, FIRST = 10, date(2026, 11, 23)
LENGTHS = np.array([30, 45, 60, 75, 90, 105, 120, 150])


def world(slots: int, seed: int, supply: float = 1.5, **rules: object) -> Problem:
    """Return a problem of that many slots and *supply* times as many programmes."""
    draw = np.random.default_rng(seed)
    times = tuple(slot for day in range(-(-slots // A_DAY)) for slot in _day(draw, day))[:slots]
    shows, quality = _programmes(draw, round(supply * slots), -(-slots // A_DAY))
    revenue, audience = _values(draw, times, shows, quality)
    wanted = np.full(len(GENRES), 1 / len(GENRES))
    shares = dict(zip(GENRES, wanted.tolist(), strict=True))
    return Problem(times, shows, revenue, audience, Rules(**rules), Goals(shares=shares))  # type: ignore[arg-type]


def _day(draw: np.random.Generator, day: int) -> list[Slot]:
    share = draw.uniform(0.5, 1.5, A_DAY)
    lengths = (share / share.sum() * 168).astype(int) * 5
    lengths[-1] += 840 - lengths.sum()
    at, found = datetime.combine(FIRST + timedelta(days=day), time(10)), []
    for number, minutes in enumerate(lengths.tolist()):
        booked = frozenset(np.array(ADVERTISERS)[draw.random(len(ADVERTISERS)) < 0.2].tolist())
        found.append(Slot(f"{day:03d}-{number}", FIRST + timedelta(days=day), at, minutes, booked))
        at += timedelta(minutes=minutes)
    return found


def _programmes(draw: np.random.Generator, many: int, days: int) -> tuple[tuple[Programme, ...], np.ndarray]:
    found = []
    for number in range(many):
        first = FIRST + timedelta(days=int(draw.integers(-days, max(days // 3, 1))))
        rights = (Window(first, first + timedelta(days=2 * days)),) if draw.random() < 0.4 else ()
        genre = GENRES[int(draw.integers(len(GENRES)))]
        restricted = genre != "kids" and bool(draw.random() < 0.15)
        excludes = frozenset({str(draw.choice(ADVERTISERS))} if draw.random() < 0.3 else ())
        minutes, uses = int(draw.choice(LENGTHS)) - int(draw.integers(0, 10)), int(draw.integers(1, 4))
        found.append(Programme(f"p{number:04d}", genre, minutes, uses, restricted, rights, frozenset(), excludes))
    return tuple(found), draw.lognormal(0, 0.4, (many, 2))


def _values(draw, slots, shows, quality):
    hour = np.array([slot.start.hour + slot.start.minute / 60 for slot in slots])
    weekend = np.array([slot.day.weekday() >= 5 for slot in slots])
    genre = np.array([GENRES.index(show.genre) for show in shows])
    people = 100 + 900 * np.exp(-(((hour - 20.5) / 3.5) ** 2))
    fits = 0.4 + 0.6 * np.exp(-(((hour[None, :] - PEAK_HOUR[genre][:, None]) / 3) ** 2))
    fits = fits * np.where(weekend[None, :], WEEKEND[genre][:, None], 1.0)
    audience = people * fits * quality[:, :1] * draw.lognormal(0, 0.1, fits.shape)
    minutes = np.array([slot.minutes for slot in slots]) ** 0.7
    money = people * fits * quality[:, :1] ** 0.5 * quality[:, 1:] * PER_THOUSAND[genre][:, None] * minutes
    return money * draw.lognormal(0, 0.1, fits.shape), audience


def with_odd_shares(problem: Problem, seed: int) -> Problem:
    shares = np.random.default_rng(seed).dirichlet(np.full(len(GENRES), 8.0))
    shares[-1] = 1 - shares[:-1].sum()
    return replace(problem, goals=replace(problem.goals, shares=dict(zip(GENRES, shares.tolist(), strict=True))))


def with_an_impossible_slot(problem: Problem) -> Problem:
    """Make the fourth slot of the first day so short that nothing fits."""
    slots = list(problem.slots)
    slots[3] = replace(slots[3], minutes=5)
    return replace(problem, slots=tuple(slots))


def with_many_alike(problem: Problem) -> Problem:
    """Let all but every sixteenth programme be one that never aired: worth what its genre and length are."""
    shows, rows = list(problem.programmes), list(range(len(problem.programmes)))
    first: dict[tuple[str, int], int] = {}
    for number, each in enumerate(problem.programmes):
        if number % 16:
            minutes = int(LENGTHS[np.searchsorted(LENGTHS, each.minutes)])
            shows[number] = Programme(each.name, each.genre, minutes, each.uses, each.restricted)
            rows[number] = first.setdefault((each.genre, minutes), number)
    return replace(problem, programmes=tuple(shows), revenue=problem.revenue[rows], audience=problem.audience[rows])


# How each awkward world is made from a number of slots and a seed.
WORLDS: Mapping[str, Callable[[int, int], Problem]] = {
    "plain": world,
    "one in a row": lambda slots, seed: world(slots, seed, in_a_row=1, per_day=2),
    "scarce supply": lambda slots, seed: world(slots, seed, supply=1.1),
    "late watershed": lambda slots, seed: world(slots, seed, watershed=time(22)),
    "odd genre targets": lambda slots, seed: with_odd_shares(world(slots, seed), seed),
    "many alike": lambda slots, seed: with_many_alike(world(slots, seed)),
    "an impossible slot": lambda slots, seed: with_an_impossible_slot(world(slots, seed)),
}
