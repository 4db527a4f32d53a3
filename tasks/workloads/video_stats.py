"""Video stats: a video's next views, likes and comments, from one row per look at it, at uneven intervals.

Feast objects: feature_repo/video_stats.py. Contract: expectations/video_stats.py. Demo rows: demo/video_stats.py. To
ask what a video will have in six hours, add a row for that moment without counts: it is answered from the last look.
"""

from __future__ import annotations

from math import log

import polars as pl

from tasks.workloads.demo.video_stats import generate
from tasks.workloads.spec import Candidate, Column, Feature, Gate, Holdout, RowTable, Slice, Target, Workload

COUNTS = ("views", "likes", "comments")
HOURS = (6, 24, 72)
# What a sequence remembers: so many looks, each with its three counts and their growth, on a log scale.
STEPS, WIDTH = 20, 2 * len(COUNTS)
# Growth that is more than a fifth of the day's above or below it counts as rising or fading, also where counts fall.
STEADY = 0.2
# Looks seconds apart would make growth of what is the noise of counting; no rate is taken over less than a minute.
SHORTEST_HOURS = 1 / 60
# A trend is carried no further than to this many times the count it starts from.
TREND_MOST = 10.0
PLACE, LOOKED = "_place", "_looked_at"
KEY, AT = "video_id", "observed_at"
HUBER = {"loss": "pseudo_huber", "huber_slope": 0.1}


