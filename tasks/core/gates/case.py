"""What gates are shown and what they answer: a case, the ring's policy, a verdict before it has a name. It decides
nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tasks.core.comparison import Comparison
from tasks.core.drift import Drift
from tasks.core.values import Contracted, Evaluation, Interval, Outcome
from tasks.workloads.spec import Gate


class Policy(Protocol):
    """What the gates ask of a ring's policy."""

    @property
    def ring(self) -> str:
        """The ring it is for."""

    @property
    def automatic(self) -> bool:
        """Whether a challenger that passes every gate needs no person's decision."""

    @property
    def gate(self) -> Mapping[str, float]:
        """Numbers of ``Gate`` it tightens, by name."""

    @property
    def coverage_slack(self) -> float:
        """By how much less than wanted (as a share of rows) prediction intervals may cover."""

    @property
    def after(self) -> str | None:
        """The ring a challenger must have been let out in before."""

    @property
    def soak_cycles(self) -> int:
        """How many clean shadow cycles it must have behind it."""

    @property
    def max_evidence_age_hours(self) -> int | None:
        """How old its evaluation may be; None: any age will do."""

    @property
    def max_rehearsal_age_hours(self) -> int | None:
        """How long ago the rollback may have been rehearsed; None: it need not have been."""


@dataclass(frozen=True)
class Incumbent:
    """What serves now: its version, targets, bundle and ledger entry. ``NONE_YET``: somebody looked, nothing does."""

    version: str
    serves: tuple[str, ...]
    manifest: str = ""
    number: int = 0


NONE_YET = Incumbent("", ())


@dataclass(frozen=True)
class Rehearsal:
    """The bundle, loaded in a clean process: could it be, and did it give the golden sample's predictions again?

    ``largest_difference`` is relative to the golden prediction. ``seconds`` is what verifying, loading and scoring took
    once the libraries were there; ``at`` is when (ISO 8601, UTC). ``other_versions`` names the libraries that decide
    numbers and are not those it was made with.
    """

    version: str
    loaded: bool
    rows: int
    largest_difference: float
    tolerance: float
    reason: str = ""
    seconds: float = 0.0
    at: str = ""
    other_versions: str = ""


@dataclass(frozen=True)
class ShadowCycles:
    """How many times in a row a challenger scored beside the champion without a fault, and how often it has to."""

    clean: int
    needed: int


@dataclass(frozen=True)
class LatestBatch:
    """The ring's newest monitored batch beside what the challenger learned from; number 0: none was monitored."""

    number: int
    drift: Drift


NOT_MONITORED = LatestBatch(0, Drift(0, 0))


@dataclass(frozen=True)
class Case:
    """All that is shown to the gates. None means that nobody looked."""

    version: str | None = None
    targets: tuple[str, ...] | None = None
    # Those of them that are answered with a chance.
    chances: tuple[str, ...] | None = None
    contracted: Contracted | None = None
    training_rows: int | None = None
    # The numbers leaks were looked for with, and the confidence of every interval of the evaluations.
    measured_for: Gate | None = None
    leaks: tuple[str, ...] | None = None
    evaluations: tuple[Evaluation, ...] | None = None
    incumbent: Incumbent | None = None
    comparisons: tuple[Comparison, ...] | None = None
    files: tuple[str, ...] | None = None
    rehearsal: Rehearsal | None = None
    # What a rollback would bring back, rehearsed; that of nothing (version "") where nothing serves yet.
    rollback: Rehearsal | None = None
    # Why the line stands still; empty if it runs.
    stopped: str | None = None
    # The rings this version is, or has been, let out in and was not rolled back from.
    stands_in: tuple[str, ...] | None = None
    # Why this version was rolled back from in the ring it is judged for; empty if it was not, or serves again.
    rolled_back: str | None = None
    shadow: ShadowCycles | None = None
    # ISO 8601 in UTC: when the evidence was measured (empty: before that was noted), and what time it is.
    measured_at: str | None = None
    judged_at: str | None = None
    # The champion's training data against the challenger's.
    drift: Drift | None = None
    # The challenger's training data against what arrives now.
    latest: LatestBatch | None = None
    # Targets no candidate could be fitted for, with the reason; there may be none.
    untrained: Mapping[str, str] | None = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What one gate found, before it has a name."""

    outcome: Outcome
    found: str
    wanted: str
    reason: str


def pass_if(good: bool, found: str, wanted: str, reason: str = "") -> Answer:
    """Answer *pass* or *fail*."""
    return Answer("pass" if good else "fail", found, wanted, reason)


def missing(wanted: str, reason: str) -> Answer:
    """Answer *fail*, because what was to be looked at is not there."""
    return Answer("fail", "nothing", wanted, reason)


def ordered(interval: Interval) -> bool:
    """Say whether an interval is made of numbers, in order."""
    numbers = (interval.low, interval.value, interval.high)
    return all(math.isfinite(number) for number in numbers) and interval.low <= interval.high
