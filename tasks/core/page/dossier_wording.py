"""What a dossier says in words: the question, the recommended answer and why, and how to give it.

Marks and layout belong to ``dossier`` and ``templates/``.
"""

from __future__ import annotations

from collections.abc import Mapping

from tasks.core.decisions import Wants
from tasks.core.dossier import Dossier
from tasks.core.gates import Recommendation
from tasks.core.page.sheet import Asking, Came, Sheet
from tasks.core.page.wording import as_moments
from tasks.core.values import Outcome, Verdict

ANSWERS: Mapping[Recommendation, str] = {"greenlight": "Greenlight it", "hold": "Hold it", "reject": "Reject it"}
TONES: Mapping[Recommendation, str] = {"greenlight": "good", "hold": "unsure", "reject": "bad"}
MISSED: Mapping[Outcome, str] = {"fail": "fail", "inconclusive": "are inconclusive", "pass": "pass"}


def question(dossier: Dossier) -> str:
    """Return what is asked, in one sentence."""
    if not dossier.champion.version:
        return f"Shall {dossier.workload} {dossier.version} be the first model to serve in {dossier.ring}?"
    if dossier.champion.version == dossier.version:
        return f"Shall {dossier.workload} {dossier.version} go on serving in {dossier.ring}?"
    return f"Shall {dossier.workload} {dossier.version} replace {dossier.champion.version} in {dossier.ring}?"


def answer(dossier: Dossier) -> str:
    """Return the recommended answer and why, in one sentence."""
    word, given = ANSWERS[dossier.recommendation], dossier.verdicts
    missed = [each for each in given if each.outcome != "pass"]
    if not missed:
        return f"{word}: all {len(given)} verdicts pass."
    told = " and ".join(filter(None, (_missed(given, "fail"), _missed(given, "inconclusive"))))
    if dossier.recommendation == "greenlight":
        return f"{word} for {', '.join(dossier.serves)}: what keeps other targets back does not touch these; {told}."
    ground = "nothing failed, but a person has to judge a doubt" if dossier.recommendation == "hold" else "it failed"
    return f"{word}: {ground}; {told}."


def what_a_greenlight_does(dossier: Dossier) -> str:
    """Say what comes of a greenlight."""
    if not dossier.serves:
        return "There is no target a greenlight could let out."
    return f"A greenlight lets {', '.join(dossier.serves)} of {dossier.version} serve in {dossier.ring}."


def decided(came: Came) -> str:
    """Say what has come of the request; empty while it is open."""
    if came.state == "open":
        return ""
    entry = f" as ledger entry {came.number}" if came.number else ""
    return as_moments(f"This was answered: {came.state}{entry}, {came.at}. The page shows what it was answered on.")


def summary(sheet: Sheet) -> tuple[tuple[str, str], ...]:
    """Return what is asked about in a few facts: which models, asked by whom, to be answered by whom until when."""
    dossier, champion = sheet.dossier, sheet.dossier.champion
    number = f"{dossier.semantic_version}, " if dossier.semantic_version else ""
    return (
        ("challenger", f"{number}{dossier.version}"),
        ("champion", f"{champion.version}, ledger entry {champion.number}" if champion.version else "none yet"),
        ("asked", as_moments(f"by {_asker(dossier)}, {dossier.requested_at}")),
        ("who may answer", by_whom(sheet.asking)),
        ("answers count", until(dossier)),
    )


def who_decides(sheet: Sheet) -> str:
    """Say who must decide in this ring."""
    asking, ring = sheet.asking, sheet.dossier.ring
    if asking.automatic:
        return (
            f"The policy of {ring} asks nobody: what passes every gate is let out at once, anything else is not. A "
            "person's answer can be given all the same."
        )
    many = "One person" if asking.approvals == 1 else f"{asking.approvals} different people"
    roles = f" with the role {' or '.join(asking.roles)}" if asking.roles else ""
    proof = ", each with a signature" if asking.signature else ""
    return f"{many}{roles} must greenlight it{proof}; whoever asked for it ({_asker(sheet.dossier)}) may not."


def by_whom(asking: Asking) -> str:
    """Name those who may."""
    if asking.people:
        return ", ".join(asking.people)
    return "nobody in approvers.yaml may" if asking.signature or asking.roles else "anybody, by name"


def until(dossier: Dossier) -> str:
    """Say until when an answer counts."""
    if not dossier.expires_at:
        return "as long as it is open"
    return as_moments(f"until {dossier.expires_at}, then it ends as expired")


def commands(dossier: Dossier, wants: Wants) -> tuple[str, ...]:
    """Return the command of each answer, to be copied."""
    words = ("approve", "hold", "reject", *(("sign",) if wants.signature else ()))
    which = f"{dossier.workload} --ring {dossier.ring} --version {dossier.version}"
    return tuple(f'greenlight {word} {which} --reason "why"' for word in words)


def _asker(dossier: Dossier) -> str:
    return dossier.requested_by or "nobody"


def _missed(verdicts: tuple[Verdict, ...], outcome: Outcome) -> str:
    """Name the gates of *outcome* with their targets; empty if there are none."""
    by_gate: dict[str, list[str]] = {}
    for each in verdicts:
        if each.outcome == outcome:
            by_gate.setdefault(each.gate, []).append(each.target)
    if not by_gate:
        return ""
    named = (f"{gate} ({', '.join(targets)})" if any(targets) else gate for gate, targets in by_gate.items())
    count = sum(map(len, by_gate.values()))
    verb = MISSED[outcome] if count > 1 else {"fail": "fails", "inconclusive": "is inconclusive"}[outcome]
    return f"{count} of {len(verdicts)} verdicts {verb}: {', '.join(named)}"
