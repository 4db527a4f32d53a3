"""What the paired errors of two models can show, and how often a rule that reads them would be wrong.

A draw takes each unit (an entity, a block of time) whole or not at all, with even chances: a paired bootstrap with
weights of 0 and 2. Where swapping the two models within a unit changes nothing but the names, the share of draws whose
ratio of errors lies beyond the true one is exact, however heavy the tails and however few the units (Hartigan 1969,
typical values of subsamples); drawing with replacement called equals *better* in 8 to 10 % of such cases instead of
the 2.5 % it promised. What is drawn from, and what follows, belongs to the comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from tasks.core.intervals import CELLS_AT_ONCE, CELLS_MOST, wilson
from tasks.core.values import Interval

Floats = npt.NDArray[np.float64]

DRAWS = 1999
DRAWS_LEAST = 199
# Trials of the rule on the rows it judges: 400 tell a rate of 2.5 % to within 2 points.
TRIALS, DRAWS_PER_TRIAL = 400, 399
# The rate hardly depends on how many units there are: more of them would only cost.
UNITS_TRIED_MOST = 1_000
WANTED_POWER = 0.8
SMALLEST_RATIO = 1e-9


@dataclass(frozen=True)
class Odds:
    """What the rule would say, on these very rows, of challengers whose truth is known: each figure is a share.

    Made by swapping the two models within each unit at random, so that neither is better, and by multiplying the
    challenger's errors by 1 + ``regression``. ``false_better``: an equal one is called better; ``alpha`` is what is
    promised. ``equal_passes``: an equal one is let through. ``detected``: one worse by ``regression`` is called worse;
    ``blocked``: it is not let through. ``smallest_detected`` is the regression that is called worse in 80 %.
    """

    trials: int
    alpha: float
    false_better: Interval
    equal_passes: float
    regression: float
    detected: float
    blocked: float
    smallest_detected: float


@dataclass(frozen=True)
class Halves:
    """Draws from paired sums of errors: one row per draw, one column per part of the rows (all of them, a slice).

    ``value`` is the change of all units of each part: MAE(challenger) / MAE(champion) − 1.
    """

    drawn: Floats
    value: Floats

    def interval(self, alpha: float, part: int = 0) -> Interval:
        """Return the change with the bounds each of which it passes with probability *alpha*."""
        ordered = np.sort(self.drawn[:, part])
        beyond = _beyond(len(ordered), alpha)
        return Interval(float(self.value[part]), float(ordered[beyond]), float(ordered[-1 - beyond]))

    def p_below(self, bound: float, part: int = 0) -> float:
        """Return the p-value of *the change is below the bound* (one-sided)."""
        return float((1 + np.sum(self.drawn[:, part] >= bound)) / (1 + len(self.drawn)))

    def p_above(self, bound: float, units: int, part: int = 0) -> float:
        """Return the p-value of *the change is above the bound*, from Student's t of its logarithm.

        Counting draws cannot give a p-value below one in their number, which a correction for many slices would need.
        """
        if units < 2:
            return 1.0
        # A challenger without any error in a draw has the logarithm of a very small one.
        spread = float(np.std(np.log(np.maximum(1 + self.drawn[:, part], SMALLEST_RATIO))))
        apart = float(np.log(max(1 + self.value[part], SMALLEST_RATIO)) - np.log1p(bound))
        if spread == 0:
            return 0.0 if apart > 0 else 1.0
        return float(scipy.special.stdtr(units - 1, -apart / spread))


def halves(champion: Floats, challenger: Floats, *, seed: int, draws: int = DRAWS) -> Halves:
    """Draw from sums of absolute errors (units × parts) of the two models."""
    units, parts = champion.shape
    both = np.column_stack([champion + challenger, challenger - champion])
    draws = max(DRAWS_LEAST, min(draws, CELLS_MOST // units))
    chunk, chance = max(1, CELLS_AT_ONCE // units), np.random.default_rng(seed)
    totals = np.concatenate(
        [_taken(chance, min(chunk, draws - at), units) @ both for at in range(0, draws, chunk)],
    )
    every = both.sum(axis=0)
    return Halves(_change(totals[:, :parts], totals[:, parts:]), _change(every[:parts], every[parts:]))


def odds(champion: Floats, challenger: Floats, *, alpha: float, margin: float, regression: float, seed: int) -> Odds:
    """Try the rule on the sums (one per unit) it judges; at most ``UNITS_TRIED_MOST`` units, drawn at random."""
    chance = np.random.default_rng([seed, 1])
    units = np.arange(champion.size)
    if units.size > UNITS_TRIED_MOST:
        units = np.sort(chance.choice(units, UNITS_TRIED_MOST, replace=False))
    both, apart = (champion + challenger)[units], (challenger - champion)[units]
    swapped = apart[:, None] * chance.choice([-1.0, 1.0], (units.size, TRIALS))
    taken = _taken(chance, DRAWS_PER_TRIAL, units.size)
    ratios = 1 + np.sort(_change((taken @ both)[:, None], taken @ swapped), axis=0)
    beyond = _beyond(DRAWS_PER_TRIAL, alpha)
    low, high = ratios[beyond], ratios[-1 - beyond]
    # What the challenger's errors must be multiplied by so that the rule calls it worse.
    with np.errstate(divide="ignore"):
        needed = np.maximum(1 / low, (1 + margin) / high)
    worse = 1 + regression
    return Odds(
        trials=TRIALS,
        alpha=alpha,
        false_better=wilson(int(np.sum(high < 1)), TRIALS, 0.95),
        equal_passes=float(np.mean(high <= 1 + margin)),
        regression=regression,
        detected=float(np.mean(worse > needed)),
        blocked=float(np.mean(high * worse > 1 + margin)),
        smallest_detected=float(np.quantile(needed, WANTED_POWER, method="higher") - 1),
    )


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Return p-values corrected for their number (Holm 1979): each may be held against alpha itself."""
    order = np.argsort(p_values, kind="stable")
    ranked = np.asarray(p_values, dtype=float)[order] * np.arange(len(order), 0, -1)
    corrected = np.empty(len(order))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(ranked)) if len(order) else ranked
    return tuple(map(float, corrected))


def _taken(chance: np.random.Generator, draws: int, units: int) -> Floats:
    return chance.integers(0, 2, (draws, units), dtype=np.int8).astype(np.float64)


def _beyond(draws: int, alpha: float) -> int:
    """Return how many draws may lie beyond a bound: the value itself counts as one more draw."""
    return max(0, int(np.floor(alpha * (draws + 1) + 1e-9)) - 1)


def _change(both: Floats, apart: Floats) -> Floats:
    """Return challenger / champion − 1 from their sum and difference; 0 where neither errs, 1 where only one does.

    Sum and difference are drawn instead of the two, so that equal errors give exactly no change.
    """
    champion, challenger = both - apart, both + apart
    safe = np.where(champion > 0, champion, 1.0)
    found: Floats = np.where(champion > 0, 2 * apart / safe, np.where(challenger > 0, 1.0, 0.0))
    return found
