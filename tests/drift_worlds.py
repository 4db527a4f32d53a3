"""A world whose drift is known, for monitoring: rows or counts drawn afresh, as many of each entity as are wanted.

Twelve numbers (four correlated, heavy tails, counts, mostly zeros, rounded, with gaps) and six categories of 4 to 900
values. A column other than the correlated four has four thousand equally likely values, so a batch of it is one draw of
a multinomial, and its counts are statistically the same as those of rows drawn one by one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.batch_counts import count_rows
from tasks.core.drift_statistics import rank_correlations
from tasks.core.profile import correlations, profile_category, profile_number

Floats = npt.NDArray[np.float64]
ATOMS = 4000
BLOCK = ("north", "east", "south", "west")
# Correlations 0.6, 0.36 and 0.22.
SHAPE = np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4))))
VALUES = {"kind4": 4, "kind12": 12, "kind40": 40, "kind150": 150, "kind400": 400, "kind900": 900}
_grid = np.random.default_rng(20_261_121)
NUMBERS: Mapping[str, Floats] = {
    "plain": _grid.normal(10, 3, ATOMS),
    "far": _grid.normal(-400, 50, ATOMS),
    "tail": _grid.lognormal(2, 0.7, ATOMS),
    "longer": _grid.lognormal(8, 1.1, ATOMS),
    "count": _grid.poisson(3, ATOMS).astype(float),
    "zeros": np.where(_grid.random(ATOMS) < 0.6, 0.0, _grid.gamma(2, 50, ATOMS)),
    "rounded": np.round(_grid.normal(50, 12, ATOMS)),
    "gaps": np.where(_grid.random(ATOMS) < 0.15, np.nan, _grid.normal(0, 1, ATOMS)),
}
SHARES = {name: (1 / np.arange(1, many + 1)) / (1 / np.arange(1, many + 1)).sum() for name, many in VALUES.items()}
# Correlations are never taken on more rows.
BLOCK_ROWS = 20_000


def rows(count: int, chance: np.random.Generator, per_entity: int = 1) -> pl.DataFrame:
    """Return *count* rows; those of an entity are alike in every column."""
    entities = -(-count // per_entity)
    of = np.repeat(np.arange(entities), per_entity)[:count]
    block = (chance.normal(size=(entities, 4)) @ SHAPE.T)[of]
    columns: dict[str, Any] = {name: block[:, place] for place, name in enumerate(BLOCK)}
    columns |= {name: atoms[chance.integers(0, ATOMS, entities)][of] for name, atoms in NUMBERS.items()}
    for name, many in VALUES.items():
        drawn = chance.choice(many, entities, p=SHARES[name])[of]
        columns[name] = pl.Series(drawn).cast(pl.String)
    return pl.DataFrame({**columns, "entity": of}).with_columns(pl.col("gaps").fill_nan(None))


def reference(frame: pl.DataFrame) -> dict[str, Any]:
    """Profile *frame* as a bundle does."""
    numbers = [*BLOCK, *NUMBERS]
    return {
        "rows": frame.height,
        "entities": frame["entity"].n_unique(),
        "numbers": {name: profile_number(frame[name]) for name in numbers},
        "categories": {name: profile_category(frame[name]) for name in VALUES},
        "spearman": correlations(frame.select(numbers)),
        "targets": {},
    }


def batch(frame: pl.DataFrame, beside: Mapping[str, Any]) -> dict[str, Any]:
    """Count *frame* as the monitor does."""
    known = [name for name in beside["spearman"]["columns"] if name in frame.columns]
    related = correlations(frame.select(pl.col(known).cast(pl.Float64, strict=False)))
    entities = frame["entity"].n_unique() if frame.height else 0
    return count_rows(frame, {}, beside) | {"entities": entities, "spearman": related}


def drawn_counts(
    count: int, chance: np.random.Generator, beside: Mapping[str, Any], per_entity: int = 1
) -> dict[str, Any]:
    """Return what ``batch`` makes of *count* rows, their counts drawn at once; only the correlated four are rows."""
    entities = count // per_entity
    some = min(entities, BLOCK_ROWS)
    block = chance.normal(size=(some, 4)) @ SHAPE.T
    numbers = {name: _block_number(block[:, place], beside["numbers"][name], entities * per_entity / some)
               for place, name in enumerate(BLOCK)}  # fmt: skip
    numbers |= {name: _number(atoms, entities, per_entity, chance, beside["numbers"][name])
                for name, atoms in NUMBERS.items()}  # fmt: skip
    ranks = block.argsort(axis=0).argsort(axis=0).astype(float)
    matrix = rank_correlations(ranks)[0]
    lines = [[float(matrix[i, j]) for j in range(i)] for i in range(4)]
    return {
        "rows": count,
        "entities": entities,
        "numbers": numbers,
        "categories": {name: _category(name, entities, per_entity, chance, beside) for name in VALUES},
        "targets": {},
        "spearman": {"columns": list(BLOCK), "rows": some * per_entity, "matrix": lines},
    }


def _block_number(values: Floats, was: Mapping[str, Any], times: float) -> dict[str, Any]:
    found = profile_number(pl.Series(values), edges=np.asarray(was["edges"]))
    scaled = {"n": round(found["n"] * times), "counts": [each * times for each in found["counts"]]}
    return {**found, **scaled}


def _number(
    atoms: Floats, entities: int, per_entity: int, chance: np.random.Generator, was: Mapping[str, Any]
) -> dict[str, Any]:
    hits = chance.multinomial(entities, np.full(ATOMS, 1 / ATOMS)) * per_entity
    known = np.isfinite(atoms) & (hits > 0)
    values, weights = atoms[known], hits[known].astype(float)
    n, edges = int(weights.sum()), np.asarray(was["edges"])
    mean = float(np.average(values, weights=weights))
    return {
        "n": n, "nulls": int(hits.sum()) - n, "infinite": 0, "mean": mean,
        "sd": float(np.sqrt(np.sum(weights * (values - mean) ** 2) / (n - 1))),
        "min": float(values.min()), "max": float(values.max()),
        "counts": np.bincount(np.searchsorted(edges, values, side="left"), weights, len(edges) + 1).tolist(),
    }  # fmt: skip


def _category(
    name: str, entities: int, per_entity: int, chance: np.random.Generator, beside: Mapping[str, Any]
) -> dict[str, Any]:
    hits = chance.multinomial(entities, SHARES[name]) * per_entity
    known = beside["categories"][name]["counts"]
    counts = {str(place): int(count) for place, count in enumerate(hits) if count}
    named = {value: count for value, count in counts.items() if value in known or len(known) < 200}
    n = int(hits.sum())
    return {"n": n, "nulls": 0, "counts": named, "other": n - sum(named.values()), "new": len(counts.keys() - known)}
