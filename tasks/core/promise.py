"""What a bundle promises of its error before the truth is known: an estimate that says what it assumes. Pure.

Where the error really lay once the truth came is ``appraisal``'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core import metrics
from tasks.core.values import Interval

Floats = npt.NDArray[np.float64]

ASSUMES = (
    "It assumes that a row errs as the holdout's rows with a prediction of like size did, in proportion to the width "
    "of its interval. Other rows than were learned from are allowed for; a truth that follows from the same features "
    "in another way is not, and shows only when labels land."
)
BANDS, ROWS_PER_BAND = 5, 40


@dataclass(frozen=True)
class Promise:
    """How the holdout erred, by bands of the prediction.

    ``edges`` part the bands; ``shares`` are error ÷ scale in each, ``spreads`` the standard deviation of that; a row's
    scale is the width of its interval, or 1 where some have none. ``pulls`` is what each entity of the holdout moved
    the share of each band by (entities × bands): its covariance is the share's own uncertainty.
    """

    edges: Floats
    shares: Floats
    spreads: Floats
    pulls: Floats
    by_width: bool


def promise_of(holdout: pl.DataFrame, *, chance: bool = False) -> Promise | None:
    """Return what *holdout* promises: ``entity``, ``actual``, ``predicted``, ``low``, ``high``; None for few rows."""
    if holdout.height < ROWS_PER_BAND:
        return None
    actual, predicted = (holdout[name].to_numpy() for name in ("actual", "predicted"))
    bands = min(BANDS, holdout.height // ROWS_PER_BAND)
    edges = np.unique(np.quantile(predicted, np.arange(1, bands) / bands))
    by_width = bool(((holdout["high"] - holdout["low"]) > 0).all())
    scale, place = _scale(holdout, by_width), np.searchsorted(edges, predicted, side="right")
    filled, place = np.unique(place, return_inverse=True)
    # A band that equal predictions left empty is one with the next.
    edges = edges[filled[1:] - 1]
    error, width = metrics.errors(actual, predicted, chance=chance), np.bincount(place, scale)
    shares = np.bincount(place, error) / width
    left = error - shares[place] * scale
    rows = np.bincount(place)
    spreads = np.sqrt(np.bincount(place, (left / scale) ** 2) / np.maximum(rows - 1, 1))
    entities = np.unique(holdout["entity"].cast(pl.String).fill_null("").to_numpy().astype(str), return_inverse=True)[1]
    pulls = np.zeros((int(entities.max()) + 1, width.size))
    np.add.at(pulls, (entities, place), left / width[place])
    return Promise(edges, shares, spreads, pulls, by_width)


def expected_error(promise: Promise, rows: pl.DataFrame, confidence: float) -> Interval:
    """Return the mean absolute error to be expected of *rows*: ``entity``, ``predicted``, ``low``, ``high``.

    The interval holds what the holdout leaves open and how these rows may fall; rows of one entity fall together.
    """
    place = np.searchsorted(promise.edges, rows["predicted"].to_numpy(), side="right")
    scale = _scale(rows, promise.by_width)
    weights = np.bincount(place, scale, promise.shares.size) / rows.height
    value = float(weights @ promise.shares)
    known = float(np.sum((promise.pulls @ weights) ** 2))
    fall = rows.select(entity="entity").with_columns(pl.Series("fall", scale * promise.spreads[place]))
    chance = (
        float((fall.group_by("entity", maintain_order=True).agg(pl.sum("fall"))["fall"] ** 2).sum()) / rows.height**2
    )
    # On the logarithm: errors have a long tail upwards, of which a holdout sees little.
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * float(np.sqrt(known + chance)) / max(value, 1e-300)
    return Interval(value, value * float(np.exp(-reach)), value * float(np.exp(reach)))


def _scale(rows: pl.DataFrame, by_width: bool) -> Floats:
    width = (rows["high"] - rows["low"]).to_numpy()
    return width if by_width else np.ones_like(width)
