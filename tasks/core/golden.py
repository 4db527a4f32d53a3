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


def largest_difference(golden: Mapping[str, Sequence[Mapping[str, Any]]], model: Model) -> float:
    """Return by how much *model*'s answers differ from the golden ones, relatively; infinite if not comparable."""
    types = {feature.name: FEATURE_TYPES[feature.type] for feature in model.learned.features}
    found = model.score(pl.DataFrame(golden["inputs"], schema=types))
    wanted = pl.DataFrame(golden["outputs"], schema=found.schema)
    if found.shape != wanted.shape or found.is_empty():
        return float("inf")
    numbers = pl.selectors.numeric()
    was, now = wanted.select(numbers).to_numpy(), found.select(numbers).to_numpy()
    with np.errstate(invalid="ignore"):
        apart = np.abs(now - was) / np.maximum(np.abs(was), 1e-9)
    return float(np.max(np.where(np.isnan(apart), np.inf, apart)))
