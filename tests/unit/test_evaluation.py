"""The verdict's evidence: on the untouched holdout, beside the naive guesses, with intervals that hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tasks.core import evaluation
from tasks.core.evaluation import evaluate, slice_labels
from tasks.core.model_files import from_files
from tasks.core.splitting import split
from tasks.core.training import score_candidate
from tasks.core.values import Blob, Evaluation, Scorecard
from tasks.workloads.spec import Column, Feature, Slice
from tests.builders import quick, shops, shops_spec

SPEC = shops_spec()
TARGET = SPEC.targets[0]
ROWS = shops(400)
WINNER = Scorecard("sales", "hist_gradient_boosting", quick("hist_gradient_boosting").params, "scored")


@pytest.fixture(scope="module")
def found():
    return evaluate(SPEC, ROWS, TARGET, WINNER, refit_on_all=False)


def test_the_figures_are_those_of_the_predictions(found):
    frame, judged = found.predictions, found.judged
    error, naive = ((frame["actual"] - frame[name]).abs().mean() for name in ("predicted", "baseline"))
    assert judged.mae.value == pytest.approx(error)
    assert judged.skill.value == pytest.approx(1 - error / naive)
    assert judged.rmse == pytest.approx(((frame["actual"] - frame["expected"]) ** 2).mean() ** 0.5)
    spread = ((frame["actual"] - frame["actual"].mean()) ** 2).sum()
    assert judged.r2.value == pytest.approx(1 - ((frame["actual"] - frame["expected"]) ** 2).sum() / spread)
    inside = ((frame["low"] <= frame["actual"]) & (frame["actual"] <= frame["high"])).mean()
    assert judged.coverage.value == pytest.approx(inside)


def test_only_the_holdout_is_judged(found):
    held = split(SPEC, ROWS, TARGET).holdout
    assert found.predictions["row"].to_list() == ROWS["_row"][held].to_list()
    assert (found.judged.rows_holdout, found.judged.rows_trained) == (held.size, 400 - held.size)
    assert found.judged.units == ROWS["shop"][held].n_unique()


def test_every_interval_holds_its_value(found):
    for interval in (found.judged.mae, found.judged.r2, found.judged.skill, found.judged.coverage):
        assert interval.low < interval.value < interval.high


def test_all_naive_guesses_are_in_the_table_and_the_hardest_one_sets_the_skill(found):
    by_name = {score.name: score.mae for score in found.judged.baselines}
    assert list(by_name) == ["mean", "median", "group mean", "group median"]
    assert by_name[found.judged.baseline] == min(by_name.values())


def test_prediction_intervals_hold_what_they_promise_on_many_rows():
    spec = replace(SPEC, holdout=replace(SPEC.holdout, repeats=1))
    judged = evaluate(spec, shops(3000), TARGET, WINNER, refit_on_all=False).judged
    assert judged.coverage_wanted == 0.9
    assert judged.coverage.value == pytest.approx(0.9, abs=0.035)


def test_rows_of_every_slice_add_up_and_small_labels_are_judged_together(found):
    for name in ("town", "size"):
        scores = [score for score in found.judged.slices if score.slice == name]
        assert sum(score.rows for score in scores) == found.judged.rows_holdout
        assert all(score.rows >= 10 for score in scores if score.label != evaluation.SMALL)
    assert {score.label for score in found.judged.slices if score.slice == "town"} >= {"Ayr", "Bath", "Cork", "Deal"}


def test_a_slice_of_a_target_says_that_it_is_a_condition_on_the_outcome():
    spec = shops_spec(slices=(Slice("size", "sales", (1000.0,), ("small", "large")), Slice("town", "town")))
    judged = evaluate(spec, ROWS, TARGET, WINNER, refit_on_all=False).judged
    assert {score.slice for score in judged.slices} == {"size (by the actual sales)", "town", evaluation.BARE_SLICE}


def test_a_label_with_few_rows_is_not_judged_alone():
    rows = ROWS.with_columns(town=pl.when(pl.col("_row") % 40 == 1).then(pl.lit("Ely")).otherwise("town"))
    judged = evaluate(SPEC, rows, TARGET, WINNER, refit_on_all=False).judged
    towns = [score.label for score in judged.slices if score.slice == "town"]
    assert "Ely" not in towns and evaluation.SMALL in towns


def test_rows_with_only_what_is_always_known_are_no_worse_than_the_naive_guess(found):
    (bare,) = (score for score in found.judged.slices if score.slice == "inputs")
    assert (bare.label, bare.rows) == ("only area, town", found.judged.rows_holdout)
    assert bare.skill.value > 0.0


def test_a_number_is_cut_at_its_edges_and_a_gap_has_its_own_label():
    rows = pl.DataFrame({"area": [99.9, 100.0, None]})
    assert slice_labels(Slice("size", "area", (100.0,), ("small", "large")), rows).to_list() == [
        "small",
        "large",
        "missing",
    ]


def test_what_drives_sales_matters_and_what_does_not_matters_not():
    spec = replace(SPEC, features=(*SPEC.features, Feature("dice", "float", "chance")))
    rows = ROWS.with_columns(dice=pl.Series(np.random.default_rng(8).random(400)))
    importances = evaluate(spec, rows, TARGET, WINNER, refit_on_all=False).judged.importances
    assert list(importances)[-1] == "dice" and abs(importances["dice"]) < 0.05
    assert min(importances[name] for name in ("visitors", "area", "town")) > 0.05


def test_the_evidence_is_the_same_twice_and_with_the_out_of_fold_frame_handed_in(found):
    known = score_candidate(SPEC, ROWS, TARGET, quick("hist_gradient_boosting")).out_of_fold
    again = evaluate(SPEC, ROWS, TARGET, WINNER, refit_on_all=False, out_of_fold_predictions=known)
    assert again.judged == found.judged
    assert again.predictions.equals(found.predictions)
    assert again.files == found.files


def test_the_files_are_the_model_that_was_judged_unless_it_is_refitted(found):
    held = ROWS[split(SPEC, ROWS, TARGET).holdout]
    assert found.judged.describes == "shipped"
    shipped = from_files(found.files).score(held)
    assert shipped["predicted"].to_list() == found.predictions["predicted"].to_list()


def test_a_refitted_model_is_another_one_and_the_figures_say_whose_they_are(found):
    refitted = evaluate(SPEC, ROWS, TARGET, WINNER, refit_on_all=True)
    assert refitted.judged == replace(found.judged, describes="training part")
    assert refitted.files != found.files
    assert refitted.predictions.equals(found.predictions)


def test_the_predictions_have_the_columns_that_pages_draw_from(found):
    assert found.predictions.columns == [
        "row",
        "actual",
        "predicted",
        "expected",
        "low",
        "high",
        "baseline",
        "town",
        "size",
    ]
    assert found.predictions.null_count().sum_horizontal().item() == 0


def test_evidence_with_its_blobs_is_an_evaluation(found):
    blob = Blob("ab", 2)
    stored = found.judged.stored(blob, {"models/sales/model.json": blob})
    assert isinstance(stored, Evaluation)
    assert (stored.model, stored.skill, stored.predictions) == ("models/sales", found.judged.skill, blob)


def test_noise_earns_no_skill():
    noise = ROWS.with_columns(sales=pl.Series(np.random.default_rng(4).lognormal(8, 1, 400)))
    assert evaluate(SPEC, noise, TARGET, WINNER, refit_on_all=False).judged.skill.low < 0


def test_equal_copies_of_a_row_under_one_owner_leave_every_interval_as_wide_as_it_was():
    owners = replace(SPEC.holdout, within="owner", repeats=1)
    spec = shops_spec(holdout=owners, columns=(*SPEC.columns, Column("owner", "text", "whose it is")))
    alone = shops(150).with_columns(pl.col("shop").alias("owner"))
    copies = pl.concat(
        [alone.with_columns(pl.format("{} of {}", "shop", pl.lit(copy)).alias("shop")) for copy in "abcd"]
    )
    copies = copies.with_columns(_row=pl.int_range(1, pl.len() + 1))
    winner = replace(WINNER, algorithm="elastic_net", params=quick("elastic_net").params)
    one, four = (evaluate(spec, rows, TARGET, winner, refit_on_all=False).judged for rows in (alone, copies))
    assert (four.rows_holdout, four.units) == (4 * one.rows_holdout, one.units)
    for name in ("mae", "rmse_interval", "spearman_interval", "r2", "skill", "coverage"):
        narrow, wide = (getattr(each, name).high - getattr(each, name).low for each in (one, four))
        # By rows it would be half as wide; the fits differ a little, and so do their errors.
        assert wide == pytest.approx(narrow, rel=0.35), name
