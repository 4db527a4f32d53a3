"""Which columns no longer look like those a model learned from: two profiles in, what drifted and how badly out.

Every column and every correlation is tested (``drift_columns``); a change counts where its p-value is below its share
of ``ALPHA`` over all tests made (Bonferroni). A column the model does without makes no alarm by itself. What is done
about a drift belongs to a gate or to monitoring, and how often it is seen by mistake to ``drift_odds``.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from tasks.core.drift_columns import (
    LEVELS,
    Change,
    Column,
    Level,
    Measured,
    Pair,
    of_categories,
    of_numbers,
    of_pairs,
    share_change,
)

Profile = Mapping[str, Any]
Severity = Literal["insufficient", "none", "warn", "critical"]

# The chance of any false alarm in one batch, of which changes of correlations get their own, smaller part.
ALPHA, ALPHA_PAIRS = 0.004, 0.001
# Fewer rows on either side show only what anybody would see without a test.
ROWS_LEAST = 100
# A batch of fewer is looked at together with those after it.
ROWS_ENOUGH = 500
# A column with a smaller part in all that matters to the model worries nobody alone.
WEIGHT_LEAST = 0.01
CONTRACT = "rows the contract rejects"
PREDICTION = "prediction of "


@dataclass(frozen=True)
class Drifted:
    """A column that has drifted critically: what changed, and by how much."""

    column: str
    what: str
    change: float


@dataclass(frozen=True)
class Drift:
    """How many columns two profiles share, which of them have drifted, and how many rows the smaller one has.

    ``reason`` says why nothing could be compared.
    """

    columns: int
    rows: int
    drifted: tuple[Drifted, ...] = ()
    reason: str = ""

    @property
    def share(self) -> float:
        """The share of columns that have drifted."""
        return len({each.column for each in self.drifted}) / self.columns if self.columns else 0.0


@dataclass(frozen=True)
class Moved:
    """What is said of one column or pair: the worst of its significant changes, and all that was measured."""

    name: str
    role: str
    level: Level
    what: str
    size: float
    p_value: float
    weight: float
    counts: bool
    measured: Measured | None = None
    before: float | None = None
    now: float | None = None


@dataclass(frozen=True)
class Report:
    """A batch beside its reference: the model's severity, why, and every column's and pair's, the heaviest first."""

    severity: Severity
    because: str
    rows: int
    independent: int
    tests: int
    columns: tuple[Moved, ...]
    pairs: tuple[Moved, ...]

    @property
    def critical(self) -> tuple[Moved, ...]:
        """What makes the model's severity critical, the heaviest first."""
        return tuple(each for each in (*self.columns, *self.pairs) if each.level == "critical" and each.counts)


def drift(before: bytes, after: bytes) -> Drift:
    """Compare the columns that both profiles have; where entities repeat, only entities count as independent."""
    return unlike(json.loads(before), json.loads(after))


def unlike(was: Profile, now: Profile, labels: Collection[str] = ()) -> Drift:
    """Compare as ``drift`` does; *labels* are columns that a batch may lack, because they become known late."""
    columns = list(_columns(was, now, {}, labels))
    limit = ALPHA / _tests(columns)
    drifted = tuple(
        Drifted(column.name, change.what, float(f"{change.size:.6g}"))
        for column in columns
        for change in column.changes
        if change.level == "critical" and change.p_value < limit
    )
    return Drift(len(columns), min(was["rows"], now["rows"]), drifted)


def compare(was: Profile, now: Profile, weights: Mapping[str, float], labels: Collection[str] = ()) -> Report:
    """Say how badly the batch *now* has drifted from the reference *was*.

    *weights* are the columns' shares of what matters to the model, empty where nobody knows; *labels* are columns that
    become known late. Raises nothing for a batch of any shape: an empty one is *insufficient*.
    """
    columns = [*_columns(was, now, weights, labels), *_predictions(was, now), *_contract(was, now)]
    pairs = list(of_pairs(was, now, (_independent(was), _independent(now))))
    judged = sorted(_judged(columns), key=_heaviest_first)
    related = sorted(_judged_pairs(pairs, weights, labels), key=_heaviest_first)
    tests, rows = _tests(columns) + len(pairs), now["rows"]
    severity, because = _severity(judged, related, max(rows, now.get("rows_in", 0)), was["rows"])
    independent = round(rows * _independent(now))
    return Report(severity, because, rows, independent, tests, tuple(judged), tuple(related))


