"""Writes drawn airings as a ratings table does: day and time of day apart, nothing where a figure was not published.

Rows are broken here as planned, and values taken away. What is drawn and planted is broadcast.py.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.workloads.demo.broadcast_world import GENRES, NETWORKS, Airings, Floats, Texts
from tasks.workloads.demo.planting import labels

# fmt: off
WORDS = (
    "Harbour", "Northern", "Silver", "Last", "Second", "Paper", "Winter", "Glass", "Morning", "Open", "Hidden",
    "Little", "Broken", "Golden", "Quiet",
)
THINGS = ("Lights", "Row", "Verdict", "Table", "House", "Mile", "Story", "Hour", "Street", "Crossing", "Game", "Ward")
# fmt: on
NO_NUMBERS = ("about a million", "1.2.3", "tba", "n.n.", "##", "4 5 6 x")
SOURCE_COLUMNS = (
    *("programme", "network", "country", "airdate", "slot_start", "slot_minutes", "genre", "kind", "promo_spots"),
    *("viewers", "rating_18_49", "revenue", "engagement"),
)


def write(airings: Airings, fault: Texts, seed: int, drift: str | None) -> pl.DataFrame:
    """Break the rows as planned, take values away, and write the rest as a source writes it."""
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    frame = pl.DataFrame(_columns(airings) | _labels(airings, fault, drift)).with_columns(_broken(fault))
    frame = _twice(frame, fault)
    if drift == "swap":
        # Its own stream, so that the rest of the frame stays as it is.
        frame = _swap_genres(frame, np.random.Generator(np.random.PCG64([seed, 2])))
    frame = _take_away(frame, airings, fault, rng, extra=0.05 if drift == "nulls" else 0.0)
    unreadable = labels(NO_NUMBERS, rng.integers(0, len(NO_NUMBERS), frame.height))
    viewers = pl.when(pl.Series(fault == "unparseable_number")).then(pl.lit(unreadable))
    return frame.with_columns(viewers.otherwise(pl.col("viewers").cast(pl.String)).alias("viewers")).select(
        SOURCE_COLUMNS
    )


def _columns(airings: Airings) -> dict[str, pl.Series]:
    networks = tuple(NETWORKS)
    more = range(len(networks), int(airings.network.max()) + 1)
    number = pl.Series(airings.programme + 1).cast(pl.String).str.zfill(5)
    first, second = (
        labels(words, airings.programme // by % len(words)) for words, by in ((WORDS, 1), (THINGS, len(WORDS)))
    )
    return {
        "programme": first + " " + second + " " + number,
        "network": labels((*networks, *(f"Local {each + 1:03d}" for each in more)), airings.network),
        "country": pl.repeat("US", airings.day.size, eager=True),
        "airdate": pl.Series(airings.day.astype("datetime64[D]")).cast(pl.String),
        "slot_start": pl.Series(airings.hour).cast(pl.String) + ":00",
        "slot_minutes": pl.Series([each.minutes for each in GENRES.values()]).gather(pl.Series(airings.genre)),
        "genre": labels(tuple(GENRES), airings.genre),
        "kind": labels(("premiere", "repeat"), airings.repeat.astype(np.int64)),
        "promo_spots": pl.Series(airings.promo),
    }


def _labels(airings: Airings, fault: Texts, drift: str | None) -> dict[str, pl.Series]:
    # Only clean rows: what is broken stays broken in its own way.
    scale = np.where((fault == "") & (drift == "unit"), 100, 1)
    return {
        "viewers": pl.Series(airings.audience * scale),
        "rating_18_49": pl.Series(airings.rating),
        "revenue": pl.Series(airings.revenue),
        "engagement": pl.Series(airings.engagement),
    }


def _broken(fault: Texts) -> list[pl.Expr]:
    def where(kind: str, name: str, value: pl.Expr) -> pl.Expr:
        return pl.when(pl.Series(fault == kind)).then(value).otherwise(pl.col(name)).alias(name)

    return [
        where("negative_audience", "viewers", -pl.col("viewers")),
        where("rating_above_everybody", "rating_18_49", pl.col("rating_18_49") + 100),
        where("negative_revenue", "revenue", -pl.col("revenue") - 1),
        where("engagement_above_everybody", "engagement", pl.col("engagement") + 100),
        where("endless_slot", "slot_minutes", pl.col("slot_minutes") + 1_500),
        where("no_programme", "programme", pl.lit(" ")),
        where("clock_beyond_the_day", "slot_start", pl.lit("27:00")),
    ]


def _twice(frame: pl.DataFrame, fault: Texts) -> pl.DataFrame:
    twins = np.flatnonzero(fault == "airing_twice")
    source = np.arange(frame.height)
    source[twins[1::2]] = twins[::2]
    return frame.with_columns(frame[name].gather(pl.Series(source)) for name in ("programme", "airdate", "slot_start"))


def _swap_genres(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    names = list(GENRES)
    other = dict(zip(names, names[3:] + names[:3], strict=True))
    swapped = pl.Series(rng.random(frame.height) < 0.2)
    return frame.with_columns(pl.when(swapped).then(pl.col("genre").replace(other)).otherwise(pl.col("genre")))


def _take_away(
    frame: pl.DataFrame, airings: Airings, fault: Texts, rng: np.random.Generator, extra: float
) -> pl.DataFrame:
    """Make values missing; a rating is published the less often the smaller the audience is."""
    log_audience = np.log(airings.audience)
    small = (np.median(log_audience) - log_audience) / max(log_audience.std(), 1e-9)
    flat = np.ones(frame.height)
    lost: dict[str, Floats] = {
        "rating_18_49": 1 / (1 + np.exp(2.2 - 0.9 * small)),
        "revenue": 0.15 * flat,
        "engagement": 0.25 * flat,
        "viewers": 0.02 * flat,
        "slot_start": 0.01 * flat,
        "slot_minutes": (0.03 + extra) * flat,
        "genre": (0.02 + extra) * flat,
        "kind": (0.04 + extra) * flat,
        "promo_spots": (0.06 + extra) * flat,
    }
    for name, chance in lost.items():
        gone = pl.Series((rng.random(frame.height) < chance) & (fault == ""))
        frame = frame.with_columns(pl.when(~gone).then(pl.col(name)).alias(name))
    return frame
