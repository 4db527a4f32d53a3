"""The golden sample: rows, and what a model said of them when it was made. Anyone can check that it still does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from tasks.core.models import Model
from tasks.workloads.spec import FEATURE_TYPES

# The same bits on the same machine; another processor may add in another order.
TOLERANCE = 1e-6
# Kernels are picked by processor, and a number near the edge of two eight-bit ones may fall on the other side there.
TOLERANCES: Mapping[str, float] = {"onnx": 1e-5, "int8": 1e-2, "onnx-int8": 1e-2}


def tolerance_of(model: Model) -> float:
    """Return how far *model*'s answers may differ from the golden ones, relatively: more where it is a variant."""
    variant = getattr(model.learned.estimator, "variant", None)
    return TOLERANCES.get(variant.name, TOLERANCE) if variant else TOLERANCE


def answered(golden: Mapping[str, Sequence[Mapping[str, Any]]], model: Model) -> dict[str, Any]:
    """Return the same rows with what *model* says of them."""
    return {"inputs": golden["inputs"], "outputs": _said(golden, model).to_dicts()}


def largest_difference(golden: Mapping[str, Sequence[Mapping[str, Any]]], model: Model) -> float:
    """Return by how much *model*'s answers differ from the golden ones, relatively; infinite if not comparable."""
    found = _said(golden, model)
    wanted = pl.DataFrame(golden["outputs"], schema=found.schema)
    if found.shape != wanted.shape or found.is_empty():
        return float("inf")
    numbers = pl.selectors.numeric()
    was, now = wanted.select(numbers).to_numpy(), found.select(numbers).to_numpy()
    with np.errstate(invalid="ignore"):
        apart = np.abs(now - was) / np.maximum(np.abs(was), 1e-9)
    return float(np.max(np.where(np.isnan(apart), np.inf, apart)))


def _said(golden: Mapping[str, Sequence[Mapping[str, Any]]], model: Model) -> pl.DataFrame:
    types = {feature.name: FEATURE_TYPES[feature.type] for feature in model.learned.features}
    return model.score(pl.DataFrame(golden["inputs"], schema=types))
