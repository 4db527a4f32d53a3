"""Demo videos whose truth is known: the chance of each to trend, what its words were worth, and what was broken.

A channel has its standing, which wanders, so that a run of good videos is followed by more; a word may help one niche
and hurt another, and two words help in one order only; evenings and ten minutes are best. Likes and comments per view,
and how many of the judges like it, go by channel, length and how the title sounds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.errors import BadRequest
from tasks.workloads.demo.content_world import NICHES, Written, write
from tasks.workloads.demo.planting import Ints, Texts, choose, labels, place_faults

Floats = npt.NDArray[np.float64]

DRIFTS: Mapping[str, str] = MappingProxyType(
    {
        "shift": "every other title shouts and videos are half as long; every relation holds",
        "swap": "one niche in five is replaced by another",
        "nulls": "15 % more of niche, length and subscribers are missing",
        "unit": "lengths are written in milliseconds instead of seconds",
        "concept": "words that helped hurt, and mornings are better than evenings",
    }
)
FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "same_video": "carries video, country and moment of another row; both rows are marked",
        "negative_views": "views below zero",
        "more_likes_than_views": "more likes than views",
        "no_title": "its title is a blank",
        "read_before_published": "its counts were read before it was out",
        "endless": "longer than a month",
        "unparseable_number": "the views are text that is no number",
    }
)
LAST_MOMENT = np.datetime64("2026-06-28T22:00:00", "s")
DAYS = 120
VIDEOS_PER_CHANNEL = 15
TREND_DAYS = 5
COUNTRIES = ("US", "GB", "DE")
NO_NUMBER = "about 1k"


@dataclass(frozen=True)
class Drawn:
    """The drawn videos, oldest first, before anything is broken; ``chance`` and ``quality`` are without noise."""

    channel: Ints
    niche: Ints
    day: Floats
    minutes: Floats
    subscribers: Floats
    written: Written
    chance: Floats
    quality: Floats
    counts: Mapping[str, Ints]


def generate(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return *rows* videos, oldest first, under a source's column names, faults included; raises BadRequest.

    The same arguments give the same frame. *drift* is a key of ``DRIFTS``.
    """
    drawn, fault = _draw(rows, seed, drift)
    return _written(drawn, fault, np.random.Generator(np.random.PCG64([seed, 2])), drift)


