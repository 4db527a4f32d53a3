"""The demo looks carry the truth that was planted in them, and nothing else."""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.workloads.demo.video_stats import FAULTS, generate, truth


def broken(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one flag per kind of fault, by the rule a reader of the declaration would write."""
    views = pl.col("view_count").cast(pl.Int64, strict=False)
    flags = frame.select(
        looked_twice=pl.struct("video_id", "snapshot_utc").is_duplicated() & (pl.col("video_id") != " "),
        negative_views=views < 0,
        more_likes_than_views=(pl.col("like_count") > views) & (views > 0),
        negative_comments=pl.col("comment_count") < 0,
        no_video=pl.col("video_id") == " ",
        before_published=pl.col("snapshot_utc") < pl.col("published_at"),
        unparseable_number=views.is_null(),
    )
    return flags.select(pl.all().fill_null(False))


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    assert generate(300, 5).equals(generate(300, 5))
    assert not generate(300, 5).equals(generate(300, 6))


def test_rows_are_as_many_as_asked_for_and_oldest_first():
    for rows in (1, 39, 1_001):
        found, clean = generate(rows, 1), truth(rows, 1)["fault"] == ""
        assert found.height == rows and found["snapshot_utc"].filter(clean).is_sorted()


def test_every_planted_fault_breaks_its_own_rule_and_no_other_row_breaks_any():
    planted, found = truth(4_000, 11)["fault"], broken(generate(4_000, 11))
    for kind in FAULTS:
        assert found[kind].to_list() == (planted == kind).to_list(), kind
    assert (planted != "").sum() == 7 * 14


def test_views_are_what_was_expected_but_for_the_noise_of_counting_and_never_fall():
    clean = truth(4_000, 9)["fault"] == ""
    frame, planted = generate(4_000, 9).filter(clean), truth(4_000, 9).filter(clean)
    views = frame["view_count"].cast(pl.Float64).to_numpy()
    assert np.abs(np.log1p(views) - planted["expected_log_views"].to_numpy()).max() < 0.1
    gained = frame.select(pl.col("view_count").cast(pl.Int64).diff().over("video_id"))
    assert gained.to_series().min() >= 0
