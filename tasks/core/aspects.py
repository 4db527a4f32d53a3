"""What a model that weighs aspects says of each: for the rows it answers, and on the whole.

How aspects are scored and weighed belongs to their learner.
"""

from __future__ import annotations

import polars as pl

from tasks.core.learners.lesson import Weighing
from tasks.core.models import Learned, Model


def aspect_weights(learned: Learned) -> dict[str, float]:
    """Return how much each aspect counts; nothing where the estimator weighs none."""
    return dict(learned.estimator.weights) if isinstance(learned.estimator, Weighing) else {}


def aspect_columns(model: Model, rows: pl.DataFrame) -> pl.DataFrame:
    """Return ``<target>_aspect_<aspect>``: what that aspect alone would answer, in the target's unit.

    No columns where the estimator weighs none, or learned a change: an aspect of a change is no answer.
    """
    learned = model.learned
    if not isinstance(learned.estimator, Weighing) or learned.previous:
        return pl.DataFrame()
    scale, scores = learned.scale, learned.estimator.scores(learned.design(rows))
    return pl.DataFrame(
        {f"{model.target}_aspect_{name}": scale.label(scale.from_standard(score)) for name, score in scores.items()}
    )
