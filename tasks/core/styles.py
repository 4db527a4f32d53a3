"""How far groups are apart in style: artists, genres, whatever a workload names, over standardised numbers.

A style is where a group's rows lie and how far they spread; the distance of two is Wasserstein's of the normal
distributions with those means and standard deviations, number by number. Single rows belong to ``likeness``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.likeness import Standard
from tasks.errors import DataRejected

Floats = npt.NDArray[np.float64]

# Fewer rows have no spread worth the name.
ROWS_LEAST = 5
NEAREST = 10
# Groups compared at once, so that memory stays small however many there are.
BLOCK = 512


def find_styles(rows: pl.DataFrame, by: str, standard: Standard, nearest: int = NEAREST) -> pl.DataFrame:
    """Return each group's *nearest* others: ``by``, ``group``, ``other``, ``rank``, ``distance``, ``rows`` of both.

    The distance is in standard deviations. What chance alone puts between two means of so few rows is taken off, so
    that two halves of one group are about 0 apart. Raises DataRejected where fewer than two groups are large enough.
    """
    vectors = pl.DataFrame(standard.vectors(rows).astype(np.float64), schema=list(standard.features))
    named = vectors.with_columns(rows[by].alias("_group")).drop_nulls("_group")
    aggregates = [pl.col(name).mean().name.suffix("_mean") for name in standard.features]
    aggregates += [pl.col(name).std().name.suffix("_spread") for name in standard.features]
    groups = named.group_by("_group").agg(pl.len().alias("_rows"), *aggregates)
    groups = groups.filter(pl.col("_rows") >= ROWS_LEAST).sort("_group")
    if groups.height < 2:
        raise DataRejected(
            f"{groups.height} groups of {by!r} have {ROWS_LEAST} rows or more; two are needed to compare"
        )
    means, spreads = (
        groups.select(f"{name}_{kind}" for name in standard.features).to_numpy() for kind in ("mean", "spread")
    )
    counts, names = groups["_rows"].to_numpy(), groups["_group"]
    parts = [
        _nearest(slice(start, start + BLOCK), means, spreads, counts, names, min(nearest, groups.height - 1))
        for start in range(0, groups.height, BLOCK)
    ]
    return pl.concat(parts).select(pl.lit(by).alias("by"), "*")


def _nearest(
    block: slice, means: Floats, spreads: Floats, counts: npt.NDArray[np.integer], names: pl.Series, nearest: int
) -> pl.DataFrame:
    """Return the lines of the groups of one block."""
    by_chance = (spreads**2).sum(axis=1) / counts
    squared = _squares(means[block], means) - by_chance[block, None] - by_chance[None, :]
    squared = np.maximum(squared, 0.0) + _squares(spreads[block], spreads)
    own = np.arange(len(squared)) + block.start
    squared[np.arange(len(squared)), own] = np.inf
    order = np.argsort(squared, axis=1, kind="stable")[:, :nearest]
    group, other = np.repeat(own, nearest), order.ravel()
    return pl.DataFrame(
        {
            "group": names.gather(group),
            "other": names.gather(other),
            "rank": np.tile(np.arange(1, nearest + 1), len(own)),
            "distance": np.sqrt(np.take_along_axis(squared, order, axis=1)).ravel(),
            "rows": counts[group],
            "rows_of_other": counts[other],
        }
    )


def _squares(some: Floats, all_of: Floats) -> Floats:
    """Return squared Euclidean distances between two sets of points."""
    found: Floats = (some**2).sum(axis=1)[:, None] + (all_of**2).sum(axis=1)[None, :] - 2 * some @ all_of.T
    return np.maximum(found, 0.0)
