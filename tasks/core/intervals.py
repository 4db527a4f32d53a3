"""Uncertainty: of a figure (bootstrap over entities, Wilson) and of a single prediction (conformal residuals).

Everything takes its seed and is vectorised. What the figures mean is in metrics; who is judged is in evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import scipy

from tasks.core.values import Interval

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Floats], Floats]

DRAWS = 2000
# Draws × entities held at once, and at all: a large holdout needs fewer draws for the same precision of its interval.
CELLS_AT_ONCE = 2_000_000
CELLS_MOST = 40_000_000
# What is drawn from fewer units decides nothing (decision 0137).
UNITS_LEAST = 5
# Bins of the prediction within which residuals are taken to be alike, and the rows such a bin needs.
BINS = 3
ROWS_PER_BIN = 100
# A band is wider by this share of the largest number at hand: where all residuals are alike, as of counts that do not
# change, it has no width, and the last bits of a sum would decide whether it holds.
ROUNDING = 1e-9


def entity_sums(terms: Floats, entities: npt.NDArray[np.intp]) -> Floats:
    """Return one row of sums per entity, so that an entity is drawn whole; *entities* numbers them from 0."""
    sums = np.zeros((int(entities.max()) + 1, terms.shape[1]))
    np.add.at(sums, entities, terms)
    return sums


def bootstrap(
    sums: Floats,
    statistic: Statistic,
    *,
    confidence: float,
    seed: int,
    draws: int = DRAWS,
    limits: tuple[float, float] = (-np.inf, np.inf),
) -> Interval:
    """Return *statistic* of the totals of *sums* with its interval, drawing rows of *sums*: units that err together.

    Each end is the further one of the BCa interval's (Efron 1987) and the percentiles', and as much further off as so
    few units ask for (``widening``), but within *limits*. *statistic* maps totals (… × columns) to one figure each.
    """
    total = sums.sum(axis=0)
    value = float(statistic(total[None, :])[0])
    if len(sums) < 2:
        return Interval(value, value, value)
    drawn = np.sort(statistic(_resampled_totals(sums, seed, draws)))
    drawn = drawn[np.isfinite(drawn)]
    plain = (1 - confidence) / 2, (1 + confidence) / 2
    lows, highs = zip(_bca_levels(drawn, value, statistic(total - sums), confidence), plain, strict=True)
    wider = widening(len(sums), confidence)
    low = value - wider * max(0.0, value - float(np.quantile(drawn, lows).min()))
    high = value + wider * max(0.0, float(np.quantile(drawn, highs).max()) - value)
    return Interval(value, max(limits[0], low), min(limits[1], high))


def widening(units: int, confidence: float) -> float:
    """Return by how much an interval that takes the spread among *units* for known is too narrow.

    Student's t for the normal quantile, and n / (n − 1): half of it because draws divide by n (Hesterberg 2015), the
    rest, as in HC3 (MacKinnon and White 1985), because units are not alike. 1 for many units.
    """
    return _student(units, confidence) * units / (units - 1)


def _student(units: int, confidence: float) -> float:
    """Return by how much further off Student's t is than the normal, where *units* tell the spread."""
    share = 0.5 + confidence / 2
    return float(scipy.special.stdtrit(units - 1, share)) / NormalDist().inv_cdf(share)


def wilson(hits: int, rows: int, confidence: float) -> Interval:
    """Return a share with its Wilson score interval (Wilson 1927)."""
    return _wilson(hits / rows, rows, confidence)


def share_of_units(hits: Floats, rows: Floats, confidence: float) -> Interval:
    """Return Σ *hits* / Σ *rows* with its Wilson interval, for as many rows as the units they belong to are worth.

    Rows of one unit miss together: that many independent ones have the ratio's variance between units (Kish's effective
    sample size, 1965; Dean and Pagano 2015), and fewer where few units tell that variance (Student's t for the normal:
    Korn and Graubard 1998). Where the units do not differ at all, each is worth one row.
    """
    total, units = float(rows.sum()), len(rows)
    share = float(hits.sum()) / total
    if units == total:
        return _wilson(share, total, confidence)
    between = float(np.sum((hits - share * rows) ** 2)) * units / max(units - 1, 1) / total**2
    if between <= 1e-12:
        return _wilson(share, units, confidence)
    worth = min(share * (1 - share) / between, total)
    return _wilson(share, worth / _student(units, confidence) ** 2, confidence)


def _wilson(share: float, rows: float, confidence: float) -> Interval:
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * float(np.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


@dataclass(frozen=True)
class Band:
    """How far below and above its prediction a row's truth may lie, by bins of the prediction, on the learned scale."""

    edges: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    def around(self, predicted: Floats) -> tuple[Floats, Floats]:
        """Return the lower and upper ends, on the learned scale."""
        place = np.searchsorted(np.asarray(self.edges), predicted, side="right")
        return predicted + np.asarray(self.lows)[place], predicted + np.asarray(self.highs)[place]


def conformal_band(predicted: Floats, residuals: Floats, coverage: float) -> Band:
    """Return the band that held *coverage* of out-of-fold residuals (split conformal: Vovk 2005; by bins: Mondrian).

    The ranks carry the finite-sample correction, so a bin too small for the coverage uses its extremes.
    """
    bins = BINS if predicted.size >= BINS * ROWS_PER_BIN else 1
    edges = np.unique(np.quantile(predicted, np.arange(1, bins) / bins))
    # Equal predictions are one bin, which leaves others empty: those are the next one's.
    edges = edges[np.isin(np.arange(edges.size), np.searchsorted(edges, predicted, side="right"))]
    place = np.searchsorted(edges, predicted, side="right")
    ends = [_conformal_ends(residuals[place == each], coverage) for each in range(edges.size + 1)]
    slack = ROUNDING * float(max(np.abs(predicted).max(), np.abs(predicted + residuals).max()))
    lows, highs = tuple(low - slack for low, _ in ends), tuple(high + slack for _, high in ends)
    return Band(tuple(map(float, edges)), lows, highs)


def _conformal_ends(residuals: Floats, coverage: float) -> tuple[float, float]:
    ordered = np.sort(residuals)
    tail = int(np.floor((1 - coverage) / 2 * (ordered.size + 1)))
    place = max(tail - 1, 0)
    return float(ordered[place]), float(ordered[ordered.size - 1 - place])


def _resampled_totals(sums: Floats, seed: int, draws: int) -> Floats:
    chance = np.random.default_rng(seed)
    rows = len(sums)
    draws = max(200, min(draws, CELLS_MOST // rows))
    chunk = max(1, CELLS_AT_ONCE // rows)
    totals = [
        sums[chance.integers(0, rows, (min(chunk, draws - at), rows))].sum(axis=1) for at in range(0, draws, chunk)
    ]
    return np.concatenate(totals)


def _bca_levels(drawn: Floats, value: float, left_out: Floats, confidence: float) -> tuple[float, float]:
    normal = NormalDist()
    below = (np.sum(drawn < value) + 0.5 * np.sum(drawn == value)) / max(drawn.size, 1)
    bias = normal.inv_cdf(float(np.clip(below, 1e-3, 1 - 1e-3)))
    pull = np.nan_to_num(np.nanmean(left_out) - left_out)
    norm = float(np.sum(pull**2)) ** 1.5
    acceleration = float(np.sum(pull**3)) / (6 * norm) if norm > 0 else 0.0

    def level(share: float) -> float:
        z = bias + normal.inv_cdf(share)
        return normal.cdf(bias + z / (1 - acceleration * z)) if acceleration * z < 1 else 1.0

    return level((1 - confidence) / 2), level((1 + confidence) / 2)
