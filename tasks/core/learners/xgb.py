"""XGBoost's learner, kept as UBJ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import xgboost

from tasks.core.learners import ubj
from tasks.core.learners.lesson import Floats, Lesson
from tasks.errors import NotTrusted

PATIENCE = 20
# What a fit makes small: squares, or magnitudes from the slope on, for labels with a few far ones.
OBJECTIVES = {"squared": "reg:squarederror", "pseudo_huber": "reg:pseudohubererror"}


@dataclass(frozen=True)
class Boosted:
    """A fitted booster, cut at its best round."""

    booster: xgboost.Booster
    threads: int = 1

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        matrix = xgboost.DMatrix(x, nthread=self.threads)
        return np.asarray(self.booster.predict(matrix), dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Return UBJ."""
        return bytes(self.booster.save_raw("ubj"))


def fit_xgboost(lesson: Lesson) -> Boosted:
    """Fit boosted trees until the stopping rows get no better."""
    params = lesson.params
    train = xgboost.DMatrix(lesson.x, lesson.y, nthread=lesson.threads)
    stop = xgboost.DMatrix(lesson.x_stop, lesson.y_stop, nthread=lesson.threads)
    settings = {
        "objective": OBJECTIVES[params.get("loss", "squared")],
        **({"huber_slope": params["huber_slope"]} if "huber_slope" in params else {}),
        "tree_method": "hist",
        "max_bin": 128,
        "max_depth": params["depth"],
        "eta": params["learning_rate"],
        "min_child_weight": params.get("min_child_weight", 5),
        "subsample": params.get("row_share", 0.8),
        "colsample_bynode": params.get("feature_share", 0.5),
        "lambda": params.get("l2", 2.0),
        "seed": lesson.seed,
        "nthread": lesson.threads,
        "device": lesson.device,
        "verbosity": 0,
    }
    booster = xgboost.train(
        settings, train, params["rounds"], evals=[(stop, "stop")], early_stopping_rounds=PATIENCE, verbose_eval=False
    )
    return Boosted(_plain(booster[: booster.best_iteration + 1]), lesson.threads)


def from_bytes(data: bytes) -> Boosted:
    """Load UBJ; NotTrusted if it is none."""
    try:
        ubj.check(data)
        return Boosted(xgboost.Booster({"nthread": 1}, model_file=bytearray(data)))
    except (xgboost.core.XGBoostError, ValueError) as error:
        raise NotTrusted(
            f"the XGBoost model cannot be read as UBJ ({str(error)[:200]}); publish the bundle again"
        ) from error


FITS: Mapping[str, Callable[[Lesson], Boosted]] = {"xgboost": fit_xgboost}


def _plain(booster: xgboost.Booster) -> xgboost.Booster:
    """Return the booster without training notes (best score and the like), for prediction on the processor."""
    booster.set_attr(best_iteration=None, best_score=None)
    booster.set_param({"device": "cpu"})
    return booster
