"""Writes drawn channels as the public list they stand in for does: its column names, month names, ``nan`` for missing.

Rows are broken here as planned, and values taken away. What is drawn and planted is channels.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from tasks.workloads.demo.channels_world import (
    CATEGORIES,
    COUNTRIES,
    HIGH_PER_VIEW,
    LOW_PER_VIEW,
    Channels,
    Floats,
    Ints,
    Texts,
)
from tasks.workloads.demo.planting import labels

NO_RANK = 4_057_944
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# fmt: off
WORDS = (
    "Amber", "Aspen", "Breeze", "Cedar", "Comet", "Coral", "Delta", "Ember", "Falcon", "Fern", "Garnet", "Harbor",
    "Indigo", "Jasper", "Kestrel", "Lagoon", "Maple", "Nimbus", "Oasis", "Pebble", "Quartz", "River", "Saffron",
    "Tundra", "Umber", "Violet", "Willow", "Xenon", "Yarrow", "Zephyr",
)
# fmt: on
NO_NUMBERS = ("about a thousand", "12.5.9", "see note", "1e", "##", "4 5 6 x")

EARNINGS = ("lowest_monthly_earnings", "highest_monthly_earnings", "lowest_yearly_earnings", "highest_yearly_earnings")
COUNTRY_FIGURES = (
    "Gross tertiary education enrollment (%)",
    "Population",
    "Unemployment rate",
    "Urban_population",
    "Latitude",
    "Longitude",
)
SOURCE_COLUMNS = (
    "rank",
    "Youtuber",
    "subscribers",
    "video views",
    "category",
    "Title",
    "uploads",
    "Country",
    "Abbreviation",
    "channel_type",
    "video_views_rank",
    "country_rank",
    "channel_type_rank",
    "video_views_for_the_last_30_days",
    *EARNINGS,
    "subscribers_for_last_30_days",
    "created_year",
    "created_month",
    "created_date",
    *COUNTRY_FIGURES,
)


def write(channels: Channels, fault: Texts, seed: int, drift: str | None) -> pl.DataFrame:
    """Break the rows as planned, take values away, and write the rest as the source writes it."""
    rng = np.random.Generator(np.random.PCG64([seed, 1]))
    broken = _break_numbers(channels, fault)
    money = _earnings(broken, fault)
    frame = pl.DataFrame(
        {**_text_columns(broken, fault, rng), **_number_columns(broken), **money, **_country_columns(broken)}
    )
    frame = _with_ranks(_break_text(frame, fault))
    if drift == "swap":
        # Its own stream, so that the rest of the frame stays as it is.
        frame = _swap_categories(frame, np.random.Generator(np.random.PCG64([seed, 2])))
    if drift == "unit":
        # Only clean rows: a hundredfold total would hide the faults that compare it.
        frame = frame.with_columns(pl.col("video views") * pl.Series(np.where(fault == "", 100, 1)))
    frame = _take_away(frame, broken, fault, rng, extra=0.05 if drift == "nulls" else 0.0)
    return frame.select(_as_written(frame, fault, rng))


def _break_numbers(channels: Channels, fault: Texts) -> Channels:
    views = np.where(fault == "views_below_subscribers", channels.subscribers // 3, channels.views)
    views_30d = np.where(fault == "views_below_subscribers", views // 50, channels.views_30d)
    early = np.datetime64("1970-01-01") + (channels.uploads % 12_000).astype("timedelta64[D]")
    return replace(
        channels,
        uploads=np.where(fault == "negative_uploads", -channels.uploads, channels.uploads),
        views=views,
        views_30d=np.where(fault == "recent_above_total", views + views // 2 + 1, views_30d),
        created_day=np.where(fault == "created_too_early", early, channels.created_day),
    )


def _earnings(channels: Channels, fault: Texts) -> dict[str, Floats]:
    crossed = fault == "low_above_high"
    low = channels.views_30d * np.where(crossed, HIGH_PER_VIEW, LOW_PER_VIEW)
    high = channels.views_30d * np.where(crossed, LOW_PER_VIEW, HIGH_PER_VIEW)
    months = np.where(fault == "monthly_above_yearly", 0.25, 12.0)
    amounts = (low, high, low * months, high * months)
    return {name: np.round(amount, 4) for name, amount in zip(EARNINGS, amounts, strict=True)}


def _text_columns(channels: Channels, fault: Texts, rng: np.random.Generator) -> dict[str, pl.Series]:
    rows = len(fault)
    number = np.arange(1, rows + 1)
    twins = np.flatnonzero(fault == "duplicate_channel")
    number[twins[1::2]] = number[twins[::2]]
    names = pl.Series(number).cast(pl.String).str.zfill(6)
    words = labels(tuple(WORDS), number % len(WORDS))
    channel = "Channel " + names + " " + words
    return {
        "Youtuber": channel,
        "Title": channel.zip_with(pl.Series(rng.random(rows) < 0.86), words + " TV"),
        "category": labels(tuple(CATEGORIES), channels.category),
        "channel_type": pl.Series(channels.channel_type, dtype=pl.String),
    }


def _number_columns(channels: Channels) -> dict[str, Ints | pl.Series]:
    days = pl.Series(channels.created_day.astype("datetime64[D]"))
    return {
        "subscribers": channels.subscribers,
        "video views": channels.views,
        "uploads": channels.uploads,
        "video_views_for_the_last_30_days": channels.views_30d,
        "subscribers_for_last_30_days": channels.growth,
        "created_year": days.dt.year().cast(pl.Int64),
        "created_month": labels(MONTHS, days.dt.month().cast(pl.Int64).to_numpy() - 1),
        "created_date": days.dt.day().cast(pl.Int64),
    }


def _country_columns(channels: Channels) -> dict[str, pl.Series]:
    table = list(zip(*COUNTRIES.values(), strict=True))
    figures = dict(zip(COUNTRY_FIGURES, table[3:], strict=True))
    columns = {"Country": tuple(COUNTRIES), "Abbreviation": table[0]} | figures
    codes = pl.Series(channels.country)
    return {name: pl.Series(list(values)).gather(codes) for name, values in columns.items()}


def _break_text(frame: pl.DataFrame, fault: Texts) -> pl.DataFrame:
    codes = [row[0] for row in COUNTRIES.values()]
    # The next country's code is always another code.
    following = dict(zip(codes, codes[1:] + codes[:1], strict=True))
    wrong = pl.Series(fault == "country_code_mismatch")
    return frame.with_columns(
        pl.when(wrong).then(pl.col("Abbreviation").replace(following)).otherwise(pl.col("Abbreviation"))
    )


def _with_ranks(frame: pl.DataFrame) -> pl.DataFrame:
    by_subscribers = pl.col("subscribers").rank("ordinal", descending=True).cast(pl.Int64)
    return frame.with_columns(
        by_subscribers.alias("rank"),
        pl.col("video views").rank("ordinal", descending=True).cast(pl.Int64).alias("video_views_rank"),
        by_subscribers.over("Country").alias("country_rank"),
        by_subscribers.over("channel_type").alias("channel_type_rank"),
    )


def _swap_categories(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    names = list(CATEGORIES)
    other = dict(zip(names, names[5:] + names[:5], strict=True))
    swapped = pl.Series(rng.random(frame.height) < 0.2)
    return frame.with_columns(pl.when(swapped).then(pl.col("category").replace(other)).otherwise(pl.col("category")))


def _take_away(
    frame: pl.DataFrame, channels: Channels, fault: Texts, rng: np.random.Generator, extra: float
) -> pl.DataFrame:
    """Make values missing, together where the source loses them together; growth is lost the more the smaller it is."""
    clean = fault == ""
    log_growth = np.log(channels.growth)
    small = (np.median(log_growth) - log_growth) / max(log_growth.std(), 1e-9)
    lost = {
        ("subscribers_for_last_30_days",): 1 / (1 + np.exp(0.95 - 0.9 * small)),
        ("video_views_for_the_last_30_days", *EARNINGS): np.full(frame.height, 0.04 + extra),
        ("Country", "Abbreviation", "country_rank", *COUNTRY_FIGURES): np.full(frame.height, 0.08),
        ("category",): np.full(frame.height, 0.04 + extra),
        ("channel_type", "channel_type_rank"): np.full(frame.height, 0.03 + extra),
        ("created_year", "created_month", "created_date"): np.full(frame.height, 0.005 + extra),
    }
    for names, chance in lost.items():
        gone = pl.Series((rng.random(frame.height) < chance) & clean)
        frame = frame.with_columns(pl.when(~gone).then(pl.col(name)).alias(name) for name in names)
    unranked = pl.Series(rng.random(frame.height) < 0.036)
    return frame.with_columns(pl.when(unranked).then(NO_RANK).otherwise("video_views_rank").alias("video_views_rank"))


def _as_written(frame: pl.DataFrame, fault: Texts, rng: np.random.Generator) -> list[pl.Expr]:
    """Return the columns in the source's order; one that misses values is text with ``nan`` for them."""
    unreadable = labels(NO_NUMBERS, rng.integers(0, len(NO_NUMBERS), frame.height))
    uploads = pl.when(pl.Series(fault == "unparseable_number")).then(pl.lit(unreadable))
    written = {"uploads": uploads.otherwise(pl.col("uploads").cast(pl.String)).alias("uploads")}
    missing = {name for name in frame.columns if frame[name].null_count()}
    return [written.get(name, _spelled(name, name in missing)) for name in SOURCE_COLUMNS]


def _spelled(name: str, missing: bool) -> pl.Expr:
    return pl.col(name).cast(pl.String).fill_null("nan") if missing else pl.col(name)
