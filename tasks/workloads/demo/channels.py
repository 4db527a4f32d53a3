"""Demo channels whose truth is known: what was planted in which row, so that a test can ask the pipeline for it back.

Heavy tails, category and country effects, latent groups, and earnings that are a fixed multiple of the last 30 days'
views. The tables they are drawn from are channels_world.py, how they are written is channels_written.py; reading such
a file is tasks/adapters/sources.py, judging it is the contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import polars as pl

from tasks.errors import BadRequest
from tasks.workloads.demo.channels_world import (
    ARCHETYPES,
    CATEGORIES,
    COUNTRIES,
    FAULTS,
    HIGH_PER_VIEW,
    Channels,
    Floats,
    Ints,
    Texts,
)
from tasks.workloads.demo.channels_written import write
from tasks.workloads.demo.planting import choose, place_faults

DRIFTS: Mapping[str, str] = MappingProxyType(
    {
        "shift": "uploads are up by half a standard deviation of their logarithm; every relation holds",
        "swap": "one category in five is replaced by another",
        "nulls": "5 % more of category, channel type, creation date and 30-day views are missing",
        "unit": "video views are written a hundred times too large",
        "concept": "growth no longer follows the views of the last 30 days",
    }
)

LAST_YEAR = 2023


def generate(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return *rows* channels under the source's own column names, faults included; raises BadRequest.

    The same arguments give the same frame. *drift* is a key of ``DRIFTS``.
    """
    return write(*_draw(rows, seed, drift), seed, drift)


