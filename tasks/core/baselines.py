"""The naive guesses every candidate must beat: mean, median, both within the workload's group, and the time before.

Where a target declares a rule of thumb, what the rule says and a label drawn at random stand beside them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.encoding import numbers
from tasks.workloads.spec import Target, Workload

Floats = npt.NDArray[np.float64]

BASELINES = ("mean", "median", "group mean", "group median", "previous", "trend", "rule", "random")
# A smaller group's mean is noise; the overall figure stands in for it.
ROWS_PER_GROUP = 5


def baselines(spec: Workload, train: pl.DataFrame, judge: pl.DataFrame, target: Target) -> Mapping[str, Floats]:
    """Return each baseline's guesses for *judge*, fitted on the labelled rows *train*; names are of ``BASELINES``.

    Where a row has no previous value, the mean of its group stands in, or the mean of all; where it has no trend, its
    previous value does.
    """
    label = numbers(train[target.column])
    guesses = {
        "mean": np.full(judge.height, label.mean()),
        "median": np.full(judge.height, np.median(label)),
    }
    if spec.group:
        known, asked = (rows[spec.group].cast(pl.String) for rows in (train, judge))
        guesses["group mean"] = _within(known, label, asked, pl.col("label").mean(), guesses["mean"])
        guesses["group median"] = _within(known, label, asked, pl.col("label").median(), guesses["median"])
    otherwise = guesses.get("group mean", guesses["mean"])
    for name, feature in (("previous", target.previous), ("trend", target.trend)):
        if feature:
            known_before = judge[feature].cast(pl.Float64).to_numpy()
            otherwise = guesses[name] = np.where(np.isfinite(known_before), known_before, otherwise)
    if target.rule:
        known, asked = (rows.select(_points(target)).to_series() for rows in (train, judge))
        guesses["rule"] = _within(known, label, asked, pl.col("label").mean(), guesses["mean"])
        guesses["random"] = np.random.default_rng(spec.holdout.seed).choice(np.sort(label), judge.height)
    return guesses


def naive_features(spec: Workload) -> list[str]:
    """Return the features that naive guesses read, of all targets."""
    read = [(target.previous, target.trend, *(part[0] for part in target.rule)) for target in spec.targets]
    return list(dict.fromkeys(filter(None, chain.from_iterable(read))))


def _points(target: Target) -> pl.Expr:
    """Return how many of the target's rules a row meets; what is missing meets none."""
    met = [pl.col(name) >= edge if side == "high" else pl.col(name) <= edge for name, side, edge in target.rule]
    return pl.sum_horizontal(each.fill_null(False) for each in met).cast(pl.String)


def _within(known: pl.Series, label: Floats, asked: pl.Series, figure: pl.Expr, otherwise: Floats) -> Floats:
    table = (
        pl.DataFrame({"group": known, "label": label})
        .group_by("group", maintain_order=True)
        .agg(figure.alias("guess"), pl.len().alias("rows"))
        .filter(pl.col("rows") >= ROWS_PER_GROUP)
    )
    judged = pl.DataFrame({"group": asked, "otherwise": otherwise})
    joined = judged.join(table, on="group", how="left", nulls_equal=True, maintain_order="left")
    return joined.select(pl.coalesce("guess", "otherwise")).to_series().to_numpy()
