"""The rule against pairs of models whose truth is known: equals, and challengers that are worse by so much."""

import numpy as np
import pytest
from scipy.stats import binom

from tasks.core.intervals import entity_sums
from tasks.core.paired import Odds, halves, holm, odds

PAIRS, ALPHA, MARGIN, REGRESSION, DRAWS = 1000, 0.025, 0.02, 0.05, 399
# So many of 1000 equal pairs may be called better before 2.5 % is refuted: exact binomial, one-sided, 5 % over
# all ten times it is asked. A bootstrap with replacement had 80 to 100.
MOST_FALSE = int(binom.ppf(1 - 0.05 / 10, PAIRS, ALPHA))


def light(chance, pairs):
    return np.abs(chance.normal(size=(2, 60, pairs)))


def heavy(chance, pairs):
    """Errors without a variance, on rows whose sizes differ a hundredfold."""
    return chance.lognormal(0, 1.5, (1, 60, pairs)) * np.abs(chance.standard_t(2, (2, 60, pairs)))


def few(chance, pairs):
    return heavy(chance, pairs)[:, :20]


def clustered(chance, pairs):
    """Four rows of each of 40 entities, for which either model has a bias of its own."""
    entities = np.repeat(np.arange(40), 4)
    bias = chance.lognormal(0, 1, (2, 40, pairs))[:, entities]
    errors = bias * np.abs(chance.standard_t(3, (2, 160, pairs)))
    return np.stack([entity_sums(each, entities) for each in errors])


def alike(chance, pairs):
    """Two models that make nearly the same errors, as a champion and its successor do."""
    size = chance.lognormal(0, 1.5, (1, 200, pairs)) * np.abs(chance.standard_t(3, (1, 200, pairs)))
    return size * chance.lognormal(0, 0.1, (2, 200, pairs))


KINDS = pytest.mark.parametrize("errors", [light, heavy, few, clustered, alike])


def intervals(champion, challenger):
    pairs = range(champion.shape[1])
    drawn = (halves(champion[:, [at]], challenger[:, [at]], seed=at, draws=DRAWS) for at in pairs)
    return [each.interval(ALPHA) for each in drawn]


@KINDS
def test_equals_are_called_better_or_worse_no_more_often_than_is_promised(errors):
    champion, challenger = errors(np.random.default_rng(11), PAIRS)
    found = intervals(champion, challenger)
    assert MOST_FALSE == 39
    assert sum(each.high < 0 for each in found) <= MOST_FALSE
    assert sum(each.low > 0 for each in found) <= MOST_FALSE


@KINDS
def test_a_challenger_worse_by_the_margin_passes_no_more_often_than_is_promised(errors):
    # The same pairs as of the equals above: what is blown up by the margin has the same chance to pass it.
    champion, challenger = errors(np.random.default_rng(11), PAIRS)
    found = intervals(champion, (1 + MARGIN) * challenger)
    assert sum(each.high <= MARGIN for each in found) <= MOST_FALSE


@KINDS
def test_a_regression_of_the_stated_size_is_blocked_and_called_worse_with_the_stated_power(errors):
    champion, challenger = errors(np.random.default_rng(13), 400)
    found = intervals(champion, (1 + REGRESSION) * challenger)
    blocked = sum(each.high > MARGIN for each in found)
    detected = sum(each.low > 0 and each.high > MARGIN for each in found)
    stated = [stated_odds(champion[:, pair], challenger[:, pair], REGRESSION) for pair in range(0, 400, 10)]
    for count, share in (
        (blocked, np.mean([each.blocked for each in stated])),
        (detected, np.mean([each.detected for each in stated])),
    ):
        # What is stated is itself known to a point or so, from forty holdouts.
        low, high = binom.ppf([0.001, 0.999], 400, [max(0, share - 0.015), min(1, share + 0.015)])
        assert low <= count <= high


def stated_odds(champion, challenger, regression) -> Odds:
    return odds(champion, challenger, alpha=ALPHA, margin=MARGIN, regression=regression, seed=3)


def test_the_odds_of_a_holdout_are_stated_with_its_own_rate_of_false_praise():
    champion, challenger = heavy(np.random.default_rng(14), 1)
    found = stated_odds(champion[:, 0], challenger[:, 0], 0.05)
    assert found.false_better.low <= ALPHA <= found.false_better.high
    assert 0 <= found.detected <= found.blocked <= 1
    assert found.smallest_detected > 0.05, "heavy tails on 60 units hide five percent"


def test_the_smallest_regression_found_is_found_in_four_of_five():
    champion, challenger = alike(np.random.default_rng(15), 1)
    smallest = stated_odds(champion[:, 0], challenger[:, 0], 0.05).smallest_detected
    again = stated_odds(champion[:, 0], challenger[:, 0], smallest + 1e-9)
    assert again.detected == pytest.approx(0.8, abs=0.01)


def test_more_units_than_are_tried_give_odds_too():
    champion, challenger = np.abs(np.random.default_rng(16).normal(size=(2, 1500)))
    assert stated_odds(champion, challenger, 0.05).trials == 400


def test_equal_errors_are_no_change_at_all():
    errors = np.random.default_rng(17).lognormal(size=(50, 1))
    drawn = halves(errors, errors, seed=1)
    assert drawn.interval(ALPHA).low == drawn.interval(ALPHA).high == 0.0
    assert drawn.p_below(0.0) == drawn.p_above(0.0, 50) == 1.0
    assert stated_odds(errors[:, 0], errors[:, 0], 0.05).detected == 1.0


def test_a_champion_without_error_can_only_be_lost_to():
    nothing, some = np.zeros((30, 1)), np.ones((30, 1))
    assert halves(nothing, some, seed=1).interval(ALPHA).low == 1.0
    assert halves(nothing, nothing, seed=1).interval(ALPHA).high == 0.0
    assert halves(some, nothing, seed=1).interval(ALPHA).high == -1.0
    assert stated_odds(some[:, 0], nothing[:, 0], 0.05).trials == 400


def test_two_units_of_four_draws_by_hand():
    # A draw takes the first, the second, both or neither unit: 1/2 − 1, 4/2 − 1, 5/4 − 1, or no change.
    drawn = halves(np.array([[2.0], [2.0]]), np.array([[1.0], [4.0]]), seed=1)
    assert set(drawn.drawn[:, 0].tolist()) == {-0.5, 1.0, 0.25, 0.0}
    assert drawn.value.tolist() == [0.25]


def test_a_slice_is_found_worse_beyond_the_margin_and_its_neighbour_is_not():
    chance = np.random.default_rng(18)
    champion = np.abs(chance.normal(size=(200, 2)))
    drawn = halves(champion, champion * chance.lognormal(0, 0.1, (200, 2)) * [1.0, 1.3], seed=1)
    assert drawn.p_above(0.1, 200, part=1) < 1e-9 and drawn.p_above(0.1, 200, part=0) > 0.99
    assert drawn.p_above(0.1, 1, part=1) == 1.0


def test_p_values_are_corrected_for_their_number_step_by_step():
    # 0.01 × 3; 0.03 × 2; 0.04 × 1, but never less than the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx((0.03, 0.06, 0.06))
    assert holm([0.5, 0.9]) == (1.0, 1.0)
    assert holm([]) == ()
