"""Drift that happened: bicycles hired in 2012 beside 2011, hit songs by decade, half a century of daily weather.

Skipped where the data is not.
"""

from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from tasks.core.batch_counts import count_rows
from tasks.core.drift import compare
from tasks.core.page.drift import render
from tasks.core.page.drift_sheet import DriftSheet
from tasks.core.profile import correlations, profile_category, profile_number
from tasks.core.values import Blob
from tasks.core.watch import Observation, next_told

DATA = Path(os.environ.get("GREENLIGHT_TEST_DATA", "/nowhere"))


def read(name: str) -> pl.DataFrame:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not there; GREENLIGHT_TEST_DATA names the folder of real data")
    return pl.read_csv(path, infer_schema_length=None)


def profiled(before: pl.DataFrame, numbers: list[str], categories: list[str]):
    return {
        "rows": before.height,
        "numbers": {name: profile_number(before[name]) for name in numbers},
        "categories": {name: profile_category(before[name].cast(pl.String)) for name in categories},
        "spearman": correlations(before.select(numbers)),
        "targets": {},
    }


def counted(after: pl.DataFrame, profile):
    return count_rows(after, {}, profile) | {"spearman": correlations(after.select(list(profile["numbers"])))}


def found(before: pl.DataFrame, after: pl.DataFrame, numbers: list[str], categories: list[str]):
    profile = profiled(before, numbers, categories)
    report = compare(profile, counted(after, profile), {})
    return report, {each.name for each in report.columns if each.level == "critical"}


def test_a_year_in_which_bicycles_became_popular_is_critical_and_its_hours_and_weekdays_are_as_ever():
    hours = read("drift/bike_sharing_hour.csv.gz")
    report, critical = found(
        hours.filter(pl.col("yr") == 0), hours.filter(pl.col("yr") == 1),
        ["temp", "hum", "windspeed", "cnt"], ["hr", "weekday", "season", "weathersit"],
    )  # fmt: skip
    assert report.severity == "critical" and "cnt" in critical
    assert not critical & {"hr", "weekday", "season"}


def test_songs_of_the_sixties_and_of_the_tens_are_not_alike_and_halves_of_a_decade_are():
    songs = read("tracks/spotify_hit_predictor_1960_2019.csv.gz")
    numbers, of = ["danceability", "energy", "loudness", "acousticness", "valence", "tempo"], pl.col("decade")
    sixties, tens = songs.filter(of == 1960), songs.filter(of == 2010)
    report, critical = found(sixties, tens, numbers, ["mode"])
    assert report.severity == "critical" and {"loudness", "acousticness"} <= critical
    mixed = sixties.sample(fraction=1, shuffle=True, seed=1)
    assert found(mixed[::2], mixed[1::2], numbers, ["mode"])[0].severity in ("none", "warn")


TEN_YEARS, FIVE_YEARS = 3652, 1826
# Its columns are unnamed; these are the names its publishers gave.
WEATHER = ["temperature", "dew_point", "pressure", "visibility", "wind", "gust", "high", "low"]
INSTRUMENTS = {"visibility", "wind", "gust"}


def weather() -> pl.DataFrame:
    """A row per day, 1949 to 1999."""
    named = {f"feat_{place}": name for place, name in enumerate(WEATHER, 1)} | {"target": "rain"}
    return read("drift/noaa_weather.csv.gz").rename(named)


def test_half_a_century_of_weather_moves_where_its_instruments_did_and_not_in_temperature_or_pressure():
    days = weather()
    before, later = days[:TEN_YEARS], range(TEN_YEARS, days.height - FIVE_YEARS, FIVE_YEARS)
    for start in later:
        after = days[start : start + FIVE_YEARS]
        report, critical = found(before, after, WEATHER, ["rain"])
        assert report.severity == "critical" and critical >= INSTRUMENTS
        assert not critical & {"temperature", "dew_point", "pressure"}, (start, critical)
    # Pressures of which no barometer ever told are too few to be a drift.
    assert (days["pressure"] > 1100).sum() == 2


def test_every_other_day_of_weather_is_alike_one_season_is_not_and_neither_is_another_unit():
    days = weather()
    assert found(days[::2], days[1::2], WEATHER, ["rain"])[0].severity == "none"
    summer = days.with_row_index("day").filter((pl.col("day") % 365.25).is_between(200, 290)).tail(900)
    assert {"temperature", "dew_point", "high", "low"} <= found(days[:9000], summer, WEATHER, ["rain"])[1]
    celsius = days[1::2].with_columns((pl.col("temperature") - 32) / 1.8)
    assert found(days[::2], celsius, WEATHER, ["rain"])[1] == {"temperature"}


def test_the_page_of_the_weather_says_which_instruments_moved_and_that_two_batches_in_a_row_are_a_drift():
    days = weather()
    profile = profiled(days[:TEN_YEARS], WEATHER, ["rain"])
    seen: list[Observation] = []
    for start in (TEN_YEARS, TEN_YEARS + FIVE_YEARS):
        counts = counted(days[start : start + FIVE_YEARS], profile)
        report = compare(profile, counts, {})
        moved = tuple(each.name for each in report.columns if each.level == "critical")
        told, incident = next_told(seen, 1, report.severity, moved)
        seen.append(Observation(
            "weather", "prod", len(seen) + 1, 1, "v-1960", f"{start:064}", "days.csv", "2026-11-21T10:00:00+00:00",
            FIVE_YEARS, FIVE_YEARS, report.severity, report.because, moved, (), Blob("a" * 64, 9), told=told,
            incident=incident,
        ))  # fmt: skip
    assert [each.told for each in seen] == ["", "workload.drifted"]
    page = render(DriftSheet("Weather", seen[-1], tuple(seen), report, profile, counts, None))
    ranking = page[page.index("What moved, the heaviest") :]
    assert set(moved) == INSTRUMENTS
    assert max(map(ranking.index, moved)) < ranking.index("temperature")
    assert f"incident {seen[-1].incident}" in page and "starts one retrain" in page
