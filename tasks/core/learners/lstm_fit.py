"""The LSTM's fit: epoch after epoch, with a checkpoint after each, and an end with a reason where it breaks.

The same lesson gives the same weights on a processor, whether or not it was killed on the way: all that an epoch
depends on is in the checkpoint. Which rows are an LSTM's, and who answers the others, is torch_lstm.py.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.torch
import torch

from tasks.core.learners.descent import Descent
from tasks.core.learners.lesson import Device, Floats, Lesson
from tasks.errors import TrainingBroke

Weights = dict[str, torch.Tensor]
PATIENCE = 10
CLIP = 1.0
# A healthy gradient has a length of about one; beyond this the fit has left the ground.
EXPLODED = 1e4
# Below this spread of its answers, as a share of the labels', a network says one thing to everybody.
DEAD = 1e-4
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


@dataclass
class _State:
    """All that the next epoch depends on."""

    weights: Weights
    descent: Descent
    chance: torch.Generator
    best: Weights
    best_loss: float = math.inf
    waited: int = 0
    epoch: int = 0


def fit(lesson: Lesson, asked: Question, y: Floats, asked_stop: Question, y_stop: Floats) -> Weights:
    """Return the weights of the best epoch; raises TrainingBroke for a loss, gradient or output that is no use."""
    torch.use_deterministic_algorithms(lesson.device == "cpu")
    device, key = lesson.device, key_of(lesson)
    asked, asked_stop = asked.on(device), asked_stop.on(device)
    label, label_stop = (torch.from_numpy(each.astype(np.float32)).to(device) for each in (y, y_stop))
    state = _begun(lesson, asked)
    _take_up(state, lesson, key)
    while state.epoch < lesson.params["epochs"] and state.waited < PATIENCE:
        _epoch(state, lesson, asked, label)
        _look(state, lesson, asked_stop, label_stop)
        if lesson.checkpoints is not None:
            lesson.checkpoints.write(key, _written(state))
    if lesson.checkpoints is not None:
        lesson.checkpoints.forget(key)
    return state.best


def forward(weights: Mapping[str, torch.Tensor], asked: Question) -> torch.Tensor:
    """Return one standardised answer per row: what stands beside the steps goes round the network as well."""
    hidden = weights["lstm.hh"].shape[1]
    nothing = asked.steps.new_zeros((1, asked.steps.shape[0], hidden))
    flat = [weights[name] for name in ("lstm.ih", "lstm.hh", "lstm.ih_bias", "lstm.hh_bias")]
    _, last, _ = torch.lstm(asked.steps, (nothing, nothing), flat, True, 1, 0.0, False, False, True)
    seen = torch.cat([last[0], asked.beside], dim=1)
    linear = torch.nn.functional.linear
    inner = torch.nn.functional.silu(linear(seen, weights["first.weight"], weights["first.bias"]))
    around = torch.cat([inner, asked.beside], dim=1)
    out: torch.Tensor = linear(around, weights["last.weight"], weights["last.bias"])
    return out.reshape(-1)


def key_of(lesson: Lesson) -> str:
    """Return a name that no other lesson has."""
    named = hashlib.sha256(repr((sorted(lesson.params.items()), lesson.seed, lesson.device, lesson.layout)).encode())
    for part in (lesson.x, lesson.y, lesson.x_stop, lesson.y_stop):
        named.update(np.ascontiguousarray(part).tobytes())
    return f"lstm-{named.hexdigest()[:32]}"


def _begun(lesson: Lesson, asked: Question) -> _State:
    chance = torch.Generator().manual_seed(lesson.seed)
    hidden, width, beside = lesson.params["hidden"], asked.steps.shape[2], asked.beside.shape[1]
    reach = 1 / math.sqrt(hidden)

    def drawn(rows: int, columns: int) -> torch.Tensor:
        return (torch.rand(rows, columns, generator=chance) * 2 - 1) * reach

    weights = {
        "lstm.ih": drawn(4 * hidden, width),
        "lstm.hh": drawn(4 * hidden, hidden),
        "lstm.ih_bias": torch.zeros(4 * hidden),
        "lstm.hh_bias": torch.zeros(4 * hidden),
        "first.weight": drawn(hidden, hidden + beside),
        "first.bias": torch.zeros(hidden),
        "last.weight": torch.cat([drawn(1, hidden) * 0.1, torch.zeros(1, beside)], dim=1),
        "last.bias": torch.zeros(1),
    }
    weights = {name: each.to(lesson.device).requires_grad_() for name, each in weights.items()}
    rate, decay = lesson.params["learning_rate"], lesson.params.get("weight_decay", 0.01)
    return _State(weights, Descent(list(weights.values()), rate, decay), chance, _copy(weights))


def _epoch(state: _State, lesson: Lesson, asked: Question, label: torch.Tensor) -> None:
    order = torch.randperm(len(label), generator=state.chance).to(label.device)
    size = lesson.params.get("batch", 128)
    for number, at in enumerate(range(0, len(order), size), start=1):
        batch = order[at : at + size]
        with _half(lesson.device):
            said = forward(state.weights, asked.of(batch))
        loss = _loss(said.float(), label[batch])
        where = f"step {state.epoch * -(-len(order) // size) + number} (epoch {state.epoch + 1}, batch {number})"
        found = float(loss.detach())
        if not math.isfinite(found):
            raise _broke(f"the loss is {found}", where, "look for infinite or huge values in its inputs")
        length = state.descent.step(loss, CLIP)
        if not length <= EXPLODED:
            raise _broke(f"the gradient is {length:.3g} long, at most {EXPLODED:g} is sound", where, "learn slower")
    state.epoch += 1


def _look(state: _State, lesson: Lesson, asked: Question, label: torch.Tensor) -> None:
    """Hold the epoch against the stopping rows."""
    with torch.no_grad(), _half(lesson.device):
        said = forward(state.weights, asked).detach().float()
    loss = float(_loss(said, label))
    where = f"epoch {state.epoch}, over the {len(label)} rows that tell when to stop"
    if not math.isfinite(loss):
        raise _broke(f"the loss is {loss}", where, "look for infinite or huge values in its inputs")
    spread, wanted = float(said.std()), DEAD * float(label.std())
    if spread < wanted:
        raise _broke(f"its answers hardly differ (spread {spread:.2g}, at least {wanted:.2g})", where, "learn slower")
    state.waited = 0 if loss < state.best_loss else state.waited + 1
    if state.waited == 0:
        state.best, state.best_loss = _copy(state.weights), loss


def _loss(said: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.smooth_l1_loss(said, label, beta=BEND)


def _half(device: Device) -> torch.autocast | nullcontext[None]:
    """Return mixed precision on a GPU; bfloat16 has the reach of a float, so nothing needs to be scaled."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if device == "cuda" else nullcontext()


