"""Continuous learning: without consolidation an update forgets, with it it does not, and one that harms is undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks.core.learners import fitting
from tasks.core.learners.ewc import Experience, update
from tests.tiny_network import begun, course, judges, rows

STRENGTH, MARGIN = 30.0, 0.05


def before(x: np.ndarray) -> np.ndarray:
    return np.tanh(2 * x[:, 1]) + 0.5 * x[:, 2]


def after(x: np.ndarray) -> np.ndarray:
    """What new rows (the first number is large) are like: a level of their own, the rest as ever."""
    return 0.4 + 0.6 * np.tanh(2 * x[:, 1]) + 0.5 * x[:, 2]


@pytest.fixture(scope="module")
def champion() -> dict[str, torch.Tensor]:
    old, stop = rows(300, 1, before), rows(100, 2, before)
    slow = course(epochs=30, rate=0.03, batch=100)
    return fitting.fit(slow, begun(), old, stop, device="cpu", seed=7, key="old", checkpoints=None).weights


def experience(answer=after, middle: float = 2.0) -> Experience:
    return Experience(
        rows(200, 3, answer, middle=middle),
        rows(60, 4, answer, middle=middle),
        rows(300, 1, before),
        judges(rows(120, 5, answer, middle=middle)),
        judges(rows(120, 6, before)),
    )


def updated(champion, given: Experience, strength: float):
    return update(
        course(epochs=12, rate=0.01, batch=50),
        champion,
        given,
        strength=strength,
        margin=MARGIN,
        device="cpu",
        seed=7,
        key="new",
        checkpoints=None,
    )


def test_the_same_update_forgets_without_consolidation_and_does_not_with_it(champion):
    given = experience()
    without, held = (updated(champion, given, strength) for strength in (0.0, STRENGTH))
    print(without, held)
    assert without.old.change.low > MARGIN and without.new.change.high < 0
    assert not without.accepted and "old rows may rise" in without.reason
    assert held.old.change.high <= MARGIN and held.new.change.high < 0
    assert held.accepted