def derive(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Turn accepted looks into features, in the rows' own order.

    A row is told what the last earlier look with a count of views said, and never its own counts: so a row of the past
    teaches what a row of the future asks. Growth is taken over elapsed hours, not over rows.
    Adds the declared features.
    """
    known = _known(rows)
    for hours in HOURS:
        known = _over(known, hours)
    known = known.with_columns(_history()).select(KEY, AT, *_told())
    placed = rows.with_row_index(PLACE).sort(AT, PLACE)
    joined = placed.join_asof(
        known.with_columns(pl.col(AT).alias(LOOKED)).sort(AT),
        on=AT,
        by=KEY,
        allow_exact_matches=False,
        check_sortedness=False,
    )
    return joined.with_columns(_asked()).with_columns(_trends()).sort(PLACE).drop(PLACE, LOOKED)


def _known(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return the looks that saw something, in order: log counts, hours since the look before, growth per hour since.

    Likes or comments that a look did not see are as they were.
    """
    seen = rows.filter(pl.col("views").is_not_null() & pl.col(AT).is_not_null() & pl.col(KEY).is_not_null())
    looks = seen.select(KEY, AT, *COUNTS).unique([KEY, AT], keep="last", maintain_order=True).sort(KEY, AT)
    counts = {each: pl.col(each).cast(pl.Float64).forward_fill().over(KEY) for each in COUNTS}
    logs = {f"log_{each}": count.clip(0).log1p() for each, count in counts.items()}
    before = pl.col(AT).shift(1).over(KEY)
    dated = looks.with_columns(
        **counts,
        **logs,
        gap=_hours(pl.col(AT) - before).clip(SHORTEST_HOURS),
        looks=pl.int_range(pl.len()).over(KEY) + 1.0,
    )
    step = [
        ((pl.col(f"log_{each}") - pl.col(f"log_{each}").shift(1).over(KEY)) / pl.col("gap")).alias(f"growth_{each}")
        for each in COUNTS
    ]
    return dated.with_columns(step)


def _hours(span: pl.Expr) -> pl.Expr:
    return span.dt.total_microseconds() / 3_600_000_000


def _over(known: pl.LazyFrame, hours: int) -> pl.LazyFrame:
    """Add the growth per hour of each count since the newest look at least *hours* before, by the time between them."""
    then = known.select(
        KEY, pl.col(AT).alias("then"), *(pl.col(f"log_{each}").alias(f"then_{each}") for each in COUNTS)
    )
    asked = known.with_columns((pl.col(AT) - pl.duration(hours=hours)).alias("asked")).sort("asked")
    joined = asked.join_asof(then.sort("then"), left_on="asked", right_on="then", by=KEY, check_sortedness=False)
    elapsed = _hours(pl.col(AT) - pl.col("then"))
    grown = [
        ((pl.col(f"log_{each}") - pl.col(f"then_{each}")) / elapsed).alias(f"growth_{each}_{hours}h") for each in COUNTS
    ]
    gained = ((pl.col("views") - pl.col("then_views").exp() + 1) / elapsed).alias(f"views_per_hour_{hours}h")
    return joined.with_columns(*grown, gained).drop("asked", "then", *(f"then_{each}" for each in COUNTS)).sort(KEY, AT)


def _history() -> pl.Expr:
    """Return the last ``STEPS`` looks, oldest first, as one list; shorter where there were fewer."""
    step = pl.concat_list(*(f"log_{each}" for each in COUNTS), *(f"growth_{each}" for each in COUNTS))
    none = pl.lit([], dtype=pl.List(pl.Float64))
    steps = [
        pl.when(pl.col(KEY).shift(back) == pl.col(KEY)).then(step.shift(back)).otherwise(none)
        for back in range(STEPS - 1, 0, -1)
    ]
    return pl.concat_list(*steps, step).alias("history")


def _told() -> list[pl.Expr]:
    """Return what a later row is told of a look."""
    day, now = pl.col("growth_views_24h"), pl.coalesce("growth_views_6h", "growth_views")
    more, much = now - day, STEADY * day.abs()
    state = pl.when(more > much).then(pl.lit("rising")).when(more < -much).then(pl.lit("fading"))
    return [
        *(pl.col(each).alias(f"previous_{each}") for each in COUNTS),
        *(pl.col(f"growth_{each}") for each in COUNTS),
        *(pl.col(f"growth_{each}_{hours}h") for hours in HOURS for each in COUNTS),
        *(pl.col(f"views_per_hour_{hours}h") for hours in HOURS),
        pl.when(day.is_not_null() & now.is_not_null()).then(state.otherwise(pl.lit("steady"))).alias("trend_state"),
        (pl.col("likes") / (pl.col("views") + 1)).alias("like_rate"),
        (pl.col("comments") / (pl.col("views") + 1)).alias("comment_rate"),
        pl.col("looks").alias("looks_before"),
        pl.col("history"),
    ]


def _asked() -> list[pl.Expr]:
    at = pl.col(AT)
    return [
        _hours(at - pl.col(LOOKED)).alias("hours_ahead"),
        _hours(at - pl.col("published_at")).alias("age_hours"),
        at.dt.hour().cast(pl.Float64).alias("hour"),
        at.dt.strftime("%a").alias("weekday"),
    ]


def _trends() -> list[pl.Expr]:
    """Return each count as it will be if it grows on as it did over the last six hours, or since the look before."""
    made = []
    for each in COUNTS:
        rate = pl.coalesce(f"growth_{each}_6h", f"growth_{each}").fill_null(0.0)
        carried = (rate * pl.col("hours_ahead")).clip(upper_bound=log(TREND_MOST))
        trend = pl.col(f"previous_{each}") * carried.exp()
        made += [carried.alias(f"carried_{each}"), trend.alias(f"trend_{each}")]
    return made


def processed(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return every look with its features, but for the history, in order of video and time.

    One row per video and moment: of two looks that say otherwise the last row is kept, and neither is learned from.
    """
    told = rows.filter(pl.col(KEY).is_not_null() & pl.col(AT).is_not_null())
    looks = derive(told).drop("history").unique([KEY, AT], keep="last", maintain_order=True)
    return looks.sort(KEY, AT)


def hourly(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return per video and hour (UTC) its looks, its last counts, and what it gained."""
    return _aggregated(rows, "1h")


def daily(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Return per video and day (UTC) its looks, its last counts, and what it gained."""
    return _aggregated(rows, "1d")


def _aggregated(rows: pl.LazyFrame, every: str) -> pl.LazyFrame:
    """Aggregate the looks by video and time.

    A gain is per hour since the last look of the hour or day before that has one, by the time between the two; a look
    that hid a count is none for it. Of two looks at one moment the last row counts.
    """
    seen = rows.filter(pl.col(AT).is_not_null() & pl.col(KEY).is_not_null() & pl.col("views").is_not_null())
    looks = seen.unique([KEY, AT], keep="last", maintain_order=True).sort(KEY, AT)
    dated = looks.with_columns(pl.col(AT).dt.truncate(every).alias("begins"))
    last = [pl.col(name).drop_nulls().last() for name in COUNTS]
    seen_at = [pl.col(AT).filter(pl.col(name).is_not_null()).last().alias(f"{name}_at") for name in COUNTS]
    ordered = dated.group_by(KEY, "begins").agg(pl.len().alias("looks"), *last, *seen_at).sort(KEY, "begins")
    gains = [
        (_since_before(name) / _hours(_since_before(f"{name}_at")).clip(SHORTEST_HOURS)).alias(
            f"{name}_gained_per_hour"
        )
        for name in COUNTS
    ]
    return ordered.with_columns(gains).drop(f"{name}_at" for name in COUNTS)


def _since_before(name: str) -> pl.Expr:
    return pl.col(name) - pl.col(name).shift(1).over(KEY)


def _numbers(names: tuple[str, ...], meaning: str, unit: str) -> list[Feature]:
    return [Feature(name, "float", meaning, unit) for name in names]


VIDEO_STATS = Workload(
    name="video_stats",
    title="Video statistics",
    entity=KEY,
    event_time=AT,
    derive=derive,
    generate=generate,
    columns=(
        Column(KEY, "text", "the video's identifier", aliases=("id", "video"), required=True),
        Column(
            AT,
            "datetime",
            "when it was looked at, UTC",
            aliases=("snapshot_utc", "snapshot_date", "collected_at", "observed_utc", "timestamp"),
            required=True,
        ),
        Column("published_at", "datetime", "when it was published, UTC", aliases=("publish_time", "published")),
        Column("category", "category", "its category", aliases=("category_id",)),
        Column("country", "category", "where it trends"),
        Column("views", "int", "times it was watched so far", "views", aliases=("view_count",)),
        # The platform writes 0 where its owner switched likes or comments off.
        Column("likes", "int", "likes so far", "likes", aliases=("like_count",), sentinels=(0,)),
        Column(
            "comments",
            "int",
            "comments so far",
            "comments",
            aliases=("comment_count", "comment_total"),
            sentinels=(0,),
        ),
    ),
    features=(
        Feature("category", "category", "its category"),
        Feature("country", "category", "where it trends"),
        Feature("weekday", "category", "day of the week that is asked for"),
        Feature("hour", "float", "hour of the day that is asked for", "hours, UTC"),
        Feature("hours_ahead", "float", "hours from the last look to the moment that is asked for", "hours"),
        Feature("age_hours", "float", "hours since it was published", "hours"),
        *(Feature(f"previous_{each}", "float", f"{each} at the last look", each) for each in COUNTS),
        *_numbers(
            tuple(f"growth_{each}" for each in COUNTS), "growth from the look before to the last", "log per hour"
        ),
        *_numbers(
            tuple(f"growth_{each}_{hours}h" for hours in HOURS for each in COUNTS),
            "growth from the newest look so many hours before the last",
            "log per hour",
        ),
        *_numbers(tuple(f"views_per_hour_{hours}h" for hours in HOURS), "views gained per hour", "views per hour"),
        Feature("trend_state", "category", "rising, steady or fading: six hours' growth of views beside the day's"),
        Feature("like_rate", "float", "likes per view at the last look"),
        Feature("comment_rate", "float", "comments per view at the last look"),
        Feature("looks_before", "float", "looks at the video so far", "looks"),
        *_numbers(tuple(f"carried_{each}" for each in COUNTS), "growth to come if it goes on as it did", "log"),
        *(Feature(f"trend_{each}", "float", f"{each} if they grow on as they did", each) for each in COUNTS),
        Feature("history", "series", f"the last {STEPS} looks: log counts and their growth per hour", width=WIDTH),
    ),
    targets=tuple(
        Target(
            each, each, f"{each} at the moment asked for", each, "log1p", (), f"previous_{each}", f"trend_{each}", True
        )
        for each in COUNTS
    ),
    candidates=(
        Candidate("lstm", {"hidden": 32, "epochs": 60, "learning_rate": 0.002, "batch": 64}),
        # One network for the three counts, whose answer to its own target is kept.
        Candidate("lstm", {"hidden": 32, "epochs": 60, "learning_rate": 0.002, "batch": 64, "joint": True}),
        # A few videos leap: squares would have all trees learn those. See decision 0129 for what it is worth.
        Candidate("xgboost", {"rounds": 200, "depth": 4, "learning_rate": 0.1, **HUBER}),
        Candidate("random_forest", {"trees": 40, "min_leaf": 5}),
    ),
    # Looks within six hours of one another share what was going on; of a week, four folds and five blocks or more to be
    # judged on (decision 0137).
    holdout=Holdout(share=0.2, folds=4, repeats=1, block_hours=6, by="time"),
    gate=Gate(),
    group="category",
    tables={
        "video_stats_processed": RowTable(processed, (KEY, AT)),
        "hourly_aggregations": RowTable(hourly, (KEY, "begins")),
        "daily_aggregations": RowTable(daily, (KEY, "begins")),
    },
    slices=(
        Slice("category", "category"),
        Slice("hours ahead", "hours_ahead", (3, 12), ("up to 3 h", "3 to 12 h", "over 12 h")),
        Slice("looks before", "looks_before", (3, STEPS), ("1 or 2", "3 to 19", "20 or more")),
        Slice("trend", "trend_state"),
    ),
)
