"""CatBoost's learner, kept as CBM; categories are its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import catboost
import numpy as np

from tasks.core.learners.lesson import Floats, Lesson
from tasks.errors import NotTrusted

PATIENCE = 20
# What CatBoost writes into a model that differs between two equal fits: an identifier and a clock.
NOTES = ("model_guid", "train_finish_time")


@dataclass(frozen=True)
class Symmetric:
    """Fitted symmetric trees, cut at their best round."""

    fitted: catboost.CatBoostRegressor
    categories: tuple[int, ...]
    threads: int = 1

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        pool = _pool(x, None, self.categories, self.threads)
        return np.asarray(self.fitted.predict(pool, thread_count=self.threads), dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Return CBM."""
        return bytes(self.fitted._serialize_model())


def fit_catboost(lesson: Lesson) -> Symmetric:
    """Fit boosted symmetric trees until the stopping rows get no better."""
    params = lesson.params
    model = catboost.CatBoostRegressor(
        iterations=params["rounds"],
        depth=params["depth"],
        learning_rate=params["learning_rate"],
        l2_leaf_reg=params.get("l2", 3.0),
        border_count=params.get("borders", 64),
        max_ctr_complexity=1,
        random_seed=lesson.seed,
        thread_count=lesson.threads,
        task_type="GPU" if lesson.device == "cuda" else "CPU",
        early_stopping_rounds=PATIENCE,
        use_best_model=True,
        allow_writing_files=False,
        logging_level="Silent",
    )
    train = _pool(lesson.x, lesson.y, lesson.categories, lesson.threads)
    model.fit(train, eval_set=_pool(lesson.x_stop, lesson.y_stop, lesson.categories, lesson.threads))
    notes = model.get_metadata()
    for note in NOTES:
        notes[note] = ""
    return Symmetric(model, lesson.categories, lesson.threads)


def from_bytes(data: bytes, categories: tuple[int, ...]) -> Symmetric:
    """Load CBM; NotTrusted if it is none."""
    model = catboost.CatBoostRegressor()
    try:
        model.load_model(blob=data)
    except catboost.CatBoostError as error:
        raise NotTrusted(
            f"the CatBoost model cannot be read as CBM ({str(error)[:200]}); publish the bundle again"
        ) from error
    return Symmetric(model, categories)


FITS: Mapping[str, Callable[[Lesson], Symmetric]] = {"catboost": fit_catboost}


def _pool(x: Floats, y: Floats | None, categories: tuple[int, ...], threads: int) -> catboost.Pool:
    """Return a pool: numbers as they are, a category as the name of its rank, missing by a name of its own."""
    numeric = np.setdiff1d(np.arange(x.shape[1]), categories)
    ranks = np.where(np.isnan(x[:, categories]), -9, x[:, categories] * 2).astype(np.int64)
    names: Any = ranks.astype("S").astype(object)
    data = catboost.FeaturesData(
        num_feature_data=np.ascontiguousarray(x[:, numeric], dtype=np.float32) if numeric.size else None,
        cat_feature_data=names if categories else None,
    )
    return catboost.Pool(data, label=y, thread_count=threads)
