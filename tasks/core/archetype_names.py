"""What a cluster is like and what it is called: by a workload's rule where its numbers earn the name, else by a letter.

How the clusters were found does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.workloads.spec import Archetypes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Archetype:
    """One cluster: ``medians`` in the features' own units, ``ranks`` their quantile among all rows.

    ``typical`` is, per describing column, the commonest value and its share; ``x`` and ``y`` are the centre on the map.
    """

    name: str
    named_by_rule: bool
    rows: int
    medians: Mapping[str, float]
    ranks: Mapping[str, float]
    typical: Mapping[str, tuple[str, float]]
    x: float
    y: float


def describe_clusters(
    frame: pl.DataFrame, spec: Archetypes, labels: Ints, places: Floats, columns: Sequence[str]
) -> dict[int, Archetype]:
    """Describe each cluster, largest first; what no rule names is called after its size order."""
    numbers = frame.select(pl.col(name).cast(pl.Float64) for name in spec.features)
    sizes = {int(label): int((labels == label).sum()) for label in np.unique(labels[labels >= 0])}
    medians = {label: _medians(numbers.filter(pl.Series(labels == label))) for label in sizes}
    order = sorted(sizes, key=lambda label: (-sizes[label], tuple(medians[label].values())))
    ranks = {label: _ranks(numbers, medians[label]) for label in order}
    leanings = [ranks[label] | _leanings(frame, pl.Series(labels == label), spec) for label in order]
    named = name_clusters(leanings, spec)
    unnamed = iter("ABCDEFGH")
    return {
        label: Archetype(
            name=named.get(index) or f"unnamed {next(unnamed)}",
            named_by_rule=index in named,
            rows=sizes[label],
            medians=medians[label],
            ranks=ranks[label],
            typical=_typical(frame.filter(pl.Series(labels == label)), columns),
            x=round(float(places[labels == label, 0].mean()), 6),
            y=round(float(places[labels == label, 1].mean()), 6),
        )
        for index, label in enumerate(order)
    }


def name_clusters(ranks: Sequence[Mapping[str, float]], spec: Archetypes) -> dict[int, str]:
    """Name clusters by the quantile *ranks* of their medians: best fit first, each name once, ties unnamed.

    The fit of a rule is the smallest distance by which a cluster passes its thresholds; a cluster that passes none
    stays out of the answer. The order of *ranks* does not matter.
    """
    fits = [(fit, name, index) for index, each in enumerate(ranks) for name, fit in _passed(each, spec)]
    named: dict[int, str] = {}
    while fits:
        best = max(fit for fit, _, _ in fits)
        top = [(name, index) for fit, name, index in fits if best - fit < 1e-9]
        if len(top) == 1:
            named[top[0][1]] = top[0][0]
        names, indices = {name for name, _ in top}, {index for _, index in top}
        fits = [(fit, name, index) for fit, name, index in fits if name not in names and index not in indices]
    return named


def _passed(ranks: Mapping[str, float], spec: Archetypes) -> Iterator[tuple[str, float]]:
    for name, rules in spec.rules.items():
        if not all(feature in ranks for feature, _, _ in rules):
            continue
        margins = [ranks[feature] - at if side == "high" else at - ranks[feature] for feature, side, at in rules]
        if margins and min(margins) >= 0:
            yield name, min(margins)


def _medians(numbers: pl.DataFrame) -> dict[str, float]:
    row = numbers.median().row(0, named=True)
    return {name: round(float(value), 9) if value is not None else 0.0 for name, value in row.items()}


def _ranks(numbers: pl.DataFrame, medians: Mapping[str, float]) -> dict[str, float]:
    """Return the share of all known values below each median, ties counted half."""
    return {
        name: round(_mean(numbers[name] < value) + _mean(numbers[name] == value) / 2, 6)
        for name, value in medians.items()
    }


def _leanings(frame: pl.DataFrame, members: pl.Series, spec: Archetypes) -> dict[str, float]:
    """Return, for each rule on ``column=value|value``, how its share compares: 0.5 as everywhere, 0.6 × 1.5."""
    found = {}
    for name in sorted({rule[0] for rules in spec.rules.values() for rule in rules if "=" in rule[0]}):
        column, _, values = name.partition("=")
        hits = frame[column].is_in(values.split("|")) if column in frame.columns else pl.Series([False]).head(0)
        here, everywhere = _mean(hits.filter(members)) if len(hits) else 0.0, _mean(hits)
        found[name] = round(here / (here + everywhere), 6) if here else 0.0
    return found


def _mean(flags: pl.Series) -> float:
    known = flags.drop_nulls()
    return float(known.sum()) / len(known) if len(known) else 0.0


def _typical(rows: pl.DataFrame, columns: Sequence[str]) -> dict[str, tuple[str, float]]:
    found = {}
    for name in columns:
        counts = rows.group_by(name).len().drop_nulls(name).sort(["len", name], descending=[True, False])
        if counts.height:
            found[name] = (str(counts[name][0]), round(counts["len"][0] / rows.height, 6))
    return found
