"""The LSTM's chain: who answers which row, what a kill costs, and what is said of a fit that breaks."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import numpy as np
import polars as pl
import pytest
import safetensors.torch
import torch

from tasks.core.learners import fitting, lstm_fit
from tasks.core.learners.lesson import Chained, Layout, Lesson
from tasks.core.learners.torch_lstm import LAGS, LSTM, TREND, fit_lstm, from_bytes
from tasks.core.models import learn
from tasks.core.training import score_candidate
from tasks.errors import NotTrusted, TrainingBroke
from tasks.workloads.spec import Feature
from tests.builders import quick, shops, shops_spec

LAYOUT = Layout(tree=1, dense=1, steps=5, width=2)
PARAMS = {"hidden": 8, "epochs": 8, "learning_rate": 0.01, "batch": 64}


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


class Desk(dict):
    """Checkpoints in memory; kills whoever writes for the *last* time."""

    def __init__(self, last: int = 1_000) -> None:
        super().__init__()
        self.left, self.written = last, 0

    def read(self, key: str) -> bytes | None:
        return self.get(key)

    def write(self, key: str, state: bytes) -> None:
        self[key], self.left, self.written = state, self.left - 1, self.written + 1
        if not self.left:
            raise Killed

    def forget(self, key: str) -> None:
        self.pop(key, None)


def told(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return designs whose label is the swing of the last steps against the first: no single lag tells it."""
    chance = np.random.default_rng(seed)
    steps = chance.normal(size=(rows, 5, 2))
    y = np.tanh(steps[:, 4, 0] * steps[:, 3, 0]) + 0.5 * steps[:, 0, 1]
    beside = chance.normal(size=(rows, 1))
    return np.column_stack([np.zeros(rows), beside, beside, steps.reshape(rows, 10)]), y


def lesson(**changes) -> Lesson:
    (x, y), (x_stop, y_stop) = told(300, 1), told(100, 2)
    return replace(Lesson(x, y, x_stop, y_stop, (), PARAMS, 7, 1, "cpu", LAYOUT), **changes)


def digest(chain) -> str:
    return sha256(chain.to_bytes()).hexdigest()


def test_a_fit_that_was_killed_after_any_epoch_goes_on_to_the_same_weights():
    whole, desk = digest(fit_lstm(lesson())), Desk(last=3)
    with pytest.raises(Killed):
        fit_lstm(lesson(checkpoints=desk))
    (state,) = desk.values()
    resumed = Desk()
    resumed[next(iter(desk))] = state
    assert digest(fit_lstm(lesson(checkpoints=resumed))) == whole
    assert resumed.written == PARAMS["epochs"] - 3 and not resumed


def test_a_checkpoint_of_another_lesson_or_one_that_cannot_be_read_changes_nothing():
    whole, other = digest(fit_lstm(lesson())), Desk(last=2)
    with pytest.raises(Killed):
        fit_lstm(lesson(seed=8, checkpoints=other))
    assert digest(fit_lstm(lesson(checkpoints=other))) == whole
    torn = Desk()
    torn[fitting.key_of("lstm", lesson())] = b"half a file"
    assert digest(fit_lstm(lesson(checkpoints=torn))) == whole


def test_it_learns_what_no_single_lag_tells():
    x, y = told(400, 3)
    chain = fit_lstm(lesson(params=PARAMS | {"epochs": 40}))
    assert np.abs(chain.predict(x) - y).mean() < 0.6 * np.abs(y - y.mean()).mean()


def test_each_row_is_answered_by_the_first_of_the_chain_that_can():
    x, _ = told(4, 4)
    x[1, 3:5] = np.nan
    x[2, 3:11] = np.nan
    x[3, 3:11], x[3, 0] = np.nan, np.nan
    x[2, 0] = 0.75
    chain = fit_lstm(lesson())
    assert isinstance(chain, Chained) and chain.scored_by(x) == [LSTM, LAGS, TREND, LAGS]
    assert chain.predict(x)[2] == 0.75
    trees = chain.boosted.predict(x[:, 1:2])
    assert chain.predict(x)[[1, 3]].tolist() == trees[[1, 3]].tolist()


def test_too_few_whole_histories_leave_the_chain_without_a_network():
    x, _ = told(300, 1)
    x[40:, 3:5] = np.nan
    chain = fit_lstm(lesson(x=x))
    assert chain.scored_by(x[:1]) == [LAGS] and from_bytes(chain.to_bytes()).scored_by(x[:1]) == [LAGS]


def test_a_chain_that_went_through_bytes_says_the_same_bit_for_bit():
    x, _ = told(50, 5)
    chain = fit_lstm(lesson())
    assert from_bytes(chain.to_bytes()).predict(x).tolist() == chain.predict(x).tolist()
    with pytest.raises(NotTrusted, match="was not loaded"):
        from_bytes(safetensors.torch.save({"else": torch.zeros(1)}))


