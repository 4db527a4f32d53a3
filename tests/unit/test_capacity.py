"""The largest batch that fits, and what happens where memory runs out in earnest."""

from __future__ import annotations

import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch

from tasks.core.learners.capacity import NoRoom, largest, room
from tasks.core.learners.lesson import Layout, Lesson
from tasks.core.learners.network import in_pieces
from tasks.core.learners.transformer import fit_transformer
from tasks.errors import OutOfMemory
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


def test_working_a_layer_out_again_for_its_slope_changes_no_weight():
    chance = np.random.default_rng(1)
    layout = Layout(tree=1, dense=2, steps=2, width=1, length=4, pieces=9)
    x = np.column_stack([chance.normal(size=(120, 5)), chance.integers(0, 9, size=(120, 4))])
    y = x[:, 1] + x[:, 5] / 9
    params = {"dimension": 8, "layers": 2, "hidden": 4, "epochs": 2, "learning_rate": 0.01}
    found = {
        sha256(fit_transformer(Lesson(x, y, x[:40], y[:40], (), given, 3, 1, "cpu", layout)).to_bytes()).hexdigest()
        for given in (params, params | {"recompute": True})
    }
    assert len(found) == 1


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
