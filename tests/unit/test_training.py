"""The training matrix: judged out of fold, never on the holdout, and one failure is one failed scorecard."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tasks.core import training
from tasks.core.estimators import ALGORITHMS
from tasks.core.splitting import split
from tasks.core.training import choose, score_candidate
from tasks.core.values import Scorecard
from tasks.errors import DataRejected, NoCandidatePassed
from tasks.workloads.spec import Candidate
from tests.builders import QUICK, quick, shops, shops_spec

SPEC = shops_spec()
TARGET = SPEC.targets[0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_candidate_gets_a_scorecard_with_every_figure(algorithm):
    card = score_candidate(SPEC, shops(200), TARGET, quick(algorithm)).scorecard
    assert (card.target, card.algorithm, card.status, card.reason) == ("sales", algorithm, "scored", "")
    assert len(card.fold_mae) == 6
    figures = (card.mae, card.rmse, card.r2, card.log_r2, card.spearman, card.skill)
    assert all(figure is not None and np.isfinite(figure) for figure in figures)


def test_a_candidate_that_learned_something_has_skill_and_noise_gives_none():
    assert score_candidate(SPEC, shops(240), TARGET, quick("hist_gradient_boosting")).scorecard.skill > 0.3
    noise = shops(240).with_columns(sales=pl.Series(np.random.default_rng(4).lognormal(8, 1, 240)))
    assert score_candidate(SPEC, noise, TARGET, quick("hist_gradient_boosting")).scorecard.skill < 0.05


def test_the_holdout_is_not_looked_at():
    rows = shops(200)
    held = split(SPEC, rows, TARGET).holdout
    poisoned = rows.with_columns(
        sales=pl.when(pl.int_range(pl.len()).is_in(held.tolist())).then(1e12).otherwise("sales")
    )
    plain, other = (score_candidate(SPEC, each, TARGET, quick("xgboost")) for each in (rows, poisoned))
    assert plain.scorecard == other.scorecard
    assert not set(plain.out_of_fold["row"]) & set(rows["_row"][held])


def test_every_training_row_is_answered_once_per_repeat():
    rows = shops(200)
    found = score_candidate(SPEC, rows, TARGET, quick("elastic_net")).out_of_fold
    train = split(SPEC, rows, TARGET).train
    assert found.height == 2 * train.size
    assert found.group_by("row").len()["len"].unique().to_list() == [2]
    assert set(found.columns) >= {"row", "repeat", "fold", "actual", "predicted", "expected", "baseline"}


def test_the_skill_is_that_of_the_out_of_fold_frame():
    scored = score_candidate(SPEC, shops(200), TARGET, quick("elastic_net"))
    found = scored.out_of_fold
    model, naive = ((found["actual"] - found[name]).abs().mean() for name in ("predicted", "baseline"))
    assert scored.scorecard.skill == pytest.approx(1 - model / naive)


def test_two_candidates_side_by_side_say_what_they_say_alone():
    rows = shops(200)
    alone = {name: score_candidate(SPEC, rows, TARGET, quick(name)) for name in ("mlp", "hist_gradient_boosting")}
    together: dict[str, training.Scored] = {}

    def run(name: str) -> None:
        together[name] = score_candidate(SPEC, rows, TARGET, quick(name))

    threads = [threading.Thread(target=run, args=(name,)) for name in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, scored in alone.items():
        assert together[name].scorecard == scored.scorecard
        assert together[name].out_of_fold.equals(scored.out_of_fold)


def test_a_candidate_with_impossible_parameters_is_a_failed_scorecard_with_the_reason():
    scored = score_candidate(
        SPEC, shops(120), TARGET, Candidate("xgboost", {"rounds": 5, "depth": -3, "learning_rate": 0.1})
    )
    assert scored.scorecard.status == "failed"
    assert scored.scorecard.skill is None
    assert "XGBoostError" in scored.scorecard.reason
    assert scored.out_of_fold.is_empty()


def test_an_unknown_algorithm_is_a_failed_scorecard():
    card = score_candidate(SPEC, shops(120), TARGET, Candidate("magic")).scorecard
    assert (card.status, "no algorithm is called 'magic'" in card.reason) == ("failed", True)


def test_running_out_of_memory_is_a_failed_scorecard(monkeypatch):
    def greedy(*_args, **_options):
        raise MemoryError("8 EiB asked for")

    monkeypatch.setattr(training, "teach", greedy)
    assert score_candidate(SPEC, shops(120), TARGET, quick("mlp")).scorecard.reason == "MemoryError: 8 EiB asked for"


def test_bad_data_is_no_candidates_fault_and_passes_through():
    with pytest.raises(DataRejected):
        score_candidate(SPEC, shops(4), TARGET, quick("mlp"))


def test_rows_beyond_the_most_are_left_out_by_entity(monkeypatch):
    monkeypatch.setattr(training, "ROWS_MOST", 100)
    card = score_candidate(SPEC, shops(400), TARGET, quick("elastic_net")).scorecard
    assert 70 < card.rows < 130


def card(algorithm: str, skill: float | None) -> Scorecard:
    status = "scored" if skill is not None else "failed"
    return Scorecard("sales", algorithm, {}, status, "" if skill is not None else "it broke", skill=skill)


def test_the_best_skill_wins_and_the_earliest_among_equals():
    assert choose([card("a", 0.1), card("b", 0.3), card("c", 0.3), card("d", None)]).algorithm == "b"


def test_a_negative_skill_is_still_chosen_because_the_gates_judge_it():
    assert choose([card("a", -0.2), card("b", None)]).algorithm == "a"


def test_no_candidate_left_is_an_error_with_every_reason():
    with pytest.raises(NoCandidatePassed, match=r"0 of 2 candidates.*a: it broke; b: it broke"):
        choose([card("a", None), card("b", None)])


def test_a_target_on_its_own_scale_is_learned_too():
    spec = replace(SPEC, targets=(replace(TARGET, transform="identity"),))
    assert score_candidate(spec, shops(240), spec.targets[0], quick("random_forest")).scorecard.skill > 0.2


def test_a_workload_without_optional_features_or_group_is_learned_too():
    spec = shops_spec(always_known=(), group="", slices=())
    assert score_candidate(spec, shops(200), TARGET, QUICK[0]).scorecard.status == "scored"


def test_exercises_set_once_teach_every_candidate_what_it_would_have_learned_alone():
    rows = shops(120)
    once = training.set_exercises(SPEC, training.training_rows(SPEC, rows, TARGET), TARGET)
    for name in ("elastic_net", "xgboost"):
        alone = score_candidate(SPEC, rows, TARGET, quick(name))
        together = score_candidate(SPEC, rows, TARGET, quick(name), exercises=lambda: once)
        assert together.scorecard == alone.scorecard
        assert together.out_of_fold.equals(alone.out_of_fold)


def test_a_network_that_no_memory_could_hold_is_a_failed_scorecard():
    # Its second layer is larger than what a processor can address, whatever the machine has.
    vast = Candidate("mlp", {"hidden": 6_000_000, "epochs": 1, "learning_rate": 0.01})
    card = score_candidate(SPEC, shops(120), TARGET, vast).scorecard
    assert (card.status, "can't allocate memory" in card.reason) == ("failed", True), card.reason
