"""The gates each target passes on its own: against the baseline, by its intervals and chances, against the champion."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from tasks.core.comparison import ENTITIES_LEAST, Comparison, SliceComparison, Standing, standing
from tasks.core.gates.case import Answer, Case, Policy, missing, ordered
from tasks.core.intervals import UNITS_LEAST
from tasks.core.paired import Odds
from tasks.core.values import Evaluation, Interval, Outcome, Recalibration
from tasks.workloads.spec import Gate

# What it means that a factor is surely below or above 1.
WORDS_OF_OFF: Mapping[tuple[str, bool], str] = {
    ("odds", False): "too much was said",
    ("odds", True): "too little was said",
    ("slope", False): "too sure of itself",
    ("slope", True): "too timid",
}
TargetGate = Callable[[Case, str, Gate, Policy], Answer]
MOST_NAMED = 3
# What is worse beyond doubt fails; what is not shown to be good enough is for a person to judge.
STANDINGS: Mapping[Standing, Outcome] = {
    "better": "pass",
    "non_inferior": "pass",
    "worse": "fail",
    "inconclusive": "inconclusive",
}


def _beats_baseline(case: Case, target: str, gate: Gate, policy: Policy) -> Answer:
    wanted = f"skill above {gate.min_skill:g} with {gate.confidence:.0%} confidence"
    evaluation = _evaluation(case, target)
    if evaluation is None:
        return missing(wanted, _why_no_model(case, target))
    skill = evaluation.skill
    if not ordered(skill):
        return Answer("fail", _shown(skill), wanted, "the skill is no number")
    if unsure := _unsure(case, gate):
        return Answer("fail", _shown(skill), wanted, unsure)
    if evaluation.units is None:
        return missing(wanted, "nobody counted the units that its interval was drawn from; retrain")
    if evaluation.units < UNITS_LEAST:
        few = f"drawn from {evaluation.units} units (entities, blocks of time), at least {UNITS_LEAST} are wanted"
        return Answer("inconclusive", _shown(skill), wanted, few)
    outcome: Outcome = (
        "pass" if skill.low > gate.min_skill else "fail" if skill.high <= gate.min_skill else "inconclusive"
    )
    return Answer(outcome, _shown(skill), wanted, f"against the baseline {evaluation.baseline!r}")


def _explains(case: Case, target: str, gate: Gate, policy: Policy) -> Answer:
    wanted = f"R² of at least {gate.min_r2:g} on the holdout" if gate.min_r2 > 0 else "no R² is asked for"
    evaluation = _evaluation(case, target)
    if evaluation is None:
        return missing(wanted, _why_no_model(case, target))
    r2 = evaluation.r2
    if gate.min_r2 == 0:
        return Answer("pass", _shown(r2), wanted, "")
    if not ordered(r2) or not math.isfinite(gate.min_r2):
        return Answer("fail", _shown(r2), wanted, "the R² is no number")
    if unsure := _unsure(case, gate):
        return Answer("fail", _shown(r2), wanted, unsure)
    outcome: Outcome = "pass" if r2.value >= gate.min_r2 else "fail" if r2.high < gate.min_r2 else "inconclusive"
    return Answer(outcome, _shown(r2), wanted, "")


def _covers(case: Case, target: str, gate: Gate, policy: Policy) -> Answer:
    evaluation = _evaluation(case, target)
    if evaluation is None:
        return missing("prediction intervals that cover", _why_no_model(case, target))
    least = evaluation.coverage_wanted - policy.coverage_slack
    wanted = f"at least {least:.0%} of the holdout within its prediction interval"
    if not ordered(evaluation.coverage) or not math.isfinite(least):
        return Answer("fail", _shown(evaluation.coverage), wanted, "the coverage is no number")
    coverage = evaluation.coverage
    if unsure := _unsure(case, gate):
        return Answer("fail", _shown(coverage), wanted, unsure)
    outcome: Outcome = "pass" if coverage.value >= least else "fail" if coverage.high < least else "inconclusive"
    return Answer(outcome, _shown(coverage), wanted, "")


def _means_what_it_says(case: Case, target: str, gate: Gate, policy: Policy) -> Answer:
    most = gate.max_chance_factor
    wanted = f"odds and slope off by a factor of {most:.2f} at most, and surely by no more than {most**2:.2f}"
    if case.chances is None:
        return missing(wanted, "nobody said which targets are chances")
    other = target not in case.chances
    wanted = "nothing is asked of what is no chance" if other else wanted
    evaluation = _evaluation(case, target)
    if evaluation is None:
        return missing(wanted, _why_no_model(case, target))
    if other:
        return Answer("pass", "no chance", wanted, "")
    if evaluation.recalibration is None:
        return missing(wanted, "nobody looked whether its chances mean what they say; retrain")
    return recalibrated(evaluation.recalibration, most, wanted, _unsure(case, gate))


def recalibrated(known: Recalibration, most: float, wanted: str, unsure: str = "") -> Answer:
    """Fail what is surely off by more than *most*, pass what is surely off by no more than its square.

    *unsure* says what is wrong with the confidence of the intervals; empty if nothing is.
    """
    factors = {name: each for name, each in (("odds", known.odds), ("slope", known.slope)) if each is not None}
    found = ", ".join(f"{name} {_shown(each)}" for name, each in factors.items()) or "nothing"
    if not all(map(ordered, factors.values())) or not math.isfinite(most):
        return Answer("fail", found, wanted, "the odds or the slope are no number")
    if unsure:
        return Answer("fail", found, wanted, unsure)
    few = known.units < ENTITIES_LEAST
    off = [WORDS_OF_OFF[name, each.low > 1] for name, each in factors.items() if _beyond(each, most) and not few]
    near = len(factors) == 2 and not few and all(_within(each, most**2) for each in factors.values())
    outcome: Outcome = "fail" if off else "pass" if near else "inconclusive"
    told = [
        f"{known.said:.1%} was said and {known.came:.1%} came on average",
        f"{known.units} units that are drawn whole show little, wanted {ENTITIES_LEAST}" if few else "",
    ]
    return Answer(outcome, found, wanted, "; ".join(filter(None, (*off, *told, known.reason))))


def _beyond(factor: Interval, most: float) -> bool:
    return factor.high * most < 1 or factor.low > most


def _within(factor: Interval, most: float) -> bool:
    return factor.low * most >= 1 and factor.high <= most


def _not_worse(case: Case, target: str, gate: Gate, policy: Policy) -> Answer:
    margin = gate.non_inferiority_margin
    wanted = f"error at most {margin:.1%} above the champion's with {gate.confidence:.0%} confidence"
    if case.incumbent is None:
        return missing(wanted, "nobody looked which champion serves")
    if not case.incumbent.version:
        return Answer("pass", "nothing to compare with", wanted, "no champion yet")
    if target not in case.incumbent.serves:
        return Answer("pass", "nothing to compare with", wanted, "the champion does not serve this target")
    if case.incumbent.version == case.version:
        return Answer("pass", "it is the champion itself", wanted, "a rerun after its promotion changes nothing")
    found = _comparison(case, target)
    if found is None:
        return missing(wanted, f"there is no one comparison with the champion {case.incumbent.version}")
    return _standing(found, gate, wanted)


def _no_slice_worse(case: Case, target: str, gate: Gate, policy: Policy) -> Answer:
    wanted = f"no slice more than {gate.slice_margin:.0%} worse than under the champion"
    if case.incumbent is None:
        return missing(wanted, "nobody looked which champion serves")
    if target not in case.incumbent.serves or case.incumbent.version == case.version:
        return Answer("pass", "nothing to compare with", wanted, "")
    found = _comparison(case, target)
    if found is None or (found.slices is None and found.change is not None):
        return missing(wanted, f"there is no one comparison by slices with the champion {case.incumbent.version}")
    if found.slices is None:
        return Answer("inconclusive", "nothing could be compared", wanted, found.reason)
    if found.confidence < gate.confidence:
        return Answer("fail", "compared", wanted, f"the intervals have a confidence of {found.confidence:.0%} only")
    return _slices(found.slices, found.alpha, gate, wanted)


def _slices(slices: tuple[SliceComparison, ...], alpha: float, gate: Gate, wanted: str) -> Answer:
    """Fail for what is worse beyond doubt, ask a person about what looks so; slices of few rows decide nothing."""
    judged = [each for each in slices if each.judged]
    lax = [each for each in slices if not each.judged and each.rows >= gate.min_slice_rows]
    strange = [each for each in judged if not ordered(each.change) or not 0 <= each.p_worse <= 1]
    if strange:
        return Answer("fail", _listed(strange), wanted, "the comparison is no number")
    worse = [each for each in judged if each.p_worse <= alpha and each.change.value > gate.slice_margin]
    looks_worse = [each for each in (*judged, *lax) if each.change.value > gate.slice_margin]
    small = len(slices) - len(judged) - len(lax)
    reason = f"{small} slices have fewer than {gate.min_slice_rows} rows and decide nothing" if small else ""
    if worse:
        return Answer("fail", _listed(worse), wanted, reason)
    if looks_worse:
        return Answer(
            "inconclusive", _listed(looks_worse), wanted, "; ".join(filter(None, ("it may be chance", reason)))
        )
    return Answer("pass", f"none of {len(judged)}", wanted, reason)


def _listed(slices: Sequence[SliceComparison]) -> str:
    worst = sorted(slices, key=lambda each: (-each.change.value, each.slice, each.label))[:MOST_NAMED]
    said = ", ".join(f"{each.slice} {each.label} {each.change.value:+.0%} on {each.rows} rows" for each in worst)
    return said + (", …" if len(slices) > MOST_NAMED else "")


def _comparison(case: Case, target: str) -> Comparison | None:
    """Return the one comparison of *target* with the champion that serves; None if there is none or several."""
    found = [each for each in case.comparisons or () if each.target == target]
    same = case.incumbent is not None and len(found) == 1 and found[0].champion == case.incumbent.version
    return found[0] if same else None


def _standing(comparison: Comparison, gate: Gate, wanted: str) -> Answer:
    change = comparison.change
    reason = "; ".join(filter(None, (f"against the champion {comparison.champion}", comparison.reason)))
    if change is None:
        return Answer("inconclusive", "nothing could be compared", wanted, reason)
    found = f"{change.value:+.1%} [{change.low:+.1%}, {change.high:+.1%}] on {comparison.rows} rows"
    if not ordered(change) or comparison.rows <= 0:
        return Answer("fail", found, wanted, "the comparison is no number")
    if comparison.confidence < gate.confidence:
        return Answer("fail", found, wanted, f"the interval has a confidence of {comparison.confidence:.0%} only")
    outcome = STANDINGS[standing(change, gate.non_inferiority_margin)]
    return Answer(outcome, found, wanted, "; ".join(filter(None, (reason, _chances(comparison.odds)))))


def _chances(odds: Odds | None) -> str:
    """Say what the rule would have said on these rows of challengers whose truth is known."""
    if odds is None:
        return ""
    return (
        f"on these rows an equal challenger passes in {odds.equal_passes:.0%} and is called better in "
        f"{odds.false_better.value:.1%}, one {odds.regression:.0%} worse is called worse in {odds.detected:.0%}"
    )


def _evaluation(case: Case, target: str) -> Evaluation | None:
    found = [each for each in case.evaluations or () if each.target == target]
    return found[0] if len(found) == 1 else None


def _unsure(case: Case, gate: Gate) -> str:
    """Say what is wrong with the confidence of the evidence; empty if it is what the policy asks for."""
    if case.measured_for is None:
        return "nobody said with which confidence it was measured"
    found, wanted = case.measured_for.confidence, gate.confidence
    if found >= wanted:
        return ""
    return f"measured with {found:.4g} confidence, and the policy asks for {wanted:.4g}; retrain for this ring"


def _why_no_model(case: Case, target: str) -> str:
    why = (case.untrained or {}).get(target)
    return f"not trained: {why}" if why else "no model of this target was evaluated on the holdout"


def _shown(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


TARGET_GATES: Mapping[str, TargetGate] = {
    "beats the baseline": _beats_baseline,
    "explains enough": _explains,
    "interval coverage": _covers,
    "chances mean what they say": _means_what_it_says,
    "not worse than the champion": _not_worse,
    "no slice worse": _no_slice_worse,
}
