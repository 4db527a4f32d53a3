"""All gates as one table, what their verdicts let out, and what they recommend. How one gate looks is its own module's.

Whether a person must agree belongs to the ring's policy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import fields, replace
from typing import Any, Literal

from tasks.core.gates.bundle import BUNDLE_GATES
from tasks.core.gates.case import Answer, Case, Policy, missing
from tasks.core.gates.target import TARGET_GATES
from tasks.core.values import Outcome, Verdict
from tasks.errors import Misdeclared
from tasks.workloads.spec import Gate

Recommendation = Literal["greenlight", "hold", "reject"]
KEEPS_TARGETS = "keeps the champion's targets"
# Numbers of a Gate for which more is stricter; for all others less is.
STRICTER_UPWARDS = frozenset({"min_rows", "min_skill", "min_r2", "confidence"})


def judge(case: Case, gate: Gate, policy: Policy) -> tuple[Verdict, ...]:
    """Return the verdict of every gate, those of targets once per target; raises Misdeclared for a lax policy."""
    held_to = tightened(gate, policy)
    whole = [_verdict(name, ask(case, held_to, policy)) for name, ask in BUNDLE_GATES.items()]
    each = [
        _verdict(name, ask(case, target, held_to, policy), target)
        for target in _judged(case)
        for name, ask in TARGET_GATES.items()
    ]
    served, possible = serves(each, _judged(case)), serves(hopeful(each), _judged(case))
    kept = _verdict(KEEPS_TARGETS, _keeps_targets(case, served, possible))
    return (*whole, kept, *each)


def serves(verdicts: Iterable[Verdict], targets: Iterable[str]) -> tuple[str, ...]:
    """Return those of *targets* for which every gate of a target was asked and answered *pass*."""
    outcomes: dict[tuple[str, str], list[Outcome]] = {}
    for verdict in verdicts:
        outcomes.setdefault((verdict.target, verdict.gate), []).append(verdict.outcome)
    return tuple(
        target for target in targets if all(_passed(outcomes.get((target, name), [])) for name in TARGET_GATES)
    )


def promotable(verdicts: Iterable[Verdict]) -> bool:
    """Say whether every gate of the bundle was asked and passed, and at least one target may serve."""
    given = tuple(verdicts)
    targets = dict.fromkeys(verdict.target for verdict in given if verdict.target)
    whole = (
        [verdict.outcome for verdict in given if verdict.gate == name and not verdict.target]
        for name in (*BUNDLE_GATES, KEEPS_TARGETS)
    )
    return all(_passed(outcomes) for outcomes in whole) and bool(serves(given, targets))


def hopeful(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return *verdicts* as a person would leave them who accepts all that is inconclusive."""
    return tuple(replace(each, outcome="pass") if each.outcome == "inconclusive" else each for each in verdicts)


def recommend(verdicts: Iterable[Verdict]) -> Recommendation:
    """Recommend to greenlight what passed, to hold what only a doubt keeps back, to reject what failed."""
    given = tuple(verdicts)
    if promotable(given):
        return "greenlight"
    return "hold" if promotable(hopeful(given)) else "reject"


def on_greenlight(verdicts: Iterable[Verdict], targets: Iterable[str]) -> tuple[str, ...]:
    """Return the targets a greenlight lets out: those that passed and, where a doubt is to be judged, the doubtful."""
    given = tuple(verdicts)
    return serves(hopeful(given) if recommend(given) == "hold" else given, targets)


def tightened(gate: Gate, policy: Policy) -> Gate:
    """Return *gate* with the policy's numbers; raises Misdeclared if one is unknown or laxer than the workload's."""
    known = {each.name for each in fields(gate)}
    for name, number in policy.gate.items():
        if name not in known:
            raise Misdeclared(
                f"policy {policy.ring}: there is no gate number {name!r}; known: {', '.join(sorted(known))}"
            )
        declared = getattr(gate, name)
        laxer = number < declared if name in STRICTER_UPWARDS else number > declared
        if laxer or not math.isfinite(number):
            bound = "at least" if name in STRICTER_UPWARDS else "at most"
            raise Misdeclared(
                f"policy {policy.ring}: {name} is {number:g}, but the workload asks for {bound} {declared:g}; "
                "a policy may only tighten what a workload declares"
            )
    numbers: dict[str, Any] = {name: type(getattr(gate, name))(number) for name, number in policy.gate.items()}
    return replace(gate, **numbers)


def let_out(verdicts: Iterable[Verdict], policy: Policy) -> bool:
    """Say whether the policy lets a challenger with these verdicts out by itself, without a person's decision."""
    return policy.automatic and promotable(verdicts)


def because(verdicts: Iterable[Verdict], served: Iterable[str], policy: Policy) -> str:
    """Say in one sentence why a challenger was promoted, or what stood in its way."""
    given, out = tuple(verdicts), tuple(served)
    missed = [each for each in given if each.outcome != "pass"]
    told = "; ".join(
        f"{each.target + ': ' if each.target else ''}{each.gate} {each.outcome} ({each.found})" for each in missed
    )
    if not promotable(given):
        return told or "no target passed every gate"
    if not policy.automatic:
        return f"every gate passed, but the policy of {policy.ring} asks for a person's decision and there is none"
    return f"every gate of the bundle passed; serves {', '.join(out)}" + (f"; not served: {told}" if told else "")


def _keeps_targets(case: Case, served: tuple[str, ...], possible: tuple[str, ...]) -> Answer:
    if case.incumbent is None:
        return missing("every target the champion serves", "nobody looked which champion serves")
    wanted = ", ".join(case.incumbent.serves) or "no target yet"
    lost = [target for target in case.incumbent.serves if target not in served]
    outcome: Outcome = "pass" if not lost else "inconclusive" if set(lost) <= set(possible) else "fail"
    return Answer(outcome, ", ".join(served) or "none", wanted, f"would be lost: {', '.join(lost)}" if lost else "")


def _judged(case: Case) -> tuple[str, ...]:
    evaluated = tuple(each.target for each in case.evaluations or ())
    return tuple(dict.fromkeys((*(case.targets or ()), *evaluated)))


def _verdict(gate: str, answer: Answer, target: str = "") -> Verdict:
    return Verdict(gate, answer.outcome, answer.found, answer.wanted, answer.reason, target)


def _passed(outcomes: list[Outcome]) -> bool:
    return outcomes == ["pass"]
