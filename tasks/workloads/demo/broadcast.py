"""Demo airings whose truth is known: what was planted in which row, so that a test can ask the pipeline for it back.

Programmes air once a week and move to another slot of their network every 13 weeks, so that what a slot is worth and
what a programme is worth can be told apart. The tables they are drawn from are broadcast_world.py, how they are written
is broadcast_written.py; reading such a file is tasks/adapters/sources.py, judging it is the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl

from tasks.errors import BadRequest
from tasks.workloads.demo.broadcast_world import (
    EVENING,
    FAULTS,
    GENRES,
    HOURS,
    LEAD_IN,
    LOCAL,
    NETWORKS,
    OFF_HOUR,
    PEOPLE,
    PROMO,
    REPEAT,
    SEASON,
    TYPICAL_AUDIENCE,
    WEEKDAYS,
    Airings,
    Days,
    Flags,
    Floats,
    Ints,
    Texts,
)
from tasks.workloads.demo.broadcast_written import write
from tasks.workloads.demo.planting import choose, place_faults

DRIFTS: Mapping[str, str] = MappingProxyType(
    {
        "shift": "announcements are up by half a standard deviation of their logarithm; every relation holds",
        "swap": "one genre in five is replaced by another",
        "nulls": "5 % more of genre, kind, announcements and slot length are missing",
        "unit": "audiences are written a hundred times too large",
        "concept": "the hour and the programme before no longer matter",
    }
)

# The Sunday the newest week ends on.
LAST_DAY = np.datetime64("2026-06-28")
WEEKS_PER_SEASON = 13
ROWS_PER_PROGRAMME = 100
PROGRAMMES_LEAST = 12


def generate(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return *rows* airings, oldest first, under a source's column names, faults included; raises BadRequest.

    The same arguments give the same frame. *drift* is a key of ``DRIFTS``.
    """
    return write(*_draw(rows, seed, drift), seed, drift)


