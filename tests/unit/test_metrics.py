"""Figures of merit, baselines, intervals and the paired comparison, against numbers worked out by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import polars as pl
import pytest

from tasks.core import metrics
from tasks.core.baselines import baselines
from tasks.core.comparison import compare as compare_models
from tasks.core.intervals import (
    UNITS_LEAST,
    bootstrap,
    conformal_band,
    entity_sums,
    share_of_units,
    widening,
    wilson,
)
from tasks.workloads.spec import Target
from tests.builders import shops, shops_spec

ACTUAL = np.array([1.0, 2.0, 3.0, 6.0])
compare = partial(compare_models, target="sales", champion="old")


def test_the_figures_are_those_worked_out_by_hand():
    found = metrics.merit(ACTUAL, np.array([1.0, 2.0, 4.0, 4.0]), np.array([2.0, 2.0, 4.0, 4.0]), log=False)
    assert found.mae == 0.75
    assert found.rmse == pytest.approx(np.sqrt(6 / 4))
    assert found.r2 == pytest.approx(1 - 6 / 14)
    assert found.log_r2 == pytest.approx(1 - 5 / 14)
    assert found.spearman == pytest.approx(4.5 / np.sqrt(5 * 4.5))


def test_log_r2_is_taken_on_log1p():
    actual, predicted = np.expm1([1.0, 2.0, 3.0]), np.expm1([1.0, 2.0, 4.0])
    assert metrics.merit(actual, predicted, predicted, log=True).log_r2 == pytest.approx(1 - 1 / 2)


def test_nothing_to_explain_is_zero_and_not_an_error():
    flat = np.ones(4)
    assert metrics.r2(flat, ACTUAL) == 0.0
    assert metrics.spearman(ACTUAL, flat) == 0.0


@pytest.mark.parametrize(
    ("model", "naive", "wanted"),
    [(5.0, 10.0, 0.5), (10.0, 10.0, 0.0), (20.0, 10.0, -1.0), (0.0, 0.0, 0.0), (1.0, 0.0, -1.0)],
)
def test_skill_is_what_is_saved_of_the_naive_error(model, naive, wanted):
    assert metrics.skill(model, naive) == wanted


def test_a_group_baseline_is_the_groups_own_figure_and_the_overall_one_for_a_small_or_new_group():
    train = pl.DataFrame(
        {"town": ["Ayr"] * 5 + ["Bath"] * 2 + [None] * 5, "sales": [1.0, 1, 1, 1, 6, 50, 50, 3, 3, 3, 3, 8]}
    )
    judge = pl.DataFrame({"town": ["Ayr", "Bath", "Cork", None]})
    spec = shops_spec()
    guesses = baselines(spec, train, judge, spec.targets[0])
    assert guesses["mean"][0] == pytest.approx(130 / 12)
    assert guesses["median"][0] == 3.0
    assert guesses["group mean"].tolist() == pytest.approx([2.0, 130 / 12, 130 / 12, 4.0])
    assert guesses["group median"].tolist() == [1.0, 3.0, 3.0, 3.0]


def test_the_previous_baseline_is_the_row_s_own_feature_and_its_groups_mean_where_there_is_none():
    train = pl.DataFrame({"town": ["Ayr"] * 5 + ["Bath"] * 5, "sales": [1.0, 1, 1, 1, 6, 3, 3, 3, 3, 8]})
    judge = pl.DataFrame({"town": ["Ayr", "Ayr", "Bath"], "visitors": [9.0, None, float("nan")]})
    spec = shops_spec(targets=(Target("sales", "sales", "sales", "US$", previous="visitors"),))
    assert baselines(spec, train, judge, spec.targets[0])["previous"].tolist() == [9.0, 2.0, 4.0]


def test_a_bootstrap_interval_of_a_mean_is_near_the_textbook_one():
    values = np.random.default_rng(0).normal(10.0, 2.0, 400)
    sums = np.column_stack([np.ones(400), values])
    found = bootstrap(sums, lambda totals: totals[..., 1] / totals[..., 0], confidence=0.95, seed=1)
    half = 1.96 * values.std(ddof=1) / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.04)
    assert found.high == pytest.approx(values.mean() + half, abs=0.04)


def test_the_same_seed_gives_the_same_interval():
    sums = np.column_stack([np.ones(50), np.arange(50.0)])
    found = [bootstrap(sums, lambda totals: totals[..., 1], confidence=0.9, seed=3) for _ in range(2)]
    assert found[0] == found[1]


def test_an_entity_is_drawn_whole():
    terms = np.array([[1.0, 2.0], [1.0, 3.0], [1.0, 5.0]])
    assert entity_sums(terms, np.array([0, 1, 0])).tolist() == [[2.0, 7.0], [1.0, 3.0]]


def test_copies_of_the_same_entities_make_no_interval_narrower():
    values = np.random.default_rng(0).normal(0.0, 1.0, 40)
    terms = np.column_stack([np.ones(400), np.tile(values, 10)])
    mean = lambda totals: totals[..., 1] / totals[..., 0]  # noqa: E731
    by_entity = bootstrap(entity_sums(terms, np.tile(np.arange(40), 10)), mean, confidence=0.95, seed=1)
    by_row = bootstrap(terms, mean, confidence=0.95, seed=1)
    assert by_entity.high - by_entity.low > 2.5 * (by_row.high - by_row.low)


@pytest.mark.parametrize("units", [UNITS_LEAST, 8, 14])
def test_an_interval_of_few_units_holds_the_truth_as_often_as_it_says(units):
    chance, trials = np.random.default_rng(137), 500
    # A model as good as the naive guess, in blocks of time that each make all of its errors 15 % larger or smaller.
    errors = np.exp(chance.normal(0.0, 0.15, (trials, units)) - 0.15**2 / 2) * chance.normal(1.0, 0.02, (trials, units))
    worlds = np.stack([errors, chance.normal(1.0, 0.02, (trials, units))], axis=-1)
    saved = lambda totals: 1 - totals[..., 0] / totals[..., 1]  # noqa: E731
    found = [bootstrap(sums, saved, confidence=0.95, seed=7, draws=500) for sums in worlds]
    assert np.mean([each.low <= 0 <= each.high for each in found]) >= 0.93
    assert np.mean([each.low > 0 for each in found]) <= 0.04


def test_few_units_widen_an_interval_and_many_do_not():
    # Quantiles of Student's t with 4 degrees of freedom and of the normal: 2.7764 and 1.96.
    assert widening(5, 0.95) == pytest.approx(2.7764 / 1.96 * 5 / 4, rel=1e-4)
    assert 1 < widening(10_000, 0.95) < 1.001


def test_an_interval_stays_within_the_limits_of_its_figure():
    sums = np.column_stack([np.ones(5), [0.1, 0.1, 0.1, 0.1, 4.0]])
    mean = lambda totals: totals[..., 1] / totals[..., 0]  # noqa: E731
    assert bootstrap(sums, mean, confidence=0.95, seed=1).low < 0
    assert bootstrap(sums, mean, confidence=0.95, seed=1, limits=(0.0, 2.0)).low == 0
    assert bootstrap(sums, mean, confidence=0.95, seed=1, limits=(0.0, 2.0)).high == 2


def test_wilson_is_the_textbook_interval():
    found = wilson(9, 10, 0.95)
    assert (found.value, round(found.low, 4), round(found.high, 4)) == (0.9, 0.5958, 0.9821)


def test_a_share_is_as_sure_as_units_that_differ_make_it():
    alone = share_of_units(np.array([1.0] * 9 + [0.0]), np.ones(10), 0.95)
    assert alone == wilson(9, 10, 0.95)
    whole = share_of_units(np.array([7.0] * 9 + [0.0]), np.full(10, 7.0), 0.95)
    # How units differ is told by ten of them only.
    assert whole.value == 0.9 and alone.low - 0.08 < whole.low < alone.low < alone.high < whole.high < 1
    # Whatever their rows, three artists that were always held are three witnesses.
    assert share_of_units(np.full(3, 50.0), np.full(3, 50.0), 0.95).low == wilson(3, 3, 0.95).low
    assert share_of_units(np.array([6.0]), np.array([8.0]), 0.95).low < 0.2


@pytest.mark.parametrize("units", [UNITS_LEAST, 8])
def test_a_share_of_few_units_is_as_sure_as_it_says(units):
    chance = np.random.default_rng(137)
    # Nine tenths on average, six points more or less by unit.
    hits = chance.binomial(250, chance.beta(21.6, 2.4, (600, units))).astype(float)
    found = [share_of_units(each, np.full(units, 250.0), 0.95) for each in hits]
    assert np.mean([each.low <= 0.9 <= each.high for each in found]) >= 0.93


def test_a_conformal_band_takes_the_ranks_that_finite_samples_need():
    residuals = np.arange(1.0, 20.0)
    band = conformal_band(np.zeros(19), residuals, 0.9)
    assert (band.edges, band.lows, band.highs) == ((), pytest.approx((1.0,)), pytest.approx((19.0,)))
    low, high = band.around(np.array([100.0]))
    assert (low[0], high[0]) == pytest.approx((101.0, 119.0))


def test_the_last_bits_of_a_number_do_not_decide_whether_a_band_without_width_holds():
    chance = np.random.default_rng(3)
    truth = np.full(60, 1e6)
    predicted, asked = (truth * (1 + chance.uniform(-1e-13, 1e-13, 60)) for _ in range(2))
    low, high = conformal_band(predicted, truth - predicted, 0.9).around(asked)
    assert ((low <= truth) & (truth <= high)).all() and (high - low < 0.01).all()


@pytest.mark.parametrize("few", [0, 100])
def test_predictions_that_are_mostly_equal_are_one_bin(few):
    predicted = np.repeat([0.0, 1.0], [few, 300 - few])
    residuals = np.where(predicted > 0, np.tile([-1.0, 0.0, 1.0], 100), 5.0)
    low, high = conformal_band(predicted, residuals, 0.9).around(np.ones(1))
    assert (low[0], high[0]) == pytest.approx((0.0, 2.0), abs=1e-6)


def test_a_band_is_wider_where_residuals_are_wider_and_holds_its_share():
    chance = np.random.default_rng(5)
    predicted = chance.uniform(0, 1, 3000)
    residuals = chance.normal(0, 1, 3000) * np.where(predicted > 2 / 3, 3.0, 1.0)
    band = conformal_band(predicted, residuals, 0.9)
    assert band.highs[2] > 2 * band.highs[0]
    fresh = chance.uniform(0, 1, 3000)
    truth = fresh + chance.normal(0, 1, 3000) * np.where(fresh > 2 / 3, 3.0, 1.0)
    low, high = band.around(fresh)
    assert np.mean((low <= truth) & (truth <= high)) == pytest.approx(0.9, abs=0.02)


def test_a_challenger_with_half_the_errors_is_better():
    actual, champion = np.arange(50.0), np.arange(50.0) + 2
    found = compare(actual, champion, actual + 1, margin=0.02, confidence=0.95, seed=1)
    assert (found.outcome, found.change.value, found.rows) == ("better", -0.5, 50)


def test_a_challenger_with_twice_the_errors_is_worse():
    actual = np.arange(50.0)
    assert compare(actual, actual + 1, actual + 2, margin=0.02, confidence=0.95, seed=1).outcome == "worse"


def test_the_same_predictions_are_non_inferior_and_not_better():
    actual = np.arange(50.0)
    found = compare(actual, actual + 1, actual + 1, margin=0.02, confidence=0.95, seed=1)
    assert (found.outcome, found.change.low, found.change.high) == ("non_inferior", 0.0, 0.0)


def test_two_noisy_equals_on_few_rows_are_inconclusive():
    chance = np.random.default_rng(2)
    actual = np.zeros(30)
    found = compare(actual, chance.normal(0, 1, 30), chance.normal(0, 1, 30), margin=0.02, confidence=0.95, seed=1)
    assert found.outcome == "inconclusive"


def test_equals_are_called_better_no_oftener_than_the_confidence_allows():
    chance, pairs = np.random.default_rng(11), 300
    outcomes = []
    for pair in range(pairs):
        actual = chance.lognormal(0, 1, 150)
        champion, challenger = (actual * chance.lognormal(0, 0.5, 150) for _ in range(2))
        found = compare(actual, champion, challenger, margin=0.02, confidence=0.95, seed=pair, draws=400)
        outcomes.append(found.outcome)
    assert outcomes.count("better") / pairs <= 0.05
    assert outcomes.count("worse") / pairs <= 0.05


def test_holdouts_are_drawn_by_entity_where_entities_are_given():
    actual = np.zeros(200)
    chance = np.random.default_rng(0)
    champion, challenger = (np.tile(chance.normal(0, 1, 20), 10) for _ in range(2))
    entities = np.tile(np.arange(20), 10)
    wide = compare(actual, champion, challenger, margin=0.02, confidence=0.95, seed=1, entities=entities)
    narrow = compare(actual, champion, challenger, margin=0.02, confidence=0.95, seed=1)
    assert wide.change.high - wide.change.low > 2 * (narrow.change.high - narrow.change.low)


def test_shops_are_what_the_other_tests_take_them_for():
    assert shops(240)["visitors"].null_count() == 22