def test_a_loss_that_is_no_number_ends_the_fit_and_names_step_and_batch():
    spoiled = lesson()
    spoiled.y[170] = np.inf
    order = torch.randperm(300, generator=_chance_after_the_weights(spoiled))
    batch = int((order == 170).nonzero()) // 64 + 1
    with pytest.raises(TrainingBroke, match=rf"step {batch} \(epoch 1, batch {batch}\): the loss is inf"):
        lstm_fit.fit(spoiled, *_questions(spoiled))


def _chance_after_the_weights(spoiled: Lesson) -> torch.Generator:
    chance = torch.Generator().manual_seed(spoiled.seed)
    lstm_fit.begun(spoiled.params["hidden"], _questions(spoiled)[0], chance)
    return chance


def _questions(given: Lesson):
    from tasks.core.learners.torch_lstm import question

    return question(given.x, LAYOUT), given.y, question(given.x_stop, LAYOUT), given.y_stop


def test_a_gradient_that_explodes_ends_the_fit_and_names_step_and_batch(monkeypatch):
    monkeypatch.setattr(fitting, "EXPLODED", 1e-9)
    with pytest.raises(TrainingBroke, match=r"step 1 \(epoch 1, batch 1\): the gradient is .* learn slower"):
        fit_lstm(lesson())


def test_a_network_that_says_one_thing_to_everybody_is_dead(monkeypatch):
    monkeypatch.setattr(lstm_fit, "forward", lambda weights, asked: weights["last.bias"].expand(len(asked.steps)))
    monkeypatch.setattr("torch.autograd.grad", lambda loss, weights: [torch.zeros_like(each) for each in weights])
    said = r"step 5 \(epoch 1, batch 5\), over the 100 rows that tell when to stop: its answers hardly differ"
    with pytest.raises(TrainingBroke, match=said):
        fit_lstm(lesson())


def test_a_fit_that_breaks_is_a_failed_scorecard_with_its_reason(monkeypatch):
    monkeypatch.setattr(fitting, "EXPLODED", 1e-9)
    chance = np.random.default_rng(0)
    past = pl.Series(chance.normal(size=(240, 6)).tolist(), dtype=pl.List(pl.Float64))
    rows = shops(240).with_columns(past=past)
    spec = shops_spec(features=(*shops_spec().features, Feature("past", "series", "planted", width=2)))
    card = score_candidate(spec, rows, spec.targets[0], quick("lstm")).scorecard
    assert card.status == "failed" and "TrainingBroke: the LSTM broke at step 1" in card.reason


def test_a_model_says_which_part_of_the_chain_answered_and_other_models_say_nothing():
    rows, spec = shops(60), shops_spec()
    said = {name: learn(spec, rows, spec.targets[0], quick(name), unit=1.0).scored_by(rows) for name in ("lstm", "mlp")}
    assert said == {"lstm": [LAGS] * 60, "mlp": None}


def test_the_error_beside_the_last_values_is_in_the_scorecard():
    rows = shops(240).with_columns(before=shops(240)["sales"] * 1.2)
    target = replace(shops_spec().targets[0], previous="before")
    spec = shops_spec(features=(*shops_spec().features, Feature("before", "float", "planted")), targets=(target,))
    card = score_candidate(spec, rows, target, quick("elastic_net")).scorecard
    assert card.mase == pytest.approx(1 - card.skill)
    assert 0 < card.mae_scaled < 0.5 and np.isfinite(card.mase_scaled)
    assert score_candidate(shops_spec(), rows, shops_spec().targets[0], quick("mlp")).scorecard.mase is None


def test_a_joint_network_learns_the_other_targets_and_answers_its_own_in_a_file_like_any_other():
    plain, (_, y) = lesson(), told(300, 1)
    other = np.where(np.arange(300) % 3 == 0, np.nan, 2 * y)
    joint = replace(plain, params=PARAMS | {"joint": True}, others=np.column_stack([other, -y]))
    chain, alone = fit_lstm(joint), fit_lstm(replace(plain, params=joint.params))
    assert {name: each.shape for name, each in chain.weights.items()} == {
        name: each.shape for name, each in alone.weights.items()
    }
    x, _ = told(50, 5)
    assert from_bytes(chain.to_bytes()).predict(x).tolist() == chain.predict(x).tolist()
    assert not np.allclose(chain.predict(x), alone.predict(x))
    assert digest(fit_lstm(joint)) == digest(chain)
    desk = Desk(last=3)
    with pytest.raises(Killed):
        fit_lstm(replace(joint, checkpoints=desk))
    desk.left = 1_000
    assert digest(fit_lstm(replace(joint, checkpoints=desk))) == digest(chain)
