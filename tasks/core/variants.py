"""Which way to run a network serves: the fastest of those whose answers stay within the budget, by measurement.

The times are handed in; how a variant is made and run is for the learners. What a choice cost in accuracy is evidence
and travels in the bundle; times belong to a machine and do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from tasks.core.values import VariantScore

# A variant may raise the mean error on the holdout by this share: a tenth of what two champions usually differ by.
BUDGET = 0.005
# No single answer may move further than this, in standard deviations of the label: a mean can hide a row that is lost.
APART_MOST = 0.1
# A variant must be faster by this share than all simpler ones: less is the noise of a busy machine.
MARGIN = 0.10
# Below so many holdout rows that the network answers, an error says nothing; beyond so many it says nothing new.
ROWS_LEAST, ROWS_MOST = 50, 2_048
SMALL_BATCH, LARGE_BATCH = 256, 1_024
WARM_UPS, TIMES_LEAST, TIMES_MOST, SECONDS_MOST = 3, 5, 200, 0.12


@dataclass(frozen=True)
class Speed:
    """How fast a variant answers in one thread: milliseconds for a row alone, rows per second in two sizes of batch."""

    p50_ms: float
    p95_ms: float
    small_rows_per_second: float
    large_rows_per_second: float


@dataclass(frozen=True)
class Trial:
    """A variant that was tried; ``speed`` is None where it could not be made, and the score says why."""

    score: VariantScore
    speed: Speed | None = None


def score(name: str, size: int, error: float, apart: float, fitted_error: float) -> VariantScore:
    """Hold a variant's error and its largest difference against the budget."""
    most = fitted_error * (1 + BUDGET)
    reason = ""
    if not error <= most:
        reason = f"its error of {error:.4g} is beyond {most:.4g}, {BUDGET:.1%} more than that of the fitted weights"
    elif not apart <= APART_MOST:
        reason = f"an answer moves by {apart:.2g} standard deviations, at most {APART_MOST:g} is let pass"
    return VariantScore(name, size, _known(error), _known(apart), within=not reason, reason=reason)


def _known(figure: float) -> float | None:
    return figure if math.isfinite(figure) else None


def choose(trials: Sequence[Trial]) -> tuple[VariantScore, ...]:
    """Mark the fastest variant within the budget as chosen; *trials* begin with the fitted weights, simplest first.

    One is chosen over a simpler one only where it is faster by a clear margin, so that noise moves nothing.
    """
    best = trials[0]
    for trial in trials[1:]:
        if trial.score.within and cost(trial, trials[0]) <= (1 - MARGIN) * cost(best, trials[0]):
            best = trial
    return tuple(replace(each.score, chosen=each is best) for each in trials)


def cost(trial: Trial, fitted: Trial) -> float:
    """Return the time of a variant as a share of the fitted weights': the mean, over a row alone and a large batch.

    It is the geometric mean: half the time for one and twice for the other is no gain.
    """
    if trial.speed is None or fitted.speed is None:
        return math.inf
    alone = trial.speed.p50_ms / fitted.speed.p50_ms
    batch = fitted.speed.large_rows_per_second / trial.speed.large_rows_per_second
    return math.sqrt(alone * batch)


def time(alone: Callable[[int], object], batch: Callable[[int], object], clock: Callable[[], float]) -> Speed:
    """Time *alone*, handed the number of the try, and *batch*, handed a number of rows, by *clock* (seconds)."""
    singles = np.array(_times(alone, clock)) * 1_000
    small, large = (rows / _median(partial(batch, rows), clock) for rows in (SMALL_BATCH, LARGE_BATCH))
    return Speed(float(np.median(singles)), float(np.quantile(singles, 0.95)), small, large)


def _median(work: Callable[[], object], clock: Callable[[], float]) -> float:
    return float(np.median(np.array(_times(lambda _: work(), clock))))


def _times(work: Callable[[int], object], clock: Callable[[], float]) -> list[float]:
    """Repeat *work* after a warm-up, until there are times enough or they have taken long enough."""
    for number in range(WARM_UPS):
        work(number)
    found: list[float] = []
    while len(found) < TIMES_LEAST or (len(found) < TIMES_MOST and sum(found) < SECONDS_MOST):
        began = clock()
        work(len(found))
        found.append(max(clock() - began, 1e-9))
    return found
