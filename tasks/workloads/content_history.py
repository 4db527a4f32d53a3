"""What was known of a channel and of a niche when a video was published: how its earlier videos came out.

An outcome is known from the moment its counts were read, and to videos published later alone: a row sees neither
itself, nor what was going on at its own time.
"""

from __future__ import annotations

import polars as pl

# What a result is, and of how many of them a series is made.
OUTCOMES = ("views", "days_trending", "like_rate", "comment_rate")
STEPS, WIDTH = 12, len(OUTCOMES)
# Videos that "lately" means, of a channel and of a niche, and those of a momentum.
RECENT = {"channel": 8, "category": 60}
NEWEST = 3
# Where a source does not say when counts were read, they were a week after.
SETTLED_DAYS = 7
AT, PLACE, KNOWN = "published_at", "_place", "_known"
RATES = ("trend", "like_rate", "comment_rate", "quality")


def with_history(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add what was known of each row's channel and niche, in the rows' own order."""
    placed = rows.with_row_index(PLACE)
    # No outcome is known before its video is out, whatever a source says.
    read = pl.coalesce("known_at", pl.col(AT) + pl.duration(days=SETTLED_DAYS))
    settled = placed.filter(pl.any_horizontal(pl.col(name).is_not_null() for name in ("trend", "likes", "views")))
    settled = settled.with_columns(pl.max_horizontal(read, AT).alias(KNOWN))
    joined = placed
    for whose in RECENT:
        joined = _joined(joined, _known(settled, whose), whose)
    joined = joined.with_columns(
        pl.col("channel_videos").fill_null(0.0),
        results=pl.coalesce("_results_channel", "_results_category"),
    )
    return _with_pause(joined).sort(PLACE).drop(PLACE, "category_videos", *(f"_results_{whose}" for whose in RECENT))


def _known(settled: pl.LazyFrame, whose: str) -> pl.LazyFrame:
    """Return, of each outcome in the order they became known, how it stood with its channel or niche from then on."""
    lately = RECENT[whose]
    ordered = settled.filter(pl.col(whose).is_not_null()).sort(whose, KNOWN, AT, PLACE)
    means = {f"{whose}_{name}": _mean(pl.col(name), lately).over(whose) for name in RATES}
    means[f"{whose}_views"] = _mean(pl.col("views").log1p(), lately).over(whose)
    newest = _mean(pl.col("trend"), NEWEST).over(whose)
    stood = ordered.with_columns(
        **means,
        **{f"{whose}_momentum": newest - _mean(pl.col("trend"), lately).over(whose)},
        # A count that grew for ever would tell the date, and no model has seen what comes after its last.
        **{f"{whose}_videos": (pl.int_range(pl.len()).over(whose) + 1.0).clip(upper_bound=STEPS)},
        **{f"_results_{whose}": _series(whose)},
    )
    return stood.select(whose, KNOWN, *means, f"{whose}_momentum", f"{whose}_videos", f"_results_{whose}")


def _mean(outcome: pl.Expr, videos: int) -> pl.Expr:
    return outcome.cast(pl.Float64).rolling_mean(videos, min_samples=1)


def _series(whose: str) -> pl.Expr:
    """Return the last ``STEPS`` results, oldest first, as one list; shorter where there were fewer."""
    logs = [pl.col(name).cast(pl.Float64).log1p() for name in OUTCOMES[:2]]
    step, none = pl.concat_list(*logs, *OUTCOMES[2:]), pl.lit([], dtype=pl.List(pl.Float64))
    steps = [
        pl.when(pl.col(whose).shift(back) == pl.col(whose)).then(step.shift(back)).otherwise(none)
        for back in range(STEPS - 1, 0, -1)
    ]
    return pl.concat_list(*steps, step)


def _joined(rows: pl.LazyFrame, known: pl.LazyFrame, whose: str) -> pl.LazyFrame:
    """Tell each row how it stood with its channel or niche strictly before the row's time."""
    return (
        rows.sort(AT, PLACE)
        .join_asof(
            known.sort(KNOWN, maintain_order=True),
            left_on=AT,
            right_on=KNOWN,
            by=whose,
            allow_exact_matches=False,
            check_sortedness=False,
        )
        .drop(KNOWN, strict=False)
    )


def _with_pause(rows: pl.LazyFrame) -> pl.LazyFrame:
    """Add the days since the channel's video before: that it is out is known at once."""
    out = rows.filter(pl.col("channel").is_not_null()).select("channel", AT).unique().sort("channel", AT)
    paused = (pl.col(AT) - pl.col(AT).shift(1).over("channel")).dt.total_seconds() / 86_400
    return rows.join(out.with_columns(channel_pause=paused), on=["channel", AT], how="left")