def truth(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return what was planted in each row of ``generate(rows, seed, drift)``, in the same order.

    ``fault`` is a key of ``FAULTS`` or empty, ``archetype`` the latent group; ``expected_log_*`` is the mean of the
    target's natural logarithm given the row's other columns and its group, without noise.
    """
    channels, fault = _draw(rows, seed, drift)
    return pl.DataFrame(
        {
            "fault": fault,
            "archetype": np.array([each.name for each in ARCHETYPES], dtype=object)[channels.archetype],
            "expected_log_subscribers": channels.expected_log_subscribers,
            "expected_log_earnings": channels.expected_log_earnings,
            "expected_log_growth": channels.expected_log_growth,
        },
        schema_overrides={"fault": pl.String, "archetype": pl.String},
    )


def _draw(rows: int, seed: int, drift: str | None) -> tuple[Channels, Texts]:
    if rows < 1:
        raise BadRequest(f"demo rows of channels: {rows} were asked for, at least 1 is needed")
    if drift is not None and drift not in DRIFTS:
        known = "; ".join(f"{name}: {meaning}" for name, meaning in DRIFTS.items())
        raise BadRequest(f"there is no drift {drift!r} for channels; choose one of: {known}")
    rng = np.random.Generator(np.random.PCG64(seed))
    return _channels(rows, rng, drift), place_faults(rows, rng, FAULTS)


def _channels(rows: int, rng: np.random.Generator, drift: str | None) -> Channels:
    kinds = _kinds(rows, rng)
    age_days = 365 + rng.beta(2.2, 1.6, rows) * 365 * 16
    log_age = np.log(age_days / 3650)
    uploads = _uploads(kinds, log_age, rng, drift)
    log_views = _log_views(kinds, log_age, uploads, rng)
    subscribers = _subscribers(kinds, log_age, log_views, rng)
    recent = _recent_views(kinds, log_age, log_views, rng)
    growth = _growth(kinds, recent.log, subscribers.log, rng, drift)
    days = (np.datetime64(f"{LAST_YEAR}-07-01") - age_days.astype("timedelta64[D]")).astype("datetime64[D]")
    return Channels(
        archetype=kinds.archetype,
        category=kinds.category,
        country=kinds.country,
        channel_type=_channel_types(kinds.category, rng),
        created_day=np.maximum(days, np.datetime64("2005-02-14")),
        uploads=uploads.astype(np.int64),
        views=np.exp(log_views).round().astype(np.int64),
        subscribers=_rounded(np.exp(subscribers.log), 100_000),
        views_30d=np.maximum(1, np.exp(recent.log)).round().astype(np.int64),
        growth=_rounded(np.exp(growth.log), 100),
        expected_log_subscribers=subscribers.expected,
        expected_log_earnings=recent.expected + np.log(12 * HIGH_PER_VIEW),
        expected_log_growth=growth.expected,
    )


@dataclass(frozen=True)
class _Kinds:
    """What kind of channel each row is; ``group`` holds its archetype's medians by name."""

    archetype: Ints
    category: Ints
    country: Ints
    group: Mapping[str, Floats]


@dataclass(frozen=True)
class _Drawn:
    """A column on the log scale: what is expected of each row, and what was drawn."""

    expected: Floats
    log: Floats


def _kinds(rows: int, rng: np.random.Generator) -> _Kinds:
    archetype = choose(rng, rows, [each.share for each in ARCHETYPES])
    category = choose(rng, rows, [share for share, *_ in CATEGORIES.values()])
    country = choose(rng, rows, [share for _, share, *_ in COUNTRIES.values()])
    names = ("uploads", "views_per_upload", "recent_share", "growth")
    group = {name: np.array([getattr(each, name) for each in ARCHETYPES])[archetype] for name in names}
    return _Kinds(archetype, category, country, group)


def _uploads(kinds: _Kinds, log_age: Floats, rng: np.random.Generator, drift: str | None) -> Floats:
    log_uploads = np.log(kinds.group["uploads"]) + 0.5 * log_age + rng.normal(0, 0.4, log_age.size)
    if drift == "shift":
        log_uploads += 0.5 * log_uploads.std()
    return np.maximum(1, np.exp(log_uploads)).round()


def _log_views(kinds: _Kinds, log_age: Floats, uploads: Floats, rng: np.random.Generator) -> Floats:
    per_upload = np.log(kinds.group["views_per_upload"])
    log_views = np.log(uploads) + per_upload + 0.25 * log_age + rng.normal(0, 0.4, log_age.size)
    log_views += np.log(np.array([factor for _, factor, *_ in CATEGORIES.values()]))[kinds.category]
    return log_views


def _subscribers(kinds: _Kinds, log_age: Floats, log_views: Floats, rng: np.random.Generator) -> _Drawn:
    centred_views = log_views - np.log(2e9)
    expected = np.log(14e6) + 0.5 * centred_views + 0.08 * np.sin(3 * log_age)
    expected += np.log(np.array([factor for _, _, factor, *_ in CATEGORIES.values()]))[kinds.category]
    expected += np.log(np.array([factor for _, _, factor, *_ in COUNTRIES.values()]))[kinds.country]
    drawn = expected + rng.normal(0, 0.42, log_age.size)
    return _Drawn(expected, np.clip(drawn, np.log(1e6), log_views - np.log(3)))


def _recent_views(kinds: _Kinds, log_age: Floats, log_views: Floats, rng: np.random.Generator) -> _Drawn:
    expected = log_views + np.log(kinds.group["recent_share"] * 0.012) - 0.5 * log_age
    return _Drawn(expected, np.minimum(expected + rng.normal(0, 0.9, log_age.size), log_views - np.log(2)))


def _growth(
    kinds: _Kinds, log_recent: Floats, log_subscribers: Floats, rng: np.random.Generator, drift: str | None
) -> _Drawn:
    reach = np.zeros(log_recent.size) if drift == "concept" else 0.45 * (log_recent - np.log(2e7))
    expected = np.log(1.3e5 * kinds.group["growth"]) + reach + 0.5 * (log_subscribers - np.log(14e6))
    return _Drawn(expected, np.minimum(expected + rng.normal(0, 1.05, log_recent.size), log_subscribers - np.log(8)))


def _channel_types(category: Ints, rng: np.random.Generator) -> Texts:
    usual = np.array([kind for *_, kind in CATEGORIES.values()], dtype=object)
    other = rng.random(len(category)) < 0.3
    return np.where(other, usual[rng.integers(0, len(usual), len(category))], usual[category])


def _rounded(values: Floats, unit: int) -> Ints:
    return np.maximum(unit, (values / unit).round() * unit).astype(np.int64)
