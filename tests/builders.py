"""Rows and a workload small enough to fit in a test, with a known truth: shops, their sales, and what drives them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from tasks.workloads.spec import Candidate, Column, Feature, Holdout, Slice, Target, Workload

QUICK = (
    Candidate("elastic_net", {"alpha": 0.01, "l1_ratio": 0.3}),
    Candidate("random_forest", {"trees": 8, "min_leaf": 3}),
    Candidate("hist_gradient_boosting", {"rounds": 15, "learning_rate": 0.2, "leaves": 6}),
    Candidate("xgboost", {"rounds": 15, "depth": 3, "learning_rate": 0.2}),
    Candidate("catboost", {"rounds": 15, "depth": 3, "learning_rate": 0.2}),
    Candidate("mlp", {"hidden": 8, "epochs": 5, "learning_rate": 0.01}),
    Candidate("lstm", {"hidden": 8, "epochs": 5, "learning_rate": 0.01}),
    Candidate("transformer", {"dimension": 8, "hidden": 8, "epochs": 20, "learning_rate": 0.02, "batch": 32}),
    Candidate("tfidf", {"strength": 1.0}),
    Candidate("aspects"),
)


def quick(algorithm: str) -> Candidate:
    """Return the quick candidate of *algorithm*."""
    return next(candidate for candidate in QUICK if candidate.algorithm == algorithm)


def shops_spec(**changes: Any) -> Workload:
    """Return the workload: sales from visitors, town and district; visitors may be unknown."""
    declared: dict[str, Any] = {
        "name": "shops",
        "title": "Shops",
        "entity": "shop",
        "event_time": "seen_at",
        "columns": (
            Column("shop", "text", "the shop"),
            Column("seen_at", "datetime", "when it was seen"),
            Column("sales", "float", "sales"),
            Column("visitors", "float", "visitors"),
            Column("town", "category", "town"),
            Column("area", "float", "floor area"),
        ),
        "features": (
            Feature("visitors", "float", "visitors", aspect="people"),
            Feature("area", "float", "floor area", aspect="place"),
            Feature("town", "category", "town", aspect="place"),
        ),
        "targets": (Target("sales", "sales", "sales", "US$"),),
        "derive": lambda rows: rows,
        "generate": shops,
        "candidates": QUICK,
        "holdout": Holdout(share=0.25, folds=3, repeats=2, seed=7),
        "group": "town",
        "slices": (Slice("town", "town"), Slice("size", "area", (100.0,), ("small", "large"))),
        "always_known": ("area", "town"),
    }
    if not any(feature.aspect for feature in changes.get("features", declared["features"])):
        declared["candidates"] = tuple(each for each in QUICK if each.algorithm != "aspects")
    return Workload(**(declared | changes))


def shops(rows: int = 240, seed: int = 1) -> pl.DataFrame:
    """Return shops whose sales are visitors × 5 × a town's factor × noise, with some visitors and towns missing."""
    chance = np.random.default_rng(seed)
    town = chance.integers(0, 4, rows)
    visitors = chance.lognormal(6.0, 1.0, rows)
    area = visitors * chance.lognormal(-2.0, 0.5, rows)
    sales = 5.0 * visitors * np.array([0.5, 1.0, 1.5, 3.0])[town] * chance.lognormal(0.0, 0.2, rows)
    names = np.array(["Ayr", "Bath", "Cork", "Deal"])[town].tolist()
    return pl.DataFrame(
        {
            "shop": [f"shop {number}" for number in range(rows)],
            "seen_at": [datetime(2026, 1, 1, tzinfo=UTC)] * rows,
            "_row": range(1, rows + 1),
            "sales": sales,
            "visitors": [None if number % 11 == 3 else value for number, value in enumerate(visitors.tolist())],
            "area": area,
            "town": [None if number % 17 == 5 else name for number, name in enumerate(names)],
        }
    )
