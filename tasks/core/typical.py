"""Rows that start: a change is learned, and the value it is a change from is not known, as of a first look.

They taught nothing, so they are answered with what is typical of rows like them, with an interval as wide as those
scatter. How other rows are answered is in models.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from tasks.core.models import Calibration, Learned, Model, calibrate
from tasks.core.training import STARTS
from tasks.core.values import Table

# So many rows that start tell what is typical of them; with fewer, all labels do.
STARTS_LEAST = 40


def set_apart(known: pl.DataFrame, learned: Learned) -> tuple[pl.DataFrame, Calibration | None]:
    """Return the out-of-fold rows that do not start, and what is typical of those that do; None without a change.

    Where every row starts, there are no others to learn from: all are returned.
    """
    if not learned.previous:
        return known, None
    first, others = known.filter(STARTS), known.filter(~pl.col(STARTS))
    actual = (first if first.height >= STARTS_LEAST else known)["link_actual"].to_numpy()
    link = np.full(actual.size, learned.scale.start)
    return others if others.height else known, calibrate(link, actual, log=learned.scale.log)


def starting(model: Model, holdout: pl.DataFrame, predictions: pl.DataFrame) -> tuple[Table, ...]:
    """Return how many rows of the *holdout* start, and how often their interval holds; nothing where none does."""
    starts = model.learned.starts(holdout)
    if not starts.any():
        return ()
    held = (pl.col("low") <= pl.col("actual")) & (pl.col("actual") <= pl.col("high"))
    within = predictions.select(held).to_series().to_numpy()
    lines = [
        (name, f"{int(part.sum()):,}", f"{within[part].mean():.1%}" if part.any() else "none")
        for name, part in (("no, so answered with what is typical", starts), ("yes", ~starts))
    ]
    return (Table("Is the value before known?", ("known", "holdout rows", "within their interval"), tuple(lines)),)
