"""The statistics drift is measured with: counts and moments in, one number out, each with the source of its formula.

A profile counts rows in bins whose edges are the same for both sides, so a distance taken at the edges is exact there
and never too large. Where rows repeat an entity, only the entities are independent: whoever asks for a p-value says how
many there are. What is large enough to matter is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import atanh, sqrt, tanh
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy

Floats = npt.NDArray[np.float64]
Profile = Mapping[str, Any]

# Cells expected to hold fewer are taken together. Cochran's five (1954) are for p-values of a few per cent: at those of
# a hundred columns, the long tail of a small cell passed for drift in one of 150 batches without any.
EXPECTED_LEAST = 20.0
# Beyond this a rank correlation's transform is dominated by single rows.
CORRELATION_MOST = 0.999


@dataclass(frozen=True)
class Homogeneity:
    """A chi-square test of homogeneity; ``excess`` is the effect (Cohen's w) less what chance alone contributes.

    ``largest`` is the largest change of a share among what was tested.
    """

    statistic: float
    degrees: int
    p_value: float
    excess: float
    largest: float


def kolmogorov_smirnov(was: Profile, now: Profile) -> float:
    """Return the smallest Kolmogorov–Smirnov distance the two histograms allow: rows within a bin may lie anywhere."""
    at = _places(was, now)
    (low, high), (least, most) = (_shares_upto(each, at) for each in (was, now))
    return float(np.maximum(np.maximum(low - most, least - high), 0.0).max())


def kolmogorov_smirnov_p(distance: float, was_rows: float, now_rows: float) -> float:
    """Return the asymptotic p-value (Smirnov 1939), too large where values are tied: never an alarm too many."""
    return float(scipy.special.kolmogorov(sqrt(was_rows * now_rows / (was_rows + now_rows)) * distance))


def wasserstein(was: Profile, now: Profile) -> float:
    """Return Wasserstein's distance of order 1 in standard deviations of *was*: ∫ |F − G| dx / sd (Vallender 1974).

    Values are spread evenly within a bin; where every bin of *was* holds one value, the distributions are steps.
    """
    spread = was["sd"] or now["sd"] or abs(now["mean"] - was["mean"]) or 1.0
    at = _places(was, now)
    apart = np.abs(_curve(was, at) - _curve(now, at))
    steps = was.get("distinct", len(at)) <= len(was["edges"]) + 1
    height = apart[:-1] if steps else (apart[1:] + apart[:-1]) / 2
    return float(np.sum(np.diff(at) * height) / spread)


def jensen_shannon(was: Floats, now: Floats) -> float:
    """Return the Jensen–Shannon distance of two rows of counts, 0 to 1 (base 2; Endres & Schindelin 2003)."""
    p, q = was / was.sum(), now / now.sum()
    middle = (p + q) / 2
    divergence = sum(float(np.sum(each[each > 0] * np.log2(each[each > 0] / middle[each > 0]))) for each in (p, q))
    return sqrt(max(0.0, divergence / 2))


def largest_change(was: Floats, now: Floats) -> float:
    """Return the largest change of any value's share (the L-infinity distance)."""
    return float(np.abs(was / was.sum() - now / now.sum()).max())


def homogeneity(
    was: Floats, now: Floats, was_rows: float, now_rows: float, *, last_is_rest: bool = False
) -> Homogeneity:
    """Test whether two rows of counts are draws from one distribution (Pearson's chi-square of homogeneity).

    Counts are scaled to so many independent rows (Rao & Scott 1984); values too rare for the test are taken together.
    Where the *last is the rest* it is one of them: the values a profile names are those that came up often by luck.
    The effect is w² = χ² / n less the degrees of freedom, its expectation without any change (Bergsma 2013).
    """
    table = np.vstack([was * (was_rows / was.sum()), now * (now_rows / now.sum())])
    smaller = table.sum(axis=1).min()
    rare = table.sum(axis=0) / table.sum() * smaller < EXPECTED_LEAST
    rare[-1] |= last_is_rest
    pooled = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    pooled = pooled[:, pooled.sum(axis=0) > 0]
    expected = pooled.sum(axis=1, keepdims=True) * pooled.sum(axis=0) / pooled.sum()
    degrees, statistic = pooled.shape[1] - 1, float(np.sum((pooled - expected) ** 2 / expected))
    excess = max(0.0, statistic - degrees) * (1 / was_rows + 1 / now_rows)
    p_value = float(scipy.special.chdtrc(degrees, statistic)) if degrees else 1.0
    return Homogeneity(statistic, degrees, p_value, sqrt(excess), largest_change(*pooled))


def shares_p(was_hits: float, was_rows: float, now_hits: float, now_rows: float) -> float:
    """Return the two-sided p-value of a change of a share: given the sum of hits, those of *now* are binomial.

    Przyborowski & Wilenski 1940; exact where hits are rare, cautious where they are not. Hits are whichever of yes and
    no is rarer. To a normal approximation five missing of a hundred, where one in two hundred was, are impossible.
    """
    if 2 * (was_hits + now_hits) > was_rows + now_rows:
        was_hits, now_hits = was_rows - was_hits, now_rows - now_hits
    total, share = was_hits + now_hits, now_rows / (was_rows + now_rows)
    more = float(scipy.special.betainc(now_hits, total - now_hits + 1, share)) if now_hits > 0 else 1.0
    fewer = float(scipy.special.betainc(total - now_hits, now_hits + 1, 1 - share)) if now_hits < total else 1.0
    return min(1.0, 2 * min(more, fewer))


def unseen_p(once: float, was_rows: float, new: float, now_rows: float) -> float:
    """Return the p-value of so many rows of values never seen before, given how many values were seen once.

    Values seen once tell how much was unseen (Good 1953). Both counts are samples of the same mass: given their sum,
    the new ones are binomial. One more, because a table in which every value came twice does not prove there are no
    others.
    """
    share = now_rows / (was_rows + now_rows)
    return float(scipy.special.betainc(new, once + 2, share)) if new > 0 else 1.0


def mean_shift_z(was: Profile, now: Profile, was_rows: float, now_rows: float) -> float | None:
    """Return Welch's z of the means (Welch 1947), positive where *now* is larger; None where nothing varies."""
    error = sqrt((was["sd"] or 0.0) ** 2 / was_rows + (now["sd"] or 0.0) ** 2 / now_rows)
    return float((now["mean"] - was["mean"]) / error) if error > 0 else None


def correlation_p(was: float, was_rows: float, now: float, now_rows: float) -> float:
    """Return the two-sided p-value of a change of Spearman's correlation, by Fisher's z.

    Its variance is (1 + ρ² / 2) / (n − 3) (Bonett & Wright 2000), which holds beyond the normal distribution.
    """
    if min(was_rows, now_rows) <= 3:
        return 1.0
    was, now = (min(max(each, -CORRELATION_MOST), CORRELATION_MOST) for each in (was, now))
    middle = 1 + ((was + now) / 2) ** 2 / 2
    error = sqrt(middle / (was_rows - 3) + middle / (now_rows - 3))
    return 2 * float(scipy.special.ndtr(-abs(atanh(now) - atanh(was)) / error))


def rank_correlations(ranks: Floats) -> tuple[Floats, Floats]:
    """Return Spearman's correlations of all columns of *ranks* (NaN: missing), and on how many rows each rests.

    Ranks are those among all known values of a column; the rows where both are known are correlated as they are.
    """
    known = np.isfinite(ranks)
    values, mask = np.where(known, ranks, 0.0), known.astype(np.float64)
    rows = mask.T @ mask
    sums, squares = values.T @ mask, (values**2).T @ mask
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = squares - sums**2 / rows
        joint = values.T @ values - sums * sums.T / rows
        return joint / np.sqrt(spread * spread.T), rows


def stability_index(was: Floats, now: Floats) -> float:
    """Return the population stability index less its expectation without any change, shown and never judged by.

    Σ (p − q) ln(p / q) − (bins − 1)(1 / n + 1 / m) (Yurdakul 2018); half a row is added to every bin.
    """
    a, b = was + 0.5, now + 0.5
    p, q = a / a.sum(), b / b.sum()
    by_chance = (len(was) - 1) * (1 / max(1.0, was.sum()) + 1 / max(1.0, now.sum()))
    return float(max(0.0, np.sum((p - q) * np.log(p / q)) - by_chance))


def pooled_correlation(one: float, one_rows: float, other: float, other_rows: float) -> float:
    """Return the correlation of two samples taken together: the mean of Fisher's z by rows (Silver & Dunlap 1987)."""
    weights = max(one_rows - 3, 0.0), max(other_rows - 3, 0.0)
    if not sum(weights):
        return one
    zs = (atanh(min(max(each, -CORRELATION_MOST), CORRELATION_MOST)) for each in (one, other))
    mean = sum(weight * z for weight, z in zip(weights, zs, strict=True)) / sum(weights)
    return tanh(mean)


def shares_between(profile: Profile, at: Floats) -> Floats:
    """Return the share of values between each two of *at*, spread evenly within a bin."""
    return np.diff(_curve(profile, at))


def _places(was: Profile, now: Profile) -> Floats:
    return np.unique(np.concatenate([was["edges"], now["edges"], [was["min"], was["max"], now["min"], now["max"]]]))


def _knots(profile: Profile) -> tuple[Floats, Floats]:
    """Return where the share of values is known, and the shares; edges of another profile may lie beyond all values."""
    inner = profile["edges"]
    low, high = min([profile["min"], *inner[:1]]), max([profile["max"], *inner[-1:]])
    return np.asarray([low, *inner, high]), np.concatenate([[0.0], np.cumsum(profile["counts"])]) / profile["n"]


def _shares_upto(profile: Profile, at: Floats) -> tuple[Floats, Floats]:
    """Return the least and the largest share of values that may lie at or below each of *at*."""
    edges, shares = _knots(profile)
    below = np.searchsorted(edges, at, side="right") - 1
    known = np.isin(at, edges[1:])
    low = np.where(below < 0, 0.0, shares[np.clip(below, 0, len(shares) - 1)])
    high = np.where(below < 0, 0.0, shares[np.clip(below + 1, 0, len(shares) - 1)])
    return low, np.where(known, low, high)


def _curve(profile: Profile, at: Floats) -> Floats:
    edges, shares = _knots(profile)
    # A smallest value that many share is an edge too: the later of two equal ones is the right one.
    keep = np.append(edges[1:] != edges[:-1], True)
    found: Floats = np.interp(at, edges[keep], shares[keep], left=0.0, right=1.0)
    return found
