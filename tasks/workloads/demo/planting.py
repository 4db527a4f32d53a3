"""What every generator of demo rows draws alike: classes by their shares, and the rows that are to be broken."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import polars as pl

Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.object_]

FAULT_SHARE = 0.025
# Below this many rows a fault of each kind would be a large part of the frame.
MIN_ROWS_FOR_FAULTS = 60


def choose(rng: np.random.Generator, rows: int, shares: list[float]) -> Ints:
    """Return the number of a class per row, each class as often as its share says."""
    edges = np.cumsum(shares)
    return np.searchsorted(edges / edges[-1], rng.random(rows), side="right").astype(np.int64)


def labels(names: tuple[str, ...], codes: Ints) -> pl.Series:
    """Return the name of each code."""
    return pl.Series(names, dtype=pl.String).gather(pl.Series(codes))


def place_faults(rows: int, rng: np.random.Generator, kinds: Collection[str]) -> Texts:
    """Return the kind of fault of each row or nothing, all kinds alike; duplicates come in pairs of this draw."""
    fault = np.full(rows, "", dtype=object)
    order = rng.permutation(rows)
    if rows < MIN_ROWS_FOR_FAULTS:
        return fault
    each = max(2, 2 * round(rows * FAULT_SHARE / len(kinds) / 2))
    for place, kind in enumerate(kinds):
        fault[order[place * each : (place + 1) * each]] = kind
    return fault
