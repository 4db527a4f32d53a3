"""A target that is learned as a change from its previous value: counts that only grow."""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

from tasks.core.baselines import baselines, naive_features
from tasks.core.evaluation import Evaluated, evaluate, golden
from tasks.core.golden import largest_difference
from tasks.core.learners import xgb
from tasks.core.learners.lesson import Lesson
from tasks.core.model_files import DESCRIPTION, from_files, to_files
from tasks.core.models import Model, calibrate, learn
from tasks.core.scales import Scale, fit_correction, fit_scale
from tasks.core.scoring import answers
from tasks.core.splitting import split
from tasks.core.training import STARTS, score_candidate
from tasks.core.typical import set_apart
from tasks.errors import DataRejected, Misdeclared
from tasks.workloads.spec import Feature, Target
from tests.builders import quick, shops, shops_spec

TARGET = Target("sales", "sales", "sales", "US$", previous="before", trend="trend", as_change=True)
FEATURES = tuple(Feature(name, "float", name) for name in ("before", "trend", "pace"))
SPEC = shops_spec(features=FEATURES, targets=(TARGET,), always_known=(), slices=())


def grown(rows: int = 400) -> pl.DataFrame:
    """Return shops of very different size whose sales grew by what ``pace`` says, up to a tenth."""
    chance = np.random.default_rng(4)
    before, pace = chance.lognormal(9, 2, rows), chance.random(rows)
    sales, trend = before * np.exp(0.1 * pace), before * 1.05
    planted = {"before": before, "pace": pace, "sales": sales, "trend": trend}
    return shops(rows).with_columns(pl.Series(name, values) for name, values in planted.items())


def test_things_that_were_seen_once_teach_no_change_and_that_is_said():
    once = grown().with_columns(before=pl.lit(None, pl.Float64))
    with pytest.raises(
        DataRejected, match=r"as a change from 'before', which 0 of \d+ rows .* Bring later rows of the"
    ):
        split(SPEC, once, TARGET)
    seen_later = once.with_columns(before=pl.when(pl.int_range(pl.len()) < 200).then(5.0))
    assert split(SPEC, seen_later, TARGET).train.size > 200


def test_a_small_change_of_very_different_counts_is_learned_better_than_the_count_itself():
    rows, fresh = grown()[:300], grown()[300:]
    missed = {}
    for target in (TARGET, replace(TARGET, as_change=False)):
        learned = learn(SPEC, rows, target, quick("xgboost"), unit=1.0)
        missed[target.as_change] = np.abs(learned.link(fresh) - np.log1p(fresh["sales"].to_numpy())).mean()
    assert missed[True] < 0.02 < 5 * missed[True] < missed[False]


def test_a_row_without_a_previous_label_teaches_nothing_and_is_answered_with_what_is_typical():
    rows = grown()
    odd = rows.with_columns(before=pl.when(pl.col("_row") > 380).then(None).otherwise("before"))
    one, other = (
        learn(SPEC, each, TARGET, quick("xgboost"), unit=1.0) for each in (odd, odd.filter(pl.col("_row") <= 380))
    )
    assert one.scale == other.scale
    typical = np.log1p(rows[:380]["sales"].to_numpy()).mean()
    assert one.link(odd[380:]) == pytest.approx(np.full(20, typical), abs=0.3)


@functools.cache
def judged_with_starts() -> tuple[pl.DataFrame, Evaluated]:
    """Return shops of which every fourth starts, and what the evidence says of a model of them."""
    rows = grown(800).with_columns(before=pl.when(pl.col("_row") % 4 > 0).then("before"))
    scored = score_candidate(SPEC, rows, TARGET, quick("xgboost"))
    done = evaluate(
        SPEC, rows, TARGET, scored.scorecard, refit_on_all=False, out_of_fold_predictions=scored.out_of_fold
    )
    return rows, done


def test_the_interval_of_a_row_that_starts_is_as_wide_as_such_rows_scatter_and_that_of_others_no_wider_for_them():
    rows, done = judged_with_starts()
    said, actual = done.model.score(rows), rows["sales"]
    holds, starts = actual.is_between(said["low"], said["high"]), rows["before"].is_null()
    assert 0.85 < holds.filter(starts).mean() < 0.95 and 0.85 < holds.filter(~starts).mean() <= 1.0
    assert said.filter(starts)["predicted"].n_unique() == 1
    assert said.filter(starts)["predicted"][0] == pytest.approx(actual.filter(starts).median(), rel=0.3)
    assert (said["high"] / said["low"]).filter(~starts).max() < 1.5


def test_what_answers_a_row_that_starts_is_named_and_the_evidence_says_how_often_its_interval_holds():
    rows, done = judged_with_starts()
    by = answers(rows[:8], {"sales": done.model})["sales_by"].to_list()
    assert by == ["xgboost", "xgboost", "xgboost", "typical"] * 2
    title, lines = done.judged.told[0].title, done.judged.told[0].lines
    assert title == "Is the value before known?" and [line[0][:3] for line in lines] == ["no,", "yes"]
    assert sum(int(line[1]) for line in lines) == done.judged.rows_holdout


