"""A target that is learned as a change from its previous value: counts that only grow."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import polars as pl
import pytest

from tasks.core.baselines import baselines, naive_features
from tasks.core.learners import xgb
from tasks.core.learners.lesson import Lesson
from tasks.core.model_files import from_files, to_files
from tasks.core.models import Model, Scale, calibrate, fit_correction, fit_scale, learn
from tasks.core.splitting import split
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
