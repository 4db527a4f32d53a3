from __future__ import annotations

import math

import polars as pl
import pytest

from tasks.core.influence import measure_influence

ROWS = pl.DataFrame(
    {
        "channel": ["w", "x", "y", "z"],
        "country": ["A", "A", "B", None],
        "code": ["AA", "AA", "BB", None],
        "views": [3, 1, 4, 2],
        "earned": [10.0, None, 0.0, 0.0],
    }
)


def measured():
    return measure_influence(ROWS, "country", ("views", "earned"), entity="channel", code="code")


def test_shares_add_up_to_one_with_rows_without_a_country_as_their_own_group():
    groups = measured().groups
    assert groups.select("country", "code", "rows", "views_share").rows() == [
        ("A", "AA", 2, 0.4),
        ("B", "BB", 1, 0.4),
        ("missing", None, 1, 0.2),
    ]
    assert groups["earned_share"].to_list() == [1.0, 0.0, 0.0]


def test_a_groups_leader_dominance_and_concentration_are_computed_by_hand():
    first = measured().groups.row(0, named=True)
    assert first["leader"] == "w"
    assert first["leader_share"] == 0.75
    assert first["dominance"] == 3.0
    assert first["hhi"] == 0.625  # 0.75² + 0.25²
    assert first["gini"] == 0.25  # 2·(1·1 + 2·3)/(2·4) − 3/2
    assert measured().groups.row(1, named=True)["dominance"] is None


def test_concentration_over_countries_leaves_the_missing_out_of_the_lead_but_in_the_total():
    views = measured().concentration.row(0, named=True)
    assert views["total"] == 10.0
    assert (views["leader"], views["leader_share"], views["runner_up"], views["dominance"]) == ("A", 0.4, "B", 1.0)
    assert views["hhi"] == 0.5
    earned = measured().concentration.row(1, named=True)
    assert earned["known_rows"] == 3
    assert earned["runner_up"] is None


def test_an_even_split_has_a_gini_of_zero_and_one_owner_approaches_one():
    even = ROWS.with_columns(views=pl.lit(5), country=pl.lit("A"))
    assert measure_influence(even, "country", ("views",), entity="channel").groups["gini"].to_list() == [0.0]
    alone = ROWS.with_columns(views=pl.Series([0, 0, 0, 9]), country=pl.lit("A"))
    assert measure_influence(alone, "country", ("views",), entity="channel").groups["gini"].to_list() == [0.75]


@pytest.mark.parametrize("rows", [ROWS.head(0), ROWS.with_columns(views=pl.lit(None, dtype=pl.Int64))])
def test_nothing_to_share_is_a_table_without_leaders_and_without_nan(rows):
    found = measure_influence(rows, "country", ("views",), entity="channel")
    assert found.concentration["leader"].to_list() == [None]
    assert not any(isinstance(cell, float) and math.isnan(cell) for row in found.groups.rows() for cell in row)
