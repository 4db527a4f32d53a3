"""The network over a text, what came before it and plain numbers: what it weighs and what it says, pure functions.

A Transformer's encoder (Vaswani et al. 2017, norms in front: Xiong et al. 2020) over the pieces of the text, a pooling
by attention over the steps of the series, a small network over both and the numbers; these go round it as well. How it
is fitted is fitting.py, how it is kept transformer.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from tasks.core.learners.fitting import Weights
from tasks.core.learners.lesson import Device, Floats, Layout

# Heads of attention in each layer; a dimension is a multiple of it.
HEADS = 2
# What a step of the series is widened to.
INSIDE = 16
# How much of an embedding a weight is before the first step: small, so that rare pieces begin as next to nothing.
FAINT = 0.1
# A score that no softmax sees; minus infinity would make a row without steps a row of no numbers.
UNSEEN = -1e4


@dataclass(frozen=True)
class Sizes:
    """How large the network is: width of an embedding, layers of the encoder, width of the last network."""

    dimension: int
    layers: int
    hidden: int


@dataclass(frozen=True)
class Question:
    """What is asked: n × length pieces (0 is padding), n × steps × width, which steps are there, n × numbers."""

    pieces: torch.Tensor
    steps: torch.Tensor
    there: torch.Tensor
    dense: torch.Tensor

    def of(self, rows: torch.Tensor) -> Question:
        """Return some of the rows."""
        return Question(self.pieces[rows], self.steps[rows], self.there[rows], self.dense[rows])

    def on(self, device: Device) -> Question:
        """Return it on *device*."""
        return Question(*(each.to(device) for each in (self.pieces, self.steps, self.there, self.dense)))


def question(x: Floats, layout: Layout) -> Question:
    """Return what the network is asked, out of the design *text*."""
    after_tree, after_dense = layout.tree, layout.tree + layout.dense
    after_steps = after_dense + layout.steps * layout.width
    steps = x[:, after_dense:after_steps].reshape(len(x), layout.steps, layout.width)
    return Question(
        torch.from_numpy(x[:, after_steps:].astype(np.int64)),
        torch.from_numpy(np.nan_to_num(steps, nan=0.0).astype(np.float32)),
        torch.from_numpy(np.isfinite(steps).any(axis=2)),
        torch.from_numpy(np.ascontiguousarray(x[:, after_tree:after_dense], dtype=np.float32)),
    )


def shapes(layout: Layout, sizes: Sizes) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every weight; groups that are learned together have one prefix."""
    wide, inner = sizes.dimension, sizes.hidden
    found: dict[str, tuple[int, ...]] = {}
    if layout.length:
        found |= {"tokens.pieces": (layout.pieces, wide), "tokens.places": (layout.length, wide)}
        found |= {"tokens.before": (wide, wide)}
        for layer in range(sizes.layers):
            found |= {f"layer{layer}.{name}": shape for name, shape in _layer_shapes(wide).items()}
        found |= {"head.norm.weight": (wide,), "head.norm.bias": (wide,)}
    if layout.steps:
        found |= {"series.step.weight": (INSIDE, layout.width), "series.step.bias": (INSIDE,)}
        found |= {"series.places": (layout.steps, INSIDE), "series.score": (1, INSIDE)}
    seen = wide * bool(layout.length) + INSIDE * bool(layout.steps) + layout.dense
    found |= {"head.first.weight": (inner, seen), "head.first.bias": (inner,)}
    return found | {"head.last.weight": (1, inner + layout.dense), "head.last.bias": (1,)}


def begun(layout: Layout, sizes: Sizes, chance: torch.Generator, start: float = 0.0) -> Weights:
    """Return the weights before the first step, out of *chance*: an answer of about *start* for every row."""
    found = {}
    for name, shape in shapes(layout, sizes).items():
        if name.endswith("norm.weight"):
            found[name] = torch.ones(shape)
        elif name.endswith("bias"):
            found[name] = torch.zeros(shape)
        elif name.startswith("tokens.p") or name == "series.places":
            found[name] = torch.randn(shape, generator=chance) * FAINT
        else:
            found[name] = (torch.rand(shape, generator=chance) * 2 - 1) / math.sqrt(shape[-1])
    found["head.last.weight"] = found["head.last.weight"] * 0.1
    found["head.last.weight"][:, sizes.hidden :] = 0.0
    found["head.last.bias"] += start
    return found


