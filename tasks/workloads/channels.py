"""Channels: a YouTube channel's subscribers, yearly earnings and 30-day growth, from one row per channel.

Feast objects: feature_repo/channels.py. Contract: expectations/channels.py. Demo rows: demo/channels.py.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tasks.workloads.demo.channels import generate
from tasks.workloads.spec import (
    Archetypes,
    Candidate,
    Column,
    Feature,
    Influence,
    Lever,
    Slice,
    Target,
    Workload,
)

# What the source writes where it has no rank.
NO_RANK = 4_057_944.0

MONTH_DAYS = 30.44


def derive(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Turn accepted channel rows into features.

    Ages count from the row's own ``observed_at``, never from the clock. A ratio whose parts are missing, or whose
    denominator is zero, is missing. Adds the declared features; keeps the other columns.
    """
    created = pl.date(pl.col("created_year"), pl.col("created_month").fill_null(7), 1)
    age_years = (pl.col("observed_at").dt.date() - created).dt.total_days() / 365.25
    uploads = pl.col("uploads").cast(pl.Float64)
    known_uploads = pl.when(uploads > 0).then(uploads)
    views = pl.col("video_views").cast(pl.Float64)
    known_views = pl.when(views > 0).then(views)
    population = pl.col("population").cast(pl.Float64)
    views_30d = pl.col("views_30d").cast(pl.Float64)
    subscribers = pl.col("subscribers").cast(pl.Float64)
    return rows.with_columns(
        age_years=age_years,
        uploads_total=known_uploads,
        uploads_per_year=known_uploads / pl.when(age_years > 0.25).then(age_years),
        views_total=known_views,
        views_per_upload=known_views / known_uploads,
        views_per_year=known_views / pl.when(age_years > 0.25).then(age_years),
        subscribers_now=subscribers,
        views_per_subscriber=known_views / pl.when(subscribers > 0).then(subscribers),
        views_last_30d=views_30d,
        recent_view_share=pl.when(views_30d <= known_views).then(views_30d / known_views),
        recent_views_per_upload=views_30d / known_uploads,
        country_population=population,
        country_urban_share=pl.col("urban_population") / population,
        country_unemployment=pl.col("unemployment_rate"),
        country_tertiary_enrolment=pl.col("tertiary_enrolment"),
    )


def aged(years: pl.Expr) -> Mapping[str, pl.Expr]:
    """Return when a channel began that was *years* old when its row was seen, to the month."""
    created = pl.col("observed_at").dt.date() - pl.duration(days=years * 365.25)
    return {"created_year": created.dt.year(), "created_month": created.dt.month()}


# What contains a channel's recent views, from which the source computes its earnings.
RECENT = ("views_last_30d", "recent_view_share", "recent_views_per_upload")

