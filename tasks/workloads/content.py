"""Content: how a video will trend and engage, before it is published, from what is known then and what went before.

Feast objects: feature_repo/content.py. Contract: expectations/content.py. Demo rows: demo/content.py. How a row's
features are made is ``content_history``'s and ``content_wording``'s. A video without outcomes breaks nothing: it is
what is asked about; the rows before it are its history.
"""

from __future__ import annotations

import polars as pl

from tasks.workloads.content_history import OUTCOMES, SETTLED_DAYS, STEPS, WIDTH, with_history
from tasks.workloads.content_wording import with_wording
from tasks.workloads.demo.content import generate
from tasks.workloads.spec import Candidate, Column, Feature, Holdout, Slice, Target, Threshold, Workload

# A video that stays in the list for so many days has trended: half of those that enter it leave it sooner.
TREND_DAYS = 5
NETWORK = {"dimension": 16, "layers": 1, "hidden": 16, "epochs": 12, "learning_rate": 0.005, "batch": 64}
# What an editor would go by: a channel that is heard, a title that fits a screen, an hour at which people are awake.
OF_A_TREND: tuple[Threshold, ...] = (
    ("channel_trend", "high", 0.4),
    ("category_trend", "high", 0.4),
    ("title_chars", "low", 60.0),
    ("tag_count", "high", 8.0),
)


