"""A network small enough to fit in a test, its weights named as the large ones' are, and rows to teach it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from tasks.core.learners.duel import Judges
from tasks.core.learners.fitting import Course, Taught

WIDTH, HIDDEN = 3, 12


@dataclass(frozen=True)
class Numbers:
    """What is asked: n × ``WIDTH`` numbers."""

    x: torch.Tensor

    def of(self, rows: torch.Tensor) -> Numbers:
        return Numbers(self.x[rows])

    def on(self, device: str) -> Numbers:
        return Numbers(self.x.to(device))


def forward(weights: Mapping[str, torch.Tensor], asked: Numbers) -> torch.Tensor:
    inner = torch.tanh(asked.x @ weights["tokens.table"])
    for layer in ("layer0.weight", "layer1.weight"):
        inner = inner + torch.tanh(inner @ weights[layer])
    return (inner @ weights["head.weight"]).squeeze(1) + weights["head.bias"]


def begun(seed: int = 1) -> dict[str, torch.Tensor]:
    chance = torch.Generator().manual_seed(seed)

    def drawn(rows: int, columns: int) -> torch.Tensor:
        return torch.randn(rows, columns, generator=chance) / rows**0.5

    return {
        "tokens.table": drawn(WIDTH, HIDDEN),
        "layer0.weight": drawn(HIDDEN, HIDDEN) * 0.5,
        "layer1.weight": drawn(HIDDEN, HIDDEN) * 0.5,
        "head.weight": drawn(HIDDEN, 1) * 0.1,
        "head.bias": torch.zeros(1),
    }


torch.set_num_threads(1)


def course(**changes) -> Course:
    usual = {"epochs": 12, "rate": 0.02, "decay": 0.0, "batch": 32, "patience": 50}
    return Course("the tiny network", forward, torch.nn.functional.mse_loss, **(usual | changes))


def rows(count: int, seed: int, answer, *, spread=(0.7, 0.7, 0.7), noise: float = 0.05) -> Taught:
    """Return rows whose numbers scatter by *spread*, their label *answer* of the numbers and a little *noise*."""
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(count, WIDTH)) * spread
    y = answer(x) + noise * chance.normal(size=count)
    return Taught(Numbers(torch.from_numpy(x.astype(np.float32))), torch.from_numpy(y.astype(np.float32)))


def judges(taught: Taught, each: int = 1) -> Judges:
    """Return *taught* as judges, *each* so many rows a unit."""
    return Judges(taught, np.arange(len(taught.label)) // each)


def joined(*parts: Taught) -> Taught:
    x = torch.cat([part.asked.x for part in parts])
    return Taught(Numbers(x), torch.cat([part.label for part in parts]))
