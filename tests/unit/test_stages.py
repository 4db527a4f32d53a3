"""Fine-tuning by stages: what moves when, what a kill costs, and that nothing is ever made worse."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tasks.core.learners import fitting, stages
from tasks.core.learners.niches import EPOCHS, Grounds, raise_niches
from tasks.core.learners.stages import Stage, fine_tune, ladder, loss_over
from tests.tiny_network import begun, course, joined, rows
from tests.unit.test_lstm import Desk, Killed

NAMES = ("tokens.table", "layer0.weight", "layer1.weight", "series.weight", "head.weight")


def plain(x: np.ndarray) -> np.ndarray:
    return np.tanh(2 * x[:, 1])


def turned(x: np.ndarray) -> np.ndarray:
    return -np.tanh(2 * x[:, 1])


def tuned(weights, steps, desk=None):
    usual = course(rate=0.05)
    stop = rows(50, 4, turned)
    return fine_tune(
        usual, weights, rows(100, 3, turned), stop, steps, device="cpu", seed=7, key="tuned", checkpoints=desk
    )


def test_the_ladder_thaws_from_the_head_down_and_learns_slower_the_deeper_it_goes():
    found = ladder(NAMES, 1.0, 3)
    assert [(each.name, stages.thawed(NAMES, each), each.rate) for each in found] == [
        ("head only", ("head.weight",), 1.0),
        ("last layers", ("layer1.weight", "series.weight", "head.weight"), 0.3),
        ("deeper", ("layer0.weight", "layer1.weight", "series.weight", "head.weight"), 0.1),
        ("all", NAMES, 0.03),
    ]
    assert [each.epochs for each in found] == [1, 2, 2, 3]
    flat = ("first.weight", "head.weight")
    assert [each.name for each in ladder(flat, 1.0, 3)] == ["head only", "last layers"]


def test_a_niche_of_a_network_with_two_layers_goes_through_four_stages_each_of_its_own_rate_and_epochs():
    weights = begun()
    found = ladder(weights, 1.0, EPOCHS)
    assert [(each.name, each.rate, each.epochs) for each in found] == [
        ("head only", 1.0, 4),
        ("last layers", 0.3, 6),
        ("deeper", 0.1, 8),
        ("all", 0.03, 12),
    ]
    one_layer = [name for name in weights if not name.startswith("layer1.")]
    assert [each.name for each in ladder(one_layer, 1.0, EPOCHS)] == ["head only", "last layers", "all"]


def test_weights_that_a_stage_does_not_thaw_stay_as_they_are_to_the_last_bit():
    weights = begun()
    after = tuned(weights, ladder(weights, 0.05, 2)[:2]).weights
    same = {name: weights[name].numpy().tobytes() == after[name].numpy().tobytes() for name in weights}
    assert same == {
        "tokens.table": True,
        "layer0.weight": True,
        "layer1.weight": False,
        "head.weight": False,
        "head.bias": False,
    }


def test_a_stage_learns_at_its_own_rate_and_for_its_own_epochs():
    by_stage = tuned(begun(), (Stage("all", ("",), 0.01, 3),))
    alone = course(rate=0.01, epochs=3, cosine=True)
    taught, stop = rows(100, 3, turned), rows(50, 4, turned)
    by_hand = fitting.fit(alone, begun(), taught, stop, device="cpu", seed=7, key="alone", checkpoints=None)
    assert by_stage.epochs == 3 and by_stage.best_loss == by_hand.best_loss
    assert all(torch.equal(by_stage.weights[name], each) for name, each in by_hand.weights.items())


def test_a_stage_that_gets_no_better_leaves_no_trace():
    weights, wild = begun(), (Stage("all", ("",), 1.0, 2),)
    good = tuned(weights, ladder(weights, 0.05, 3))
    after = tuned(good.weights, wild)
    assert all(torch.equal(after.weights[name], good.weights[name]) for name in weights)
    assert after.best_loss == pytest.approx(loss_over(course(), good.weights, rows(50, 4, turned), "cpu"))


def test_a_fine_tuning_that_was_killed_goes_on_to_the_same_weights_without_doing_a_stage_twice():
    weights = begun()
    steps, desk = ladder(weights, 0.05, 6), Desk(last=5)
    whole = tuned(weights, steps)
    with pytest.raises(Killed):
        tuned(weights, steps, desk)
    resumed = Desk()
    resumed.update(desk)
    after = tuned(weights, steps, resumed)
    assert all(torch.equal(after.weights[name], whole.weights[name]) for name in weights)
    # Two, three, four and six epochs, and each stage's own note; five of these were written before the kill.
    assert resumed.written == 2 + 3 + 4 + 6 + 4 - 5 and not resumed


def test_a_niche_is_kept_only_where_it_is_surely_better_than_the_common_weights():
    common = tuned(begun(), (Stage("all", ("",), 0.05, 6),)).weights
    parts = [rows(140, 5, plain), rows(140, 6, turned), rows(30, 7, plain)]
    stops = [rows(90, 8, plain), rows(90, 9, turned), rows(9, 10, plain)]
    grounds = Grounds(
        ("plain", "turned", "rare"),
        joined(*parts),
        np.repeat([0, 1, 2], [140, 140, 30]),
        joined(*stops),
        np.repeat([0, 1, 2], [90, 90, 9]),
        np.arange(189),
    )
    raised = raise_niches(course(rate=0.05), common, grounds, device="cpu", seed=7, key="niches", checkpoints=None)
    kept = {each.niche: (each.kept, each.rows, each.judged) for each in raised.tried}
    assert set(raised.weights) == {"plain"}
    assert kept == {"plain": (True, 140, 60), "turned": (False, 140, 60), "rare": (False, 30, 6)}
    assert raised.tried[2].duel is None and "at least 100, 8 and 12 are needed" in raised.tried[2].reason
    table = raised.table()
    assert [line[0] for line in table.lines] == ["plain", "turned", "rare"]
    assert table.lines[0][-1] == "kept" and table.lines[1][-1].startswith("dropped: ")
    assert {len(line) for line in table.lines} == {len(table.head)}
