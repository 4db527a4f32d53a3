"""The reference profile: what the rows a model learned from looked like, small enough to travel in its bundle.

Pure: rows in, canonical JSON bytes out. No row is kept, only counts, moments and quantile edges, so that profiles of
several batches can be added up (counts add; n, mean and sd merge by Chan et al. 1979). What compares a profile with a
new batch does not belong here.

Format 1, all keys sorted:
  numbers      name → n, nulls, infinite, mean, sd, min, max, edges, counts (counts[i] = values in
               (edges[i-1], edges[i]]; the first and last bins are open)
  categories   name → n, nulls, distinct, counts (the commonest ``MOST_VALUES``), other
  spearman     columns, matrix (null where a column is constant or the pair is hardly known), rows they were taken from
  targets      name → predicted, residual (actual − predicted), log_residual, each as a number above
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
import scipy
from numpy.typing import NDArray

from tasks.workloads.spec import Workload

FORMAT = 1
# A thousand bins put Kolmogorov–Smirnov's distance within 0.0002 and cost no time; of few they would be the rows.
FEWEST_BINS, MOST_BINS, ROWS_PER_BIN = 50, 1000, 10
# The outermost bins are halved again and again: the few values far out are most of a heavy tail's distance.
TAIL_BINS = 6
# An edge is written with as few digits as keep it within this share of the way to the next one.
EDGE_ROOM = 0.01
MOST_VALUES = 200
# Ranking every pair of a million rows costs minutes; the error of a correlation on this many is below 0.01.
CORRELATION_ROWS = 20_000
FEWEST_PAIRS = 30

Floats = NDArray[np.float64]


def build_profile(rows: pl.DataFrame, spec: Workload, predictions: Mapping[str, pl.DataFrame]) -> bytes:
    """Profile the features and targets of *rows*, and per target its *predictions* (``actual``, ``predicted``).

    Returns canonical JSON: the same rows give the same bytes. Columns that *rows* lacks are left out.
    """
    numeric = [f.name for f in spec.features if f.type == "float"] + [target.column for target in spec.targets]
    numeric = [name for name in dict.fromkeys(numeric) if name in rows.columns]
    textual = [f.name for f in spec.features if f.type == "category" and f.name in rows.columns]
    profile = {
        "format": FORMAT,
        "workload": spec.name,
        "rows": rows.height,
        "entities": rows[spec.entity].n_unique() if spec.entity in rows.columns else 0,
        "numbers": {name: profile_number(rows[name]) for name in numeric},
        "categories": {name: profile_category(rows[name]) for name in textual},
        "spearman": correlations(rows.select(numeric)),
        "targets": {name: _profile_target(frame) for name, frame in sorted(predictions.items())},
    }
    text = json.dumps(profile, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def profile_number(values: pl.Series, most_bins: int | None = None, edges: Floats | None = None) -> dict[str, Any]:
    """Return moments and a exact counts of *values*: at *edges* if they are given, else at equal ranks."""
    floats = values.cast(pl.Float64, strict=False)
    known = np.sort(floats.drop_nulls().to_numpy())
    finite = known[np.isfinite(known)]
    infinite = int(np.isinf(known).sum())
    at = _edges(finite, most_bins or bins_for(len(finite))) if edges is None else edges
    positions = np.searchsorted(finite, at, side="right")
    counts = np.diff(np.concatenate([[0], positions, [len(finite)]]))
    return {
        "n": len(finite),
        "nulls": len(values) - len(finite) - infinite,
        "infinite": infinite,
        "distinct": int(np.count_nonzero(np.diff(finite))) + bool(len(finite)),
        "mean": _figure(finite.mean()) if len(finite) else None,
        "sd": _figure(finite.std(ddof=1)) if len(finite) > 1 else None,
        "min": _figure(finite[0]) if len(finite) else None,
        "max": _figure(finite[-1]) if len(finite) else None,
        "edges": at.tolist(),
        "counts": counts.tolist(),
    }


def bins_for(rows: int) -> int:
    """Return how many bins so many rows are counted in."""
    return min(MOST_BINS, max(FEWEST_BINS, rows // ROWS_PER_BIN))


def profile_category(values: pl.Series) -> dict[str, Any]:
    """Return the counts of the commonest values, ties in alphabetical order, and how many rows hold another."""
    known = values.cast(pl.String).drop_nulls().alias("value")
    counts = known.value_counts(name="rows").sort(["rows", "value"], descending=[True, False])
    top = counts.head(MOST_VALUES)
    return {
        "n": len(known),
        "nulls": len(values) - len(known),
        "distinct": counts.height,
        "counts": dict(zip(top["value"].to_list(), top["rows"].to_list(), strict=True)),
        "other": int(len(known) - top["rows"].sum()),
    }


def _figure(value: float | np.floating[Any]) -> float:
    return float(f"{float(value):.12g}")


def _edges(ordered: Floats, bins: int) -> Floats:
    """Inner edges at equal ranks; a value that many rows share becomes one edge, so bins are then fewer."""
    if not len(ordered):
        return ordered
    places = np.arange(1, bins) / bins
    if bins == MOST_BINS:
        tail = 0.5 ** np.arange(1, TAIL_BINS + 1) / bins
        places = np.concatenate([tail, places, 1 - tail])
    ranks = np.ceil(places * len(ordered) - 1e-9).astype(int) - 1
    edges = np.unique(ordered[np.maximum(ranks, 0)])
    edges = edges[edges < ordered[-1]]
    return np.unique(_shortened(edges, np.append(edges[1:], ordered[-1]) - edges))


def _shortened(edges: Floats, gaps: Floats) -> Floats:
    """Round *edges* up to few digits, less than ``EDGE_ROOM`` of the gap behind each: a profile is mostly edges."""
    with np.errstate(divide="ignore", over="ignore"):
        digits = np.clip(-np.floor(np.log10(gaps * EDGE_ROOM)), -300, 300).astype(int)
    short = [
        _rounded_up(edge, place) if abs(place) < 16 else edge
        for edge, place in zip(edges.tolist(), digits.tolist(), strict=True)
    ]
    return np.asarray(short, dtype=np.float64)


def _rounded_up(value: float, digits: int) -> float:
    quanta = value * 10.0**digits
    # 1.1 times a hundred is a hair above 110, and is not to become 111.
    whole = round(quanta) if math.isclose(quanta, round(quanta), rel_tol=1e-9) else math.ceil(quanta)
    return round(whole / 10.0**digits, digits)


def _profile_target(frame: pl.DataFrame) -> dict[str, Any]:
    known = frame.select(pl.col("actual", "predicted").cast(pl.Float64)).drop_nulls()
    residual = known["actual"] - known["predicted"]
    positive = known.filter((pl.col("actual") >= 0) & (pl.col("predicted") >= 0))
    return {
        "rows": frame.height,
        "predicted": profile_number(frame["predicted"]),
        "residual": profile_number(residual),
        "log_residual": profile_number(positive["actual"].log1p() - positive["predicted"].log1p()),
    }


def correlations(rows: pl.DataFrame) -> dict[str, Any]:
    """Return Spearman's correlations of all columns, the lower triangle, on at most ``CORRELATION_ROWS`` of *rows*."""
    step = max(1, -(-rows.height // CORRELATION_ROWS))
    some = rows.gather_every(step).select(pl.all().cast(pl.Float64).fill_null(float("nan"))).to_numpy()
    some = np.where(np.isfinite(some), some, np.nan)
    whole = [scipy.stats.rankdata(some[:, i]) if not np.isnan(some[:, i]).any() else None for i in range(some.shape[1])]
    matrix = [[_spearman(some, whole, i, j) for j in range(i)] for i in range(some.shape[1])]
    return {"columns": rows.columns, "rows": len(some), "matrix": matrix}


def _spearman(values: Floats, whole: Sequence[Floats | None], i: int, j: int) -> float | None:
    """Spearman's rank correlation on the rows where both are known (ties share their mean rank)."""
    left, right = whole[i], whole[j]
    if left is None or right is None:
        both = ~np.isnan(values[:, i]) & ~np.isnan(values[:, j])
        left, right = scipy.stats.rankdata(values[both, i]), scipy.stats.rankdata(values[both, j])
    if len(left) < FEWEST_PAIRS or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return round(float(np.corrcoef(left, right)[0, 1]), 6)