def test_a_model_that_knows_what_is_typical_comes_back_and_one_made_before_answers_as_it_did():
    rows, done = judged_with_starts()
    again = from_files(to_files(done.model))
    assert again.score(rows).equals(done.model.score(rows))
    sample = golden(rows, done.model)
    assert any(each["before"] is None for each in sample["inputs"])
    assert largest_difference(sample, again) == 0.0
    files = to_files(done.model)
    plain = json.loads(files[DESCRIPTION])
    del plain["typical"], plain["scale"]["cuts_change"]
    older = from_files(files | {DESCRIPTION: json.dumps(plain).encode()})
    assert older.scored_by(rows) is None
    starts = rows.filter(pl.col("before").is_null())
    _, high = older.full.band.around(older.learned.link(starts))
    assert older.score(starts)["high"].to_list() == older.learned.scale.label(high).tolist()


def test_with_few_rows_that_start_all_labels_tell_what_is_typical():
    _, done = judged_with_starts()
    known = pl.DataFrame({"link_actual": np.arange(100.0), STARTS: np.arange(100) < 39})
    others, typical = set_apart(known, done.model.learned)
    low, high = typical.band.around(np.array([done.model.learned.scale.start]))
    assert others.height == 61 and low[0] < 10 and high[0] > 90
    assert set_apart(known[:39], done.model.learned)[0].height == 39


def test_a_change_and_back_is_the_label():
    label, before = np.array([200.0, 400.0]), np.array([100.0, np.nan])
    scale = fit_scale(TARGET, label, 1.0, before)
    assert scale.label(scale.from_standard(scale.standard(label, before), before)) == pytest.approx(label)


def test_a_count_beyond_all_that_were_seen_goes_on_from_where_it_is_and_by_no_larger_change_than_was_seen():
    rows = grown()
    largest = float(rows["before"].max())
    beyond = rows[:3].with_columns(before=pl.lit(10 * largest), trend=pl.lit(10.5 * largest))
    for algorithm in ("elastic_net", "xgboost"):
        learned = learn(SPEC, rows, TARGET, quick(algorithm), unit=1.0)
        said = learned.scale.label(learned.link(beyond))
        assert (10 * largest < said).all() and (said < 11.5 * largest).all()
    wild = learned.scale.from_standard(np.array([1e6]), np.array([10 * largest]))
    assert np.exp(wild - np.log(10 * largest)) == pytest.approx(np.exp(0.1), rel=0.03)


def test_a_model_that_was_made_when_the_label_was_cut_still_answers_as_it_did():
    label, before = np.array([200.0, 400.0]), np.array([100.0, 300.0])
    now = asdict(fit_scale(TARGET, label, 1.0, before))
    was = Scale(**({name: now[name] for name in now if name != "cuts_change"} | {"low": 0.0, "high": 6.0}))
    assert was.from_standard(np.zeros(1), np.array([9e9])) == pytest.approx([6.0])


def test_a_model_of_changes_comes_back_from_its_files_with_what_it_changes_from():
    rows = grown()
    learned = learn(SPEC, rows, TARGET, quick("xgboost"), unit=1.0)
    calibration = calibrate(learned.link(rows), learned.scale.link(rows["sales"].to_numpy()), log=True)
    model = Model("sales", "US$", learned, (), calibration, calibration)
    assert from_files(to_files(model)).score(rows).equals(model.score(rows))


def test_a_change_is_not_shifted_by_what_larger_changes_were_missed_by():
    link, truth = np.array([1.0, 1.0, 2.0]), np.array([1.2, 1.3, 2.0])
    assert fit_correction(link, truth, log=True).shift == pytest.approx(0.2)
    assert fit_correction(link, truth, log=True, shifted=False).shift == 0.0


def test_the_trend_is_a_naive_guess_too_and_without_one_the_previous_value_is():
    rows = grown().with_columns(trend=pl.when(pl.col("_row") != 7).then("trend"))
    guesses = baselines(SPEC, rows, rows, TARGET)
    assert guesses["trend"][6] == rows["before"][6] and guesses["trend"][7] == rows["trend"][7]


def test_a_change_from_nothing_is_refused():
    with pytest.raises(Misdeclared, match="names no previous value to change from"):
        replace(SPEC, targets=(replace(TARGET, previous=""),))
    with pytest.raises(Misdeclared, match="takes 'tomorrow' for its trend, no feature it may see"):
        replace(SPEC, targets=(replace(TARGET, trend="tomorrow"),))
    with pytest.raises(Misdeclared, match="a series alone has a width"):
        replace(SPEC, features=(*FEATURES, Feature("past", "series", "no width")))


def test_naive_guesses_need_no_more_of_a_row_than_they_are_said_to_read():
    # An appraisal has these columns of a day and no others.
    rows = grown(60).select(TARGET.column, SPEC.group, *naive_features(SPEC))
    assert {"previous", "trend"} <= set(baselines(SPEC, rows, rows, TARGET))


def test_a_few_far_labels_steer_the_squares_and_not_the_pseudo_huber_loss_which_comes_back_from_its_bytes():
    chance = np.random.default_rng(6)
    x = chance.random((600, 2))
    right = x[:, 0] - 0.5
    y = np.where(np.arange(600) % 12 == 5, 40.0, right)
    missed = {}
    for loss in ("squared", "pseudo_huber"):
        params = {"rounds": 40, "depth": 3, "learning_rate": 0.2, "loss": loss}
        params |= {"huber_slope": 0.1} if loss == "pseudo_huber" else {}
        fitted = xgb.fit_xgboost(Lesson(x[:500], y[:500], x[500:], y[500:], (), params, 7, 1, "cpu"))
        missed[loss] = float(np.median(np.abs(fitted.predict(x) - right)))
    assert missed["pseudo_huber"] < 0.5 * missed["squared"]
    assert xgb.from_bytes(fitted.to_bytes()).predict(x).tolist() == fitted.predict(x).tolist()