def truth(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return what was planted in each row of ``generate(rows, seed, drift)``, in the same order.

    ``fault`` is a key of ``FAULTS`` or empty; ``expected_log_*`` is the mean of the target's natural logarithm given
    the programme, its slot and its lead-in, without noise.
    """
    airings, fault = _draw(rows, seed, drift)
    names = ("audience", "rating", "revenue", "engagement")
    expected = {f"expected_log_{name}": getattr(airings, f"expected_log_{name}") for name in names}
    return pl.DataFrame({"fault": fault} | expected, schema_overrides={"fault": pl.String})


def _draw(rows: int, seed: int, drift: str | None) -> tuple[Airings, Texts]:
    if rows < 1:
        raise BadRequest(f"demo rows of broadcast: {rows} were asked for, at least 1 is needed")
    if drift is not None and drift not in DRIFTS:
        known = "; ".join(f"{name}: {meaning}" for name, meaning in DRIFTS.items())
        raise BadRequest(f"there is no drift {drift!r} for broadcast; choose one of: {known}")
    rng = np.random.Generator(np.random.PCG64(seed))
    return _airings(rows, rng, drift), place_faults(rows, rng, FAULTS)


@dataclass(frozen=True)
class _Programmes:
    """What each programme is: its network, its genre, and latent numbers it keeps, some growing by the year."""

    network: Ints
    genre: Ints
    quality: Floats
    trend: Floats
    buzz: Floats

    @property
    def pull(self) -> Floats:
        """What it brings of its own, wherever it airs."""
        return np.array([genre.audience for genre in GENRES.values()])[self.genre] + self.quality


@dataclass(frozen=True)
class _Timetable:
    """Every airing in order: which programme, in which week, at which evening and hour, and what it follows."""

    programme: Ints
    week: Ints
    weekday: Ints
    hour: Ints
    lead_in: Ints


def _airings(rows: int, rng: np.random.Generator, drift: str | None) -> Airings:
    count = max(PROGRAMMES_LEAST, -(-rows // ROWS_PER_PROGRAMME))
    programmes = _programmes(count, rng)
    weeks = -(-rows // count)
    timetable = _timetable(programmes, weeks, rows, rng)
    monday = LAST_DAY - np.timedelta64(7 * weeks - 1, "D")
    day = monday + (7 * timetable.week + timetable.weekday).astype("timedelta64[D]")
    repeat = rng.random(rows) < 0.25
    promo = _promo(rows, rng, drift)
    return _with_targets(programmes, timetable, day, repeat, promo, rng, drift)


def _programmes(count: int, rng: np.random.Generator) -> _Programmes:
    networks = max(min(len(NETWORKS), count // 5), -(-count // (7 * len(HOURS))))
    return _Programmes(
        network=np.arange(count) % networks,
        genre=choose(rng, count, [genre.share for genre in GENRES.values()]),
        quality=rng.normal(0, 0.6, count),
        trend=rng.normal(0, 0.1, count),
        buzz=rng.normal(0, 0.5, count),
    )


def _timetable(programmes: _Programmes, weeks: int, rows: int, rng: np.random.Generator) -> _Timetable:
    """Place every programme anew each season; of the last week, keep as many airings as are asked for."""
    network, count = programmes.network, programmes.network.size
    sizes = np.bincount(network)
    hours = np.array(EVENING if sizes.max() <= 7 * len(EVENING) else tuple(HOURS))
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    parts = []
    for season in range(-(-weeks // WEEKS_PER_SEASON)):
        order = np.lexsort((rng.random(count), network))
        cell = np.arange(count) - first[network[order]]
        position = cell % hours.size
        evening = (cell // hours.size + season + network[order]) % 7
        lead_in = np.where(position > 0, np.roll(order, 1), -1)
        in_time = np.lexsort((network[order], position, evening))
        season_weeks = np.arange(season * WEEKS_PER_SEASON, min(weeks, (season + 1) * WEEKS_PER_SEASON))
        slots = np.column_stack([order, evening, hours[position], lead_in])[in_time]
        parts.append(np.column_stack([np.repeat(season_weeks, count), np.tile(slots, (season_weeks.size, 1))]))
    week, programme, weekday, hour, lead = np.concatenate(parts)[:rows].T
    return _Timetable(programme, week, weekday, hour, lead)


def _promo(rows: int, rng: np.random.Generator, drift: str | None) -> Ints:
    log_spots = rng.normal(1.5, 0.9, rows)
    if drift == "shift":
        log_spots += 0.5 * log_spots.std()
    return np.maximum(0, np.expm1(log_spots)).round().astype(np.int64)


def _with_targets(
    programmes: _Programmes,
    timetable: _Timetable,
    day: Days,
    repeat: Flags,
    promo: Ints,
    rng: np.random.Generator,
    drift: str | None,
) -> Airings:
    rows, programme = day.size, timetable.programme
    genre = programmes.genre[programme]
    traits = {name: np.array([getattr(each, name) for each in GENRES.values()])[genre] for name in _TRAITS}
    season = np.cos(2 * np.pi * (day - day.astype("datetime64[Y]")).astype(int) / 365.25)
    expected = _log_audience(programmes, timetable, traits["best_hour"], drift) + SEASON * season
    expected += REPEAT * repeat + PROMO * np.log1p(promo)
    log_audience = expected + _noise(rows, rng)
    to_rating = np.log(100 * traits["young"] / PEOPLE)
    last_quarter = np.isin(day.astype("datetime64[M]").astype(int) % 12, (9, 10, 11))
    to_revenue = np.log(traits["price"] / 1000 * 0.25 * traits["minutes"]) + 0.25 * last_quarter
    engaged = np.log(traits["engaged"]) + programmes.buzz[programme] - 0.3 * repeat + 0.1 * season
    return Airings(
        programme=programme,
        network=programmes.network[programme],
        genre=genre,
        day=day,
        hour=timetable.hour,
        repeat=repeat,
        promo=promo,
        audience=np.maximum(1, np.exp(log_audience)).round().astype(np.int64),
        rating=np.exp(np.minimum(log_audience + to_rating + rng.normal(0, 0.07, rows), np.log(95))).round(3),
        revenue=np.exp(log_audience + to_revenue + rng.normal(0, 0.1, rows)).round(2),
        engagement=np.exp(np.minimum(engaged + rng.normal(0, 0.2, rows), np.log(95))).round(3),
        expected_log_audience=expected,
        expected_log_rating=expected + to_rating,
        expected_log_revenue=expected + to_revenue,
        expected_log_engagement=engaged,
    )


_TRAITS = ("best_hour", "price", "young", "engaged", "minutes")


def _log_audience(programmes: _Programmes, timetable: _Timetable, best_hour: Ints, drift: str | None) -> Floats:
    """Return what programme, network, slot and lead-in make of the typical audience."""
    programme, hour = timetable.programme, timetable.hour
    effects = np.array([*NETWORKS.values()])
    network = programmes.network[programme]
    of_network = np.where(network < effects.size, effects[np.minimum(network, effects.size - 1)], LOCAL)
    years = timetable.week / 52
    own = programmes.pull[programme] + programmes.trend[programme] * years
    by_day = np.array(WEEKDAYS)[timetable.weekday]
    found: Floats = np.log(TYPICAL_AUDIENCE) + of_network + own + by_day
    if drift == "concept":
        return found
    by_hour = np.array([HOURS[each] for each in sorted(HOURS)])[hour - min(HOURS)]
    led = np.where(timetable.lead_in >= 0, programmes.pull[timetable.lead_in], 0.0)
    led_in: Floats = found + by_hour + OFF_HOUR * (hour - best_hour) ** 2 + LEAD_IN * led
    return led_in


def _noise(rows: int, rng: np.random.Generator) -> Floats:
    """Return every airing's own luck and, in one of sixty, a shock: a final, a storm, a scandal."""
    shock = np.clip(0.35 * rng.standard_t(3, rows), -1, 1)
    return rng.normal(0, 0.13, rows) + np.where(rng.random(rows) < 1 / 60, shock, 0.0)
