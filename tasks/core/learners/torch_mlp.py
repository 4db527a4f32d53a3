"""A small torch network, kept as safetensors and its own constructor; the only home of torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import safetensors
import safetensors.torch
import torch

from tasks.core.learners.descent import Descent
from tasks.core.learners.lesson import Device, Floats, Lesson
from tasks.errors import NotTrusted

PATIENCE = 12
BATCHES_PER_EPOCH_MOST = 200


@dataclass(frozen=True)
class Network:
    """Two hidden layers with a residual linear path; weights are plain arrays on the processor."""

    weights: Mapping[str, torch.Tensor]

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        limit(1)
        with torch.inference_mode():
            out = _forward(self.weights, torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)))
        return out.numpy().astype(np.float64)

    def to_bytes(self) -> bytes:
        """Return safetensors."""
        return bytes(safetensors.torch.save({name: self.weights[name] for name in sorted(self.weights)}))


SHAPES = ("first.weight", "first.bias", "second.weight", "second.bias", "last.weight", "last.bias", "skip.weight")


def fit_mlp(lesson: Lesson) -> Network:
    """Fit with AdamW, Huber loss and dropout until the stopping rows get no better; the best epoch is kept."""
    limit(lesson.threads)
    params = lesson.params
    chance = torch.Generator().manual_seed(lesson.seed)
    x, y = _tensor(lesson.x, lesson.device), _tensor(lesson.y, lesson.device)
    x_stop, y_stop = _tensor(lesson.x_stop, lesson.device), _tensor(lesson.y_stop, lesson.device)
    weights = _initial(x.shape[1], params["hidden"], chance, lesson.device)
    descent = Descent(list(weights.values()), params["learning_rate"], params.get("weight_decay", 0.05))
    size = max(params.get("batch", 64), -(-len(y) // BATCHES_PER_EPOCH_MOST))
    best, best_loss, waited = _copy(weights), float("inf"), 0
    for _ in range(params["epochs"]):
        order = torch.randperm(len(y), generator=chance).to(x.device)
        for batch in _batches(order, size):
            kept = _dropout((len(batch), params["hidden"]), params.get("dropout", 0.2), chance).to(x.device)
            descent.step(torch.nn.functional.huber_loss(_forward(weights, x[batch], kept), y[batch]))
        with torch.no_grad():
            loss = float(torch.nn.functional.huber_loss(_forward(weights, x_stop), y_stop))
        waited = 0 if loss < best_loss else waited + 1
        if waited == 0:
            best, best_loss = _copy(weights), loss
        if waited >= PATIENCE:
            break
    return Network(best)


def from_bytes(data: bytes) -> Network:
    """Load safetensors; NotTrusted if it is none or its tensors are not the network's."""
    try:
        weights = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise NotTrusted(f"the network cannot be read as safetensors ({error}); publish the bundle again") from error
    if sorted(weights) != sorted(SHAPES):
        raise NotTrusted(f"the network holds {sorted(weights)} and should hold {sorted(SHAPES)}; it was not loaded")
    return Network(weights)


FITS: Mapping[str, Callable[[Lesson], Network]] = {"mlp": fit_mlp}


def _batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    return [order[at : at + size] for at in range(0, len(order), size)]


def limit(threads: int) -> None:
    """Limit torch's threads, process-wide; set only when it differs, because setting it is not free."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def _tensor(values: Floats, device: Device) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(device)


def _initial(inputs: int, hidden: int, chance: torch.Generator, device: Device) -> dict[str, torch.Tensor]:
    def layer(rows: int, columns: int, gain: float) -> torch.Tensor:
        return torch.randn(rows, columns, generator=chance) * (gain / math.sqrt(columns))

    weights = {
        "first.weight": layer(hidden, inputs, 1.0),
        "first.bias": torch.zeros(hidden),
        "second.weight": layer(hidden, hidden, 1.0),
        "second.bias": torch.zeros(hidden),
        "last.weight": layer(1, hidden, 0.1),
        "last.bias": torch.zeros(1),
        "skip.weight": torch.zeros(1, inputs),
    }
    return {name: weight.to(device).requires_grad_() for name, weight in weights.items()}


def _forward(weights: Mapping[str, torch.Tensor], x: torch.Tensor, kept: torch.Tensor | None = None) -> torch.Tensor:
    linear = torch.nn.functional.linear
    inner = torch.nn.functional.silu(linear(x, weights["first.weight"], weights["first.bias"]))
    inner = inner if kept is None else inner * kept
    inner = torch.nn.functional.silu(linear(inner, weights["second.weight"], weights["second.bias"]))
    out: torch.Tensor = linear(inner, weights["last.weight"], weights["last.bias"]) + linear(x, weights["skip.weight"])
    return out.reshape(len(x))


def _dropout(shape: tuple[int, int], share: float, chance: torch.Generator) -> torch.Tensor:
    return (torch.rand(shape, generator=chance) >= share).float() / (1.0 - share)


def _copy(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: weight.detach().cpu().clone() for name, weight in weights.items()}


def cuda_is_there() -> bool:
    """Say whether torch sees a CUDA device."""
    return bool(torch.cuda.is_available())
