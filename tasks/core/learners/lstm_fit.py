"""The LSTM itself: its weights as they begin, what it says, and how it is fitted (fitting.py does it).

Which rows are an LSTM's, and who answers the others, is torch_lstm.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from tasks.core.learners import fitting
from tasks.core.learners.fitting import Course, Taught, Weights
from tasks.core.learners.lesson import Device, Floats, Lesson

# Where the loss turns from squares to magnitudes, in standard deviations: most changes are far smaller than one.
BEND = 0.02


@dataclass(frozen=True)
class Question:
    """What is asked: n × steps × width, and n × what stands beside the steps."""

    steps: torch.Tensor
    beside: torch.Tensor

    def of(self, rows: torch.Tensor) -> Question:
        """Return some of the rows."""
        return Question(self.steps[rows], self.beside[rows])

    def on(self, device: Device) -> Question:
        """Return it on *device*."""
        return Question(self.steps.to(device), self.beside.to(device))


def fit(lesson: Lesson, asked: Question, y: Floats, asked_stop: Question, y_stop: Floats) -> Weights:
    """Return the weights of the best epoch; raises TrainingBroke for a loss, gradient or output that is no use."""
    params = lesson.params
    course = Course(
        name="the LSTM",
        forward=forward,
        loss=_loss,
        epochs=params["epochs"],
        rate=params["learning_rate"],
        decay=params.get("weight_decay", 0.01),
        batch=params.get("batch", 128),
    )
    chance = torch.Generator().manual_seed(lesson.seed)
    return fitting.fit(
        course,
        begun(params["hidden"], asked, chance),
        Taught(asked, torch.from_numpy(y.astype(np.float32))),
        Taught(asked_stop, torch.from_numpy(y_stop.astype(np.float32))),
        device=lesson.device,
        seed=chance,
        key=fitting.key_of("lstm", lesson),
        checkpoints=lesson.checkpoints,
    ).weights


def forward(weights: Mapping[str, torch.Tensor], asked: Question) -> torch.Tensor:
    """Return one standardised answer per row: what stands beside the steps goes round the network as well."""
    hidden = weights["lstm.hh"].shape[1]
    nothing = asked.steps.new_zeros((1, len(asked.steps), hidden))
    flat = [weights[name] for name in ("lstm.ih", "lstm.hh", "lstm.ih_bias", "lstm.hh_bias")]
    _, last, _ = torch.lstm(asked.steps, (nothing, nothing), flat, True, 1, 0.0, False, False, True)
    seen = torch.cat([last[0], asked.beside], dim=1)
    linear = torch.nn.functional.linear
    inner = torch.nn.functional.silu(linear(seen, weights["first.weight"], weights["first.bias"]))
    around = torch.cat([inner, asked.beside], dim=1)
    out: torch.Tensor = linear(around, weights["last.weight"], weights["last.bias"])
    return out.reshape(len(asked.steps))


def begun(hidden: int, asked: Question, chance: torch.Generator) -> Weights:
    """Return the weights before the first step: small ones out of *chance*, and nothing that goes round."""
    width, beside = asked.steps.shape[2], asked.beside.shape[1]
    reach = 1 / math.sqrt(hidden)

    def drawn(rows: int, columns: int) -> torch.Tensor:
        return (torch.rand(rows, columns, generator=chance) * 2 - 1) * reach

    return {
        "lstm.ih": drawn(4 * hidden, width),
        "lstm.hh": drawn(4 * hidden, hidden),
        "lstm.ih_bias": torch.zeros(4 * hidden),
        "lstm.hh_bias": torch.zeros(4 * hidden),
        "first.weight": drawn(hidden, hidden + beside),
        "first.bias": torch.zeros(hidden),
        "last.weight": torch.cat([drawn(1, hidden) * 0.1, torch.zeros(1, beside)], dim=1),
        "last.bias": torch.zeros(1),
    }


def _loss(said: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.smooth_l1_loss(said, label, beta=BEND)
