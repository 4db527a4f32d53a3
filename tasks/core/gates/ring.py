"""The gates of the ring itself: the way there, the way back, the age of what is decided on, and the data beneath it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from tasks.core.drift import ROWS_LEAST, Drift
from tasks.core.gates.case import Answer, Case, Policy, Rehearsal, missing, pass_if
from tasks.workloads.spec import Gate

RingGate = Callable[[Case, Gate, Policy], Answer]
MOST_NAMED = 5
SECONDS_PER_HOUR = 3600


def _line(case: Case, gate: Gate, policy: Policy) -> Answer:
    wanted = "a line that nobody has stopped"
    if case.stopped is None:
        return missing(wanted, "nobody looked whether the line runs")
    return pass_if(not case.stopped, "stopped" if case.stopped else "running", wanted, case.stopped)


def _passed_before(case: Case, gate: Gate, policy: Policy) -> Answer:
    wanted = f"let out in {policy.after} before, and not rolled back from there" if policy.after else "no ring before"
    if case.stands_in is None:
        return missing(wanted, "nobody looked which rings it has passed")
    if not policy.after:
        return Answer("pass", "the first ring", wanted, "")
    found = ", ".join(case.stands_in) or "no ring"
    return pass_if(policy.after in case.stands_in, f"stands in {found}", wanted, "")


def _not_rolled_back(case: Case, gate: Gate, policy: Policy) -> Answer:
    """What somebody took back is let out again by a person, who knows what has changed since, and never by itself."""
    wanted = f"not rolled back from in {policy.ring}"
    if case.rolled_back is None:
        return missing(wanted, "nobody looked whether it was rolled back from")
    if not case.rolled_back:
        return Answer("pass", "never, or let out again since", wanted, "")
    return Answer("fail" if policy.automatic else "inconclusive", "rolled back from", wanted, case.rolled_back)


def _soaked(case: Case, gate: Gate, policy: Policy) -> Answer:
    wanted = f"{policy.soak_cycles or 'no'} clean shadow cycles in a row"
    if case.shadow is None:
        return missing(wanted, "nobody counted its shadow cycles")
    needed = max(policy.soak_cycles, case.shadow.needed)
    found = f"{case.shadow.clean} of {needed} shadow cycles clean" if needed else f"{case.shadow.clean} clean"
    if case.shadow.clean < needed:
        return Answer("fail", f"{found}: greenlight score --ring {policy.after} makes one", wanted, "")
    return Answer("pass", found, wanted, "")


def _way_back(case: Case, gate: Gate, policy: Policy) -> Answer:
    hours = policy.max_rehearsal_age_hours
    wanted = f"rehearsed within {hours} hours" if hours else "no rehearsal asked for"
    if case.incumbent is None:
        return missing(wanted, "nobody looked which champion serves")
    if not case.incumbent.version:
        return Answer("pass", "nothing to go back to", wanted, "no champion yet")
    if case.rollback is None:
        return missing(wanted, "nobody rehearsed the rollback")
    problem = _unfit(case.rollback, case.incumbent.version)
    if problem:
        return Answer("fail" if hours else "pass", "it does not work", wanted, problem)
    found = f"{case.rollback.version} repeats its golden sample of {case.rollback.rows} rows"
    if not hours:
        return Answer("pass", found, wanted, case.rollback.other_versions)
    return _of_age(found, case.rollback.at, case.judged_at, hours, wanted, case.rollback.other_versions)


def _unfit(done: Rehearsal, version: str) -> str:
    """Say why a rehearsal of *version* does not count; empty if it does."""
    if done.version != version:
        return f"a rehearsal of {done.version or 'nothing'}, not of {version}"
    if not done.loaded or done.rows <= 0:
        return done.reason or "the bundle did not load"
    if not 0 <= done.largest_difference <= done.tolerance < math.inf:
        return f"its predictions are {done.largest_difference:.2g} off the golden ones"
    return ""


def _fresh(case: Case, gate: Gate, policy: Policy) -> Answer:
    hours = policy.max_evidence_age_hours
    wanted = f"measured within {hours} hours" if hours else "measured at any time"
    if case.measured_at is None:
        return missing(wanted, "nobody looked when the evidence was measured")
    if not hours:
        return Answer("pass", "any age will do", wanted, "")
    if not case.measured_at:
        return Answer("fail", "no date", wanted, "nobody noted when it was measured; retrain")
    return _of_age(f"measured at {case.measured_at}", case.measured_at, case.judged_at, hours, wanted)


def _of_age(found: str, at: str, now: str | None, hours: int, wanted: str, reason: str = "") -> Answer:
    """Answer by the age of *at*; a time that is no time, or lies in the future, is a fail."""
    if now is None:
        return missing(wanted, "nobody said what time it is")
    try:
        age = (datetime.fromisoformat(now) - datetime.fromisoformat(at)).total_seconds() / SECONDS_PER_HOUR
    except (ValueError, TypeError):
        return Answer("fail", f"at {at!r}", wanted, "that is no time")
    if age < 0:
        return Answer("fail", found, wanted, f"{at} lies in the future")
    return pass_if(age <= hours, found, wanted, reason if age <= hours else f"it is {age:.0f} hours old")


def _inputs(case: Case, gate: Gate, policy: Policy) -> Answer:
    """Hold back what learned from other data than the champion, or than what arrives now: a person looks first."""
    wanted = f"at most {gate.max_drifted_share:.0%} of the columns unlike the champion's rows, or the latest batch"
    if case.incumbent is not None and not case.incumbent.version:
        return Answer("pass", "nothing to compare with", wanted, "no champion yet")
    if case.drift is None or case.latest is None:
        return missing(wanted, "nobody compared the data")
    learned = _alike(case.drift, "the champion's rows", gate, wanted)
    if not case.latest.number:
        return replace(learned, found=f"{learned.found}; no batch was monitored")
    arrived = _alike(case.latest.drift, f"batch {case.latest.number}", gate, wanted)
    return Answer(
        "pass" if learned.outcome == arrived.outcome == "pass" else "inconclusive",
        f"{learned.found}; {arrived.found}",
        wanted,
        "; ".join(each.reason for each in (learned, arrived) if each.reason),
    )


def _alike(drift: Drift, beside: str, gate: Gate, wanted: str) -> Answer:
    if not drift.columns:
        reason = drift.reason or f"it shares no column with {beside}"
        return Answer("inconclusive", f"{beside} could not be compared", wanted, reason)
    found = f"{drift.share:.0%} of {drift.columns} columns unlike {beside}"
    if drift.rows < ROWS_LEAST:
        return Answer("inconclusive", found, wanted, f"{drift.rows} rows show little, wanted {ROWS_LEAST}")
    named = [f"{each.column} ({each.what}: {each.change:.2g})" for each in drift.drifted[:MOST_NAMED]]
    more = ["…"] if len(drift.drifted) > MOST_NAMED else []
    return Answer(
        "pass" if drift.share <= gate.max_drifted_share else "inconclusive", found, wanted, ", ".join(named + more)
    )


RING_GATES: Mapping[str, RingGate] = {
    "line running": _line,
    "passed the ring before": _passed_before,
    "not rolled back from": _not_rolled_back,
    "soak": _soaked,
    "rollback rehearsed": _way_back,
    "age of the evidence": _fresh,
    "input drift": _inputs,
}
