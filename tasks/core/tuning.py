"""Tuning: how much of it is wanted, where a candidate's parameters may be looked for, and how one proposal is judged.

A proposal is judged on the exercises every candidate takes, so on the training part alone. Who proposes, remembers and
watches the clock is an adapter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from tasks.core import metrics
from tasks.core.digests import digest_of
from tasks.core.encoding import numbers
from tasks.core.estimators import algorithm
from tasks.core.learners.lesson import Device
from tasks.core.scales import label_unit
from tasks.core.training import Exercise, answers, in_unit, scorecard, training_rows
from tasks.workloads.spans import Span
from tasks.workloads.spec import Candidate, Target, Workload

MOST_TRIALS, MOST_SECONDS = 1_000, 7 * 86_400
# One line per trial of a study. ``mae`` is in the target's unit, null unless the trial came to its end.
TRIALS: Mapping[str, type[pl.DataType]] = {
    "trial": pl.Int64,
    "state": pl.String,
    "params": pl.String,
    "mae": pl.Float64,
    "reason": pl.String,
}


class Tuning(BaseModel):
    """How long better parameters than the declared ones are looked for; both 0: not at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int = Field(
        default=0,
        ge=0,
        le=MOST_TRIALS,
        description="how many sets of parameters are tried per candidate and target; 0: as many as the seconds allow",
    )
    seconds: float = Field(
        default=0,
        ge=0,
        le=MOST_SECONDS,
        description="how many seconds of trying in all, shared evenly by candidates and targets; 0: no limit",
    )

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.trials or self.seconds)

    def share(self, spec: Workload) -> Tuning:
        """Return what one candidate may spend on one target."""
        studies = len(spec.candidates) * len(spec.targets)
        return Tuning(trials=self.trials or MOST_TRIALS, seconds=self.seconds / studies)


OFF = Tuning()


# Told, after each fold but the last, its number and the mean error so far; that is on the learned scale, because the
# correction to the target's unit needs all folds.
GoesOn = Callable[[int, float], bool]
# Judges parameters; None if it was not to go on.
Judge = Callable[[Mapping[str, float], GoesOn], float | None]


@dataclass(frozen=True)
class Space:
    """Where to look: a span per parameter, and the value each has as declared, which lies within."""

    spans: Mapping[str, Span]
    declared: Mapping[str, float]


def space(candidate: Candidate) -> Space:
    """Return where to look for *candidate*: its algorithm's spans and its own, stretched to hold what it declares."""
    spans = {**algorithm(candidate.algorithm).search, **candidate.search}
    said = {name: candidate.params.get(name, span.usual) for name, span in spans.items()}
    declared = {name: value for name, value in said.items() if value is not None}
    held = {
        name: replace(spans[name], low=min(spans[name].low, value), high=max(spans[name].high, value))
        for name, value in declared.items()
    }
    return Space(held, declared)


def with_params(candidate: Candidate, found: Mapping[str, float]) -> Candidate:
    """Return *candidate* with the parameters that were *found*."""
    return replace(candidate, params={**candidate.params, **found})


def seed(spec: Workload, target: Target, candidate: Candidate, trial: int) -> int:
    """Return the seed of a proposal: its place alone decides, so a study that was broken off goes on the same."""
    return int(digest_of([spec.holdout.seed, target.name, candidate.algorithm, trial])[:8], 16)


def judge_of(
    spec: Workload,
    rows: pl.DataFrame,
    target: Target,
    candidate: Candidate,
    exercises: Sequence[Exercise],
    device: Device = "cpu",
) -> Judge:
    """Return what judges parameters of *candidate* by the number candidates are chosen by: MAE in cross-validation."""
    unit = label_unit(target, numbers(training_rows(spec, rows, target)[target.column]))

    def judge(found: Mapping[str, float], goes_on: GoesOn) -> float | None:
        tried, parts = with_params(candidate, found), []
        for step, part in enumerate(answers(exercises, tried, target, 1, device)):
            parts.append(part)
            if step + 1 < len(exercises) and not goes_on(step, _error(parts, target)):
                return None
        return scorecard(target, tried, in_unit(pl.concat(parts), target, unit)).mae

    return judge


def _error(parts: Sequence[pl.DataFrame], target: Target) -> float:
    found = pl.concat(part.select("link_actual", "link") for part in parts)
    return metrics.mae(found["link_actual"].to_numpy(), found["link"].to_numpy(), chance=target.is_chance)
