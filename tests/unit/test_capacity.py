"""The largest batch that fits, and what happens where memory runs out in earnest."""

from __future__ import annotations

import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
import torch

from tasks.core.learners import text_net
from tasks.core.learners.capacity import NoRoom, largest, room
from tasks.core.learners.fitting import Taught
from tasks.core.learners.lesson import Layout, Lesson
from tasks.core.learners.network import in_pieces
from tasks.core.learners.training_cost import kept_bytes, recomputing
from tasks.core.learners.transformer import Reader, fit_transformer
from tasks.errors import OutOfMemory
from tests.unit.test_lstm import Desk
from tests.unit.test_variants import ASKED, LINE, Numbers


def until(most: int):
    def work(rows: int) -> None:
        if rows > most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    return work


@pytest.mark.parametrize("most", [1, 2, 3, 7, 16, 100, 1_000, 5_000])
def test_the_largest_batch_that_fits_is_found_to_within_a_sixteenth(most):
    assert most * 15 / 16 <= largest(until(most)) <= most


def test_nothing_fits_and_everything_fits_are_answers_too():
    assert largest(until(0)) == 0
    assert largest(until(10**9), most=777) == 777


def test_an_error_that_is_not_about_memory_is_not_taken_for_one():
    with pytest.raises(RuntimeError, match="shapes differ"), room():
        raise RuntimeError("shapes differ")
    with pytest.raises(NoRoom), room():
        raise MemoryError


def test_a_batch_that_does_not_fit_is_answered_in_halves():
    asked, sizes = Numbers(torch.arange(30.0).reshape(10, 3)), []

    def answer(part: Numbers) -> torch.Tensor:
        sizes.append(len(part.x))
        until(3)(len(part.x))
        return LINE.answer(part)

    assert in_pieces(answer, asked).tolist() == LINE.answer(asked).tolist()
    assert max(size for size in sizes if size <= 3) == 3 and sizes[0] == 10
    with pytest.raises(OutOfMemory, match="a single row"):
        in_pieces(lambda part: until(0)(1), ASKED)


LAYOUT = Layout(tree=1, dense=2, steps=2, width=1, length=4, pieces=9)
PARAMS = {"dimension": 8, "layers": 2, "hidden": 4, "epochs": 2, "learning_rate": 0.01}


def designs() -> np.ndarray:
    chance = np.random.default_rng(1)
    return np.column_stack([chance.normal(size=(120, 5)), chance.integers(0, 9, size=(120, 4))])


def fitted(checkpoints: Desk | None = None, **params) -> str:
    """Return the digest of a Transformer that was fitted."""
    x, given = designs(), PARAMS | params
    y = x[:, 1] + x[:, 5] / 9
    lesson = Lesson(x, y, x[:40], y[:40], (), given, 3, 1, "cpu", LAYOUT, checkpoints=checkpoints)
    return sha256(fit_transformer(lesson).to_bytes()).hexdigest()


def test_working_a_layer_out_again_for_its_slope_changes_no_weight():
    assert fitted() == fitted(recompute=True)


def test_working_layers_out_again_keeps_less_for_the_slope_and_what_it_costs_is_told():
    sizes = text_net.Sizes(PARAMS["dimension"], PARAMS["layers"], PARAMS["hidden"])
    network = Reader(LAYOUT, sizes, text_net.begun(LAYOUT, sizes, torch.Generator().manual_seed(1))).network
    taught = Taught(text_net.question(designs(), LAYOUT), torch.ones(120))
    held = {name: each.clone().requires_grad_() for name, each in network.weights.items()}
    assert kept_bytes(network.frugal, held, taught) < 0.5 * kept_bytes(network.forward, held, taught)
    assert re.match(r"keeps \S+ MiB of a step for its slope instead of ", recomputing(network, taught, perf_counter))


def test_a_fit_for_which_memory_runs_out_goes_on_with_layers_worked_out_again(monkeypatch):
    usual, whole, desk = fitted(), text_net.forward, Desk()

    def cramped(weights, asked, *, recompute=False):
        if desk.written == 1 and torch.is_grad_enabled() and not recompute:
            until(0)(1)
        return whole(weights, asked, recompute=recompute)

    monkeypatch.setattr(text_net, "forward", cramped)
    assert fitted(desk) == usual
    assert desk.written == PARAMS["epochs"]


STARVED = """
import resource, torch
from tasks.core.learners.capacity import largest
torch.ones(10) @ torch.ones(10)
size = int(next(l for l in open('/proc/self/status') if l.startswith('VmSize')).split()[1]) * 1024
resource.setrlimit(resource.RLIMIT_AS, (size + (64 << 20),) * 2)
print(largest(lambda rows: torch.ones(rows, 1 << 18)))
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the limit on memory is Linux's")
def test_memory_that_runs_out_in_earnest_is_met_and_survived():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", STARVED], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 8 <= int(done.stdout) <= 64
