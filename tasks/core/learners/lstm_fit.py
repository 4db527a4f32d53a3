"""The LSTM itself: its weights as they begin, what it says, and how it is fitted (fitting.py does it).

Which rows are an LSTM's, and who answers the others, is torch_lstm.py.
"""

from __future__ import annotations

import hashlib
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
# What the other targets weigh together, in a network that learns them jointly, beside its own.
OTHERS_WEIGH = 0.5
# What of a network says its answers, a row each: in a joint one its own target's first.
LAST = ("last.weight", "last.bias")


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
    """Return the weights of the best epoch; raises TrainingBroke for a loss, gradient or output that is no use.

    Where *y* has columns, the first is the target's own; the others' answers are learned jointly and then left out.
    """
    params, joint = lesson.params, y.ndim == 2
    course = Course(
        name="the LSTM",
        forward=spoken if joint else forward,
        loss=_joint_loss if joint else _loss,
        epochs=params["epochs"],
        rate=params["learning_rate"],
        decay=params.get("weight_decay", 0.01),
        batch=params.get("batch", 128),
    )
    chance = torch.Generator().manual_seed(lesson.seed)
    fitted = fitting.fit(
        course,
        begun(params["hidden"], asked, chance, y.shape[1] if joint else 1),
        Taught(asked, torch.from_numpy(y.astype(np.float32))),
        Taught(asked_stop, torch.from_numpy(y_stop.astype(np.float32))),
        device=lesson.device,
        seed=chance,
        key=fitting.key_of(_kind(y) if joint else "lstm", lesson),
        checkpoints=lesson.checkpoints,
    )
    return {name: each[:1].clone() if name in LAST else each for name, each in fitted.weights.items()}


def forward(weights: Mapping[str, torch.Tensor], asked: Question) -> torch.Tensor:
    """Return one standardised answer per row."""
    return spoken(weights, asked)[:, 0]


def spoken(weights: Mapping[str, torch.Tensor], asked: Question) -> torch.Tensor:
    """Return all answers, n × targets: what stands beside the steps goes round the network as well."""
    hidden = weights["lstm.hh"].shape[1]
    nothing = asked.steps.new_zeros((1, asked.steps.shape[0], hidden))
    flat = [weights[name] for name in ("lstm.ih", "lstm.hh", "lstm.ih_bias", "lstm.hh_bias")]
    _, last, _ = torch.lstm(asked.steps, (nothing, nothing), flat, True, 1, 0.0, False, False, True)
    seen = torch.cat([last[0], asked.beside], dim=1)
    linear = torch.nn.functional.linear
    inner = torch.nn.functional.silu(linear(seen, weights["first.weight"], weights["first.bias"]))
    around = torch.cat([inner, asked.beside], dim=1)
    out: torch.Tensor = linear(around, weights["last.weight"], weights["last.bias"])
    return out


def begun(hidden: int, asked: Question, chance: torch.Generator, answers: int = 1) -> Weights:
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
        "last.weight": torch.cat([drawn(answers, hidden) * 0.1, torch.zeros(answers, beside)], dim=1),
        "last.bias": torch.zeros(answers),
    }


def _loss(said: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.smooth_l1_loss(said, label, beta=BEND)


def _joint_loss(said: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Return the loss over all targets, of each over the rows whose label is known; when to stop is told by one."""
    if label.ndim == 1:
        return _loss(said[:, 0], label)
    known = label.isfinite()
    right = torch.where(known, label, said.detach())
    apart = torch.nn.functional.smooth_l1_loss(said, right, beta=BEND, reduction="none")
    each = apart.sum(0) / known.sum(0).clamp(min=1)
    return each[0] + OTHERS_WEIGH * each[1:].mean()


def _kind(y: Floats) -> str:
    """Return what a joint lesson's checkpoints are called: the other targets' labels are in no other name."""
    return f"lstm-joint-{hashlib.sha256(np.ascontiguousarray(y).tobytes()).hexdigest()[:12]}"
