"""What-ifs: what a setting makes of a row, what speaks against it, and whether its interval holds what it promises."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from tasks.core import simulation
from tasks.core.scales import Scale
from tasks.core.simulation import Residuals, Varied, count_points, parsed, rows_with, settings_between
from tasks.errors import BadRequest, Misdeclared
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import POLARS_TYPES, Column, Lever
from tests.builders import shops_spec

SPEC = shops_spec(
    levers=(Lever("area", "area", "area", low=1, high=500), Lever("town", "town", "town")),
)
SEEN = {"town": ["Bath", "Ayr"]}
PROFILE = {
    "numbers": {"area": {"min": 10.0, "max": 90.0}, "visitors": {"min": None, "max": None}},
    "categories": {"town": {"counts": {"Bath": 40, "Ayr": 3}, "other": 0}},
}
BRINGS = next(each for each in CHANNELS.levers if each.name == "country").brings
BASE = pl.DataFrame(
    {"shop": ["a"], "seen_at": [datetime(2026, 1, 1, tzinfo=UTC)], "visitors": [7.0], "area": [20.0], "town": ["Ayr"]}
)


def read(text, most=100):
    return parsed(text, SPEC, SEEN, most).values


def test_a_range_has_both_its_ends_and_a_list_is_a_list():
    assert read("area=10:30:10") == (10.0, 20.0, 30.0)
    assert read("area=1:1.3:0.1") == (1.0, 1.1, 1.2, 1.3)
    assert read("area=5, 7,5") == (5.0, 7.0)
    assert read('town=Cork,"St. Ives, Cornwall"') == ("Cork", "St. Ives, Cornwall")
    assert read("town=*") == ("Bath", "Ayr")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("size=1,2", "its levers are: area, town"),
        ("area=", "write NAME=10:1000:10"),
        ("area=10:1:1", "goes nowhere"),
        ("area=1:10:0", "no range of numbers"),
        ("area=1:nan:1", "no range of numbers"),
        ("area=many", "no range of numbers"),
        ("area=0,10", "from 1 to 500; found 0"),
        ("area=1:500:1", "has 500 values, at most 100"),
    ],
)
def test_what_cannot_be_varied_is_said(text, said):
    with pytest.raises(BadRequest, match=said):
        read(text)


def test_a_column_of_whole_numbers_takes_no_half():
    with pytest.raises(BadRequest, match=r"whole numbers from 1 to 1,000,000; found 1\.5"):
        parsed("uploads=1.5,2", CHANNELS, {}, 10)


def test_settings_are_counted_before_any_is_made_and_too_many_are_refused():
    both = [
        Varied(lever, values) for lever, values in zip(SPEC.levers, ((1.0, 2.0, 3.0), ("Ayr", "Bath")), strict=True)
    ]
    assert count_points(both, 6) == 6
    with pytest.raises(BadRequest, match=r"6 settings \(3 of area × 2 of town\), at most 5"):
        count_points(both, 5)
    with pytest.raises(BadRequest, match="each lever once"):
        count_points([both[0], both[0]], 100)
    assert settings_between(both, 1, 4).rows() == [(1.0, "Bath"), (2.0, "Ayr"), (2.0, "Bath")]


def test_a_setting_changes_its_lever_and_holds_all_else():
    rows = rows_with(SPEC, BASE, pl.DataFrame({"area": [30.0, 40.0]}), {})
    assert rows.select("shop", "visitors", "area", "town").rows() == [("a", 7.0, 30.0, "Ayr"), ("a", 7.0, 40.0, "Ayr")]


def channel(**values):
    empty = {column.name: pl.Series([None], dtype=POLARS_TYPES[column.type]) for column in CHANNELS.columns}
    given = {
        "channel": "a",
        "observed_at": datetime(2023, 1, 1, tzinfo=UTC),
        "country": "India",
        "population": 9,
    } | values
    return pl.DataFrame(empty | {name: pl.Series([value], dtype=empty[name].dtype) for name, value in given.items()})


def test_a_country_brings_its_own_figures_and_features_are_derived_anew():
    lever = next(each for each in CHANNELS.levers if each.name == "country")
    rows = pl.concat([channel(), channel(country="Peru", population=5), channel(country="Peru", population=5)])
    brought = {"country": simulation.company(rows.lazy(), lever)}
    found = rows_with(CHANNELS, channel(), pl.DataFrame({"country": ["Peru", "Mars"]}), brought)
    assert found["country_population"].to_list() == [5.0, None]


def test_settings_keep_their_order_whatever_is_joined_to_them():
    countries = [f"country {number * 37 % 101}" for number in range(101)]
    known = pl.DataFrame({"country": sorted(countries)[::2], "population": range(51)})
    kinds = {column.name: POLARS_TYPES[column.type] for column in CHANNELS.columns}
    brings = {name: pl.lit(None, kinds[name]) for name in BRINGS}
    brought = {"country": known.with_columns(**(brings | {"population": pl.col("population")}))}
    found = rows_with(CHANNELS, channel(), pl.DataFrame({"country": countries}), brought)
    assert found["country"].to_list() == countries
    figures = dict(zip(known["country"], known["population"].cast(pl.Float64), strict=True))
    assert found["country_population"].to_list() == [figures.get(country) for country in countries]


@pytest.mark.parametrize("years", [1.0, 7.5, 20.0])
def test_an_age_is_met_to_the_month(years):
    found = rows_with(CHANNELS, channel(), pl.DataFrame({"age": [years]}), {})
    assert years <= found["age_years"][0] <= years + 31 / 365


def test_what_the_model_never_saw_is_said_and_what_is_missing_is_not():
    def said(**values):
        return simulation.unseen(
            BASE.with_columns(**{name: pl.lit(value) for name, value in values.items()}),
            ["area", "town", "visitors"],
            PROFILE,
        )

    assert said() == ("town 'Ayr' was seen in 3 rows only, so the model takes it for any other rare one",)
    assert said(town="Bath", area=90.5) == ("area 90.5 is outside of what the model has seen (10 to 90)",)
    assert said(town="Cork") == ("town 'Cork' was never seen by the model",)
    assert said(town=None, area=None) == ()
    rows = pl.DataFrame({"area": [5.0, 50.0, None, 50.0], "town": ["Ayr", "Ayr", None, "Cork"]})
    assert simulation.count_outside(rows, ["area", "town"], PROFILE) == 2


def test_a_setting_whose_parts_are_common_may_be_rare_as_a_whole():
    learned = pl.DataFrame({"area": [float(n) for n in range(100)], "town": ["Ayr"] * 50 + ["Bath"] * 50})

    def at(area, town):
        return simulation.alike(learned, pl.DataFrame({"area": [area], "town": [town]}), ["area", "town"])

    assert at(25.0, "Ayr") == 22, "15 to 36"
    assert at(25.0, "Bath") == 0
    assert simulation.few(0, 100) == (
        "0 of the 100 rows the champion learned from are like it in all these levers at once",
    )
    assert simulation.few(5, 100) == ()


@pytest.mark.parametrize("log", [False, True])
def test_the_interval_of_a_difference_holds_nine_of_ten_differences(log):
    chance = np.random.default_rng(11)
    scale = Scale(log, 1.0, 0.0, 1.0, -50.0, 50.0)

    def world(rows):
        place = chance.uniform(2.0, 6.0, rows)
        actual = place + chance.standard_t(5, rows) * 0.3 * (1 + (place > 4))
        return scale.label(actual), scale.label(place)

    residuals = Residuals(scale, *world(900), seed=7)
    actual, predicted = world(4_000)
    inside = 0
    for was in range(0, 4_000, 2):
        found = residuals.difference(float(predicted[was]), float(predicted[was + 1]))
        inside += found.low <= actual[was + 1] - actual[was] <= found.high
    # 2,000 pairs tell the share to within 0.013; 900 holdout rows move it by about as much again.
    assert 0.87 <= inside / 2_000 <= 0.93


def test_the_same_setting_differs_by_nothing_with_an_interval_around_it():
    scale = Scale(False, 1.0, 0.0, 1.0, -9.0, 9.0)
    found = Residuals(scale, np.arange(20.0), np.arange(20.0) + 0.5 - np.arange(20) % 2, seed=1).difference(3.0, 3.0)
    assert (found.value, found.low, found.high) == (0.0, -1.0, 1.0)


@pytest.mark.parametrize(
    ("lever", "said"),
    [
        (Lever("a", "area", "volume", low=1, high=2), "turns volume, which are not declared"),
        (Lever("a", "height", "area", low=1, high=2), "is seen as 'height', which is no feature"),
        (Lever("a", "area", "area"), "is a number: it takes bounds"),
        (Lever("a", "area", "area", low=2, high=2), "low below high"),
        (Lever("a", "town", "town", low=1, high=2), "is a category: it takes a column and no bounds"),
    ],
)
def test_a_lever_that_contradicts_the_declaration_is_refused_at_import(lever, said):
    with pytest.raises(Misdeclared, match=said):
        shops_spec(levers=(lever,))
    assert Column("area", "float", "floor area") in shops_spec().columns
