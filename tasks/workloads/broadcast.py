"""Broadcast: rating, revenue, audience and engagement of a programme in a slot, from one row per airing.

Feast objects: feature_repo/broadcast.py. Contract: expectations/broadcast.py. Demo rows: demo/broadcast.py. A source
with only some of the four targets trains those; which timetable follows from them does not belong here.
"""

from __future__ import annotations

from datetime import time

import polars as pl

from tasks.workloads.airtime import Airtime
from tasks.workloads.demo.broadcast import generate
from tasks.workloads.demo.broadcast_timetable import timetable
from tasks.workloads.spec import Candidate, Column, Feature, Gate, Holdout, Slice, Target, Workload

LABELS = ("rating", "revenue", "audience", "engagement")

DAY, CLOCKED = "_day", "_clocked"
# A night's programmes belong to the evening they follow, as ratings count them.
DAY_BEGINS_HOUR = 5
# Days a programme aired, and days a slot was filled, that a recent mean is taken over.
RECENT_DAYS, SLOT_DAYS = 4, 8
LEAD_IN_HOURS = 4
IN_ORDER = ("airs_at", "programme")


def derive(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Turn accepted airings into features, in the rows' own order.

    What was known of a programme or a slot is what airings of earlier days say: the figures of a day are published on
    the next, so an airing sees neither itself nor its own evening. An airing whose time of day is not known has no slot
    and no lead-in. Adds the declared features; keeps the other columns.
    """
    placed = _placed(rows)
    filled = placed.filter(pl.col("slot").is_not_null())
    own, slots = _history(placed, "programme", RECENT_DAYS, "recent"), _history(filled, "slot", SLOT_DAYS, "slot")
    before = [pl.col(label).forward_fill().shift(1).over("programme").alias(f"previous_{label}") for label in LABELS]
    own = own.with_columns(
        *before,
        airings_before=pl.int_range(pl.len()).over("programme").cast(pl.Float64),
        days_since_previous=(pl.col(DAY) - pl.col(DAY).shift(1).over("programme")).dt.total_days().cast(pl.Float64),
    ).drop(LABELS)
    known = placed.join(own, on=["programme", DAY], how="left", maintain_order="left")
    known = known.join(slots.drop(LABELS), on=["slot", DAY], how="left", maintain_order="left")
    return known.with_columns(_lead_in()).drop(DAY, CLOCKED)


def _placed(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Say when each airing is: its day, its hour counted from that day's midnight, its slot, the time of the year."""
    at = pl.col("airs_at")
    clocked = rows.with_columns((pl.col("slot_start").is_not_null() | (at.dt.time() != time())).alias(CLOCKED))
    early = pl.when(pl.col(CLOCKED)).then(pl.duration(hours=DAY_BEGINS_HOUR)).otherwise(pl.duration(hours=0))
    dated = clocked.with_columns((at - early).dt.date().alias(DAY))
    hour = (at - pl.col(DAY).cast(pl.Datetime("us", "UTC"))).dt.total_minutes() / 60
    angle = 2 * 3.141592653589793 * pl.col(DAY).dt.ordinal_day() / 365.25
    placed = dated.with_columns(
        weekday=pl.col(DAY).dt.strftime("%a"),
        hour=pl.when(pl.col(CLOCKED)).then(hour),
        season_cos=angle.cos(),
        season_sin=angle.sin(),
        slot_minutes=pl.col("slot_minutes").cast(pl.Float64),
        promo_spots=pl.col("promo_spots").cast(pl.Float64),
    )
    whole_hour = pl.col("hour").floor().cast(pl.Int64).cast(pl.String)
    return placed.with_columns(slot=pl.concat_str("network", "weekday", whole_hour, separator=" "))


def _history(placed: pl.LazyFrame, key: str, days: int, name: str) -> pl.LazyFrame:
    """Return each *key*'s days in order: a day's last known labels and, before it, the mean of the last *days*."""
    last = [pl.col(label).cast(pl.Float64).sort_by(IN_ORDER).drop_nulls().last() for label in LABELS]
    daily = placed.group_by(key, DAY).agg(last).sort(key, DAY)
    return daily.with_columns(
        pl.col(label).shift(1).rolling_mean(days, min_samples=1).over(key).alias(f"{name}_{label}") for label in LABELS
    )


def _lead_in() -> list[pl.Expr]:
    """Return what is known of the programme that starts before this one on its network, the same evening."""

    def before(name: str) -> pl.Expr:
        return pl.col(name).shift(1).over("network", order_by=IN_ORDER)

    near = (pl.col("airs_at") - before("airs_at")) <= pl.duration(hours=LEAD_IN_HOURS)
    there = near & (before(DAY) == pl.col(DAY)) & pl.col("network").is_not_null() & pl.col(CLOCKED) & before(CLOCKED)
    taken = {"lead_in_genre": "genre", "lead_in_audience": "recent_audience", "lead_in_rating": "recent_rating"}
    return [pl.when(there).then(before(column)).alias(name) for name, column in taken.items()]


UNITS = {"rating": "%", "revenue": "US$", "audience": "viewers", "engagement": "% of viewers"}

BROADCAST = Workload(
    name="broadcast",
    title="TV broadcast",
    entity="programme",
    event_time="airs_at",
    derive=derive,
    generate=generate,
    columns=(
        Column("programme", "text", "the programme's name", aliases=("show", "title", "program"), required=True),
        Column(
            "airs_at",
            "datetime",
            "when the airing begins, by the network's own clock",
            aliases=("airdate", "air_date", "broadcast_at"),
            required=True,
            clock="slot_start",
        ),
        Column("slot_start", "text", "time of day at which the slot begins", "HH:MM", aliases=("start_time", "time")),
        Column("slot_minutes", "float", "length of the slot", "minutes", aliases=("duration_minutes", "runtime")),
        Column("network", "category", "who broadcasts it", aliases=("channel", "station")),
        Column("country", "category", "where it is broadcast"),
        Column("genre", "category", "genre of the programme"),
        Column("kind", "category", "a premiere or a repeat"),
        Column("promo_spots", "int", "times the airing was announced beforehand", "spots"),
        Column(
            "rating",
            "float",
            "share of people aged 18 to 49 who watched",
            "%",
            aliases=("rating_18_49", "18_49_rating"),
            # A public source keeps ratings in two digits and two decimals, and writes this where one did not fit.
            sentinels=(9.99,),
        ),
        Column("revenue", "float", "what its advertising brought", "US$", aliases=("ad_revenue",)),
        Column("audience", "int", "people who watched", "viewers", aliases=("viewers",)),
        Column("engagement", "float", "viewers who voted, posted or used the second screen", "% of viewers"),
    ),
    features=(
        Feature("network", "category", "who broadcasts it"),
        Feature("country", "category", "where it is broadcast"),
        Feature("genre", "category", "genre of the programme"),
        Feature("kind", "category", "a premiere or a repeat"),
        Feature("slot", "category", "network, weekday and hour together"),
        Feature("weekday", "category", "day of the week the evening belongs to"),
        Feature("hour", "float", "start, counted from the midnight before the day; 25 is one at night", "hours"),
        Feature("slot_minutes", "float", "length of the slot", "minutes"),
        Feature("promo_spots", "float", "times the airing was announced beforehand", "spots"),
        Feature("season_cos", "float", "time of the year: 1 at New Year, -1 in midsummer"),
        Feature("season_sin", "float", "time of the year: 1 in spring, -1 in autumn"),
        Feature("airings_before", "float", "earlier days on which the programme aired", "days"),
        Feature("days_since_previous", "float", "days since the programme aired before", "days"),
        *(Feature(f"previous_{each}", "float", f"the programme's last known {each}", UNITS[each]) for each in LABELS),
        *(
            Feature(f"recent_{each}", "float", f"mean {each} of the last {RECENT_DAYS} days it aired", UNITS[each])
            for each in LABELS
        ),
        *(
            Feature(f"slot_{each}", "float", f"mean {each} of the slot's last {SLOT_DAYS} days", UNITS[each])
            for each in LABELS
        ),
        Feature("lead_in_genre", "category", "genre of the programme that starts before it on the network"),
        Feature("lead_in_audience", "float", "mean audience of that programme on earlier days", "viewers"),
        Feature("lead_in_rating", "float", "mean rating of that programme on earlier days", "%"),
    ),
    targets=(
        Target("rating", "rating", "share of people aged 18 to 49 who watch", "%", previous="previous_rating"),
        Target("revenue", "revenue", "what its advertising brings", "US$", previous="previous_revenue"),
        Target("audience", "audience", "people who watch", "viewers", previous="previous_audience"),
        Target(
            "engagement",
            "engagement",
            "viewers who vote, post or use the second screen",
            "% of viewers",
            previous="previous_engagement",
        ),
    ),
    # What a timetable says of a programme that never aired before.
    always_known=(
        *("network", "country", "genre", "kind", "slot", "weekday", "hour"),
        *("slot_minutes", "season_cos", "season_sin"),
    ),
    candidates=(
        Candidate("random_forest", {"trees": 40, "min_leaf": 3}),
        Candidate("xgboost", {"rounds": 200, "depth": 4, "learning_rate": 0.1}),
        Candidate("catboost", {"rounds": 150, "depth": 4, "learning_rate": 0.12}),
        Candidate("hist_gradient_boosting", {"rounds": 120, "learning_rate": 0.1, "leaves": 12}),
        Candidate("mlp", {"hidden": 64, "epochs": 60, "learning_rate": 0.01, "batch": 256}),
        Candidate("elastic_net", {"alpha": 0.01, "l1_ratio": 0.3}),
    ),
    # Programmes of one day share its weather, its rivals and its news: a day stays on one side.
    holdout=Holdout(share=0.2, folds=4, repeats=1, block_hours=24, by="time"),
    # Below this a timetable built on the predictions would follow their noise.
    gate=Gate(min_r2=0.7),
    group="slot",
    airtime=Airtime(
        revenue="revenue",
        audience="audience",
        clock="slot_start",
        minutes="slot_minutes",
        genre="genre",
        of_slot=("network", "country"),
        of_programme=("kind", "promo_spots"),
        by_neighbours=("lead_in_genre", "lead_in_audience", "lead_in_rating"),
        day_begins_hour=DAY_BEGINS_HOUR,
        demo=timetable,
    ),
    slices=(
        Slice("network", "network"),
        Slice("genre", "genre"),
        Slice("daypart", "hour", (12, 18, 20, 23), ("morning", "afternoon", "early evening", "prime time", "night")),
    ),
)
