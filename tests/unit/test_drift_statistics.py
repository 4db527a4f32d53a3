"""Each statistic against the library that defines it, to the tolerance a profile of a thousand bins promises."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from tasks.core import drift_statistics as statistics
from tasks.core.profile import profile_number

KS_TOLERANCE, W1_TOLERANCE = 2e-4, 0.003
CHANCE = np.random.default_rng(11)
PAIRS = {
    "normal, a little to the right": (CHANCE.normal(0, 1, 50_000), CHANCE.normal(0.1, 1, 40_000)),
    "lognormal, heavy-tailed": (CHANCE.lognormal(0, 1, 50_000), CHANCE.lognormal(0.05, 1, 40_000)),
    "counts": (CHANCE.poisson(3, 50_000).astype(float), CHANCE.poisson(3.2, 40_000).astype(float)),
    "mostly zero": (
        np.where(CHANCE.random(50_000) < 0.7, 0.0, CHANCE.gamma(2, 1, 50_000)),
        np.where(CHANCE.random(40_000) < 0.65, 0.0, CHANCE.gamma(2, 1, 40_000)),
    ),
    "wider": (CHANCE.normal(0, 1, 50_000), CHANCE.normal(0, 1.2, 40_000)),
}


def both(was, now):
    first = profile_number(pl.Series(was))
    return first, {**profile_number(pl.Series(now), edges=np.asarray(first["edges"])), "edges": first["edges"]}


@pytest.mark.parametrize("name", PAIRS)
def test_kolmogorov_smirnov_is_scipys_and_never_larger(name):
    was, now = PAIRS[name]
    found, exact = statistics.kolmogorov_smirnov(*both(was, now)), stats.ks_2samp(was, now).statistic
    assert exact - KS_TOLERANCE <= found <= exact + 1e-12


@pytest.mark.parametrize("name", PAIRS)
def test_wasserstein_is_scipys_in_standard_deviations(name):
    was, now = PAIRS[name]
    wanted = stats.wasserstein_distance(was, now) / was.std(ddof=1)
    assert statistics.wasserstein(*both(was, now)) == pytest.approx(wanted, abs=W1_TOLERANCE)


def test_what_lies_beyond_all_that_was_seen_is_one_bin_and_still_far():
    was, now = CHANCE.uniform(0, 1, 50_000), CHANCE.uniform(0.5, 2, 40_000)
    assert statistics.kolmogorov_smirnov(*both(was, now)) == pytest.approx(2 / 3, abs=0.005)
    wanted = stats.wasserstein_distance(was, now) / was.std(ddof=1)
    assert statistics.wasserstein(*both(was, now)) == pytest.approx(wanted, rel=0.01)


def test_the_p_value_of_kolmogorov_smirnov_is_scipys_asymptotic_one():
    wanted = stats.ks_2samp(*PAIRS["wider"], method="asymp")
    assert statistics.kolmogorov_smirnov_p(wanted.statistic, 50_000, 40_000) == pytest.approx(wanted.pvalue, rel=0.05)


def test_jensen_shannon_is_scipys_to_base_two():
    was, now = CHANCE.integers(0, 50, 30).astype(float), CHANCE.integers(0, 50, 30).astype(float)
    assert statistics.jensen_shannon(was, now) == pytest.approx(jensenshannon(was, now, base=2), abs=1e-12)
    assert statistics.jensen_shannon(was, was) == pytest.approx(0, abs=1e-7)
    assert statistics.jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 5.0])) == pytest.approx(1.0)


def test_homogeneity_is_scipys_where_no_cell_is_rare():
    was, now = np.array([500.0, 300.0, 200.0]), np.array([800.0, 900.0, 300.0])
    wanted = stats.chi2_contingency(np.vstack([was, now]), correction=False)
    found = statistics.homogeneity(was, now, 1000, 2000)
    assert (found.statistic, found.p_value) == pytest.approx((wanted.statistic, wanted.pvalue), rel=1e-12)
    assert found.degrees == wanted.dof == 2


def test_rare_values_are_taken_together_and_ten_rows_of_each_entity_count_as_one():
    was, now = np.array([100.0, 1.0, 1.0]), np.array([100.0, 0.0, 2.0])
    assert statistics.homogeneity(was, now, 102, 102).degrees == 1
    was, now = np.array([500.0, 500.0]), np.array([600.0, 400.0])
    rows, entities = (statistics.homogeneity(was, now, each, each) for each in (1000, 100))
    assert rows.statistic == pytest.approx(10 * entities.statistic)


def test_the_effect_is_nothing_where_only_chance_is_at_work_and_cohens_w_where_more_is():
    was = np.array([500.0, 500.0])
    assert statistics.homogeneity(was, np.array([510.0, 490.0]), 1000, 1000).excess == 0
    # (0.1² / 0.55 + 0.1² / 0.45) is 0.0404, whose root is 0.20; one degree of freedom less is 0.002.
    assert statistics.homogeneity(was, np.array([600.0, 400.0]), 1000, 1000).excess == pytest.approx(0.196, abs=0.001)


def test_the_p_value_of_a_share_is_that_of_a_binomial_and_symmetric():
    wanted = 2 * stats.binom.sf(4, 9, 100 / 300)  # five or more of nine hits in the smaller third
    assert statistics.shares_p(4, 200, 5, 100) == pytest.approx(wanted)
    assert statistics.shares_p(196, 200, 95, 100) == pytest.approx(wanted)
    assert statistics.shares_p(0, 200, 0, 100) == 1.0


def test_values_never_seen_are_held_against_those_seen_once():
    assert statistics.unseen_p(0, 1000, 0, 1000) == 1.0
    assert statistics.unseen_p(20, 1000, 20, 1000) > 0.4
    assert statistics.unseen_p(0, 1000, 20, 1000) == pytest.approx(22 / 2**21, rel=0.01)  # 20 or 21 of 21 heads


def test_welchs_z_is_scipys():
    was, now = PAIRS["lognormal, heavy-tailed"]
    wanted = stats.ttest_ind(now, was, equal_var=False).statistic
    assert statistics.mean_shift_z(*both(was, now), 50_000, 40_000) == pytest.approx(wanted, rel=1e-6)
    constant = profile_number(pl.Series([1.0, 1.0, 1.0]))
    assert statistics.mean_shift_z(constant, constant, 3, 3) is None


def test_a_stability_index_is_zero_where_chance_explains_it_and_known_where_it_does_not():
    even, other = np.array([1000.0, 1000.0]), np.array([1500.0, 500.0])
    assert statistics.stability_index(even, np.array([1010.0, 990.0])) == 0
    # (0.75 − 0.5) ln 1.5 + (0.25 − 0.5) ln 0.5 is 0.2747, by chance 0.001.
    assert statistics.stability_index(even, other) == pytest.approx(0.2737, abs=5e-4)


def test_correlations_of_ranks_are_scipys_and_their_change_is_as_unlikely_as_fishers_z_says():
    left = CHANCE.normal(size=4000)
    right = 0.6 * left + 0.8 * CHANCE.normal(size=4000)
    ranks = np.column_stack([stats.rankdata(left), stats.rankdata(right)])
    matrix, rows = statistics.rank_correlations(ranks)
    assert matrix[0, 1] == pytest.approx(stats.spearmanr(left, right).statistic, abs=1e-12)
    assert rows[0, 1] == 4000
    assert statistics.correlation_p(0.6, 5000, 0.4, 5000) < 1e-30
    assert statistics.correlation_p(0.6, 5000, 0.59, 5000) > 0.3
    assert statistics.correlation_p(1.0, 3, -1.0, 5000) == 1.0


def test_two_correlations_are_averaged_by_their_rows():
    assert statistics.pooled_correlation(0.5, 103, 0.5, 1003) == pytest.approx(0.5)
    assert 0.2 < statistics.pooled_correlation(0.0, 103, 0.5, 103) < 0.3