def _columns(was: Profile, now: Profile, weights: Mapping[str, float], labels: Collection[str]) -> Iterator[Column]:
    rows = _independent(was), _independent(now)
    for name in sorted(was["numbers"].keys() & now["numbers"].keys()):
        measured, changes = of_numbers(was["numbers"][name], now["numbers"][name], rows)
        late = name in labels and name not in weights
        kept = changes[1:] if late else changes
        yield Column(name, "number", "label" if late else "feature", measured, kept, weights.get(name, 0.0))
    for name in sorted(was["categories"].keys() & now["categories"].keys()):
        measured, changes = of_categories(was["categories"][name], now["categories"][name], rows)
        yield Column(name, "category", "feature", measured, changes, weights.get(name, 0.0))


def _predictions(was: Profile, now: Profile) -> Iterator[Column]:
    rows = _independent(was), _independent(now)
    for target, found in sorted(now.get("targets", {}).items()):
        measured, changes = of_numbers(was["targets"][target]["predicted"], found["predicted"], rows)
        yield Column(f"{PREDICTION}{target}", "number", "prediction", measured, changes, 1.0)


def _contract(was: Profile, now: Profile) -> Iterator[Column]:
    """A unit that changed may be rejected row by row, and those that are left would look as ever."""
    if not was.get("rows_in") or not now.get("rows_in"):
        return
    hits = [each.get("rejected", 0) for each in (was, now)]
    rows = [each["rows_in"] for each in (was, now)]
    shares = _independent(was), _independent(now)
    before, after = ((hit * share, every * share) for hit, every, share in zip(hits, rows, shares, strict=True))
    change = share_change("share of rejected rows", before, after)
    rates = Measured(rows[1], hits[0] / rows[0], hits[1] / rows[1])
    yield Column(CONTRACT, "contract", "contract", rates, (change,), 1.0)


def _independent(profile: Profile) -> float:
    """Return the share of rows that are of different entities, 1 where nobody counted them."""
    entities = profile.get("entities", 0)
    return min(1.0, entities / profile["rows"]) if entities and profile["rows"] else 1.0


def _tests(columns: Iterable[Column]) -> int:
    return max(1, sum(len(column.changes) for column in columns))


def _judged(columns: list[Column]) -> Iterator[Moved]:
    limit, weighed = ALPHA / _tests(columns), any(column.weight for column in columns if column.role == "feature")
    for column in columns:
        change = _worst(column.changes, limit)
        counts = column.role != "label" and (column.weight >= WEIGHT_LEAST or not weighed)
        yield Moved(
            column.name, column.role, change.level, change.what, change.size, change.p_value, column.weight, counts,
            column.measured,
        )  # fmt: skip


def _judged_pairs(pairs: list[Pair], weights: Mapping[str, float], labels: Collection[str]) -> Iterator[Moved]:
    for pair in pairs:
        change = _worst((pair.change,), ALPHA_PAIRS / len(pairs))
        weight = min(weights.get(pair.left, 0.0), weights.get(pair.right, 0.0))
        late = any(name in labels and name not in weights for name in (pair.left, pair.right))
        counts = not late and (weight >= WEIGHT_LEAST or not any(weights.values()))
        yield Moved(
            f"{pair.left} × {pair.right}", "correlation", change.level, change.what, change.size, change.p_value,
            weight, counts, before=pair.before, now=pair.now,
        )  # fmt: skip


def _worst(changes: Iterable[Change], limit: float) -> Change:
    """Return the worst of the changes that chance does not explain, else the least likely one as *none*."""
    known = [each if each.p_value < limit else replace(each, level="none") for each in changes]
    return max(known, key=lambda each: (LEVELS.index(each.level), -each.p_value), default=Change("", 0.0, 1.0, "none"))


def _heaviest_first(each: Moved) -> tuple[float, float, float, str]:
    return -LEVELS.index(each.level), -each.weight * each.size, -each.size, each.name


def _severity(columns: list[Moved], pairs: list[Moved], rows: int, reference: int) -> tuple[Severity, str]:
    if rows < ROWS_ENOUGH or reference < ROWS_LEAST:
        few = f"{rows:,} rows" if rows < ROWS_ENOUGH else f"{reference:,} rows to compare with"
        return "insufficient", f"{few} show little, wanted {ROWS_ENOUGH if rows < ROWS_ENOUGH else ROWS_LEAST}"
    found = [*columns, *pairs]
    critical = [each for each in found if each.level == "critical" and each.counts]
    if critical:
        return "critical", _told(critical)
    warned = [each for each in found if each.level != "none"]
    return ("warn", _told(warned)) if warned else ("none", "nothing changed that chance does not explain")


def _told(found: list[Moved], most: int = 3) -> str:
    said = "; ".join(f"{each.name}: {each.what} changed by {each.size:.2g}" for each in found[:most])
    return said + (f"; and {len(found) - most} more" if len(found) > most else "")
