"""How any network is fitted: epoch after epoch, with a checkpoint after each, and an end with a reason where it breaks.

The same course over the same rows gives the same weights on a processor, whether or not it was killed on the way: all
that an epoch depends on is in the checkpoint. Which network it is, and what its numbers mean, does not belong here.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import safetensors
import safetensors.torch
import torch

from tasks.core.learners.descent import Descent
from tasks.core.learners.lesson import Checkpoints, Device, Lesson
from tasks.errors import TrainingBroke

Weights = dict[str, torch.Tensor]
# A healthy gradient has a length of about one; beyond this the fit has left the ground.
EXPLODED = 1e4
# Below this spread of its answers, as a share of the labels', a network says one thing to everybody.
DEAD = 1e-4
# So many rows that tell when to stop are answered at once: all of a large set would not fit on a GPU.
ROWS_AT_ONCE = 8_192


class Question(Protocol):
    """What a network is asked, of n rows; frozen."""

    def of(self, rows: torch.Tensor) -> Self:
        """Return some of the rows."""
        ...

    def on(self, device: Device) -> Self:
        """Return it on *device*."""
        ...


@dataclass(frozen=True)
class Taught:
    """What is asked, and what is to be answered: one number per row."""

    asked: Any
    label: torch.Tensor

    def on(self, device: Device) -> Taught:
        """Return it on *device*."""
        return Taught(self.asked.on(device), self.label.to(device))


@dataclass(frozen=True)
class Course:
    """How one fit goes about it.

    ``forward`` says n numbers, ``loss`` holds them against n labels. ``cosine``: the rate falls to zero over the
    epochs along a cosine. ``thawed`` names the weights that move, all where empty. ``pull`` is added to each batch's
    loss: what holds weights where they are.
    """

    name: str
    forward: Callable[[Mapping[str, torch.Tensor], Any], torch.Tensor]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    epochs: int
    rate: float
    decay: float
    batch: int
    patience: int = 10
    clip: float = 1.0
    cosine: bool = False
    thawed: tuple[str, ...] = ()
    pull: Callable[[Mapping[str, torch.Tensor]], torch.Tensor] | None = None


@dataclass(frozen=True)
class Fitted:
    """The weights of the best epoch, on the processor; its loss over the stopping rows; how many epochs were gone."""

    weights: Weights
    best_loss: float
    epochs: int


@dataclass
class _State:
    """All that the next epoch depends on; ``descent`` moves those of ``weights`` that ``moving`` names."""

    weights: Weights
    moving: tuple[str, ...]
    descent: Descent
    chance: torch.Generator
    best: Weights
    best_loss: float = math.inf
    waited: int = 0
    epoch: int = 0


def fit(
    course: Course,
    weights: Mapping[str, torch.Tensor],
    taught: Taught,
    stop: Taught,
    *,
    device: Device,
    seed: int | torch.Generator,
    key: str,
    checkpoints: Checkpoints | None,
) -> Fitted:
    """Return the best epoch's weights; raises TrainingBroke for a loss, gradient or output that is no use.

    A *seed* that is a generator goes on from where it is. *key* is a name that no other fit has.
    """
    torch.use_deterministic_algorithms(device == "cpu")
    taught, stop = taught.on(device), stop.on(device)
    state = _begun(course, weights, device, seed)
    if checkpoints is not None:
        _take_up(state, checkpoints.read(key))
    while state.epoch < course.epochs and state.waited < course.patience:
        _look(state, course, stop, _epoch(state, course, taught))
        if checkpoints is not None:
            checkpoints.write(key, _written(state))
    if checkpoints is not None:
        checkpoints.forget(key)
    return Fitted(state.best, state.best_loss, state.epoch)


def key_of(kind: str, lesson: Lesson) -> str:
    """Return a name that no other lesson has."""
    told = (sorted(lesson.params.items()), lesson.seed, lesson.device, lesson.layout)
    named = hashlib.sha256(repr(told).encode())
    for part in (lesson.x, lesson.y, lesson.x_stop, lesson.y_stop):
        named.update(np.ascontiguousarray(part).tobytes())
    return f"{kind}-{named.hexdigest()[:32]}"


def answered(
    forward: Callable[[Mapping[str, torch.Tensor], Any], torch.Tensor],
    weights: Mapping[str, torch.Tensor],
    asked: Any,
    rows: int,
) -> torch.Tensor:
    """Return the answers to *asked*, so many rows at once as memory surely holds."""
    if rows <= ROWS_AT_ONCE:
        return forward(weights, asked)
    return torch.cat([forward(weights, asked.of(part)) for part in _parts(torch.arange(rows), ROWS_AT_ONCE)])


def half(device: Device) -> torch.autocast | nullcontext[None]:
    """Return mixed precision on a GPU; bfloat16 has the reach of a float, so nothing needs to be scaled."""
    return torch.autocast("cuda", dtype=torch.bfloat16) if device == "cuda" else nullcontext()


def _begun(course: Course, weights: Mapping[str, torch.Tensor], device: Device, seed: int | torch.Generator) -> _State:
    own = {name: each.detach().clone().to(device) for name, each in weights.items()}
    moving = course.thawed or tuple(own)
    for name in moving:
        own[name].requires_grad_()
    chance = torch.Generator().manual_seed(seed) if isinstance(seed, int) else seed
    descent = Descent([own[name] for name in moving], course.rate, course.decay)
    return _State(own, moving, descent, chance, _copy(own))


def _epoch(state: _State, course: Course, taught: Taught) -> str:
    """Go through all rows once; return where that ended."""
    where = ""
    order = torch.randperm(len(taught.label), generator=state.chance).to(taught.label.device)
    if course.cosine:
        state.descent.rate = course.rate * 0.5 * (1 + math.cos(math.pi * state.epoch / course.epochs))
    for number, batch in enumerate(_parts(order, course.batch), start=1):
        with half(_device(order)):
            said = course.forward(state.weights, taught.asked.of(batch))
        loss = course.loss(said.float(), taught.label[batch])
        if course.pull is not None:
            loss = loss + course.pull(state.weights)
        where = (
            f"step {state.epoch * -(-len(order) // course.batch) + number} (epoch {state.epoch + 1}, batch {number})"
        )
        found = float(loss.detach())
        if not math.isfinite(found):
            raise _broke(course, f"the loss is {found}", where, "look for infinite or huge values in its inputs")
        length = state.descent.step(loss, course.clip)
        if not length <= EXPLODED:
            what = f"the gradient is {length:.3g} long, at most {EXPLODED:g} is sound"
            raise _broke(course, what, where, "learn slower")
    state.epoch += 1
    return where


def _look(state: _State, course: Course, stop: Taught, after: str) -> None:
    """Hold the epoch that ended *after* a step against the stopping rows."""
    label = stop.label
    with torch.no_grad(), half(_device(label)):
        said = answered(course.forward, state.weights, stop.asked, len(label)).detach().float()
    loss = float(course.loss(said, label))
    where = f"{after}, over the {len(label)} rows that tell when to stop"
    if not math.isfinite(loss):
        raise _broke(course, f"the loss is {loss}", where, "look for infinite or huge values in its inputs")
    spread, wanted = float(said.std()), DEAD * float(label.std())
    if spread < wanted:
        what = f"its answers hardly differ (spread {spread:.2g}, at least {wanted:.2g})"
        raise _broke(course, what, where, "learn slower")
    state.waited = 0 if loss < state.best_loss else state.waited + 1
    if state.waited == 0:
        state.best, state.best_loss = _copy(state.weights), loss


def _parts(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    return [order[at : at + size] for at in range(0, len(order), size)]


def _device(tensor: torch.Tensor) -> Device:
    return "cuda" if tensor.device.type == "cuda" else "cpu"


def _broke(course: Course, what: str, where: str, next_: str) -> TrainingBroke:
    return TrainingBroke(f"{course.name} broke at {where}: {what}; {next_}, or leave the candidate out")


def _copy(weights: Mapping[str, torch.Tensor]) -> Weights:
    return {name: weight.detach().cpu().clone() for name, weight in weights.items()}


def _remembered(state: _State) -> dict[str, torch.Tensor]:
    """Return the tensors that change in place, by their names in a checkpoint."""
    descent = state.descent
    kept = {f"weights.{name}": weight for name, weight in state.weights.items()}
    for what, values in (("means", descent.means), ("squares", descent.squares), ("steps", descent.steps)):
        kept |= {f"{what}.{name}": value for name, value in zip(state.moving, values, strict=True)}
    return kept


def _written(state: _State) -> bytes:
    kept = _copy(_remembered(state)) | {f"best.{name}": weight for name, weight in state.best.items()}
    kept["chance"] = state.chance.get_state()
    kept["counts"] = torch.tensor([state.best_loss, state.waited, state.epoch], dtype=torch.float64)
    return bytes(safetensors.torch.save(kept))


def _take_up(state: _State, data: bytes | None) -> None:
    """Put back what the last whole epoch of a killed fit left; one that cannot be read is begun anew."""
    if data is None:
        return
    try:
        kept = safetensors.torch.load(data)
    except safetensors.SafetensorError:
        return
    places = _remembered(state)
    if set(kept) != {*places, *(f"best.{name}" for name in state.weights), "chance", "counts"}:
        return
    with torch.no_grad():
        for name, place in places.items():
            place.copy_(kept[name])
    state.best = {name: kept[f"best.{name}"] for name in state.weights}
    state.chance.set_state(kept["chance"])
    best_loss, waited, epoch = kept["counts"].tolist()
    state.best_loss, state.waited, state.epoch = best_loss, int(waited), int(epoch)
