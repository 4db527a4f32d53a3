"""The leakage guard: a feature that alone almost tells the target, or is a multiple of it, stops the run.

It looks at what a target may see (``Workload.features_for``); what is declared ``blind_to`` is already out of the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from tasks.core.encoding import numbers
from tasks.core.splitting import hash_shares
from tasks.errors import DataRejected
from tasks.workloads.spec import Feature, Target, Workload

Floats = npt.NDArray[np.float64]

Kind = Literal["copy", "multiple", "determining category"]

FOLDS = 5
ROWS_PER_BIN = 8
BINS_MOST = 100
# Enough rows to tell 0.98 from 0.97; more only cost time.
ROWS_MOST = 50_000
ROWS_LEAST = 30
# ±1 % around one constant, on a log scale.
MULTIPLE_WIDTH = float(np.log(1.01 / 0.99))


@dataclass(frozen=True)
class Leak:
    """A target and a feature that gives it away: the figure found and the most that is allowed."""

    target: str
    feature: str
    kind: Kind
    figure: float
    limit: float


def find_leaks(spec: Workload, rows: pl.DataFrame) -> tuple[Leak, ...]:
    """Look at every target × feature it may see; return the pairs over the limits of ``spec.gate``."""
    sample = _sample(spec, rows)
    fold = (hash_shares(sample[spec.entity], "leakage") * FOLDS).astype(np.intp)
    return tuple(
        leak
        for target in spec.targets
        for feature in spec.features_for(target)
        # A series or a text is looked at by the numbers a workload draws from it; none of its own stands for the row.
        if feature.type not in ("series", "text")
        for leak in _pair(spec, sample, fold, target, feature)
    )


def refuse(leaks: Sequence[Leak], spec: Workload) -> None:
    """Raise DataRejected, naming every pair with its figures, if there is any leak."""
    if not leaks:
        return
    pairs = "; ".join(f"{leak.target} ← {leak.feature}: {_told(leak)}" for leak in leaks)
    raise DataRejected(
        f"{spec.name}: {len(leaks)} feature(s) give a target away: {pairs}. A model would copy and not learn. If the"
        " feature contains the target, name it in the target's blind_to; if it is honest, raise the gate's limit."
    )


def _told(leak: Leak) -> str:
    if leak.kind == "multiple":
        return f"a fixed multiple (±1 %) in {leak.figure:.1%} of rows, at most {leak.limit:.1%} allowed"
    return f"tells it alone with rank R² {leak.figure:.3f}, at most {leak.limit:.3f} allowed ({leak.kind})"


def _sample(spec: Workload, rows: pl.DataFrame) -> pl.DataFrame:
    if rows.height <= ROWS_MOST:
        return rows
    return rows.filter(pl.Series(hash_shares(rows[spec.entity], "leakage sample") < ROWS_MOST / rows.height))


def _pair(
    spec: Workload, rows: pl.DataFrame, fold: npt.NDArray[np.intp], target: Target, feature: Feature
) -> list[Leak]:
    label = _learned(rows, target)
    figures: list[tuple[Kind, float, float]]
    if feature.type == "category":
        levels = rows[feature.name].cast(pl.String)
        keep = np.isfinite(label) & levels.is_not_null().to_numpy()
        cells = np.unique(levels.filter(pl.Series(keep)).to_numpy().astype(str), return_inverse=True)[1]
        figures = [("determining category", _explained(cells, label[keep], fold[keep]), spec.gate.leak_r2)]
    else:
        values = numbers(rows[feature.name])
        keep = np.isfinite(label) & np.isfinite(values)
        explained = max(_explained(cells, label[keep], fold[keep]) for cells in _binnings(values[keep]))
        figures = [
            ("copy", explained, spec.gate.leak_r2),
            ("multiple", _multiple_share(label[keep], values[keep]), spec.gate.leak_multiple_share),
        ]
    if keep.sum() < ROWS_LEAST:
        return []
    return [Leak(target.name, feature.name, kind, figure, limit) for kind, figure, limit in figures if figure > limit]


def _learned(rows: pl.DataFrame, target: Target) -> Floats:
    """Return what a model is to tell: the label or, where that is learned, how many times the previous one it is."""
    label = numbers(rows[target.column])
    if not target.as_change:
        return label
    before = numbers(rows[target.previous])
    return (1.0 + label) / (1.0 + before) if target.transform == "log1p" else label - before


def _binnings(values: Floats) -> list[npt.NDArray[np.intp]]:
    """Return cells of even size, and, where values repeat, the distinct values themselves."""
    if values.size == 0:
        return [np.zeros(0, dtype=np.intp)]
    bins = max(2, min(BINS_MOST, values.size // ROWS_PER_BIN))
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    binnings = [np.searchsorted(edges, values, side="right")]
    distinct, places = np.unique(values, return_inverse=True)
    return [*binnings, places] if distinct.size <= values.size // 2 else binnings


def _explained(cells: npt.NDArray[np.intp], label: Floats, fold: npt.NDArray[np.intp]) -> float:
    """Return R² of the target's ranks by the mean of the row's cell, fitted on the other folds.

    Out of fold, so that a feature with a value per row (an identifier) explains nothing.
    """
    if label.size < ROWS_LEAST:
        return 0.0
    ranks = scipy.stats.rankdata(label)
    guess = np.full(label.size, ranks.mean())
    for each in range(FOLDS):
        fit, judge = fold != each, fold == each
        if not fit.any():
            continue
        count = np.bincount(cells[fit], minlength=cells.max() + 1)
        total = np.bincount(cells[fit], weights=ranks[fit], minlength=cells.max() + 1)
        mean = np.where(count > 0, total / np.maximum(count, 1), ranks[fit].mean())
        guess[judge] = mean[cells[judge]]
    spread = float(np.sum((ranks - ranks.mean()) ** 2))
    return 1.0 - float(np.sum((ranks - guess) ** 2)) / spread if spread > 0 else 0.0


def _multiple_share(label: Floats, values: Floats) -> float:
    """Return the share of rows in which target / feature is one constant ±1 %; rows of two zeros do not count."""
    there = (label != 0) | (values != 0)
    both = (label != 0) & (values != 0)
    if there.sum() < ROWS_LEAST or not both.any():
        return 0.0
    ratio = label[both] / values[both]
    share = max(_densest(np.log(np.abs(ratio[ratio * sign > 0]))) for sign in (1, -1)) / float(there.sum())
    alone = _densest(np.log(np.abs(label[both]))) / float(there.sum())
    return share if alone < share else 0.0


def _densest(logs: Floats) -> int:
    """Return the most values that lie within ±1 % of one constant."""
    ordered = np.sort(logs)
    return int(
        np.max(np.searchsorted(ordered, ordered + MULTIPLE_WIDTH, side="right") - np.arange(ordered.size), initial=0)
    )
