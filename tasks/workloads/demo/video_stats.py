"""Demo looks at videos whose truth is known: how each video grows, and what was planted in which row.

A video's views run towards what it is worth, fast at first, faster in the evening, and with a push that some get days
after; likes and comments follow at rates of its own. Looks come at uneven intervals, as a crawler makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.errors import BadRequest
from tasks.workloads.demo.planting import choose, labels, place_faults

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

DRIFTS: Mapping[str, str] = MappingProxyType(
    {
        "shift": "what videos are worth is up by half a standard deviation of its logarithm; every relation holds",
        "swap": "one category in five is replaced by another",
        "nulls": "5 % more of category, country and publishing time are missing",
        "unit": "views are written a thousand times too large",
        "concept": "evenings no longer bring more, and nobody is pushed",
    }
)
FAULTS: Mapping[str, str] = MappingProxyType(
    {
        "looked_twice": "carries video and moment of another row; both rows are marked",
        "negative_views": "views below zero",
        "more_likes_than_views": "more likes than views",
        "negative_comments": "comments below zero",
        "no_video": "its video is a blank",
        "before_published": "looked at before it was published",
        "unparseable_number": "the views are text that is no number",
    }
)
CATEGORIES: Mapping[str, tuple[float, float]] = MappingProxyType(
    # Share of the videos, and how much more they are worth, as a logarithm.
    {"Music": (0.2, 0.8), "Gaming": (0.25, 0.2), "Education": (0.2, -0.4), "News": (0.15, 0.0), "Comedy": (0.2, 0.3)}
)
COUNTRIES = ("US", "GB", "DE")
# The week the looks lie in; the default retraining learns from seven days.
LAST_MOMENT = np.datetime64("2026-06-28T22:00:00", "s")
WEEK_HOURS = 168.0
LOOKS_PER_VIDEO = 40
EVENING = 0.6
PUSHED = 0.3
NO_NUMBERS = ("about 1k", "n.n.", "##", "1.2.3")


@dataclass(frozen=True)
class _Looks:
    """Every look, oldest first: at which video, when (hours into the week), and what there was to see."""

    video: Ints
    hour: Floats
    age: Floats
    expected_log_views: Floats
    views: Ints
    likes: Ints
    comments: Ints
    category: Ints
    country: Ints


def generate(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return *rows* looks, oldest first, under a source's column names, faults included; raises BadRequest.

    The same arguments give the same frame. *drift* is a key of ``DRIFTS``.
    """
    return _written(*_draw(rows, seed, drift), seed, drift)


def truth(rows: int, seed: int, drift: str | None = None) -> pl.DataFrame:
    """Return what was planted in each row of ``generate(rows, seed, drift)``, in the same order.

    ``fault`` is a key of ``FAULTS`` or empty; ``expected_log_views`` is the logarithm of one more than the views a look
    would show without the noise of counting.
    """
    looks, fault = _draw(rows, seed, drift)
    planted = {"fault": fault, "expected_log_views": looks.expected_log_views}
    return pl.DataFrame(planted, schema_overrides={"fault": pl.String})


def _draw(rows: int, seed: int, drift: str | None) -> tuple[_Looks, Texts]:
    if rows < 1:
        raise BadRequest(f"demo rows of video_stats: {rows} were asked for, at least 1 is needed")
    if drift is not None and drift not in DRIFTS:
        known = "; ".join(f"{name}: {meaning}" for name, meaning in DRIFTS.items())
        raise BadRequest(f"there is no drift {drift!r} for video_stats; choose one of: {known}")
    rng = np.random.Generator(np.random.PCG64(seed))
    return _looks(rows, rng, drift), place_faults(rows, rng, FAULTS)