def truth(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return what was planted in each row of ``generate(rows, seed, drift)``, in the same order.

    ``fault`` is a key of ``FAULTS`` or empty; ``chance`` that it trends; ``quality`` the share of likes to expect;
    ``order`` is 1 where two words stand in the order that helps, -1 where they are turned round.
    """
    drawn, fault = _draw(rows, seed, drift)
    columns = {"fault": fault, "chance": drawn.chance, "quality": drawn.quality, "order": drawn.written.order}
    return pl.DataFrame(columns, schema_overrides={"fault": pl.String})


def _draw(rows: int, seed: int, drift: str | None) -> tuple[Drawn, Texts]:
    if rows < 1:
        raise BadRequest(f"demo rows of content: {rows} were asked for, at least 1 is needed")
    if drift is not None and drift not in DRIFTS:
        known = "; ".join(f"{name}: {meaning}" for name, meaning in DRIFTS.items())
        raise BadRequest(f"there is no drift {drift!r} for content; choose one of: {known}")
    fault = place_faults(rows, np.random.Generator(np.random.PCG64([seed, 1])), FAULTS)
    return _videos(rows, np.random.Generator(np.random.PCG64(seed)), drift), fault


def _videos(rows: int, rng: np.random.Generator, drift: str | None) -> Drawn:
    channels = max(1, rows // VIDEOS_PER_CHANNEL)
    channel = np.minimum((rng.random(rows) ** 1.3 * channels).astype(np.int64), channels - 1)
    niche = choose(rng, channels, [share for share, *_ in NICHES.values()])[channel]
    day = np.sort(rng.uniform(0, DAYS, rows))
    own = rng.normal(0, 1, (channels, 4))[channel]
    standing = own[:, 0] + _wander(channels, rng)[channel, day.astype(np.int64)]
    subscribers = np.exp(10.5 + 1.2 * own[:, 0] + 0.5 * rng.normal(0, 1, channels)[channel]).round()
    minutes = rng.lognormal(np.log(10), 0.7, rows) * (0.5 if drift == "shift" else 1.0)
    written = write(niche, rng, louder=drift == "shift")
    chance = 1 / (1 + np.exp(-_logit(niche, standing, day, minutes, written, drift)))
    quality = 1 / (1 + np.exp(-(2.6 + 0.7 * own[:, 1] - 0.9 * written.loud + 0.25 * np.log(minutes / 10))))
    counts = _counts(chance, quality, standing, own, minutes, written, rng)
    return Drawn(channel, niche, day, minutes, subscribers, written, chance, quality, counts)


def _wander(channels: int, rng: np.random.Generator) -> Floats:
    """Return each channel's standing by day beyond its own: it drifts and is drawn back, over about three weeks."""
    steps = rng.normal(0, 0.35, (channels, DAYS + 1))
    standing = np.zeros_like(steps)
    for day in range(1, DAYS + 1):
        standing[:, day] = 0.95 * standing[:, day - 1] + steps[:, day]
    return standing


def _logit(niche: Ints, standing: Floats, day: Floats, minutes: Floats, written: Written, drift: str | None) -> Floats:
    turned = -1.0 if drift == "concept" else 1.0
    evening = np.cos(2 * np.pi * (day * 24 - 19) / 24)
    logit: Floats = (
        np.array([more for _, more, _ in NICHES.values()])[niche]
        + standing
        + turned * (written.worth + 0.9 * evening)
        - 0.5 * np.abs(np.log(minutes / 10))
    )
    return logit


def _counts(
    chance: Floats, quality: Floats, standing: Floats, own: Floats, minutes: Floats, written: Written,
    rng: np.random.Generator,
) -> dict[str, Ints]:  # fmt: skip
    rows = chance.size
    trended = rng.random(rows) < chance
    days = np.where(trended, TREND_DAYS + rng.poisson(2, rows), rng.integers(0, TREND_DAYS, rows))
    views = np.exp(9.5 + 0.8 * own[:, 0] + 0.4 * standing + 0.8 * trended + rng.normal(0, 0.5, rows)).round()
    liked = np.exp(-3.2 + 0.4 * own[:, 2] - 0.4 * np.log(minutes / 10) + 0.3 * written.loud + rng.normal(0, 0.25, rows))
    said = np.exp(-5.2 + 0.5 * own[:, 3] + 0.7 * written.asks + rng.normal(0, 0.3, rows))
    likes = np.minimum(views, views * liked).round()
    judged = np.clip(quality + rng.normal(0, 0.02, rows), 0.05, 0.995)
    return {
        "days_trending": days.astype(np.int64),
        "view_count": views.astype(np.int64),
        "likes": likes.astype(np.int64),
        "dislikes": (likes * (1 - judged) / judged).round().astype(np.int64),
        "comment_count": (views * said).round().astype(np.int64),
    }


def _written(drawn: Drawn, fault: Texts, rng: np.random.Generator, drift: str | None) -> pl.DataFrame:
    rows = drawn.day.size
    published = LAST_MOMENT - np.timedelta64(DAYS, "D") + (drawn.day * 86_400).astype("timedelta64[s]")
    known = published + (drawn.counts["days_trending"] + 2).astype("timedelta64[D]")
    frame = pl.DataFrame(
        {
            "video_id": [f"v{number:07d}" for number in range(rows)],
            "country": labels(COUNTRIES, rng.integers(0, len(COUNTRIES), rows)),
            "published_at": _moments(published),
            "counted_at": _moments(known),
            "title": drawn.written.titles,
            "tags": drawn.written.tags,
            "channel_title": [f"Channel {number}" for number in drawn.channel],
            "category": labels(tuple(NICHES), drawn.niche),
            "duration_s": (drawn.minutes * (60_000 if drift == "unit" else 60)).round(),
            "subscribers": drawn.subscribers,
            **drawn.counts,
        }
    )
    frame = _broken(frame, fault)
    frame = _swapped(frame, rng) if drift == "swap" else frame
    return _taken_away(frame, fault, rng, 0.15 if drift == "nulls" else 0.0)


def _moments(at: npt.NDArray[np.datetime64]) -> pl.Series:
    return pl.Series(at.astype("datetime64[ms]")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def _broken(frame: pl.DataFrame, fault: Texts) -> pl.DataFrame:
    """Break the rows as planned; the same video is there in pairs, in the order of the rows."""
    kind = pl.Series("fault", fault, dtype=pl.String)
    twins, source = np.flatnonzero(fault == "same_video"), np.arange(frame.height)
    source[twins[1::2]] = twins[0 : len(twins) // 2 * 2 : 2]
    same = [frame[name].gather(pl.Series(source)) for name in ("video_id", "country", "published_at", "counted_at")]
    broken = {
        "view_count": ("negative_views", -pl.col("view_count") - 1),
        "likes": ("more_likes_than_views", pl.col("view_count") + 1000),
        "title": ("no_title", pl.lit(" ")),
        "counted_at": ("read_before_published", pl.lit("2020-01-01T00:00:00Z")),
        "duration_s": ("endless", pl.lit(3.2e6)),
    }
    ruined = [pl.when(kind == name).then(made).otherwise(pl.col(to)).alias(to) for to, (name, made) in broken.items()]
    unreadable = pl.when(kind == "unparseable_number").then(pl.lit(NO_NUMBER))
    return (
        frame.with_columns(same)
        .with_columns(ruined)
        .with_columns(view_count=unreadable.otherwise(pl.col("view_count").cast(pl.String)))
    )


def _swapped(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    names = list(NICHES)
    other = dict(zip(names, names[1:] + names[:1], strict=True))
    swapped = pl.Series(rng.random(frame.height) < 0.2)
    return frame.with_columns(pl.when(swapped).then(pl.col("category").replace(other)).otherwise("category"))


def _taken_away(frame: pl.DataFrame, fault: Texts, rng: np.random.Generator, extra: float) -> pl.DataFrame:
    lost = {"category": 0.01 + extra, "duration_s": 0.02 + extra, "subscribers": 0.04 + extra}
    for name, chance in lost.items():
        gone = pl.Series((rng.random(frame.height) < chance) & (fault == ""))
        frame = frame.with_columns(pl.when(~gone).then(pl.col(name)).alias(name))
    return frame
