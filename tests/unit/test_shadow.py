"""A challenger beside the champion on rows small enough to check by hand, and what makes a cycle count."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks.core.shadow import Cycle, Limits, Segment, clean_in_a_row, compare, faults_of, relative_change


def rows(was: list[float], now: list[float], *, half: float = 5.0) -> pl.DataFrame:
    names = [f"shop {number}" for number in range(len(was))]
    was_ = np.array(was)
    return pl.DataFrame({"entity": names, "was": was_, "low": was_ - half, "high": was_ + half, "now": now})


def cycle(date: str, snapshot: str, *faults: str, ring: str = "prod") -> Cycle:
    return Cycle("shops", ring, date, "r", snapshot, "old", "new", 10, (), faults)


def test_a_relative_change_is_symmetric_and_none_where_both_are_nothing():
    found = relative_change(np.array([100.0, 50.0, 0.0, 0.0]), np.array([50.0, 100.0, 0.0, 7.0]))
    assert found.tolist() == pytest.approx([2 / 3, 2 / 3, 0.0, 2.0])


def test_a_row_that_leaves_the_champions_interval_has_flipped():
    found = compare("sales", rows([10.0, 20.0, 30.0, 40.0], [15.0, 25.1, 30.0, 34.0]), ())
    assert (found.rows, found.flip_rate) == (4, 0.5)


def test_ranks_turned_round_correlate_by_minus_one_and_equal_ones_by_one():
    assert compare("sales", rows([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]), ()).rank_correlation == -1.0
    assert compare("sales", rows([1.0, 2.0, 3.0], [10.0, 20.0, 30.0]), ()).rank_correlation == 1.0


def test_churn_is_the_share_of_the_champions_top_that_the_challenger_does_not_name():
    was = [float(number) for number in range(1_000)]
    now = list(was)
    now[999], now[998] = 0.5, 0.6
    found = compare("sales", rows(was, now), ())
    assert (found.top, found.churn) == (10, pytest.approx(0.2))
    assert [each.entity for each in found.movers[:2]] == ["shop 999", "shop 998"]
    assert (found.movers[0].champion, found.movers[0].challenger) == (999.0, 0.5)


def test_the_segments_that_changed_most_come_first_and_small_ones_are_left_out():
    towns = pl.Series("town", ["Ayr"] * 40 + ["Bath"] * 40 + ["Cork"] * 5)
    now = [10.0] * 40 + [30.0] * 40 + [100.0] * 5
    found = compare("sales", rows([10.0] * 85, now), [towns])
    assert found.segments == (Segment("town", "Bath", 40, 1.0), Segment("town", "Ayr", 40, 0.0))


def test_a_challenger_that_leaves_too_many_intervals_or_orders_otherwise_is_not_clean():
    limits = Limits(flip_rate_most=0.2, rank_correlation_least=0.7)
    flips, ranks = faults_of(compare("sales", rows([1.0, 2.0, 3.0], [30.0, 20.0, 10.0]), ()), limits)
    assert flips == "sales: 100% of the rows left the champion's interval, at most 20% may"
    assert ranks == "sales: the ranks correlate by -1.00, wanted 0.7"
    assert faults_of(compare("sales", rows([1.0, 2.0, 3.0], [1.1, 2.1, 3.1]), ()), limits) == ()
    # Exactly at a limit is within it.
    half = compare("sales", rows([10.0, 20.0], [30.0, 40.0], half=20.0), ())
    assert faults_of(half, Limits(0.0, 1.0)) == ()
    one = compare("sales", rows([10.0, 20.0], [30.1, 40.0], half=20.0), ())
    assert faults_of(one, Limits(0.5, 1.0)) == ()
    assert faults_of(one, Limits(0.4, 1.0)) == ("sales: 50% of the rows left the champion's interval, at most 40% may",)


def test_only_the_newest_unbroken_row_of_clean_days_counts():
    days = [
        cycle("2026-11-01", "a"),
        cycle("2026-11-02", "b", "nan"),
        cycle("2026-11-03", "c"),
        cycle("2026-11-04", "d"),
    ]
    assert clean_in_a_row(days) == clean_in_a_row(reversed(days)) == 2
    assert clean_in_a_row([*days, cycle("2026-11-05", "e", "nan")]) == 0
    assert clean_in_a_row([]) == 0


def test_the_same_rows_on_another_day_prove_nothing_new():
    assert clean_in_a_row([cycle("2026-11-01", "a"), cycle("2026-11-02", "a"), cycle("2026-11-03", "a")]) == 1


def test_a_day_counts_once_and_is_clean_only_if_it_was_so_in_every_ring():
    both = [cycle("2026-11-01", "a"), cycle("2026-11-01", "b", ring="preprod")]
    assert clean_in_a_row(both) == 1
    assert clean_in_a_row([both[0], cycle("2026-11-01", "b", "nan", ring="preprod")]) == 0
