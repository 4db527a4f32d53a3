"""Continuous learning: without consolidation an update forgets, with it it does not, and one that harms is undone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks.core.learners import fitting
from tasks.core.learners.ewc import Experience, fisher, pull, update
from tests.tiny_network import Numbers, begun, course, judges, rows

MARGIN, STRENGTH = 0.05, 1_000.0
# Old rows have nothing in the first number; new ones hardly anything in the others.
OLD, NEW = (0.0, 0.7, 0.7), (1.0, 0.1, 0.1)


def truth(x: np.ndarray) -> np.ndarray:
    return np.tanh(2 * x[:, 0]) + np.tanh(2 * x[:, 1]) + 0.5 * x[:, 2]


def some(count: int, seed: int, spread: tuple[float, float, float]):
    return rows(count, seed, truth, spread=spread, noise=0.3)


@pytest.fixture(scope="module")
def champion() -> dict[str, torch.Tensor]:
    slow = course(epochs=30, rate=0.03, batch=100)
    old, stop = some(300, 1, OLD), some(100, 2, OLD)
    return fitting.fit(slow, begun(), old, stop, device="cpu", seed=7, key="old", checkpoints=None).weights


def updated(champion, strength: float, new=NEW):
    return update(
        course(epochs=25, rate=0.02, batch=50),
        champion,
        Experience(
            some(200, 3, new),
            some(60, 4, new),
            judges(some(300, 1, OLD)),
            judges(some(150, 5, new)),
            judges(some(150, 6, OLD)),
        ),
        strength=strength,
        margin=MARGIN,
        device="cpu",
        seed=7,
        key="new",
        checkpoints=None,
    )


def test_the_same_update_forgets_without_consolidation_and_does_not_with_it(champion):
    without, held = updated(champion, 0.0), updated(champion, STRENGTH)
    assert without.new.change.high < 0 and without.old.change.low > MARGIN
    assert held.new.change.high < 0 and held.old.change.high <= MARGIN
    assert (without.accepted, held.accepted) == (False, True)
    assert not torch.equal(held.weights["head.weight"], champion["head.weight"])
    assert [line[0] for line in held.table().lines] == ["new rows", "old rows"]


def test_an_update_that_forgets_is_rolled_back_to_the_last_bit_and_says_why(champion):
    without = updated(champion, 0.0)
    assert all(torch.equal(without.weights[name], champion[name]) for name in champion)
    assert "rolled back, that over 150 old rows may rise by more than 5%" in without.reason


def test_an_update_that_finds_nothing_new_is_rolled_back(champion):
    assert "the loss over 150 new rows does not surely fall" in updated(champion, STRENGTH, new=OLD).reason


def test_the_pull_is_the_fisher_information_times_the_squared_way():
    asked = Numbers(torch.tensor([[1.0], [3.0]]))
    weights = {"slope": torch.tensor([2.0]), "idle": torch.tensor([1.0])}

    def line(weights, asked):
        return asked.x[:, 0] * weights["slope"]

    found = fisher(line, weights, asked, torch.arange(2))
    # The answers' slopes are 1 and 3: their mean square is 5; nothing depends on the other weight.
    assert (found["slope"].item(), found["idle"].item()) == (5.0, 0.0)
    moved = {"slope": torch.tensor([4.0]), "idle": torch.tensor([9.0])}
    assert pull(weights, found, 3.0)(moved).item() == 3.0 / 2 * 5.0 * 4.0
    level = fisher(line, {"slope": torch.zeros(1)}, asked, torch.arange(2), logits=True)
    assert level["slope"].item() == 0.25 * 5.0
