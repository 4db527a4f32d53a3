"""Arms are fair and independent, looking often fools nobody, and a planted effect is found as often as was planned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy.stats import chisquare

from tasks.core import experiments
from tasks.core.experiments import Conclusion, Experiment, Moments, analyse, arms, lift, planned_units
from tasks.core.intervals import wilson
from tasks.errors import BadRequest

RUNS = Experiment("shops", "prod", 1, "v1", "v2", 1.0, 2.0, 0.05, 0.8, "higher", 1_000, "why", "bob", "2026-11-21")
ENTITIES = pl.Series([f"shop {number}" for number in range(10_000)])


def treated(name: str) -> np.ndarray:
    return (arms(ENTITIES, name) == "treatment").to_numpy()


def test_an_entity_is_in_the_same_arm_whenever_it_comes():
    mixed = ENTITIES.shuffle(seed=3)
    again = dict(zip(mixed, arms(mixed, RUNS.name), strict=True))
    assert again == dict(zip(ENTITIES, arms(ENTITIES, RUNS.name), strict=True))
    assert arms(pl.Series(["shop 1", "shop 1"]), RUNS.name).n_unique() == 1


def test_arms_are_even_over_many_experiments():
    # Of 20 tests at once the smallest p-value is below 0.0002 in less than 1 %.
    shares = [treated(replace(RUNS, number=number).name).sum() for number in range(1, 21)]
    assert min(chisquare([share, 10_000 - share]).pvalue for share in shares) > 0.0002


def test_the_arms_of_one_experiment_say_nothing_of_those_of_another():
    before = treated(RUNS.name)
    others = (replace(RUNS, number=2), replace(RUNS, ring="qa"), replace(RUNS, workload="shop"))
    for other in others:
        after = treated(other.name)
        cells = [np.sum((before == a) & (after == b)) for a in (True, False) for b in (True, False)]
        assert chisquare(cells).pvalue > 0.0002


def test_the_plan_is_the_textbooks_with_the_sequences_multiplier():
    # (2 · 2 · (3.035 + 0.842) / 1)² = 240.5; looked at once it would be (2 · 2 · (1.960 + 0.842))² = 125.6.
    assert planned_units(1.0, 2.0, 0.05, 0.8) == 241
    assert planned_units(0.1, 2.0, 0.05, 0.8) == pytest.approx(24_050, rel=0.001)
    assert planned_units(5.0, 1.0, 0.05, 0.8) == 200, "a limit theorem needs some"


@pytest.mark.parametrize(
    "wrong", [(0, 1, 0.05, 0.8), (1, -1, 0.05, 0.8), (1, 1, 0, 0.8), (1, 1, 0.05, 1), (1, float("nan"), 0.05, 0.8)]
)
def test_numbers_that_make_no_plan_are_refused(wrong):
    with pytest.raises(BadRequest, match="no plan comes of"):
        planned_units(*wrong)


def looked_at_often(outcomes: np.ndarray, treated: np.ndarray, planned: int, every: int) -> np.ndarray:
    """Say of each simulated experiment (a row) whether any look, one after every batch, told the arms apart."""
    apart = np.zeros(len(outcomes), dtype=bool)
    for row, (values, arm) in enumerate(zip(outcomes, treated, strict=True)):
        sums = [
            np.cumsum(np.where(side, [np.ones_like(values), values, values**2], 0.0), axis=1) for side in (~arm, arm)
        ]
        for at in range(every - 1, values.size, every):
            found = lift(*(_moments(*each[:, at]) for each in sums), planned, 0.05)
            if found is not None and (found.low > 0 or found.high < 0):
                apart[row] = True
                break
    return apart


def _moments(units: float, total: float, squares: float) -> Moments:
    mean = total / max(units, 1.0)
    return Moments(int(units), mean, (squares - units * mean**2) / max(units - 1, 1.0))


@pytest.mark.parametrize(
    "kind", ["lognormal", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("normal", "rare"))]
)
def test_equals_looked_at_after_every_batch_are_told_apart_in_at_most_alpha(kind):
    chance = np.random.default_rng(20261121)
    # Twice as far as planned, because people go on looking.
    shape = (2_000, 4_000)
    draw = {
        "normal": lambda: chance.normal(5.0, 2.0, shape),
        "lognormal": lambda: chance.lognormal(0.0, 1.0, shape),
        "rare": lambda: (chance.random(shape) < 0.05).astype(float),
    }[kind]
    found = looked_at_often(draw(), chance.random(shape) < 0.5, planned=2_000, every=100)
    assert wilson(int(found.sum()), found.size, 0.95).high <= 0.05, f"{found.sum()} of {found.size}"


def test_looking_at_the_textbooks_interval_after_every_batch_would_fool_many():
    chance = np.random.default_rng(5)
    values, arm = chance.normal(0.0, 1.0, (400, 4_000)), chance.random((400, 4_000)) < 0.5
    differences = np.cumsum(np.where(arm, values, -values), axis=1)[:, 99::100] / np.sqrt(np.arange(100, 4_001, 100))
    assert (np.abs(differences) > 1.96).any(axis=1).mean() > 0.2


def test_a_planted_effect_is_found_with_the_power_that_was_planned():
    chance, planned = np.random.default_rng(7), planned_units(0.25, 1.0, 0.05, 0.8)
    arm = chance.random((1_000, planned)) < 0.5
    found = looked_at_often(chance.normal(0.0, 1.0, arm.shape) + 0.25 * arm, arm, planned, every=50)
    assert wilson(int(found.sum()), found.size, 0.95).low >= 0.8, f"{found.mean():.3f}"


def seen(control: float, treatment: float, units: int = 500, **changes: object):
    return analyse(replace(RUNS, **changes), Moments(units, control, 4.0), Moments(units, treatment, 4.0))


def test_what_may_be_said_follows_from_the_interval():
    better = seen(10.0, 11.0)
    # Standard error √(4/500 + 4/500) = 0.1265, times 3.035 at the planned 1,000.
    assert (better.lift.low, better.lift.high) == (pytest.approx(0.616, abs=0.001), pytest.approx(1.384, abs=0.001))
    assert better.relative == pytest.approx(0.1)
    assert better.verdict == "treatment" and "promoting it is for whoever decides" in better.sentence
    assert seen(10.0, 11.0, better="lower").verdict == "control"
    assert seen(11.0, 10.0).verdict == "control"
    assert seen(10.0, 10.1).verdict == "no such effect"
    assert seen(10.0, 10.1, effect=0.2).verdict == "inconclusive"
    assert seen(10.0, 10.1, effect=0.2, planned=5_000).verdict == "go on"


def test_a_handful_says_nothing_and_unequal_arms_are_not_believed():
    few = seen(10.0, 20.0, units=99)
    assert (few.lift, few.relative, few.verdict) == (None, None, "go on")
    uneven = analyse(RUNS, Moments(600, 10.0, 4.0), Moments(400, 20.0, 4.0))
    assert uneven.verdict == "unbalanced"
    assert not experiments.is_unbalanced(520, 480, 1_000)


def test_one_that_was_concluded_stands_no_more():
    second = replace(RUNS, number=2)
    end = Conclusion(1, seen(1.0, 1.0), "d", "bob", "done", "t")
    assert experiments.standing([RUNS], []) == RUNS
    assert experiments.standing([RUNS, second], [end]) == second
    assert experiments.standing([RUNS], [end]) is None
