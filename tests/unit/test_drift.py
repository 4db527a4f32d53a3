"""Which columns have drifted, by two profiles; and that unchanged ones hardly ever have."""

import json

import numpy as np
import polars as pl
import pytest

from tasks.core.drift import Drift, drift
from tasks.core.profile import profile_category, profile_number


def profile(**columns):
    kinds = {"numbers": {}, "categories": {}}
    for name, values in columns.items():
        series = pl.Series(values)
        textual = series.dtype == pl.String
        kinds["categories" if textual else "numbers"][name] = (profile_category if textual else profile_number)(series)
    return json.dumps({"rows": len(next(iter(columns.values()))), **kinds}).encode()


def found(before, after):
    return {(each.column, each.what): each.change for each in drift(profile(**before), profile(**after)).drifted}


def test_the_same_rows_have_not_drifted():
    rows = {"views": np.arange(500.0), "town": ["Ayr", "Bath"] * 250}
    assert drift(profile(**rows), profile(**rows)) == Drift(2, 500)


def test_a_number_that_moved_by_half_its_spread_is_named_and_its_neighbour_is_not():
    chance = np.random.default_rng(1)
    before, after = ({"a": chance.normal(shift, 1, 1000), "b": chance.normal(0, 1, 1000)} for shift in (0, 0.5))
    assert list(found(before, after)) == [("a", "distribution")]


def test_a_change_that_is_certain_but_small_is_no_drift():
    chance = np.random.default_rng(2)
    before, after = ({"a": chance.normal(shift, 1, 50_000)} for shift in (0, 0.05))
    assert found(before, after) == {}


def test_counts_are_held_against_each_other_value_by_value():
    # 900 of 1000 are 0 before, 700 after: the two step functions are 0.2 apart.
    before, after = ({"n": np.repeat([0.0, 1.0], [zeros, 1000 - zeros])} for zeros in (900, 700))
    assert found(before, after) == {("n", "distribution"): pytest.approx(0.2)}


def test_a_category_that_lost_a_tenth_of_the_rows_to_another_is_named():
    before, after = ({"town": ["Ayr"] * ayr + ["Bath"] * (1000 - ayr)} for ayr in (600, 500))
    assert found(before, after) == {("town", "shares of its values"): pytest.approx(0.1)}


def test_values_never_seen_before_are_named():
    before = {"town": ["Ayr"] * 500 + ["Bath"] * 500}
    after = {"town": ["Ayr"] * 480 + ["Bath"] * 480 + ["Cork"] * 40}
    assert found(before, after) == {("town", "share of new values"): pytest.approx(0.04)}


def test_values_that_come_once_each_are_new_every_time():
    before, after = ({"town": [f"{when} {number}" for number in range(150)]} for when in ("then", "now"))
    assert ("town", "share of new values") not in found(before, after)


def test_what_went_missing_is_named():
    before, after = ({"a": [None] * gone + [1.0, 2.0] * ((1000 - gone) // 2)} for gone in (0, 100))
    assert found(before, after) == {("a", "share of missing values"): pytest.approx(0.1)}


def test_a_column_of_nothing_or_of_one_value_is_compared_too():
    assert found({"a": [None] * 200}, {"a": [1.0] * 200}) == {("a", "share of missing values"): 1.0}
    assert found({"a": [1.0] * 200}, {"a": [2.0] * 200}) == {("a", "distribution"): 1.0}


def test_only_columns_that_both_have_are_compared():
    assert drift(profile(a=[1.0] * 200), profile(b=[1.0] * 150)) == Drift(0, 150)
    assert Drift(0, 150).share == 0.0


def test_a_column_counts_once_however_many_ways_it_drifted():
    before, after = {"a": [1.0] * 200, "b": [1.0] * 200}, {"a": [2.0] * 150 + [None] * 50, "b": [1.0] * 200}
    both = drift(profile(**before), profile(**after))
    assert len(both.drifted) == 2 and both.share == 0.5


@pytest.mark.parametrize("rows", [100, 400])
def test_rows_of_the_same_world_are_flagged_in_two_of_a_hundred_tables_at_most(rows):
    chance = np.random.default_rng(3)
    weights = 1 / np.arange(1, 51)

    def table():
        town = chance.choice(50, rows, p=weights / weights.sum())
        return profile(
            **{f"n{place}": chance.normal(size=rows) for place in range(4)},
            **{f"l{place}": chance.lognormal(size=rows) for place in range(3)},
            count=chance.poisson(2, rows).astype(float),
            town=[f"town {number}" for number in town],
        )

    # At 0.5 % for a table as a whole, more than two of a hundred come in one of seventy such tests.
    assert sum(bool(drift(table(), table()).drifted) for _ in range(100)) <= 2