def forward(weights: Mapping[str, torch.Tensor], asked: Question, *, recompute: bool = False) -> torch.Tensor:
    """Return one answer per row: standardised, or the logit of a chance.

    *recompute*: a fit keeps each layer's input only and works its inside out a second time, for memory.
    """
    seen = [asked.dense]
    if "series.score" in weights:
        seen.insert(0, _history(weights, asked))
    if "tokens.pieces" in weights:
        seen.insert(0, _reading(weights, asked.pieces, recompute))
    inner = functional.silu(_linear(weights, "head.first", torch.cat(seen, dim=1)))
    return _linear(weights, "head.last", torch.cat([inner, asked.dense], dim=1)).reshape(-1)


def _layer_shapes(wide: int) -> dict[str, tuple[int, ...]]:
    return {
        "attention.norm.weight": (wide,),
        "attention.norm.bias": (wide,),
        "attention.asks.weight": (3 * wide, wide),
        "attention.asks.bias": (3 * wide,),
        "attention.tells.weight": (wide, wide),
        "attention.tells.bias": (wide,),
        "up.norm.weight": (wide,),
        "up.norm.bias": (wide,),
        "up.weight": (2 * wide, wide),
        "up.bias": (2 * wide,),
        "down.weight": (wide, 2 * wide),
        "down.bias": (wide,),
    }


def _reading(weights: Mapping[str, torch.Tensor], pieces: torch.Tensor, recompute: bool) -> torch.Tensor:
    """Return n × dimension: the mean of what the encoder makes of the pieces that are there; zeros where none is."""
    there = pieces != 0
    each = functional.embedding(pieces, weights["tokens.pieces"])
    # Each piece also sees the one before it at once: few rows would not teach attention what stands beside what.
    before = functional.pad(each, (0, 0, 1, 0))[:, :-1]
    told = each + weights["tokens.places"][: pieces.shape[1]] + functional.linear(before, weights["tokens.before"])
    # A row without a piece looks at its first padding and is left out of the mean.
    looked_at = there | (torch.arange(pieces.shape[1], device=pieces.device) == 0)
    layers = sum(name.endswith("up.weight") for name in weights)
    for layer in range(layers):
        if recompute and torch.is_grad_enabled():
            told = checkpoint(_encoded, weights, layer, told, looked_at, use_reentrant=False)
        else:
            told = _encoded(weights, layer, told, looked_at)
    said = _norm(weights, "head.norm", told) * there[:, :, None]
    return said.sum(dim=1) / there.sum(dim=1, keepdim=True).clamp(min=1)


def _encoded(
    weights: Mapping[str, torch.Tensor], layer: int, told: torch.Tensor, looked_at: torch.Tensor
) -> torch.Tensor:
    told = told + _attention(weights, f"layer{layer}.attention", told, looked_at[:, None, None, :])
    up = functional.silu(_linear(weights, f"layer{layer}.up", _norm(weights, f"layer{layer}.up.norm", told)))
    return told + _linear(weights, f"layer{layer}.down", up)


def _attention(
    weights: Mapping[str, torch.Tensor], name: str, told: torch.Tensor, looked_at: torch.Tensor
) -> torch.Tensor:
    rows, length, wide = told.shape
    asks = _linear(weights, f"{name}.asks", _norm(weights, f"{name}.norm", told))
    parted = asks.reshape(rows, length, 3, HEADS, wide // HEADS).permute(2, 0, 3, 1, 4)
    said = functional.scaled_dot_product_attention(parted[0], parted[1], parted[2], attn_mask=looked_at)
    return _linear(weights, f"{name}.tells", said.transpose(1, 2).reshape(rows, length, wide))


def _history(weights: Mapping[str, torch.Tensor], asked: Question) -> torch.Tensor:
    """Return n × ``INSIDE``: the mean of the steps that are there, each as important as it looks; zeros for none."""
    inner = functional.silu(_linear(weights, "series.step", asked.steps) + weights["series.places"])
    score = functional.linear(inner, weights["series.score"]).masked_fill(~asked.there[:, :, None], UNSEEN)
    share = torch.softmax(score, dim=1) * asked.there[:, :, None]
    return (inner * share).sum(dim=1)


def _linear(weights: Mapping[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(weights: Mapping[str, torch.Tensor], name: str, x: torch.Tensor) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])
