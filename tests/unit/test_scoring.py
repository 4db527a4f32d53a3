"""What is kept of a scored batch: answers in fixed blocks, a name made of its inputs, and a difference that is seen."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from tasks.core import scoring
from tasks.core.evaluation import evaluate
from tasks.core.run import Run
from tasks.core.scoring import (
    Batch,
    Scored,
    Skew,
    alarms,
    answers,
    observation,
    sampled_block,
    skew_between,
)
from tasks.core.training import score_candidate
from tasks.core.values import Entry
from tests.builders import quick, shops, shops_spec

ENTRY = Entry("shops", 3, "promotion", "prod", "v", "m" * 64, ("sales",), "e", "p", "x", "r", "t", "")
BATCH = Batch(Run("shops", "in.csv", "s", "k", "c", "p", "2026-11-21"), "2026-11-21", ENTRY, "file:///s", "")


@pytest.fixture(scope="module", params=["elastic_net", "mlp", "xgboost"])
def model(request):
    spec, rows = shops_spec(), shops(240)
    target = spec.targets[0]
    winner = score_candidate(spec, rows, target, quick(request.param)).scorecard
    return evaluate(spec, rows, target, winner, refit_on_all=False).model


def test_every_row_is_answered_with_an_interval_around_its_median(model):
    found = answers(shops(50, seed=2), {"sales": model})
    assert found.columns == ["sales", "sales_low", "sales_high"] and found.height == 50
    assert (
        found.select((pl.col("sales_low") <= pl.col("sales")) & (pl.col("sales") <= pl.col("sales_high")))
        .to_series()
        .all()
    )


def test_where_a_chain_answers_each_row_says_which_part_of_it_did():
    spec, rows = shops_spec(), shops(120)
    winner = score_candidate(spec, rows, spec.targets[0], quick("lstm")).scorecard
    chain = evaluate(spec, rows, spec.targets[0], winner, refit_on_all=False).model
    found = answers(shops(5, seed=2), {"sales": chain})
    assert found.columns == ["sales", "sales_low", "sales_high", "sales_by"]
    assert found["sales_by"].to_list() == ["boosted lags"] * 5


def test_a_block_answered_by_itself_gives_the_same_bits(model, monkeypatch):
    monkeypatch.setattr(scoring, "BLOCK_ROWS", 64)
    rows = shops(150, seed=3)
    whole = answers(rows, {"sales": model})
    assert whole[64:128].equals(answers(rows[64:128], {"sales": model}))
    assert whole[128:].equals(answers(rows[128:], {"sales": model}))


def test_the_same_rows_bundle_and_day_are_the_same_run_and_any_other_is_another():
    assert BATCH.run_id("snapshot") == replace(BATCH, output="file:///other").run_id("snapshot")
    others = (
        BATCH.run_id("another"),
        replace(BATCH, date="2026-11-22").run_id("snapshot"),
        replace(BATCH, champion=replace(ENTRY, manifest_digest="n" * 64)).run_id("snapshot"),
    )
    assert len({BATCH.run_id("snapshot"), *others}) == 4


def test_the_recomputed_block_begins_a_block_of_the_batch():
    starts = {sampled_block(40_000, f"{number:016x}") for number in range(9)}
    assert starts == {0, 16_384, 32_768}
    assert sampled_block(10, "ff") == 0


def test_the_last_bit_is_a_difference_and_a_missing_value_is_not():
    said = pl.DataFrame({"sales": [1.0, None, 3.0], "sales_low": [0.5, 0.5, float("nan")]})
    assert skew_between(said, said) == Skew(3, 0, ())
    off = said.with_columns(sales=pl.Series([1.0, None, 3.0000000000000004]))
    assert skew_between(said, off) == Skew(3, 1, ("sales",))
    assert skew_between(said, said.with_columns(sales=pl.Series([1.0, 2.0, 3.0]))) == Skew(3, 1, ("sales",))


def test_rows_the_offline_store_does_not_give_back_are_a_difference():
    said = pl.DataFrame({"sales": [1.0, 2.0, 3.0]})
    assert skew_between(said, said[:2]) == Skew(3, 1, ("rows",))


def test_a_day_with_an_alarm_is_one_on_which_a_policy_may_roll_back():
    day = Scored(
        "shops", "prod", "2026-11-21", "r", "v", "m", 3, "s", ("sales",), 200, 200, 0, (), Skew(200, 0, ()), ()
    )
    quiet = observation(day, 0.01)
    loud = observation(replace(day, findings=alarms(Skew(200, 3, ("sales",)), {})), 0.01)
    assert (quiet.trigger, quiet.champion, quiet.breached, quiet.found) == ("scoring_errors", 3, False, "none")
    assert (loud.breached, loud.found, loud.at) == (True, "3 of 200 rows skew (1.50%)", "2026-11-21T00:00:00+00:00")


@pytest.mark.parametrize(
    ("skewed", "not_finite", "most", "breached"),
    [(1, 0, 0.01, False), (2, 0, 0.01, False), (3, 0, 0.01, True), (1, 0, 0.0, True), (0, 10, 0.01, False),
     (0, 11, 0.01, True), (1, 11, 0.01, True), (200, 1000, 1.0, False)],
)  # fmt: skip
def test_a_day_is_bad_once_more_of_its_rows_are_than_the_policy_takes(skewed, not_finite, most, breached):
    skew = Skew(200, skewed, ("sales",))
    found = alarms(skew, {"sales": not_finite})
    day = Scored(
        "shops", "prod", "2026-11-21", "r", "v", "m", 3, "s", ("sales",), 1000, 1000, 0, (), skew, found
    )  # fmt: skip
    assert observation(day, most).breached is breached


def test_an_alarm_says_what_came_out_wrong_and_how_often():
    skew, numbers = alarms(Skew(200, 3, ("sales",)), {"sales": 2, "visits": 0})[::-1]
    assert (skew.code, skew.count, numbers.code, numbers.count) == ("skew", 3, "not_finite", 2)
    assert "3 of 200 sampled rows" in skew.message and "sales" in skew.message
    assert alarms(Skew(200, 0, ()), {"sales": 0}) == ()
