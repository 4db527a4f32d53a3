"""How far the rows a challenger learned from lie from those the champion learned from, by their two profiles alone.

Pure: two reference profiles (``profile``) in, one population stability index per column out. It compares two training
sets, not a training set with the latest batch; that belongs to monitoring, and so does any alarm.

PSI = Σ (p − q) · ln(p / q) over ten bins of the champion's values (for a category: its commonest values) and one more
for missing ones. Without any shift it is about (1/n + 1/m) · χ² with bins − 1 degrees of freedom (Yurdakul 2018), which
gives what chance alone explains. The customary reading: below 0.1 little, above 0.25 large.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy
from numpy.typing import NDArray

Reading = Literal["chance", "little", "moderate", "large"]
Floats = NDArray[np.float64]

BINS = 10
VALUES = 20
MODERATE, LARGE = 0.1, 0.25
CONFIDENCE = 0.95
# Added to every count, so that an empty bin has a logarithm.
HALF_A_ROW = 0.5


@dataclass(frozen=True)
class Shift:
    """One column in two training sets.

    ``typical`` is its median or its commonest value, ``missing`` a share of rows, ``by_chance`` the index that chance
    alone stays below with 95 % confidence over all columns together.
    """

    name: str
    role: Literal["input", "target"]
    psi: float
    by_chance: float
    typical_before: float | str | None
    typical_after: float | str | None
    missing_before: float
    missing_after: float

    @property
    def reading(self) -> Reading:
        """Say how large the shift is."""
        if self.psi <= self.by_chance:
            return "chance"
        return "little" if self.psi < MODERATE else "moderate" if self.psi < LARGE else "large"


def shifts(before: bytes, after: bytes, targets: Collection[str]) -> tuple[Shift, ...]:
    """Return the shift of every column both profiles have, largest first; *targets* names those that are predicted."""
    was, now = json.loads(before), json.loads(after)
    pairs = [
        (kind, name, was[kind][name], now[kind][name])
        for kind in ("numbers", "categories")
        for name in sorted(was[kind].keys() & now[kind].keys())
    ]
    found = [_shift(*pair, targets=targets, columns=len(pairs)) for pair in pairs]
    return tuple(sorted(found, key=lambda each: (-each.psi, each.name)))


def _shift(
    kind: str, name: str, was: Mapping[str, Any], now: Mapping[str, Any], *, targets: Collection[str], columns: int
) -> Shift:
    number = kind == "numbers"
    p, q = number_bins(was, now) if number else category_bins(was, now)
    typical = _median if number else _commonest
    sure = 1 - (1 - CONFIDENCE) / columns
    chance = float(scipy.stats.chi2.ppf(sure, p.size - 1)) * (1 / max(p.sum(), 1) + 1 / max(q.sum(), 1))
    return Shift(
        name=name,
        role="target" if name in targets else "input",
        psi=_figure(_psi(p, q)),
        by_chance=_figure(chance),
        typical_before=typical(was),
        typical_after=typical(now),
        missing_before=_missing(was),
        missing_after=_missing(now),
    )


def _psi(p: Floats, q: Floats) -> float:
    a, b = (each + HALF_A_ROW for each in (p, q))
    a, b = a / a.sum(), b / b.sum()
    return float(np.sum((a - b) * np.log(a / b)))


def number_bins(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Return the rows of both in bins of the first one's values, and of missing ones."""
    edges = was["edges"]
    places = np.unique(np.linspace(0, len(edges) - 1, min(len(edges), BINS - 1)).round().astype(int))
    inner = [edges[place] for place in places] if edges else []
    return _counted(was, inner), _counted(now, inner)


def _counted(profile: Mapping[str, Any], inner: list[float]) -> Floats:
    below = [share * profile["n"] for share in _shares_below(profile, inner)]
    return np.diff([0.0, *below, float(profile["n"])], append=profile["n"] + profile["nulls"] + profile["infinite"])


def _shares_below(profile: Mapping[str, Any], at: list[float]) -> list[float]:
    """Return the share of values up to each of *at*: exact where it is an edge of the profile, else interpolated."""
    if not profile["n"]:
        return [0.0] * len(at)
    knots, shares = _curve(profile)
    return [float(each) for each in np.interp(at, knots, shares, left=0.0, right=1.0)]


def _curve(profile: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    knots, shares = list(profile["edges"]), list(np.cumsum(profile["counts"])[:-1] / profile["n"])
    if not knots or profile["min"] < knots[0]:
        knots, shares = [profile["min"], *knots], [0.0, *shares]
    return ([*knots, profile["max"]], [*shares, 1.0]) if profile["max"] > knots[-1] else (knots, [*shares[:-1], 1.0])


def category_bins(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Return the rows of both by the first one's commonest values, of any other value, and of missing ones."""
    values = sorted(was["counts"], key=lambda value: (-was["counts"][value], value))[:VALUES]
    return _valued(was, values), _valued(now, values)


def _valued(profile: Mapping[str, Any], values: list[str]) -> Floats:
    counts = [float(profile["counts"].get(value, 0)) for value in values]
    return np.asarray([*counts, profile["n"] - sum(counts), profile["nulls"]], dtype=np.float64)


def _median(profile: Mapping[str, Any]) -> float | None:
    if not profile["n"]:
        return None
    knots, shares = _curve(profile)
    return _figure(float(np.interp(0.5, shares, knots)))


def _commonest(profile: Mapping[str, Any]) -> str | None:
    return min(_ranked(profile), default=(0, None))[1]


def _ranked(profile: Mapping[str, Any]) -> Iterator[tuple[int, str | None]]:
    yield from ((-rows, value) for value, rows in profile["counts"].items())


def _missing(profile: Mapping[str, Any]) -> float:
    gone = profile["nulls"] + profile.get("infinite", 0)
    return _figure(gone / max(1, profile["n"] + gone))


def _figure(value: float) -> float:
    return float(f"{value:.6g}")
