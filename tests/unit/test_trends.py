"""Trends against series whose season and changes are known, and the demo tracks' planted ones found again."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from tasks.core.likeness import standardise
from tasks.core.styles import find_styles
from tasks.core.trends import changes, find_trends, seasons
from tasks.errors import DataRejected
from tasks.workloads.demo import tracks as demo
from tasks.workloads.tracks import TRACKS, derive

MONTHS = np.arange(120) % 12 + 1


def test_a_season_is_found_beside_a_trend_and_adds_up_to_nothing():
    wave = np.cos(2 * np.pi * MONTHS / 12)
    found = seasons(5 + 0.01 * np.arange(120) + wave, MONTHS)
    assert found == pytest.approx(wave, abs=0.02)
    assert found[:12].sum() == pytest.approx(0, abs=1e-9)


def test_a_change_of_level_is_dated_to_its_month():
    noise = np.random.default_rng(1).normal(0, 1, 120)
    assert changes(noise + np.where(np.arange(120) >= 70, 4.0, 0.0)) == [0, 70]


def test_noise_alone_seldom_changes_its_level():
    found = [len(changes(np.random.default_rng(seed).normal(0, 1, 120))) for seed in range(200)]
    assert sum(count > 1 for count in found) <= 6


def test_what_becomes_frequent_is_a_change_of_level():
    draws = np.random.default_rng(1).random(120)
    (first, second) = changes(np.where(draws < np.where(np.arange(120) < 70, 0.1, 0.9), 100.0, 0.0))
    assert first == 0 and abs(second - 70) <= 3


@pytest.mark.parametrize(
    "series",
    [
        np.full(60, 0.1),
        np.full(60, 1 / 3),
        np.where(np.arange(60) % 7 == 0, 5.0, 0.0),
        np.where(np.arange(60) == 30, 3.0, 0.0),
    ],
)
def test_what_stays_as_it_is_or_happens_now_and_then_has_one_level(series):
    assert changes(series) == [0]
    assert changes(series - seasons(series, MONTHS[:60])) == [0]


@pytest.mark.parametrize("often", [0.05, 0.15, 0.3, 0.5])
def test_noise_of_two_values_seldom_changes_its_level_its_season_taken_off_or_not(often):
    drawn = [np.where(np.random.default_rng(seed).random(120) < often, 100.0, 0.0) for seed in range(60)]
    found = [(len(changes(each)), len(changes(each - seasons(each, MONTHS)))) for each in drawn]
    assert sum(plain > 1 for plain, _ in found) <= 3 and sum(bent > 1 for _, bent in found) <= 3


@pytest.fixture(scope="module")
def rows():
    frame, whole = demo.generate(20_000, 11), demo.truth(20_000, 11)["fault"] == ""
    day = pl.col("release_date").str.to_datetime("%Y-%m-%d", time_zone="UTC").alias("released_at")
    return derive(frame.filter(whole).with_columns(day, pl.col("energy").cast(pl.Float64)).lazy()).collect()


def test_the_planted_turn_of_rock_and_the_summers_of_dance_are_found(rows):
    found = find_trends(rows, "released_at", "genre", ("energy",)).filter(pl.col("figure") == "energy")
    turned = found.filter(pl.col("changed"))
    assert turned.select("group").to_series().to_list() == ["rock"]
    assert abs((turned["month"][0] - datetime(2012, 1, 1).date()).days) <= 31
    dance = found.filter(pl.col("group") == "dance").group_by(pl.col("month").dt.month()).agg(pl.first("season"))
    assert dance.sort("season")["month"].to_list()[-1] == 7
    assert dance["season"].max() == pytest.approx(demo.SUMMER, abs=0.04)
    rap = found.filter(pl.col("group") == "rap")
    assert rap["season"].abs().max() < 0.04 and rap.height == demo.MONTHS


def test_the_share_of_a_month_that_has_only_others_is_none_and_not_what_was_before():
    months = [datetime(2015 + number // 12, number % 12 + 1, 3, tzinfo=UTC) for number in range(96)]
    told = [(month, "pop", 0.5) for month in months if month.year != 2016 for _ in range(9)]
    told += [(month, "rare", 0.5) for month in months[1::2] if month.year not in (2016, 2022)]
    rows = pl.DataFrame(told, ["day", "genre", "x"], orient="row")
    lines = find_trends(rows, "day", "genre", ("x",)).filter(pl.col("group") == "rare")
    share, mean = (lines.filter(pl.col("figure") == figure) for figure in ("share", "x"))
    assert share["month"].to_list() == [month.replace(day=1).date() for month in months]
    whose = {(value, rows) for value, rows in share.select("value", "rows").iter_rows()}
    assert whose == {(10.0, 1), (0.0, 0), (None, 0)}
    assert share.filter(pl.col("value").is_null())["month"].dt.year().unique().to_list() == [2016]
    assert share.filter(pl.col("month").dt.year() == 2022)["value"].to_list() == [0.0] * 12
    assert mean["value"].drop_nulls().to_list() == [0.5] * mean["rows"].sum()


def test_rows_without_a_day_have_no_trend():
    none = pl.DataFrame({"day": [None, datetime(2020, 1, 1, tzinfo=UTC)], "genre": ["pop", "pop"], "x": [1.0, 2.0]})
    with pytest.raises(DataRejected, match=r"none of 1 groups of 'genre' has 24 months.*1 of 2 rows"):
        find_trends(none, "day", "genre", ("x",))


def test_styles_are_apart_as_their_means_and_spreads_are():
    chance = np.random.default_rng(2)
    group = np.repeat(["a", "b", "c", "few"], [400, 400, 400, 3])
    moved = pl.Series(group).replace_strict({"a": 0.0, "b": 0.0, "c": 3.0, "few": 9.0}).to_numpy()
    rows = pl.DataFrame({"by": group, "x": chance.normal(0, 1, group.size) + moved})
    standard = standardise(rows.filter(pl.col("by") != "few"), ("x",))
    found = find_styles(rows, "by", standard)
    assert found["group"].unique(maintain_order=True).to_list() == ["a", "b", "c"]
    apart = {(each["group"], each["other"]): each["distance"] for each in found.to_dicts()}
    assert apart["a", "b"] < 0.1 and apart["a", "b"] == apart["b", "a"]
    assert apart["a", "c"] == pytest.approx(3.0 / standard.spreads[0], abs=0.1)


def test_genres_of_the_demo_lie_as_they_were_made(rows):
    assert TRACKS.likeness is not None
    found = find_styles(rows, "genre", standardise(rows, TRACKS.likeness.features))
    farthest = found.filter((pl.col("group") == "pop") & (pl.col("rank") == 5))
    assert farthest["other"].to_list() == ["classical"]
