"""What every fit promises: when it stops, which epoch's weights it returns, and how far one batch may drag it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tasks.core.learners import fitting, lstm_fit
from tasks.core.learners.descent import Descent
from tasks.core.learners.fitting import Course, Fitted
from tests.tiny_network import begun, course, forward, rows
from tests.unit.test_lstm import PARAMS, lesson, told

ASKED = {"device": "cpu", "seed": 7, "key": "fit", "checkpoints": None}


def one_way(x: np.ndarray) -> np.ndarray:
    return np.tanh(2 * x[:, 1])


def other_way(x: np.ndarray) -> np.ndarray:
    return one_way(x) * np.where(x[:, 0] > 0, 1, -1)


def fitted(going: Course) -> Fitted:
    """Return a fit whose stopping rows agree with what is taught at first only."""
    return fitting.fit(going, begun(), rows(100, 3, one_way), rows(60, 4, other_way), **ASKED)


def test_a_fit_ends_when_it_has_waited_enough_and_returns_the_best_epoch():
    found = fitted(course(epochs=40, patience=3))
    assert 3 < found.epochs < 40
    until_the_best = fitted(course(epochs=found.epochs - 3))
    assert until_the_best.best_loss == found.best_loss
    assert all(torch.equal(found.weights[name], each) for name, each in until_the_best.weights.items())


def test_one_batch_of_a_huge_loss_drags_a_fit_no_farther_than_its_cut_gradient():
    going, taught = course(epochs=1, batch=32), rows(64, 3, one_way)
    found = fitting.fit(replace(going, loss=_Outlier()), begun(), taught, rows(20, 4, one_way), **ASKED)
    weights = {name: each.clone().requires_grad_() for name, each in begun().items()}
    by_hand, loss = Descent(list(weights.values()), going.rate, going.decay), _Outlier()
    for batch in torch.randperm(64, generator=torch.Generator().manual_seed(ASKED["seed"])).split(32):
        missed = loss(forward(weights, taught.asked.of(batch)), taught.label[batch])
        slopes = torch.autograd.grad(missed, by_hand.weights, retain_graph=True)
        length = float(torch.cat([each.flatten() for each in slopes]).norm())
        by_hand.step(missed * min(1.0, going.clip / length))
    for name, each in weights.items():
        torch.testing.assert_close(found.weights[name], each.detach())


class _Outlier:
    """A loss that is two thousand times as large the first time it is asked for."""

    def __init__(self) -> None:
        self.factor = 2_000.0

    def __call__(self, said: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        factor, self.factor = self.factor, 1.0
        return torch.nn.functional.mse_loss(said, label) * factor


def test_a_joint_network_answers_its_own_target_by_what_the_others_taught_it():
    (x, y), (x_new, y_new) = told(600, 1), told(200, 5)
    own, unknown = np.where(np.arange(600) % 20 == 0, y, np.nan), np.full(600, np.nan)
    given = lesson(params=PARAMS | {"epochs": 30, "learning_rate": 0.03})

    def error(others: np.ndarray) -> float:
        labels = np.column_stack([own, others, others])
        weights = lstm_fit.fit(given, _question(x), labels, _question(given.x_stop), given.y_stop)
        return float(np.abs(lstm_fit.forward(weights, _question(x_new)).detach().numpy() - y_new).mean())

    assert error(y) < 0.7 * error(unknown)


def _question(x: np.ndarray) -> lstm_fit.Question:
    """Return what the LSTM is asked of the designs *x*."""
    steps = torch.from_numpy(x[:, 3:].reshape(len(x), 5, 2).astype(np.float32))
    return lstm_fit.Question(steps, torch.from_numpy(x[:, 2:3].astype(np.float32)))
