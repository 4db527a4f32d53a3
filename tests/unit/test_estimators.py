"""Every algorithm of the table fits, says the same twice, and answers whatever row it is asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tasks.core import estimators
from tasks.core.encoding import Encoder, fit_encoder, masked
from tasks.core.estimators import ALGORITHMS
from tasks.core.metrics import mae, r2
from tasks.core.models import Model, calibrate, learn, mostly_missing, optional_features
from tasks.core.scales import Correction, Scale, fit_correction, fit_scale, label_unit
from tasks.errors import BadRequest, Misdeclared
from tasks.workloads.spec import Candidate, Target
from tests.builders import QUICK, quick, shops, shops_spec

SPEC = shops_spec()
TARGET = SPEC.targets[0]
FEATURES = SPEC.features_for(TARGET)


def learned_from(rows, algorithm, **options):
    return learn(SPEC, rows, TARGET, quick(algorithm), unit=100.0, **options)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_learns_what_drives_sales(algorithm):
    candidate = (
        Candidate("mlp", {"hidden": 16, "epochs": 60, "learning_rate": 0.01})
        if algorithm == "mlp"
        else quick(algorithm)
    )
    rows, fresh = shops(400), shops(200, seed=2)
    learned = learn(SPEC, rows, TARGET, candidate, unit=100.0)
    assert r2(learned.scale.link(fresh["sales"].to_numpy()), learned.link(fresh)) > 0.5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_two_fits_of_the_same_rows_are_the_same_bytes(algorithm):
    rows = shops(120)
    first, second = (learned_from(rows, algorithm) for _ in range(2))
    assert first.estimator.to_bytes() == second.estimator.to_bytes()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_feature_that_no_row_has_costs_no_candidate_and_changes_nothing_once_it_comes(algorithm):
    rows = shops(120).with_columns(visitors=pl.lit(None, pl.Float64))
    learned = learned_from(rows, algorithm)
    assert np.isfinite(learned.link(rows)).all()
    if algorithm not in ("elastic_net", "mlp", "transformer", "tfidf"):
        assert learned.link(shops(120)).tolist() == learned.link(rows).tolist()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_level_never_seen_and_a_row_of_nothing_but_gaps_are_answered(algorithm):
    learned = learned_from(shops(120), algorithm)
    asked = shops(4).with_columns(town=pl.Series(["Ely", None, "Ayr", "Bath"]))
    asked = masked(asked, ["visitors", "area"], np.array([False, True, True, False]))
    assert np.isfinite(learned.link(asked)).all()


@pytest.mark.parametrize("algorithm", ["random_forest", "hist_gradient_boosting", "xgboost", "catboost"])
def test_two_threads_answer_as_one_does(algorithm):
    rows = shops(120)
    one, two = (learned_from(rows, algorithm, threads=threads).link(rows) for threads in (1, 2))
    assert two == pytest.approx(one, rel=1e-6)


def test_an_unknown_algorithm_is_refused_with_those_there_are():
    with pytest.raises(Misdeclared, match=r"no algorithm is called 'magic'; there are elastic_net, .*mlp"):
        estimators.algorithm("magic")


def test_a_device_that_was_asked_for_is_taken_as_said():
    assert estimators.pick_device("cpu") == "cpu"
    assert estimators.pick_device("auto") in ("cpu", "cuda")


def test_a_gpu_that_is_asked_for_and_not_there_is_a_bad_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(BadRequest, match="set GREENLIGHT_DEVICE to auto or cpu"):
        estimators.pick_device("cuda")


def test_the_quick_candidates_cover_the_table():
    assert {candidate.algorithm for candidate in QUICK} == set(ALGORITHMS)


def test_an_encoder_codes_levels_by_their_mean_target_and_gaps_apart():
    rows = pl.DataFrame({"town": ["Cork"] * 10 + ["Ayr"] * 10 + ["Bath"] * 2 + [None] * 2})
    encoder = fit_encoder(rows, FEATURES[2:], np.array([5.0] * 10 + [1.0] * 10 + [4.0] * 2 + [3.0] * 2))
    (town,) = encoder.categories
    assert town.levels == ("Ayr", "Cork")
    asked = pl.DataFrame({"town": ["Ayr", "Cork", "Bath", "Ely", None]})
    assert encoder.tree(asked)[:, 0].tolist()[:2] == [0.0, 1.0]
    assert encoder.tree(asked)[2, 0] == encoder.tree(asked)[3, 0] == town.other == 0.5
    assert np.isnan(encoder.tree(asked)[4, 0])
    assert encoder.dense(asked).tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 1]]


def test_a_skewed_number_is_logged_and_a_gap_is_the_median_and_a_flag():
    rows = pl.DataFrame(
        {"visitors": [*np.exp(np.linspace(0, 12, 99)).tolist(), None], "area": np.arange(100.0), "town": ["Ayr"] * 100}
    )
    encoder = fit_encoder(rows, FEATURES, np.arange(100.0))
    visitors, area = encoder.numeric
    assert (visitors.log, area.log) == (True, False)
    dense = encoder.dense(rows)
    assert dense[99, 1] == 1.0 and dense[98, 1] == 0.0
    assert dense[99, 0] == pytest.approx((visitors.fill - visitors.center) / visitors.scale)
    assert np.isfinite(dense).all()


def test_an_encoder_survives_json():
    encoder = fit_encoder(shops(100), FEATURES, np.arange(100.0))
    again = Encoder.from_json(encoder.to_json())
    assert again == encoder


def test_an_encoder_learns_nothing_from_rows_it_was_not_fitted_on():
    encoder = fit_encoder(shops(100), FEATURES, np.arange(100.0))
    before = encoder.dense(shops(5))
    encoder.dense(shops(50, seed=9))
    assert encoder.dense(shops(5)).tolist() == before.tolist()


def test_a_log_scale_goes_there_and_back():
    label = np.array([0.0, 10.0, 1e6])
    scale = fit_scale(TARGET, label, unit=100.0)
    assert scale.label(scale.link(label)) == pytest.approx(label)
    assert scale.from_standard(scale.standard(label)) == pytest.approx(scale.link(label))
    assert scale.label(np.array([-5.0])) == 0.0


def test_the_scale_bends_at_a_power_of_ten_below_the_typical_label():
    assert label_unit(TARGET, np.array([0.0, 2e6, 3e6, 9e6])) == 1e5
    assert label_unit(Target("sales", "sales", "", "", transform="identity"), np.array([5.0])) == 1.0


def test_no_prediction_goes_far_beyond_what_was_seen():
    scale = fit_scale(TARGET, np.array([100.0, 200.0, 400.0]), unit=100.0)
    assert scale.label(scale.from_standard(np.array([50.0])))[0] < 800


@pytest.mark.parametrize("transform", ["log1p", "identity"])
def test_nothing_that_is_said_of_a_label_lies_beyond_its_limits(transform):
    rows, labels = shops(300), shops(300)["sales"].to_numpy()
    least, most = np.quantile(labels, [0.2, 0.8]).tolist()
    target = replace(TARGET, transform=transform, limits=(least, most))
    learned = learn(SPEC, rows, target, quick("elastic_net"), unit=label_unit(target, labels))
    link = learned.link(rows)
    calibration = calibrate(link, learned.scale.link(labels), log=learned.scale.log)
    said = Model("sales", "US$", learned, (), calibration, calibration).score(rows)
    for name in ("predicted", "expected", "low", "high"):
        assert (said[name].min(), said[name].max()) == (least, most), name
    with pytest.raises(Misdeclared, match="the least below the most"):
        replace(SPEC, targets=(replace(TARGET, limits=(1, 0)),))


def test_the_mean_is_corrected_for_what_the_log_took():
    chance = np.random.default_rng(0)
    link = chance.normal(5.0, 0.5, 20_000)
    truth = link + chance.normal(0.0, 0.8, 20_000)
    scale = Scale(True, 1.0, 0.0, 1.0, 0.0, 20.0)
    correction = fit_correction(link, truth, log=True)
    assert correction.smear == pytest.approx(np.exp(0.8**2 / 2), rel=0.03)
    assert correction.shift == pytest.approx(0.0, abs=0.02)
    label = scale.label(truth)
    assert correction.mean(link, scale).mean() == pytest.approx(label.mean(), rel=0.01)
    assert np.mean(label > correction.median(link, scale)) == pytest.approx(0.5, abs=0.01)
    assert r2(label, correction.mean(link, scale)) > r2(label, correction.median(link, scale))
    assert mae(label, correction.median(link, scale)) < mae(label, correction.mean(link, scale))


def test_on_the_identity_scale_the_mean_is_the_mean_residual():
    assert fit_correction(np.array([1.0, 1.0, 1.0]), np.array([1.0, 2.0, 6.0]), log=False) == Correction(1.0, 2.0)


def test_a_row_is_bare_when_most_of_what_is_optional_is_missing():
    assert optional_features(SPEC, TARGET) == ("visitors",)
    assert mostly_missing(shops(6), ["visitors"]).tolist() == [False, False, False, True, False, False]
    assert mostly_missing(shops(3), []).tolist() == [False] * 3


def test_a_bare_row_gets_the_wider_interval_of_bare_rows():
    rows = shops(300)
    learned = learned_from(rows, "hist_gradient_boosting")
    truth = learned.scale.link(rows["sales"].to_numpy())
    full = calibrate(learned.link(rows), truth, log=True)
    bare = calibrate(learned.link(masked(rows, ["visitors"])), truth, log=True)
    model = Model("sales", "US$", learned, ("visitors",), full, bare)
    known = model.score(rows.drop_nulls("visitors"))
    unknown = model.score(masked(rows.drop_nulls("visitors"), ["visitors"]))
    assert (unknown["high"] / unknown["low"]).median() > 1.5 * (known["high"] / known["low"]).median()
    assert (known["low"] <= known["predicted"]).all() and (known["predicted"] <= known["high"]).all()