def derive(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Turn accepted videos into features, in the rows' own order: from the row's text, and from what was known before.

    A moment at midnight sharp is a day whose hour is not known.
    """
    at = pl.col("published_at")
    hour = at.dt.hour().cast(pl.Float64) + at.dt.minute() / 60
    timed = with_wording(rows).with_columns(
        hour=pl.when(at.dt.time() != pl.time(0)).then(hour),
        weekday=at.dt.strftime("%a"),
        minutes=pl.col("duration_seconds") / 60,
    )
    return with_history(timed)


def _entry() -> pl.Expr:
    named = pl.concat_str("country", "video_id", separator="/", ignore_nulls=True)
    return pl.when(pl.col("video_id").is_not_null()).then(named)


def _trend() -> pl.Expr:
    """Say whether it trended; missing, whatever was seen so far, where the list was not looked at for a week since.

    To keep those that trended sooner would leave the newest days with nothing but them.
    """
    settled = pl.col("observed_until") - pl.col("published_at") >= pl.duration(days=SETTLED_DAYS)
    return pl.when(settled.fill_null(True)).then(pl.col("days_trending") >= TREND_DAYS).cast(pl.Int64)


def _per_view(count: str) -> pl.Expr:
    return pl.col(count) / pl.col("views")


def _quality() -> pl.Expr:
    return pl.col("likes") / (pl.col("likes") + pl.col("dislikes"))


def _wording(name: str, meaning: str, unit: str = "") -> Feature:
    return Feature(name, "float", meaning, unit, aspect="wording")


def _record(whose: str, aspect: str) -> tuple[Feature, ...]:
    lately = {
        "trend": f"share of the {whose}'s last videos that trended",
        "like_rate": f"mean likes per view of the {whose}'s last videos",
        "comment_rate": f"mean comments per view of the {whose}'s last videos",
        "quality": f"mean share of likes among likes and dislikes of the {whose}'s last videos",
        "views": f"mean logarithm of the views of the {whose}'s last videos",
        "momentum": f"share of the {whose}'s last three videos that trended, less that of its last ones",
    }
    return tuple(Feature(f"{whose}_{name}", "float", meaning, aspect=aspect) for name, meaning in lately.items())


CONTENT = Workload(
    name="content",
    title="Videos before they are published",
    entity="video",
    event_time="published_at",
    derive=derive,
    generate=generate,
    columns=(
        Column("video", "text", "the video, in a country where the source names one", made=_entry),
        Column("video_id", "text", "the video's identifier", aliases=("id",), required=True),
        Column("country", "category", "where it is shown", "ISO 3166"),
        Column(
            "published_at",
            "datetime",
            "when it is published, UTC; the day it was first listed where that is all there is",
            aliases=("publish_time", "published", "first_trending_date"),
            required=True,
        ),
        Column(
            "known_at",
            "datetime",
            "when its counts were read, UTC: no earlier video knows of them",
            aliases=("last_trending_date", "snapshot_utc", "counted_at"),
        ),
        Column("observed_until", "datetime", "when the list of trending videos was last looked at, UTC"),
        Column("title", "text", "its title", required=True),
        Column("tags", "text", "its tags, bars between them", sentinels=("[none]",)),
        Column("channel", "category", "whose it is", aliases=("channel_title", "channel_name")),
        Column("category", "category", "its niche", aliases=("niche",)),
        Column("duration_seconds", "float", "its length", "seconds", aliases=("duration_s", "duration")),
        Column("subscribers", "float", "subscribers of its channel that day", "subscribers"),
        Column("views", "int", "times it was watched", "views", aliases=("view_count", "views_first"), sentinels=(0,)),
        # The platform writes 0 where its owner switched likes or comments off.
        Column("likes", "int", "likes", "likes", aliases=("like_count", "likes_first"), sentinels=(0,)),
        Column("dislikes", "int", "dislikes", "dislikes", aliases=("dislike_count", "dislikes_first")),
        Column("comments", "int", "comments", "comments", aliases=("comment_count", "comments_first"), sentinels=(0,)),
        Column("days_trending", "int", "days it was in the list of trending videos", "days"),
        Column("trend", "int", f"1 if it was in the list for {TREND_DAYS} days or more, else 0", "0 or 1", made=_trend),
        Column("like_rate", "float", "likes per view", "share", made=lambda: _per_view("likes")),
        Column("comment_rate", "float", "comments per view", "share", made=lambda: _per_view("comments")),
        Column("quality", "float", "likes among likes and dislikes", "share", made=_quality),
    ),
    features=(
        Feature("title", "text", "its title"),
        Feature("tags", "text", "its tags, bars between them"),
        _wording("title_chars", "letters of its title", "letters"),
        _wording("title_words", "words of its title", "words"),
        _wording("title_capitals", "share of its title's letters that are capitals"),
        _wording("title_digits", "digits in its title", "digits"),
        _wording("title_asks", "question marks in its title"),
        _wording("title_exclaims", "exclamation marks in its title"),
        _wording("title_marks", "bars, brackets and colons in its title"),
        _wording("title_emoji", "emoji in its title"),
        Feature("tag_count", "float", "tags", "tags", aspect="tags"),
        Feature("tag_chars", "float", "letters of a tag, on average", "letters", aspect="tags"),
        Feature("tags_in_title", "float", "share of its title's words that are tags, too", aspect="tags"),
        Feature("hour", "float", "hour of the day", "hours, UTC", aspect="timing"),
        Feature("weekday", "category", "day of the week", aspect="timing"),
        Feature("minutes", "float", "its length", "minutes", aspect="form"),
        Feature("country", "category", "where it is shown", aspect="form"),
        Feature("category", "category", "its niche", aspect="niche"),
        *_record("category", "niche"),
        Feature("subscribers", "float", "subscribers of its channel that day", "subscribers", aspect="channel"),
        Feature(
            "channel_pause", "float", "days since its channel's video before was published", "days", aspect="channel"
        ),
        *_record("channel", "channel"),
        Feature(
            "channel_videos", "float", f"its channel's videos with known outcomes, {STEPS} for more", aspect="channel"
        ),
        Feature(
            "results",
            "series",
            f"the last {STEPS} results ({', '.join(OUTCOMES)}) of its channel, or else of its niche",
            width=WIDTH,
        ),
    ),
    targets=(
        Target(
            *("trend", "trend", f"chance that it trends for {TREND_DAYS} days or more", "chance", "chance"),
            previous="channel_trend",
            rule=OF_A_TREND,
        ),
        Target("like_rate", "like_rate", "likes per view", "share", "log1p", previous="channel_like_rate"),
        Target("comment_rate", "comment_rate", "comments per view", "share", "log1p", previous="channel_comment_rate"),
        # Whoever edits a video asks what to change: each aspect is scored by itself.
        Target(
            *("quality", "quality", "likes among likes and dislikes", "share", "identity"),
            previous="channel_quality",
            by="aspects",
            limits=(0, 1),
        ),
    ),
    always_known=("title_chars", "title_words", "title_capitals", "title_digits", "weekday", "category"),
    candidates=(
        Candidate("hist_gradient_boosting", {"rounds": 120, "learning_rate": 0.08, "leaves": 8}),
        Candidate("xgboost", {"rounds": 150, "depth": 3, "learning_rate": 0.08}),
        Candidate("elastic_net", {"alpha": 0.01, "l1_ratio": 0.3}),
        Candidate("tfidf", {"strength": 0.02}),
        Candidate("transformer", NETWORK | {"niches": "category"}),
        Candidate("transformer", NETWORK | {"update": True}),
        Candidate("aspects", {"penalty": 20.0}),
    ),
    # It is asked of videos to come, whose channels are mostly known: the newest days are kept, whatever their channel.
    # Its outcomes are known only then, and to nobody sooner than whether it trended is.
    holdout=Holdout(
        share=0.2, folds=4, repeats=1, block_hours=24, by="time", known_at="known_at", settled_days=SETTLED_DAYS
    ),
    group="category",
    slices=(
        Slice("niche", "category"),
        Slice("the channel's videos before", "channel_videos", (1, 5), ("none", "1 to 4", "5 or more")),
        Slice("country", "country"),
    ),
)