def _looks(rows: int, rng: np.random.Generator, drift: str | None) -> _Looks:
    videos = -(-rows // LOOKS_PER_VIDEO)
    category = choose(rng, videos, [share for share, _ in CATEGORIES.values()])
    # Some were published before the week began; the others during its first five days.
    begun = rng.uniform(-72, 120, videos)
    first = np.maximum(begun + rng.uniform(0.5, 3, videos), 0.0)
    gaps = rng.lognormal(0, 0.7, (videos, LOOKS_PER_VIDEO))
    at = np.cumsum(gaps, axis=1)
    last = WEEK_HOURS - rng.uniform(0, 12, videos)
    hour = (first[:, None] + (last - first)[:, None] * at / at[:, -1:]).ravel()
    video = np.repeat(np.arange(videos), LOOKS_PER_VIDEO)
    order = np.lexsort((video, hour))[:rows]
    video, hour = video[order], hour[order]
    expected = _log_views(category, begun, video, hour, rng, drift)
    views = np.expm1(expected + rng.normal(0, 0.001, rows)).round().astype(np.int64)
    seen = (
        pl.DataFrame({"video": video, "views": views})
        .select(pl.col("views").cum_max().over("video"))["views"]
        .to_numpy()
    )
    likes = _share(seen, rng.normal(-3.2, 0.5, videos)[video], hour - begun[video], rng)
    comments = _share(seen, rng.normal(-5.5, 0.6, videos)[video], hour - begun[video], rng)
    country = rng.integers(0, len(COUNTRIES), videos)[video]
    return _Looks(video, hour, hour - begun[video], expected, seen, likes, comments, category[video], country)


def _log_views(
    category: Ints, begun: Floats, video: Ints, hour: Floats, rng: np.random.Generator, drift: str | None
) -> Floats:
    """Return the logarithm of each look's views: worth, how far towards it, the evening's share, and a push."""
    videos = category.size
    worth = np.array([more for _, more in CATEGORIES.values()])[category] + rng.normal(9.5, 1.2, videos)
    if drift == "shift":
        worth += 0.5 * worth.std()
    pace, shape = rng.lognormal(3.6, 0.4, videos), rng.uniform(0.6, 1.1, videos)
    push, pushed_at = rng.uniform(0.5, 1.5, videos) * (rng.random(videos) < PUSHED), begun + rng.uniform(12, 96, videos)
    if drift == "concept":
        push = np.zeros(videos)
    age = hour - begun[video]
    # Hours as they count: an evening hour more than one at dawn.
    swing = 0.0 if drift == "concept" else EVENING
    counted = age + swing * 24 / (2 * np.pi) * (np.sin(2 * np.pi * (hour - 20) / 24) + 1)
    run = 1 - np.exp(-((np.maximum(counted, 0.1) / pace[video]) ** shape[video]))
    late = 1 / (1 + np.exp(-(hour - pushed_at[video]) / 4))
    expected: Floats = np.log1p(np.exp(worth[video]) * run * np.exp(push[video] * late))
    return expected


def _share(views: Ints, log_rate: Floats, age: Floats, rng: np.random.Generator) -> Ints:
    """Return how many of the viewers did something; the first viewers are the fondest."""
    rate = np.exp(log_rate) * (1 + 0.6 * np.exp(-age / 24))
    return np.minimum(views, views * rate * np.exp(rng.normal(0, 0.003, views.size))).round().astype(np.int64)


def _written(looks: _Looks, fault: Texts, seed: int, drift: str | None) -> pl.DataFrame:
    """Break the rows as planned, take values away, and write the rest as a source writes it."""
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    start = LAST_MOMENT - np.timedelta64(int(WEEK_HOURS * 3600), "s")
    at = start + (looks.hour * 3600).astype("timedelta64[s]")
    published = at - (looks.age * 3600).round().astype("timedelta64[s]")
    views = np.where((fault == "") & (drift == "unit"), looks.views * 1000, looks.views)
    views = np.where(fault == "negative_views", -views - 1, views)
    frame = pl.DataFrame(
        {
            "video_id": "v" + pl.Series(looks.video).cast(pl.String).str.zfill(6),
            "snapshot_utc": _moments(at),
            "published_at": _moments(np.where(fault == "before_published", at + np.timedelta64(1, "D"), published)),
            "category": labels(tuple(CATEGORIES), looks.category),
            "country": labels(COUNTRIES, looks.country),
            "view_count": pl.Series(views).cast(pl.String),
            "like_count": np.where(fault == "more_likes_than_views", looks.views + 1000, looks.likes),
            "comment_count": np.where(fault == "negative_comments", -looks.comments - 1, looks.comments),
        }
    )
    unreadable = labels(NO_NUMBERS, rng.integers(0, len(NO_NUMBERS), frame.height))
    broken, blank = pl.Series(fault == "unparseable_number"), pl.Series(fault == "no_video")
    frame = frame.with_columns(
        view_count=pl.when(broken).then(pl.lit(unreadable)).otherwise("view_count"),
        video_id=pl.when(blank).then(pl.lit(" ")).otherwise("video_id"),
    )
    frame = _swapped(_twice(frame, fault), seed) if drift == "swap" else _twice(frame, fault)
    return _taken_away(frame, fault, rng, 0.05 if drift == "nulls" else 0.0)


def _moments(at: npt.NDArray[np.datetime64]) -> pl.Series:
    return pl.Series(at.astype("datetime64[ms]")).dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def _twice(frame: pl.DataFrame, fault: Texts) -> pl.DataFrame:
    twins, source = np.flatnonzero(fault == "looked_twice"), np.arange(frame.height)
    source[twins[1::2]] = twins[::2]
    return frame.with_columns(frame[name].gather(pl.Series(source)) for name in ("video_id", "snapshot_utc"))


def _swapped(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    # Its own stream, so that the rest of the frame stays as it is.
    rng, names = np.random.Generator(np.random.PCG64([seed, 2])), list(CATEGORIES)
    other = dict(zip(names, names[2:] + names[:2], strict=True))
    swapped = pl.Series(rng.random(frame.height) < 0.2)
    return frame.with_columns(pl.when(swapped).then(pl.col("category").replace(other)).otherwise("category"))


def _taken_away(frame: pl.DataFrame, fault: Texts, rng: np.random.Generator, extra: float) -> pl.DataFrame:
    lost = {"category": 0.02 + extra, "country": 0.03 + extra, "published_at": 0.02 + extra, "comment_count": 0.02}
    for name, chance in lost.items():
        gone = pl.Series((rng.random(frame.height) < chance) & (fault == ""))
        frame = frame.with_columns(pl.when(~gone).then(pl.col(name)).alias(name))
    return frame
