"""The gates a bundle passes as a whole: contract, quarantine, rows, leakage, rehearsal, completeness, its ring's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import fields

from tasks.core.gates.case import Answer, Case, Policy, missing, pass_if
from tasks.core.gates.ring import RING_GATES
from tasks.core.values import Evaluation
from tasks.workloads.spec import Gate

BundleGate = Callable[[Case, Gate, Policy], Answer]


def _contract(case: Case, gate: Gate, policy: Policy) -> Answer:
    if case.contracted is None or not case.contracted.results:
        return missing("every critical rule of the table holds", "the contract was not checked")
    broken = [
        each
        for each in case.contracted.results
        if each.kind == "table" and each.severity == "critical" and not each.passed
    ]
    reason = "; ".join(f"{each.rule}: {each.reason} ({each.observed})" for each in broken)
    return pass_if(not broken, f"{len(broken)} broken", "0 critical rules of the table broken", reason)


def _quarantine(case: Case, gate: Gate, policy: Policy) -> Answer:
    wanted = f"at most {gate.max_quarantine_share:.1%} of the rows"
    if case.contracted is None:
        return missing(wanted, "nobody counted the quarantined rows")
    rows_in, accepted, out = (
        case.contracted.rows_in,
        case.contracted.rows_accepted,
        case.contracted.rows_quarantined,
    )
    if rows_in <= 0 or rows_in != accepted + out:
        return Answer("fail", f"{rows_in} in, {accepted} accepted, {out} quarantined", wanted, "rows do not add up")
    share = out / rows_in
    return pass_if(share <= gate.max_quarantine_share, f"{share:.1%}: {out} of {rows_in}", wanted)


def _rows(case: Case, gate: Gate, policy: Policy) -> Answer:
    wanted = f"at least {gate.min_rows} rows"
    if case.training_rows is None:
        return missing(wanted, "nobody counted the training rows")
    return pass_if(case.training_rows >= gate.min_rows, f"{case.training_rows} rows", wanted)


def _leakage(case: Case, gate: Gate, policy: Policy) -> Answer:
    wanted = "no feature that is its target in disguise"
    if case.leaks is None:
        return missing(wanted, "nobody looked for leaks")
    if case.measured_for is None:
        return missing(wanted, "nobody said how closely was looked for leaks")
    for name in ("leak_r2", "leak_multiple_share"):
        looked, asked = getattr(case.measured_for, name), getattr(gate, name)
        if looked > asked:
            reason = f"leaks were looked for above a {name} of {looked:g}, and the policy asks for {asked:g}"
            return Answer("fail", f"{name} {looked:g}", wanted, f"{reason}; retrain for this ring")
    return pass_if(not case.leaks, f"{len(case.leaks)} found", wanted, "; ".join(case.leaks))


def _rehearsed(case: Case, gate: Gate, policy: Policy) -> Answer:
    done, wanted = case.rehearsal, "loads in a clean process and predicts the golden sample again"
    if done is None or case.version is None:
        return missing(wanted, "the bundle was not rehearsed")
    if done.version != case.version:
        return Answer("fail", f"a rehearsal of {done.version}", wanted, f"not of {case.version}")
    if not done.loaded or done.rows <= 0:
        return Answer("fail", f"{done.rows} rows predicted", wanted, done.reason or "the bundle did not load")
    if done.other_versions:
        reason = "it was made with other libraries than are installed; install those of requirements.lock, or retrain"
        return Answer("fail", done.other_versions, "the libraries it was made with", reason)
    wanted = f"every prediction within {done.tolerance:g} of the golden one"
    found = f"at most {done.largest_difference:.2g} off over {done.rows} rows"
    same = 0 <= done.largest_difference <= done.tolerance < math.inf
    return pass_if(same, found, wanted, done.reason)


def _complete(case: Case, gate: Gate, policy: Policy) -> Answer:
    wanted = "all evidence, and a model in the bundle for each evaluated target"
    absent = [each.name for each in fields(case) if getattr(case, each.name) is None]
    if absent:
        return missing(wanted, f"missing: {', '.join(absent)}")
    strange = sorted({each.target for each in case.evaluations or ()} - set(case.targets or ()))
    modelless = sorted(each.target for each in case.evaluations or () if not _has_model(case, each))
    reason = "; ".join(
        [f"{name} is no target of the workload" for name in strange]
        + [f"the model of {name} is not in the bundle" for name in modelless]
    )
    return pass_if(not reason and bool(case.targets), f"{len(strange) + len(modelless)} gaps", wanted, reason)


def _has_model(case: Case, evaluation: Evaluation) -> bool:
    folder = evaluation.model.rstrip("/") + "/"
    return any(path == evaluation.model or path.startswith(folder) for path in case.files or ())


BUNDLE_GATES: Mapping[str, BundleGate] = {
    "contract": _contract,
    "quarantine share": _quarantine,
    "enough rows": _rows,
    "leakage": _leakage,
    "bundle rehearsed": _rehearsed,
    "evidence complete": _complete,
    **RING_GATES,
}
