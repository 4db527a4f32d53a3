"""Aspects are scored on their own features alone, and weighed by what they said of rows they had not seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tasks.core.evaluation import evaluate
from tasks.core.learners.aspects import fit_aspects, from_bytes
from tasks.core.learners.lesson import Lesson
from tasks.core.scoring import answers
from tasks.core.training import choose
from tasks.core.values import Scorecard
from tasks.errors import Misdeclared, NotTrusted
from tasks.workloads.spec import Candidate, Feature
from tests.builders import quick, shops, shops_spec


def lesson(rows: int = 400) -> Lesson:
    """Return a lesson whose truth is the first column twice over and half of the second, the third being noise."""
    x = np.random.default_rng(3).normal(size=(rows, 3))
    y = 2 * x[:, 0] + 0.5 * x[:, 1]
    told, stop = slice(None, rows * 3 // 4), slice(rows * 3 // 4, None)
    named = {"large": (0,), "small": (1,), "noise": (2,)}
    return Lesson(x[told], y[told], x[stop], y[stop], (), {"penalty": 1e-6}, 1, 1, "cpu", aspects=named)


def test_each_aspect_is_scored_on_its_own_columns_and_the_sum_is_the_answer():
    found, x = fit_aspects(lesson()), np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 9.0]])
    scores = found.scores(x)
    assert scores["large"][0] - scores["large"][1] == pytest.approx(2.0, abs=0.15)
    assert scores["large"][1] == scores["large"][2] and scores["small"][0] == scores["small"][2]
    assert found.predict(x) == pytest.approx(sum(found.weights[name] * said for name, said in scores.items()))


def test_a_part_that_says_nothing_counts_hardly_and_no_weight_is_below_zero():
    weights = fit_aspects(lesson()).weights
    assert weights["large"] == pytest.approx(1.0, abs=0.1) and weights["small"] == pytest.approx(1.0, abs=0.3)
    turned = fit_aspects(replace(lesson(), y_stop=-lesson().y_stop)).weights
    assert turned["large"] == 0 and min(turned.values()) >= 0


def test_the_file_gives_the_same_scorer_back_and_another_file_is_refused():
    found, asked = fit_aspects(lesson()), lesson().x_stop
    again = from_bytes(found.to_bytes())
    assert again.weights == found.weights and np.array_equal(again.predict(asked), found.predict(asked))
    with pytest.raises(NotTrusted, match="cannot be read as safetensors"):
        from_bytes(b"nothing of the kind")


def test_every_row_is_told_what_each_aspect_alone_would_answer_and_the_evidence_says_what_each_counts():
    spec, rows = shops_spec(), shops(240)
    winner = Scorecard("sales", "aspects", {"penalty": 5.0}, "scored")
    found = evaluate(spec, rows, spec.targets[0], winner, refit_on_all=False)
    assert set(found.judged.aspects) == {"people", "place"} and found.judged.skill.low > 0
    said = answers(shops(5, seed=2), {"sales": found.model})
    assert said.columns[3:] == ["sales_aspect_people", "sales_aspect_place"]
    assert said.select(pl.all().is_finite().all()).row(0) == (True,) * 5


def test_a_target_is_answered_by_the_algorithm_it_is_bound_to_unless_that_could_not_be_fitted():
    cards = [
        Scorecard("sales", name, {}, "scored", skill=skill) for name, skill in (("xgboost", 0.4), ("aspects", 0.2))
    ]
    assert [choose(cards).algorithm, choose(cards, "aspects").algorithm] == ["xgboost", "aspects"]
    assert choose([cards[0], replace(cards[1], status="failed", skill=None)], "aspects").algorithm == "xgboost"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"features": (Feature("area", "float", "area"),), "always_known": ()}, "no feature is of any"),
        (
            {"candidates": (quick("xgboost"),), "targets": (replace(shops_spec().targets[0], by="aspects"),)},
            "answered by 'aspects', which is no candidate",
        ),
        (
            {"features": (Feature("words", "text", "words", aspect="wording"),), "always_known": ()},
            "scored on numbers and categories",
        ),
    ],
)
def test_aspects_that_contradict_themselves_fail_with_a_sentence(change, sentence):
    with pytest.raises(Misdeclared, match=sentence):
        shops_spec(**({"slices": (), "candidates": (Candidate("aspects"),)} | change))