CHANNELS = Workload(
    name="channels",
    title="YouTube channels",
    entity="channel",
    event_time="observed_at",
    newest_year="created_year",
    derive=derive,
    generate=generate,
    columns=(
        Column("channel", "text", "the channel's name, unique", aliases=("youtuber", "channel_name"), required=True),
        Column(
            "observed_at",
            "datetime",
            "when the row was seen; of the source where it says so",
            aliases=("date_utc", "snapshot_date"),
        ),
        Column("rank", "int", "rank by subscribers"),
        Column("title", "text", "the channel's title"),
        Column("subscribers", "int", "subscribers at the snapshot", unit="subscribers", required=True),
        Column("video_views", "int", "views since the channel began", unit="views"),
        Column("category", "category", "category of the channel's videos"),
        Column("channel_type", "category", "type of channel, another vocabulary than category"),
        Column("uploads", "int", "videos uploaded since the channel began", unit="videos", required=True),
        Column("country", "category", "country of origin", required=True),
        Column("abbreviation", "category", "two-letter country code", unit="ISO 3166-1 alpha-2"),
        Column("video_views_rank", "int", "rank by views", sentinels=(NO_RANK,)),
        Column("country_rank", "int", "rank by subscribers within the country"),
        Column("channel_type_rank", "int", "rank by subscribers within the channel type"),
        Column(
            "views_30d", "int", "views of the last 30 days", unit="views", aliases=("video_views_for_the_last_30_days",)
        ),
        Column("lowest_monthly_earnings", "float", "lower estimate of a month's earnings", unit="US$"),
        Column("highest_monthly_earnings", "float", "upper estimate of a month's earnings", unit="US$"),
        Column("lowest_yearly_earnings", "float", "lower estimate of a year's earnings", unit="US$"),
        Column(
            "highest_yearly_earnings",
            "float",
            "upper estimate of a year's earnings",
            unit="US$",
            # The source writes 0 where it has no 30-day views to compute from: a missing label is never zero.
            sentinels=(0.0,),
        ),
        Column(
            "subscribers_30d",
            "int",
            "subscribers gained in the last 30 days",
            unit="subscribers",
            aliases=("subscribers_for_last_30_days",),
        ),
        Column("created_year", "int", "year of creation", unit="year"),
        Column("created_month", "month", "month of creation", unit="1 to 12"),
        Column("created_date", "int", "day of creation", unit="day of month"),
        Column(
            "tertiary_enrolment",
            "float",
            "the country's gross tertiary enrolment",
            unit="%",
            aliases=("gross_tertiary_education_enrollment",),
        ),
        Column("population", "int", "the country's population", unit="people"),
        Column("unemployment_rate", "float", "the country's unemployment rate", unit="%"),
        Column("urban_population", "int", "the country's urban population", unit="people"),
        Column("latitude", "float", "the country's latitude", unit="degrees north"),
        Column("longitude", "float", "the country's longitude", unit="degrees east"),
    ),
    features=(
        Feature("uploads_total", "float", "videos uploaded; a channel with none known is missing", "videos"),
        Feature("age_years", "float", "years from creation to the snapshot", "years"),
        Feature("category", "category", "category of the channel's videos"),
        Feature("country", "category", "country of origin"),
        Feature("channel_type", "category", "type of channel"),
        Feature("uploads_per_year", "float", "uploads over age", "videos per year"),
        Feature("views_total", "float", "views since the channel began", "views"),
        Feature("views_per_upload", "float", "views over uploads", "views per video"),
        Feature("views_per_year", "float", "views over age", "views per year"),
        Feature("subscribers_now", "float", "subscribers at the snapshot", "subscribers"),
        Feature("views_per_subscriber", "float", "views over subscribers", "views per subscriber"),
        Feature("views_last_30d", "float", "views of the last 30 days", "views"),
        Feature("recent_view_share", "float", "share of all views that came in the last 30 days", "share"),
        Feature("recent_views_per_upload", "float", "views of the last 30 days over uploads", "views per video"),
        Feature("country_population", "float", "the country's population", "people"),
        Feature("country_urban_share", "float", "share of the country's people who live in cities", "share"),
        Feature("country_unemployment", "float", "the country's unemployment rate", "%"),
        Feature("country_tertiary_enrolment", "float", "the country's gross tertiary enrolment", "%"),
    ),
    targets=(
        Target(
            "subscribers",
            "subscribers",
            "subscribers at the snapshot",
            "subscribers",
            blind_to=("subscribers_now", "views_per_subscriber"),
        ),
        Target(
            "earnings",
            "highest_yearly_earnings",
            "upper estimate of a year's earnings",
            "US$",
            # The source computes earnings as a fixed multiple of the last 30 days' views.
            blind_to=RECENT,
        ),
        Target("growth", "subscribers_30d", "subscribers gained in the last 30 days", "subscribers"),
    ),
    always_known=("uploads_total", "category", "country", "age_years"),
    candidates=(
        Candidate("random_forest", {"trees": 40, "min_leaf": 3}),
        Candidate("catboost", {"rounds": 150, "depth": 4, "learning_rate": 0.12}),
        Candidate("hist_gradient_boosting", {"rounds": 120, "learning_rate": 0.1, "leaves": 12}),
        Candidate("xgboost", {"rounds": 200, "depth": 4, "learning_rate": 0.1}),
        Candidate("mlp", {"hidden": 64, "epochs": 60, "learning_rate": 0.01, "batch": 256}),
        Candidate("elastic_net", {"alpha": 0.01, "l1_ratio": 0.3}),
    ),
    group="category",
    slices=(
        Slice("category", "category"),
        Slice("country", "country"),
        Slice("size", "subscribers", (15e6, 25e6, 50e6), ("under 15 M", "15–25 M", "25–50 M", "over 50 M")),
    ),
    archetypes=Archetypes(
        features=("uploads_total", "subscribers", "subscribers_30d", "highest_yearly_earnings", "views_per_upload"),
        log=("uploads_total", "subscribers", "subscribers_30d", "highest_yearly_earnings", "views_per_upload"),
        rules={
            "viral entertainers": (("subscribers_30d", "high", 0.75), ("highest_yearly_earnings", "high", 0.6)),
            "consistent educators": (("category=Education|Howto & Style|Science & Technology", "high", 0.6),),
            "high earning low upload": (("highest_yearly_earnings", "high", 0.5), ("uploads_total", "low", 0.4)),
            "high upload low growth": (("uploads_total", "high", 0.6), ("subscribers_30d", "low", 0.4)),
            "high-volume publishers": (("uploads_total", "high", 0.8), ("views_per_upload", "low", 0.2)),
            "slow growers": (("subscribers_30d", "low", 0.4), ("highest_yearly_earnings", "low", 0.45)),
        },
    ),
    influence=Influence(
        by=("country", "category"),
        amounts=("video_views", "subscribers", "highest_yearly_earnings"),
        codes={"country": "abbreviation"},
    ),
    levers=(
        Lever("uploads", "uploads_total", "uploads", low=1, high=1_000_000),
        Lever("category", "category", "category"),
        Lever(
            "country",
            "country",
            "country",
            brings=("abbreviation", "population", "unemployment_rate", "urban_population", "tertiary_enrolment"),
        ),
        # The oldest channel could be 21 today: YouTube opened in 2005.
        Lever("age", "age_years", low=0, high=21, sets=aged),
    ),
)