def _broke(what: str, where: str, next_: str) -> TrainingBroke:
    return TrainingBroke(f"the LSTM broke at {where}: {what}; {next_}, or leave the candidate out")


def _copy(weights: Mapping[str, torch.Tensor]) -> Weights:
    return {name: weight.detach().cpu().clone() for name, weight in weights.items()}


def _written(state: _State) -> bytes:
    descent, names = state.descent, list(state.weights)
    kept = {f"weights.{name}": weight for name, weight in _copy(state.weights).items()}
    kept |= {f"best.{name}": weight for name, weight in state.best.items()}
    for what, values in (("means", descent.means), ("squares", descent.squares), ("steps", descent.steps)):
        kept |= {f"{what}.{name}": value.detach().cpu().clone() for name, value in zip(names, values, strict=True)}
    kept["chance"] = state.chance.get_state()
    kept["counts"] = torch.tensor([state.best_loss, state.waited, state.epoch], dtype=torch.float64)
    return bytes(safetensors.torch.save(kept))


def _take_up(state: _State, lesson: Lesson, key: str) -> None:
    """Put back what the last whole epoch of a killed fit left; one that cannot be read is begun anew."""
    data = lesson.checkpoints.read(key) if lesson.checkpoints is not None else None
    if data is None:
        return
    try:
        kept = safetensors.torch.load(data)
    except safetensors.SafetensorError:
        return
    descent = state.descent
    with torch.no_grad():
        for place, (name, weight) in enumerate(state.weights.items()):
            weight.copy_(kept[f"weights.{name}"])
            descent.means[place].copy_(kept[f"means.{name}"])
            descent.squares[place].copy_(kept[f"squares.{name}"])
            descent.steps[place].copy_(kept[f"steps.{name}"])
    state.best = {name: kept[f"best.{name}"] for name in state.weights}
    state.chance.set_state(kept["chance"])
    best_loss, waited, epoch = kept["counts"].tolist()
    state.best_loss, state.waited, state.epoch = best_loss, int(waited), int(epoch)
