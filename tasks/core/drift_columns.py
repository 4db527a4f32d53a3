"""What changed in one column, or between two: statistics beside their limits, and how sure and how large a change is.

A change is one of *warn* or *critical* where chance does not explain it **and** it is large enough to matter; either
alone flags unchanged columns, of small or of large tables. Two profiles come in; what follows for the model is
``drift``'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tasks.core import drift_statistics as statistics
from tasks.core.profile_shift import category_bins, number_bins

Floats = npt.NDArray[np.float64]
Profile = Mapping[str, Any]
Level = Literal["none", "warn", "critical"]
LEVELS: tuple[Level, ...] = ("none", "warn", "critical")

# From when on a change is worth a word, and from when on it matters. Where they come from, and what each was measured
# to find and to leave alone, is in docs/decisions/0082-drift-severity.md.
# Of a distribution, Kolmogorov–Smirnov's distance and Wasserstein's in standard deviations, both: moving the many equal
# values of a column by a hair moves the first by the share of them, and one wild value moves the second.
DISTANCE_WARN, MOVED_WARN = 0.03, 0.03
DISTANCE, MOVED = 0.08, 0.10
# A change of spread moves few rows far.
DISTANCE_SPREAD, MOVED_SPREAD = 0.03, 0.12
# The largest change of a value's share, or of all of them together (Cohen's w less what chance contributes).
SHARE_WARN, SHARE = 0.02, 0.05
EFFECT = 0.12
NEW_SHARE_WARN, NEW_SHARE = 0.002, 0.01
MISSING_WARN, MISSING = 0.01, 0.03
CORRELATION_WARN, CORRELATION = 0.10, 0.15


@dataclass(frozen=True)
class Change:
    """One test of one column: what is looked at, by how much it changed, and how large that would be if it is real."""

    what: str
    size: float
    p_value: float
    level: Level


@dataclass(frozen=True)
class Measured:
    """All that was measured of a column; None where it does not apply.

    Distances are shares (0 to 1), *wasserstein* standard deviations of the reference, *mean_shift* Welch's z.
    """

    rows: int
    missing_before: float
    missing_now: float
    kolmogorov_smirnov: float | None = None
    wasserstein: float | None = None
    jensen_shannon: float | None = None
    largest_change: float | None = None
    effect: float | None = None
    new_share: float | None = None
    mean_shift: float | None = None
    stability_index: float | None = None


@dataclass(frozen=True)
class Column:
    """A column in both profiles; ``weight`` is its share of what matters to the model, ``changes`` every test made."""

    name: str
    kind: Literal["number", "category", "contract"]
    role: Literal["feature", "label", "prediction", "contract"]
    measured: Measured
    changes: tuple[Change, ...]
    weight: float = 0.0


@dataclass(frozen=True)
class Pair:
    """Two columns whose rank correlation was taken in both profiles."""

    left: str
    right: str
    before: float
    now: float
    change: Change = field(default=Change("", 0.0, 1.0, "none"))


def of_numbers(was: Profile, now: Profile, rows: tuple[float, float]) -> tuple[Measured, tuple[Change, ...]]:
    """Measure a number in both; *rows* are the shares of rows that count as independent."""
    gone, missing = _of_missing(was, now, rows)
    now = {**now, "edges": now.get("edges") or was["edges"]}
    if not was["n"] or not now["n"]:
        return Measured(now["n"], *gone), (missing,)
    distance, moved = statistics.kolmogorov_smirnov(was, now), statistics.wasserstein(was, now)
    known = was["n"] * rows[0], now["n"] * rows[1]
    p_value = statistics.kolmogorov_smirnov_p(distance, *known)
    bins = _counts_at_the_same(was, now)
    measured = Measured(
        now["n"],
        *gone,
        kolmogorov_smirnov=distance,
        wasserstein=moved,
        jensen_shannon=statistics.jensen_shannon(*bins) if bins else None,
        mean_shift=statistics.mean_shift_z(was, now, *known),
        stability_index=statistics.stability_index(*number_bins(was, now)),
    )
    return measured, (missing, Change("distribution", distance, p_value, _large(distance, moved)))


def of_categories(was: Profile, now: Profile, rows: tuple[float, float]) -> tuple[Measured, tuple[Change, ...]]:
    """Measure a category in both; *rows* are the shares of rows that count as independent."""
    gone, missing = _of_missing(was, now, rows)
    if not was["n"] or not now["n"]:
        return Measured(now["n"], *gone), (missing,)
    known = was["n"] * rows[0], now["n"] * rows[1]
    before, after = _counted(was, now)
    new = now["n"] - sum(count for value, count in now["counts"].items() if value in was["counts"])
    seen = slice(None) if was["other"] else slice(0, len(was["counts"]))
    tests, change, effect = [missing], statistics.largest_change(before, after), 0.0
    if after[seen].sum():
        share = after[seen].sum() / now["n"]
        independent = known[0], known[1] * share
        found = statistics.homogeneity(before[seen], after[seen], *independent, last_is_rest=bool(was["other"]))
        effect = found.excess
        level = _moved_shares(found.largest, effect)
        tests.append(Change("shares of its values", found.largest, found.p_value, level))
    if not was["other"]:
        tests.append(_of_new_values(was, new, now["n"], rows))
    measured = Measured(
        now["n"],
        *gone,
        jensen_shannon=statistics.jensen_shannon(before, after),
        largest_change=change,
        effect=effect,
        new_share=None if was["other"] else new / now["n"],
        stability_index=statistics.stability_index(*category_bins(was, now)),
    )
    return measured, tuple(tests)


def of_pairs(was: Profile, now: Profile, rows: tuple[float, float]) -> Iterator[Pair]:
    """Compare the rank correlations both profiles know; *rows* as above."""
    before, after = _correlations(was, rows[0]), _correlations(now, rows[1])
    for pair in sorted(before.keys() & after.keys()):
        (rho, many), (rho_now, many_now) = before[pair], after[pair]
        size = abs(rho_now - rho)
        p_value = statistics.correlation_p(rho, many, rho_now, many_now)
        level = _level(size, CORRELATION_WARN, CORRELATION)
        yield Pair(*pair, rho, rho_now, Change("correlation", size, p_value, level))


def share_change(
    what: str, was: tuple[float, float], now: tuple[float, float], limits: tuple[float, float] = (MISSING_WARN, MISSING)
) -> Change:
    """Test a change of a share: hits and rows before, hits and rows now."""
    size = abs(now[0] / max(1.0, now[1]) - was[0] / max(1.0, was[1]))
    p_value = statistics.shares_p(*was, *now) if was[1] and now[1] else 1.0
    return Change(what, size, p_value, _level(size, *limits))


def _of_missing(was: Profile, now: Profile, rows: tuple[float, float]) -> tuple[tuple[float, float], Change]:
    gone = [each["nulls"] + each.get("infinite", 0) for each in (was, now)]
    every = [each["n"] + missing for each, missing in zip((was, now), gone, strict=True)]
    shares = gone[0] / max(1, every[0]), gone[1] / max(1, every[1])
    before, after = ((g * r, e * r) for g, e, r in zip(gone, every, rows, strict=True))
    return shares, share_change("share of missing values", before, after)


def _of_new_values(was: Profile, new: int, known: int, rows: tuple[float, float]) -> Change:
    # Where an entity has ten rows, a value of one entity is seen ten times.
    once = sum(count * rows[0] <= 1 for count in was["counts"].values())
    p_value = statistics.unseen_p(once, was["n"] * rows[0], new * rows[1], known * rows[1])
    size = new / known
    return Change("share of new values", size, p_value, _level(size, NEW_SHARE_WARN, NEW_SHARE))


def _level(size: float, warn: float, critical: float) -> Level:
    return "critical" if size >= critical else "warn" if size >= warn else "none"


def _large(distance: float, moved: float) -> Level:
    if (distance >= DISTANCE and moved >= MOVED) or (distance >= DISTANCE_SPREAD and moved >= MOVED_SPREAD):
        return "critical"
    return "warn" if distance >= DISTANCE_WARN and moved >= MOVED_WARN else "none"


def _moved_shares(change: float, effect: float) -> Level:
    return "critical" if effect >= EFFECT else _level(change, SHARE_WARN, SHARE)


def _counted(was: Profile, now: Profile) -> tuple[Floats, Floats]:
    """Return the rows of every value in both, those *was* knows first, and last of those it does not name."""
    new = [] if was["other"] else sorted(now["counts"].keys() - was["counts"].keys())
    values = [*sorted(was["counts"]), *new]
    rows = [[each["counts"].get(value, 0) for value in values] for each in (was, now)]
    rest = [each["n"] - sum(counts) for each, counts in zip((was, now), rows, strict=True)]
    before, after = (np.asarray([*counts, left], dtype=np.float64) for counts, left in zip(rows, rest, strict=True))
    return before, after


def _counts_at_the_same(was: Profile, now: Profile) -> tuple[Floats, Floats] | None:
    if was["edges"] != now["edges"]:
        return None
    return np.asarray(was["counts"], dtype=np.float64), np.asarray(now["counts"], dtype=np.float64)


def _correlations(profile: Profile, share: float) -> dict[tuple[str, str], tuple[float, float]]:
    """Return each known correlation and on how many independent rows it rests, values missing at random."""
    found = profile.get("spearman") or {"columns": [], "matrix": [], "rows": 0}
    known = {name: _known_share(profile["numbers"].get(name)) for name in found["columns"]}
    pairs = {}
    for place, row in enumerate(found["matrix"]):
        for other, rho in enumerate(row):
            left, right = sorted((found["columns"][place], found["columns"][other]))
            if rho is not None:
                pairs[left, right] = rho, found["rows"] * known[left] * known[right] * share
    return pairs


def _known_share(number: Profile | None) -> float:
    return number["n"] / max(1, number["n"] + number["nulls"] + number["infinite"]) if number else 0.0
