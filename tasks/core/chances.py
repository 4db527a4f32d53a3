"""What a chance is worth: a curve that makes it mean what it says, and how far it is from that.

Platt's curve (1999): the logit of what a model said, stretched and shifted, learned on rows the model never saw.
Whether it is used at all is decided out of fold, so that it is never worse there than the mean residual taken off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.values import Reliability

Floats = npt.NDArray[np.float64]

BINS = 10
# What is said beyond is taken as this: learners of squares say chances below 0 and above 1.
SAID_LEAST = 0.005
STEPS_MOST = 50


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
    x = np.column_stack([np.ones_like(said), _logit(said)])
    weights = np.zeros(2)
    for _ in range(STEPS_MOST):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        bend = (x * (chance * (1 - chance))[:, None]).T @ x + 1e-6 * np.eye(2)
        # Far from the end a whole step leaps over it.
        step = np.clip(np.linalg.solve(bend, x.T @ (wanted - chance)), -1.0, 1.0)
        weights = weights + step
        if np.abs(step).max() < 1e-9:
            break
    # One that turns chances round has learned nothing.
    return Curve(float(weights[0]), float(weights[1])) if weights[1] > 1e-6 else Curve()


def curve_helps(said: Floats, actual: Floats, rounds: Sequence[Round]) -> bool:
    """Say whether curves have a smaller Brier score than shifts, each round answered by what the others taught."""
    shifted, curved = 0.0, 0.0
    for each in rounds:
        curve = fit_curve(said[each.others], actual[each.others])
        if not curve.slope:
            return False
        shift = float((actual[each.others] - said[each.others]).mean())
        shifted += float(((np.clip(said[each.own] + shift, 0.0, 1.0) - actual[each.own]) ** 2).sum())
        curved += float(((curve.chance(said[each.own]) - actual[each.own]) ** 2).sum())
    return curved < shifted


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


def _logit(said: Floats) -> Floats:
    inside = np.clip(said, SAID_LEAST, 1 - SAID_LEAST)
    found: Floats = np.log(inside / (1 - inside))
    return found
