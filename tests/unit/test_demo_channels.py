"""The demo rows carry the truth that was planted in them, and nothing else."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from tasks.workloads.demo.channels import generate, truth
from tasks.workloads.demo.channels_world import COUNTRIES, FAULTS

NUMBERS = (
    "uploads",
    "video views",
    "subscribers",
    "video_views_for_the_last_30_days",
    "lowest_monthly_earnings",
    "highest_monthly_earnings",
    "lowest_yearly_earnings",
    "highest_yearly_earnings",
    "subscribers_for_last_30_days",
    "created_year",
)


def numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with its numbers as numbers; what is no number is null."""
    return frame.with_columns(pl.col(name).cast(pl.Float64, strict=False).fill_nan(None) for name in NUMBERS)


def broken(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one flag per kind of fault, by the rule a reader of the declaration would write."""
    codes = {name: row[0] for name, row in COUNTRIES.items()}
    named = pl.col("Country") != "nan"
    return (
        numbers(frame)
        .select(
            duplicate_channel=pl.col("Youtuber").is_duplicated(),
            negative_uploads=pl.col("uploads") < 0,
            recent_above_total=pl.col("video_views_for_the_last_30_days") > pl.col("video views"),
            low_above_high=pl.col("lowest_yearly_earnings") > pl.col("highest_yearly_earnings"),
            monthly_above_yearly=pl.col("highest_monthly_earnings") > pl.col("highest_yearly_earnings"),
            country_code_mismatch=named & (pl.col("Country").replace(codes) != pl.col("Abbreviation")),
            created_too_early=pl.col("created_year") < 2005,
            views_below_subscribers=pl.col("video views") < pl.col("subscribers"),
            unparseable_number=pl.col("uploads").is_null(),
        )
        .select(pl.all().fill_null(False))
    )


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    assert generate(300, 5).equals(generate(300, 5))
    assert not generate(300, 5).equals(generate(300, 6))


def test_every_planted_fault_breaks_its_own_rule_and_no_other_row_breaks_any():
    rows, seed = 4_000, 11
    planted, found = truth(rows, seed)["fault"], broken(generate(rows, seed))
    for kind in FAULTS:
        assert found[kind].to_list() == (planted == kind).to_list(), kind


def test_each_kind_of_fault_has_the_same_share_and_together_they_are_two_and_a_half_percent():
    counts = truth(40_000, 1)["fault"].value_counts()
    planted = dict(counts.iter_rows())
    clean = planted.pop("")
    assert set(planted) == set(FAULTS)
    assert set(planted.values()) == {112}
    assert clean == 40_000 - 9 * 112


def test_a_handful_of_rows_is_clean():
    assert truth(40, 1)["fault"].unique().to_list() == [""]


def test_earnings_are_a_fixed_multiple_of_recent_views_in_clean_rows():
    frame = numbers(generate(2_000, 2)).filter(truth(2_000, 2)["fault"] == "").drop_nulls("highest_yearly_earnings")
    ratio = frame["highest_yearly_earnings"] / frame["video_views_for_the_last_30_days"]
    assert ratio.min() == pytest.approx(0.048, rel=1e-3)
    assert ratio.max() == pytest.approx(0.048, rel=1e-3)


def test_about_three_in_ten_growths_are_missing_and_small_ones_more_often():
    frame, planted = numbers(generate(20_000, 4)), truth(20_000, 4)
    missing = frame["subscribers_for_last_30_days"].is_null()
    expected = planted["expected_log_growth"]
    assert 0.27 < missing.mean() < 0.33
    assert expected.filter(missing).mean() < expected.filter(~missing).mean() - 0.3


def test_what_is_expected_explains_half_to_four_fifths_of_each_log_target():
    frame, planted = numbers(generate(20_000, 9)), truth(20_000, 9)
    for name, column in (
        ("subscribers", "subscribers"),
        ("earnings", "highest_yearly_earnings"),
        ("growth", "subscribers_for_last_30_days"),
    ):
        known = (planted["fault"] == "") & frame[column].is_not_null()
        actual = np.log(frame[column].filter(known).to_numpy())
        expected = planted[f"expected_log_{name}"].filter(known).to_numpy()
        explained = 1 - np.mean((actual - expected) ** 2) / actual.var()
        assert 0.5 < explained < 0.8, (name, explained)


def test_the_four_groups_differ_in_uploads_by_more_than_threefold():
    frame, planted = numbers(generate(10_000, 3)), truth(10_000, 3)
    medians = (
        frame.with_columns(planted["archetype"])
        .filter(planted["fault"] == "")
        .group_by("archetype")
        .agg(pl.col("uploads").median())
    )
    ordered = medians["uploads"].sort().to_list()
    assert len(ordered) == 4
    assert all(bigger > 3 * smaller for smaller, bigger in pairwise(ordered))


def test_a_country_always_comes_with_the_same_figures():
    frame = generate(5_000, 8).filter(pl.col("Country") != "nan")
    places = frame.select("Country", "Population", "Latitude", "Longitude").unique()
    assert places.height == places["Country"].n_unique() == 25


def test_shift_raises_uploads_by_half_a_standard_deviation_of_their_logarithm():
    plain, shifted = (
        np.log(numbers(generate(5_000, 1, drift))["uploads"].drop_nulls().clip(1, None).to_numpy())
        for drift in (None, "shift")
    )
    assert np.median(shifted) - np.median(plain) == pytest.approx(0.5 * plain.std(), rel=0.15)


def test_swap_replaces_one_category_in_five():
    changed = (generate(5_000, 1)["category"] != generate(5_000, 1, "swap")["category"]).mean()
    assert changed == pytest.approx(0.2, abs=0.02)


def test_nulls_take_five_percent_more():
    plain, drifted = ((generate(20_000, 1, drift)["category"] == "nan").mean() for drift in (None, "nulls"))
    assert drifted - plain == pytest.approx(0.05, abs=0.01)


def test_unit_multiplies_views_by_a_hundred_in_clean_rows():
    clean = truth(500, 1)["fault"] == ""
    plain, drifted = (generate(500, 1, drift)["video views"].filter(clean) for drift in (None, "unit"))
    assert drifted.to_list() == (plain * 100).to_list()
