"""What a chance is worth: a curve that makes it mean what it says, and how far it is from that.

Platt's curve (1999): the logit of what a model said, stretched and shifted, learned on rows the model never saw.
Whether it is used, or the mean residual is added, or neither, is decided out of fold by which is least wrong there.
On the holdout the same curve, fitted once more to what was answered, says how far that still is from what came.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from tasks.core.intervals import bootstrap, entity_sums
from tasks.core.values import Interval, Recalibration, Reliability

Floats = npt.NDArray[np.float64]

BINS = 10
# What is said beyond is taken as this: learners of squares say chances below 0 and above 1.
SAID_LEAST = 0.005
STEPS_MOST = 50
# Logits of what was said that are less spread than this have no slope.
SPREAD_LEAST = 0.01
FLAT = SPREAD_LEAST**4

# How a chance is corrected: not at all, by the mean residual, by Platt's curve. Of equals the first is taken.
Way = Literal["none", "shift", "curve"]
WAYS: tuple[Way, ...] = get_args(Way)

# Columns of the sums a bootstrap draws from: by row the score and the information of what is fitted.
MISS, MISS_BY, WEIGHT, WEIGHT_BY, WEIGHT_SQUARE = range(5)


@dataclass(frozen=True)
class Round:
    """Rows that were answered together, and those that teach how to correct them."""

    own: npt.NDArray[np.bool_]
    others: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Curve:
    """The chance that is meant by a chance that was said; a *slope* of 0 is no curve."""

    offset: float = 0.0
    slope: float = 0.0

    def chance(self, said: Floats) -> Floats:
        """Return what is meant."""
        found: Floats = 1 / (1 + np.exp(-(self.offset + self.slope * _logit(said))))
        return found


def fit_curve(said: Floats, actual: Floats) -> Curve:
    """Fit by Newton's steps; labels are drawn in by Platt's rule, so that no curve is infinitely steep."""
    ones = float(actual.sum())
    zeros = actual.size - ones
    if min(ones, zeros) < 1:
        return Curve()
    wanted = np.where(actual > 0.5, (ones + 1) / (ones + 2), 1 / (zeros + 2))
    weights, _ = _fitted(np.column_stack([np.ones_like(said), _logit(said)]), wanted)
    # One that turns chances round has learned nothing.
    return Curve(float(weights[0]), float(weights[1])) if weights[1] > 1e-6 else Curve()


def best_way(said: Floats, actual: Floats, rounds: Sequence[Round]) -> Way:
    """Return the correction with the smallest Brier score, each round answered by what its others taught."""
    wrong = dict.fromkeys(WAYS, 0.0)
    for each in rounds:
        own, taught = said[each.own], (said[each.others], actual[each.others])
        curve = fit_curve(*taught)
        for way, answer in zip(WAYS, (own, own + mean_residual(*taught), curve.chance(own)), strict=True):
            wrong[way] += float(((np.clip(answer, 0.0, 1.0) - actual[each.own]) ** 2).sum())
        if not curve.slope:
            wrong["curve"] = np.inf
    return min(WAYS, key=wrong.__getitem__)


def mean_residual(said: Floats, actual: Floats) -> float:
    """Return by how much less than what came was said on average."""
    return float((actual - said).mean())


def reliability(actual: Floats, chance: Floats) -> tuple[Reliability, ...]:
    """Return, for each tenth from 0 to 1 that was said of any row, how many, what was said and how often it came."""
    places = np.clip((chance * BINS).astype(np.intp), 0, BINS - 1)
    return tuple(
        Reliability(
            place / BINS,
            (place + 1) / BINS,
            int((places == place).sum()),
            float(chance[places == place].mean()),
            float(actual[places == place].mean()),
        )
        for place in range(BINS)
        if (places == place).any()
    )


def calibration_error(actual: Floats, chance: Floats) -> float:
    """Return the expected calibration error over ten bins (Naeini et al. 2015): 0 where chances mean what they say."""
    return off_by(reliability(actual, chance))


def off_by(table: Sequence[Reliability]) -> float:
    """Return the expected calibration error of a reliability table."""
    return sum(each.rows * abs(each.said - each.came) for each in table) / sum(each.rows for each in table)


def recalibration(
    actual: Floats, chance: Floats, units: npt.NDArray[np.intp], *, confidence: float, seed: int
) -> Recalibration:
    """Return what the odds and the logits that were said must be multiplied by to meet what came (Cox 1958).

    Each is fitted by itself, with the interval of a bootstrap that draws *units* (numbered from 0) whole and takes one
    of Newton's steps per draw from the fit to all rows (Davidson and MacKinnon 1999).
    """
    known = Recalibration(float(chance.mean()), float(actual.mean()), int(units.max()) + 1)
    if not 0 < known.came < 1:
        return replace(known, reason="every row came out alike")
    logit = _logit(chance)
    draw = partial(_drawn, actual, logit, units, confidence=confidence, seed=seed)
    (shift,), _ = _fitted(np.ones((logit.size, 1)), actual, logit)
    known = replace(known, odds=draw((float(shift), 1.0), _odds, least=0.0))
    if float(logit.std()) < SPREAD_LEAST:
        return replace(known, reason="one chance is said of every row")
    (offset, slope), settled = _fitted(np.column_stack([np.ones_like(logit), logit]), actual)
    if not settled:
        return replace(known, reason="what was said parts what came: no slope is steep enough")
    return replace(known, slope=draw((float(offset), float(slope)), _slope))


def _drawn(
    actual: Floats,
    logit: Floats,
    units: npt.NDArray[np.intp],
    curve: tuple[float, float],
    step: Callable[[Floats, tuple[float, float]], Floats],
    *,
    confidence: float,
    seed: int,
    least: float = -np.inf,
) -> Interval:
    chance = 1 / (1 + np.exp(-(curve[0] + curve[1] * logit)))
    miss, weight = actual - chance, chance * (1 - chance)
    terms = np.column_stack([miss, miss * logit, weight, weight * logit, weight * logit**2])
    sums = entity_sums(terms, units)
    limits = (least, np.inf)
    return bootstrap(sums, lambda totals: step(totals, curve), confidence=confidence, seed=seed, limits=limits)


def _odds(totals: Floats, curve: tuple[float, float]) -> Floats:
    """Return the factor of the odds after one step from *curve*, whose slope is kept at 1."""
    found: Floats = np.exp(curve[0] + totals[..., MISS] / totals[..., WEIGHT])
    return found


def _slope(totals: Floats, curve: tuple[float, float]) -> Floats:
    """Return the slope after one step from *curve*; 0 where only one chance was drawn, which shows none."""
    miss, miss_by, weight, weight_by, square = np.moveaxis(totals, -1, 0)
    bend = weight * square - weight_by**2
    told = bend > FLAT * weight**2
    return np.where(told, curve[1] + (weight * miss_by - weight_by * miss) / np.where(told, bend, 1.0), 0.0)


def _fitted(x: Floats, wanted: Floats, offset: Floats | float = 0.0) -> tuple[Floats, bool]:
    """Return the weights of a logistic regression by Newton's steps, and whether they have come to an end."""
    weights = np.zeros(x.shape[1])
    for _ in range(STEPS_MOST):
        chance = 1 / (1 + np.exp(-np.clip(offset + x @ weights, -30, 30)))
        bend = (x * (chance * (1 - chance))[:, None]).T @ x + 1e-6 * np.eye(weights.size)
        # Far from the end a whole step leaps over it.
        step = np.clip(np.linalg.solve(bend, x.T @ (wanted - chance)), -1.0, 1.0)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            return weights, True
    return weights, False


def _logit(said: Floats) -> Floats:
    inside = np.clip(said, SAID_LEAST, 1 - SAID_LEAST)
    found: Floats = np.log(inside / (1 - inside))
    return found
