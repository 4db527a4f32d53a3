"""Fine-tuning by stages: head only → last layers → deeper → all, each slower than the one before; the best is kept.

A stage that gets no better leaves no trace: the next one goes on from the best weights so far, those handed in among
them. How one fit goes about it is fitting.py; who is fine-tuned, and whether it was worth it, is niches.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import safetensors
import safetensors.torch
import torch

from tasks.core.learners import fitting
from tasks.core.learners.fitting import Course, Fitted, Taught
from tasks.core.learners.lesson import Checkpoints, Device

# What each stage learns at, as a share of the rate the network itself was fitted with: what lies deeper was learned
# from all rows, and a few must not undo it (discriminative rates: Howard and Ruder 2018).
HEAD, LAST, DEEPER, ALL = 1.0, 0.3, 0.1, 0.03
# How long each lasts, as a share of the last: few weights that move fast are soon where they go.
HEAD_EPOCHS, LAST_EPOCHS, DEEPER_EPOCHS = 1 / 3, 1 / 2, 2 / 3
LAYER = re.compile(r"layer(\d+)\.")


@dataclass(frozen=True)
class Stage:
    """What moves, how fast and for how long; ``thawed`` are the beginnings of names."""

    name: str
    thawed: tuple[str, ...]
    rate: float
    epochs: int


def ladder(names: Iterable[str], rate: float, epochs: int) -> tuple[Stage, ...]:
    """Return the stages of a network with weights of these *names*, the last of so many *epochs*.

    The last layers are the highest ``layerN.`` and whatever stands beside the layers; a stage that would move nothing
    that the one before did not is left out.
    """
    known = sorted(set(names))
    numbers = sorted({int(found[1]) for found in map(LAYER.match, known) if found})
    layers = tuple(f"layer{number}." for number in numbers)
    beside = tuple(sorted({f"{name.split('.')[0]}." for name in known} - {"head.", "tokens.", *layers}))
    steps = (
        Stage("head only", ("head.",), rate * HEAD, _share(epochs, HEAD_EPOCHS)),
        Stage("last layers", ("head.", *beside, *layers[-1:]), rate * LAST, _share(epochs, LAST_EPOCHS)),
        Stage("deeper", ("head.", *beside, *layers), rate * DEEPER, _share(epochs, DEEPER_EPOCHS)),
        Stage("all", ("",), rate * ALL, epochs),
    )
    moved = [thawed(known, step) for step in steps]
    return tuple(step for place, step in enumerate(steps) if moved[place] not in ((), *moved[:place]))


def thawed(names: Iterable[str], stage: Stage) -> tuple[str, ...]:
    """Return which of *names* move in *stage*."""
    return tuple(name for name in names if name.startswith(stage.thawed))


def fine_tune(
    course: Course,
    weights: Mapping[str, torch.Tensor],
    taught: Taught,
    stop: Taught,
    stages: tuple[Stage, ...],
    *,
    device: Device,
    seed: int,
    key: str,
    checkpoints: Checkpoints | None,
) -> Fitted:
    """Return the best weights of all *stages* and of those handed in, by their loss over *stop*.

    Rate, epochs, schedule and what moves are each stage's own, all else is the *course*'s. A fit that was killed goes
    on in the stage, and there after the epoch, that was done last. Raises TrainingBroke, naming the stage.
    """
    done, best = _taken_up(weights, key, checkpoints) or (0, _begun(course, weights, stop, device))
    for number, stage in enumerate(stages[done:], start=done + 1):
        own = replace(
            course,
            name=f"{course.name}, fine-tuned ({stage.name}),",
            epochs=stage.epochs,
            rate=stage.rate,
            cosine=True,
            thawed=thawed(best.weights, stage),
        )
        found = fitting.fit(
            own, best.weights, taught, stop, device=device, seed=seed, key=f"{key}-{number}", checkpoints=checkpoints
        )
        gone = best.epochs + found.epochs
        best = replace(found if found.best_loss < best.best_loss else best, epochs=gone)
        if checkpoints is not None:
            checkpoints.write(key, _written(number, best))
    if checkpoints is not None:
        checkpoints.forget(key)
    return best


def loss_over(course: Course, weights: Mapping[str, torch.Tensor], rows: Taught, device: Device) -> float:
    """Return the mean loss over *rows*."""
    return float(losses(course, weights, rows, device).mean())


def losses(course: Course, weights: Mapping[str, torch.Tensor], rows: Taught, device: Device) -> torch.Tensor:
    """Return each row's loss, on the processor."""
    there, label = rows.asked.on(device), rows.label.cpu()
    placed = {name: weight.to(device) for name, weight in weights.items()}
    with torch.no_grad(), fitting.half(device):
        said = fitting.answered(course.forward, placed, there, len(label)).float().cpu()
    each = [course.loss(said[row : row + 1], label[row : row + 1]) for row in range(len(label))]
    return torch.stack(each).detach().double()


def _share(epochs: int, share: float) -> int:
    return max(1, round(epochs * share))


def _begun(course: Course, weights: Mapping[str, torch.Tensor], stop: Taught, device: Device) -> Fitted:
    own = {name: weight.detach().cpu().clone() for name, weight in weights.items()}
    return Fitted(own, loss_over(course, own, stop, device), 0)


def _written(number: int, best: Fitted) -> bytes:
    counts = torch.tensor([number, best.best_loss, best.epochs], dtype=torch.float64)
    return bytes(safetensors.torch.save({"counts": counts} | {f"best.{n}": w for n, w in best.weights.items()}))


def _taken_up(
    weights: Mapping[str, torch.Tensor], key: str, checkpoints: Checkpoints | None
) -> tuple[int, Fitted] | None:
    """Return how many stages a killed fit had done and what they came to; None if there was none to be read."""
    data = checkpoints.read(key) if checkpoints is not None else None
    if data is None:
        return None
    try:
        kept = safetensors.torch.load(data)
    except safetensors.SafetensorError:
        return None
    if set(kept) != {"counts", *(f"best.{name}" for name in weights)}:
        return None
    number, loss, epochs = kept["counts"].tolist()
    return int(number), Fitted({name: kept[f"best.{name}"] for name in weights}, loss, int(epochs))
