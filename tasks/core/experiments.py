"""Two versions side by side on real decisions: who is in which arm, how many are wanted, and what may be said when.

Pure: entities and sums of outcomes come in. A person may look after every batch: the interval here is a confidence
sequence, which holds at all looks at once. Records and outcomes belong to the adapters; nothing here promotes anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.splitting import hash_shares
from tasks.core.values import Interval
from tasks.errors import BadRequest

Better = Literal["higher", "lower"]
Verdict = Literal["treatment", "control", "no such effect", "inconclusive", "go on", "unbalanced"]

CONTROL, TREATMENT = "control", "treatment"
SHARE = 0.5
# Below it in either arm the estimated variance is too rough for a limit theorem, and nothing is said.
UNITS_LEAST = 100
# Arms that differ in size beyond this chance are not the arms that were drawn: something loses outcomes of one of them.
UNBALANCED_ALPHA = 0.001


@dataclass(frozen=True)
class Experiment:
    """What was started: which versions, in which ring, and what is to be found out with which certainty.

    ``effect`` and ``sd`` are in the outcome's unit; ``planned`` counts the entities of both arms together.
    """

    workload: str
    ring: str
    number: int
    control: str
    treatment: str
    effect: float
    sd: float
    alpha: float
    power: float
    better: Better
    planned: int
    reason: str
    by: str
    at: str

    @property
    def name(self) -> str:
        """What it is called, and what salts its arms: no other experiment has it."""
        return f"{self.number}-{self.workload}-{self.ring}"


@dataclass(frozen=True)
class Moments:
    """The outcomes of one arm: how many entities, their mean and variance."""

    units: int
    mean: float
    variance: float


@dataclass(frozen=True)
class Analysis:
    """What may be said at this look; ``lift`` is treatment − control, None while there are too few to say.

    ``relative`` is the lift as a share of the control's mean, ``sentence`` what a person is to make of it.
    """

    control: Moments
    treatment: Moments
    lift: Interval | None
    relative: float | None
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Conclusion:
    """An experiment's end: the last look, on which outcomes (by digest), by whom and why. Evidence, no decision."""

    number: int
    analysis: Analysis
    outcomes: str
    by: str
    reason: str
    at: str


def arms(entities: pl.Series, experiment: str) -> pl.Series:
    """Return the arm of each row: by a hash of its entity and the experiment's name, in any process the same."""
    treated = hash_shares(entities, f"arm of {experiment}") < SHARE
    return pl.Series("arm", np.where(treated, TREATMENT, CONTROL))


def planned_units(effect: float, sd: float, alpha: float, power: float) -> int:
    """Return how many entities, both arms together, find *effect* with *power* at the last look or before.

    The textbook's n = (2·sd·(z + z_power) / effect)² for two equal arms (Lachin 1981), with the multiplier of the
    confidence sequence in the place of z. Raises BadRequest for numbers that make no plan.
    """
    found = (effect, sd, alpha, power)
    if not (all(map(math.isfinite, found)) and effect > 0 and sd > 0 and 0 < alpha <= 0.5 and 0.5 <= power < 1):
        raise BadRequest(
            f"no plan comes of effect {effect:g}, sd {sd:g}, alpha {alpha:g}, power {power:g}: wanted are effect and "
            "sd above 0, alpha above 0 and up to 0.5, power from 0.5 to below 1"
        )
    at_planned = multiplier(1, 1, alpha)
    units = (2 * sd * (at_planned + NormalDist().inv_cdf(power)) / effect) ** 2
    return max(math.ceil(units), 2 * UNITS_LEAST)


def multiplier(units: int, planned: int, alpha: float) -> float:
    """Return the half-width of the confidence sequence after *units*, in standard errors; tightest about *planned*.

    Asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2024, Ann. Statist. 52: theorem 2.2
    and its choice of ρ), whose boundary is Robbins' normal mixture (Howard, Ramdas, McAuliffe & Sekhon 2021, eq. 14).
    """
    spread = -2 * math.log(alpha)
    v = units * (spread + math.log(spread + 1)) / planned
    return math.sqrt(2 * (v + 1) / v * math.log(math.sqrt(v + 1) / alpha))


def lift(control: Moments, treatment: Moments, planned: int, alpha: float) -> Interval | None:
    """Return treatment − control with an interval that holds at every look at once; None while there are too few."""
    if min(control.units, treatment.units) < UNITS_LEAST:
        return None
    error = math.sqrt(control.variance / control.units + treatment.variance / treatment.units)
    half = multiplier(control.units + treatment.units, planned, alpha) * error
    found = treatment.mean - control.mean
    return Interval(found, found - half, found + half)


def moments(outcomes: npt.NDArray[np.float64]) -> Moments:
    """Return the moments of one arm's outcomes."""
    known = outcomes.size > 1
    return Moments(
        int(outcomes.size),
        float(outcomes.mean()) if outcomes.size else 0.0,
        float(outcomes.var(ddof=1)) if known else 0.0,
    )


def analyse(experiment: Experiment, control: Moments, treatment: Moments) -> Analysis:
    """Say what may be said of the outcomes so far."""
    found = lift(control, treatment, experiment.planned, experiment.alpha)
    verdict = _verdict(experiment, control.units, treatment.units, found)
    relative = found.value / abs(control.mean) if found is not None and control.mean else None
    return Analysis(
        control, treatment, found, relative, verdict, _sentence(experiment, verdict, control.units + treatment.units)
    )


def is_unbalanced(control: int, treatment: int, planned: int) -> bool:
    """Say whether the arms differ more in size than chance explains, at whichever look (each unit is a fair coin)."""
    units = control + treatment
    apart = abs(treatment - control) / math.sqrt(units) if units else 0.0
    return units >= 2 * UNITS_LEAST and apart > multiplier(units, planned, UNBALANCED_ALPHA)


def _verdict(experiment: Experiment, control: int, treatment: int, found: Interval | None) -> Verdict:
    if is_unbalanced(control, treatment, experiment.planned):
        return "unbalanced"
    if found is None:
        return "go on"
    if found.low > 0 or found.high < 0:
        return "treatment" if (found.low > 0) == (experiment.better == "higher") else "control"
    if max(-found.low, found.high) < experiment.effect:
        return "no such effect"
    return "inconclusive" if control + treatment >= experiment.planned else "go on"


def _sentence(experiment: Experiment, verdict: Verdict, units: int) -> str:
    certainty = f"{1 - experiment.alpha:.0%}"
    said: dict[Verdict, str] = {
        "treatment": f"{experiment.treatment} does better than {experiment.control} ({certainty}, at any look); "
        "promoting it is for whoever decides",
        "control": f"{experiment.control} does better than {experiment.treatment} ({certainty}, at any look); keep it",
        "no such effect": f"they differ by less than {experiment.effect:g} ({certainty}, at any look); keep what "
        "serves",
        "inconclusive": f"the {experiment.planned:,} planned entities show no difference and do not rule one of "
        f"{experiment.effect:g} out; go on, or conclude without an answer",
        "go on": f"nothing can be said yet, after {units:,} of {experiment.planned:,} planned entities",
        "unbalanced": "one arm lost outcomes of which the other kept theirs; believe nothing of it and find out why",
    }
    return said[verdict]


def standing(experiments: Sequence[Experiment], concluded: Sequence[Conclusion]) -> Experiment | None:
    """Return the one that runs, if one does."""
    ended = {each.number for each in concluded}
    return next((each for each in experiments if each.number not in ended), None)
