"""How often the rule errs: halves of the rows a champion learned from, held against each other as batch and reference.

Both halves are of one world, so whatever the rule finds between them is a false alarm. Entities are dealt whole: rows
of one entity resemble each other, and would hide that. Pure: rows and chance come in; the past is replayed elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tasks.core.batch_counts import count_rows
from tasks.core.drift import ALPHA, ALPHA_PAIRS, ROWS_ENOUGH, WEIGHT_LEAST, compare
from tasks.core.drift_columns import (
    CORRELATION,
    DISTANCE,
    DISTANCE_SPREAD,
    EFFECT,
    MISSING,
    MOVED,
    MOVED_SPREAD,
    NEW_SHARE,
    SHARE,
)
from tasks.core.intervals import wilson
from tasks.core.profile import correlations
from tasks.core.values import Interval
from tasks.core.watch import PERSISTENCE

Profile = Mapping[str, Any]
CONFIDENCE = 0.95
# So many rows tell a rule's error as well as more do, and each trial counts them all.
ROWS_MOST = 20_000
# The rule, by name: what a calibration says holds for these numbers only.
RULE: Mapping[str, float] = {
    "alpha": ALPHA,
    "alpha of correlations": ALPHA_PAIRS,
    "rows": ROWS_ENOUGH,
    "batches in a row": PERSISTENCE,
    "least weight": WEIGHT_LEAST,
    "distance": DISTANCE,
    "moved": MOVED,
    "distance of a spread": DISTANCE_SPREAD,
    "moved of a spread": MOVED_SPREAD,
    "share": SHARE,
    "effect": EFFECT,
    "new share": NEW_SHARE,
    "missing": MISSING,
    "correlation": CORRELATION,
}


@dataclass(frozen=True)
class Odds:
    """How often the rule fires on halves of the same rows: ``rate`` is the share of trials that were critical."""

    trials: int
    rows: int
    fired: int
    rate: Interval


@dataclass(frozen=True)
class Calibration:
    """What is known of the rule beside one champion, stored with the policy it was measured under.

    ``batches`` of the past were looked at again; the rule called ``critical`` of them so and told ``fired`` drifts.
    """

    workload: str
    ring: str
    version: str
    policy: str
    rule: Mapping[str, float]
    noise: Odds
    batches: int
    critical: int
    fired: int

    @property
    def sentence(self) -> str:
        """Say it in one sentence."""
        rate = self.noise.rate
        low, value, high = (f"{100 * each:.1f} %" for each in (rate.low, rate.value, rate.high))
        return (
            f"on pure noise this rule would fire {value} of batches (95% interval {low} to {high}, "
            f"{self.noise.trials} A/A splits of {self.noise.rows:,} rows), over the last {self.batches} batches it "
            f"would have fired {self.fired} times"
        )


def on_noise(
    rows: pl.DataFrame,
    entities: pl.Series,
    predictions: Mapping[str, pl.Series],
    reference: Profile,
    weights: Mapping[str, float],
    labels: set[str],
    *,
    trials: int,
    chance: np.random.Generator,
) -> Odds:
    """Deal the *entities* of *rows* into halves *trials* times and count how often the rule fires between them."""
    fired, taken = 0, []
    places = entities.rank("dense").to_numpy().astype(int) - 1
    for _ in range(trials):
        first = chance.permutation(places.max() + 1)[places] % 2 == 0
        halves = [_half(rows, entities, predictions, reference, mask) for mask in (first, ~first)]
        report = compare(_as_reference(halves[0], reference), halves[1], weights, labels)
        fired += bool(report.critical)
        taken.append(report.rows)
    return Odds(trials, round(float(np.median(taken))), fired, wilson(fired, trials, CONFIDENCE))


def _half(
    rows: pl.DataFrame, entities: pl.Series, predictions: Mapping[str, pl.Series], reference: Profile, mask: Any
) -> dict[str, Any]:
    some = pl.Series(mask)
    half = rows.filter(some)
    counts = count_rows(half, {name: found.filter(some) for name, found in predictions.items()}, reference)
    numbers = [name for name in reference["spearman"]["columns"] if name in rows.columns]
    related = correlations(half.select(pl.col(numbers).cast(pl.Float64, strict=False)))
    return counts | {"entities": entities.filter(some).n_unique(), "spearman": related}


def _as_reference(half: Profile, reference: Profile) -> dict[str, Any]:
    def edged(found: Profile, was: Profile) -> dict[str, Any]:
        return {**found, "edges": was["edges"], "distinct": was.get("distinct", len(was["edges"]) + 2)}

    numbers = {name: edged(found, reference["numbers"][name]) for name, found in half["numbers"].items()}
    targets = {
        name: {"predicted": edged(found["predicted"], reference["targets"][name]["predicted"])}
        for name, found in half["targets"].items()
    }
    return {**half, "numbers": numbers, "targets": targets}
