"""A new batch, counted at the edges and values of a reference profile, so that batches add up and none needs its rows.

Rows in, counts out, in the profile's own form; ``merge`` adds two. Values the reference does not know are counted by
name up to ``MOST_NEW_VALUES`` and as *other* beyond. What a difference means is not known here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import sqrt
from typing import Any

import numpy as np
import polars as pl

from tasks.core.drift_statistics import pooled_correlation
from tasks.core.profile import profile_number
from tasks.core.values import Finding

Profile = Mapping[str, Any]
MOST_NEW_VALUES = 50
Two = Callable[[Profile, Profile], dict[str, Any]]


def count_rows(rows: pl.DataFrame, predictions: Mapping[str, pl.Series], reference: Profile) -> dict[str, Any]:
    """Count *rows*, and what the model *predictions* by target; a column that *rows* lack is missing in every row.

    Correlations and the number of entities are not in it: they do not add up over parts of a batch.
    """
    return {
        "rows": rows.height,
        "numbers": {name: _number(_column(rows, name), was) for name, was in reference["numbers"].items()},
        "categories": {name: _category(_column(rows, name), was) for name, was in reference["categories"].items()},
        "targets": {
            name: {"predicted": _number(found, reference["targets"][name]["predicted"])}
            for name, found in predictions.items()
            if name in reference["targets"]
        },
    }


def merge(one: Profile, other: Profile) -> dict[str, Any]:
    """Add two counts of the same reference; correlations are averaged by rows, entities added up."""
    merged: dict[str, Any] = {
        name: one.get(name, 0) + other.get(name, 0) for name in ("rows", "entities", "rejected", "rows_in")
    }
    merged["numbers"] = _by_name(one["numbers"], other["numbers"], _merge_numbers)
    merged["categories"] = _by_name(one["categories"], other["categories"], _merge_categories)
    merged["targets"] = _by_name(one["targets"], other["targets"], _merge_targets)
    if "spearman" in one and "spearman" in other:
        merged["spearman"] = _merge_correlations(one["spearman"], other["spearman"])
    return merged


def as_profile(counts: Profile, reference: Profile) -> dict[str, Any]:
    """Return *counts* as a profile beside which another than its *reference* can be laid: with the edges it has."""
    numbers = {
        name: {**found, "edges": reference["numbers"][name]["edges"]} for name, found in counts["numbers"].items()
    }
    return {**counts, "numbers": numbers}


def _column(rows: pl.DataFrame, name: str) -> pl.Series:
    return rows[name] if name in rows.columns else pl.Series(name, [None] * rows.height, dtype=pl.String)


def _number(values: pl.Series, was: Profile) -> dict[str, Any]:
    found = profile_number(values, edges=np.asarray(was["edges"], dtype=np.float64))
    return {name: value for name, value in found.items() if name not in ("edges", "distinct")}


def _category(values: pl.Series, was: Profile) -> dict[str, Any]:
    known = values.cast(pl.String, strict=False).drop_nulls().alias("value")
    counts = known.value_counts(name="rows").sort(["rows", "value"], descending=[True, False])
    seen = counts["value"].is_in(list(was["counts"]))
    named = pl.concat([counts.filter(seen), counts.filter(~seen).head(MOST_NEW_VALUES)])
    return {
        "n": len(known),
        "nulls": len(values) - len(known),
        "counts": dict(zip(named["value"].to_list(), named["rows"].to_list(), strict=True)),
        "other": int(len(known) - named["rows"].sum()),
        "new": int((~seen).sum()),
    }


def oddities(counts: Profile, reference: Profile) -> tuple[Finding, ...]:
    """Return what is odd about a batch whatever any statistic says of it, in the order of the columns' names."""
    found = [] if counts["rows"] else [Finding("batch_empty", "the batch has no row the contract accepts")]
    for name, now in sorted(counts["numbers"].items() if counts["rows"] else ()):
        was = reference["numbers"][name]
        if now["infinite"]:
            found.append(Finding("infinite", f"{name}: {now['infinite']:,} values are infinite", now["infinite"]))
        if was["n"] and not now["n"]:
            found.append(Finding("all_missing", f"{name} is missing in every row", counts["rows"]))
        elif was["n"] and was["min"] < was["max"] and now["min"] == now["max"]:
            found.append(Finding("constant", f"{name} is {now['min']:g} in all {now['n']:,} rows", now["n"]))
    for name, now in sorted(counts["categories"].items() if counts["rows"] else ()):
        was = reference["categories"][name]
        new = max(now["new"], len(set(now["counts"]) - set(was["counts"])))
        if was["n"] and not now["n"]:
            found.append(Finding("all_missing", f"{name} is missing in every row", counts["rows"]))
        elif new > MOST_NEW_VALUES and not was["other"]:
            found.append(Finding("new_values", f"{name} has {new:,} values or more never seen before", new))
    return tuple(found)


def _by_name(one: Profile, other: Profile, merged: Two) -> dict[str, Any]:
    return {name: merged(one[name], other[name]) for name in one if name in other}


def _merge_targets(one: Profile, other: Profile) -> dict[str, Any]:
    return _by_name(one, other, _merge_numbers)


def _merge_numbers(one: Profile, other: Profile) -> dict[str, Any]:
    """Add counts; the moments as Chan, Golub and LeVeque (1979) do."""
    if not one["n"] or not other["n"]:
        full = one if one["n"] else other
        return {**full, "nulls": one["nulls"] + other["nulls"], "infinite": one["infinite"] + other["infinite"]}
    rows, apart = one["n"] + other["n"], other["mean"] - one["mean"]
    squares = sum((each["sd"] or 0.0) ** 2 * (each["n"] - 1) for each in (one, other))
    squares += apart**2 * one["n"] * other["n"] / rows
    return {
        "n": rows,
        "nulls": one["nulls"] + other["nulls"],
        "infinite": one["infinite"] + other["infinite"],
        "mean": one["mean"] + apart * other["n"] / rows,
        "sd": sqrt(squares / (rows - 1)),
        "min": min(one["min"], other["min"]),
        "max": max(one["max"], other["max"]),
        "counts": [a + b for a, b in zip(one["counts"], other["counts"], strict=True)],
    }


def _merge_categories(one: Profile, other: Profile) -> dict[str, Any]:
    counts = dict(one["counts"])
    for value, rows in other["counts"].items():
        counts[value] = counts.get(value, 0) + rows
    # How many new values the two share is not known of those that go by no name: at least the larger number are there.
    added = {name: one[name] + other[name] for name in ("n", "nulls", "other")}
    return added | {"counts": counts, "new": max(one["new"], other["new"])}


def _merge_correlations(one: Profile, other: Profile) -> dict[str, Any]:
    places = {name: place for place, name in enumerate(other["columns"])}
    rows = one["rows"], other["rows"]

    def pooled(i: int, j: int, rho: float | None) -> float | None:
        left, right = (places.get(one["columns"][each], -1) for each in (i, j))
        beside = other["matrix"][max(left, right)][min(left, right)] if min(left, right) >= 0 else None
        return rho if beside is None else beside if rho is None else pooled_correlation(rho, rows[0], beside, rows[1])

    matrix = [[pooled(i, j, rho) for j, rho in enumerate(line)] for i, line in enumerate(one["matrix"])]
    return {"columns": one["columns"], "rows": sum(rows), "matrix": matrix}
