"""What is stated of an error before the truth is known: by hand on few rows, and on a world whose truth is planted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks.core.appraisal import realise
from tasks.core.promise import ROWS_PER_BAND, expected_error, promise_of

ROWS, HOLDOUT, DAYS = 400, 400, 120


def world(chance, rows, level=6.0, noise=0.3, per_entity=1):
    """Return rows of a log-normal world: a model that is right about the median, with intervals of the old noise."""
    entities = -(-rows // per_entity)
    of = np.repeat(np.arange(entities), per_entity)[:rows]
    predicted = chance.lognormal(level, 1.0, entities)[of]
    actual = predicted * np.exp(noise * chance.normal(size=entities)[of])
    low, high = predicted * np.exp(-0.5), predicted * np.exp(0.5)
    frame = {"predicted": predicted, "low": low, "high": high, "actual": actual, "naive": np.full(rows, 400.0)}
    return pl.DataFrame({"entity": of.astype(str), **frame})


def kept(chance, **of_the_day):
    """Return how many of many days came out where it was stated, each beside a holdout of its own."""
    hits = 0
    for _ in range(DAYS):
        promise = promise_of(world(chance, HOLDOUT, per_entity=of_the_day.get("per_entity", 1)))
        hits += not realise("sales", world(chance, ROWS, **of_the_day), (), promise, 0.95).surprising
    return hits / DAYS


def test_a_holdout_that_always_erred_by_a_tenth_of_the_width_promises_just_that():
    side = {"entity": [f"{n}" for n in range(40)], "predicted": [10.0] * 40, "low": [5.0] * 40, "high": [15.0] * 40}
    promise = promise_of(pl.DataFrame({**side, "actual": [11.0] * 40}))
    day = pl.DataFrame({"entity": ["a", "b"], "predicted": [10.0, 50.0], "low": [0.0, 40.0], "high": [20.0, 70.0]})
    found = expected_error(promise, day, 0.95)
    assert (found.value, found.low, found.high) == pytest.approx((2.5, 2.5, 2.5))


def test_bands_err_each_in_its_own_way():
    predicted = np.repeat([1.0, 100.0], ROWS_PER_BAND)
    actual = predicted + np.repeat([0.5, 20.0], ROWS_PER_BAND)
    frame = {"predicted": predicted, "low": predicted - 10, "high": predicted + 10, "actual": actual}
    promise = promise_of(pl.DataFrame({"entity": [str(n) for n in range(80)], **frame}))
    day = pl.DataFrame({"entity": ["a"], "predicted": [1.0], "low": [-9.0], "high": [11.0]})
    assert expected_error(promise, day, 0.95).value == pytest.approx(0.5)
    assert expected_error(promise, day.with_columns(predicted=100.0), 0.95).value == pytest.approx(20.0)


def test_rows_without_a_width_are_expected_to_err_as_the_holdout_did():
    frame = {"predicted": [1.0] * 40, "low": [1.0] * 40, "high": [1.0] * 40, "actual": [1.0] * 20 + [3.0] * 20}
    promise = promise_of(pl.DataFrame({"entity": [str(n) for n in range(40)], **frame}))
    day = pl.DataFrame({"entity": ["a"], "predicted": [9.0], "low": [9.0], "high": [9.0]})
    assert expected_error(promise, day, 0.95).value == pytest.approx(1.0)


def test_a_holdout_of_few_rows_promises_nothing():
    assert promise_of(world(np.random.default_rng(1), ROWS_PER_BAND - 1)) is None


@pytest.mark.parametrize("of_the_day", [{}, {"level": 7.0}, {"per_entity": 8}], ids=["alike", "larger", "clustered"])
def test_a_day_without_another_relation_comes_out_where_it_was_stated(of_the_day):
    assert kept(np.random.default_rng(20_261_121), **of_the_day) >= 0.9


def test_an_error_that_grew_by_half_comes_out_elsewhere():
    assert kept(np.random.default_rng(5), noise=0.45) <= 0.05
