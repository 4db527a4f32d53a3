"""Figures of merit and nothing else: what is an error, what is explained, what is better than a naive guess.

A conditional median is judged by MAE, a conditional mean by RMSE and R²: each figure gets the prediction it is
consistent for (Gneiting 2011, "Making and Evaluating Point Forecasts"). A chance has one prediction, its mean, and one
error, the squared one: the mean of that is the Brier score, and an absolute error would reward 0 and 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Merit:
    """How predictions did, in the target's unit; ``mae`` of a chance is its Brier score."""

    mae: float
    rmse: float
    r2: float
    log_r2: float
    spearman: float


def merit(actual: Floats, predicted: Floats, expected: Floats, *, log: bool, chance: bool = False) -> Merit:
    """Judge the median *predicted* by MAE, ranks and log R², and the mean *expected* by RMSE and R²."""
    return Merit(
        mae=mae(actual, predicted, chance=chance),
        rmse=float(np.sqrt(np.mean((actual - expected) ** 2))),
        r2=r2(actual, expected),
        log_r2=r2(np.log1p(actual), np.log1p(predicted)) if log else r2(actual, predicted),
        spearman=spearman(actual, predicted),
    )


def errors(actual: Floats, predicted: Floats, *, chance: bool = False) -> Floats:
    """Return each row's error: absolute, or squared where what is predicted is a *chance*."""
    apart: Floats = np.abs(actual - predicted)
    return apart**2 if chance else apart


def error_of(actual: str, predicted: str, *, chance: bool) -> pl.Expr:
    """Return ``errors`` of two columns."""
    apart = (pl.col(actual) - pl.col(predicted)).abs()
    return apart**2 if chance else apart


def mae(actual: Floats, predicted: Floats, *, chance: bool = False) -> float:
    """Return the mean absolute error, or the Brier score of a *chance*."""
    return float(np.mean(errors(actual, predicted, chance=chance)))


def r2(actual: Floats, predicted: Floats) -> float:
    """Return the share of variance explained; 0 where nothing varies, since nothing was there to explain."""
    spread = float(np.sum((actual - actual.mean()) ** 2))
    return 1.0 - float(np.sum((actual - predicted) ** 2)) / spread if spread > 0 else 0.0


def spearman(actual: Floats, predicted: Floats) -> float:
    """Return the rank correlation; 0 where one side does not vary."""
    a, b = (scipy.stats.rankdata(side) - (side.size + 1) / 2 for side in (actual, predicted))
    norm = float(np.sqrt(np.sum(a * a) * np.sum(b * b)))
    return float(np.sum(a * b)) / norm if norm > 0 else 0.0


def mase(mae_model: float, mae_last_value: float) -> float:
    """Return MAE / MAE(last value): below 1 is better than saying it stays as it is; 1 where both are perfect."""
    if mae_last_value > 0:
        return mae_model / mae_last_value
    return 1.0 if mae_model == 0 else float("inf")


def skill(mae_model: float, mae_baseline: float) -> float:
    """Return 1 − MAE / MAE(baseline): 0 is as good as the naive guess, 1 is perfect; 0 where both are perfect."""
    if mae_baseline > 0:
        return 1.0 - mae_model / mae_baseline
    return 0.0 if mae_model == 0 else -1.0
