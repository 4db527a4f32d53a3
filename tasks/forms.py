"""The form of a promote run that waits: it is suspended with a question, no worker held, and its answers are recorded.

An answer is told, never trusted: whether it counts is judged by the decisions in the store. A run that is resumed with
nothing, or set going by hand, finds no answer here and asks again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from prefect import State, runtime
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRunInput
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Completed
from pydantic import Field, ValidationError, create_model

from tasks import workloads
from tasks.adapters import decisions, policies, requests, settlement
from tasks.adapters.home import root, signer, store
from tasks.adapters.policies import Policy
from tasks.adapters.signing import trusted_keys
from tasks.core.decisions import Decision, Kind, moment
from tasks.core.dossier import Dossier
from tasks.core.run import Promotion
from tasks.core.values import Verdict
from tasks.patience import patient

DIGITS = 16
KEY = re.compile(rf"(?:suspended-)?([0-9a-f]{{{DIGITS}}})-(\d{{1,9}})(?:-(schema|description|response))?")
MOST_INPUTS = 10_000


@dataclass(frozen=True)
class Turns:
    """What this run has asked about a dossier: under which number last, and what it was answered, in order."""

    last: int
    answers: tuple[FlowRunInput, ...]


class Answer(RunInput):
    """What a person fills in; nothing that could pass for a greenlight is filled in already."""

    decision: Kind = Field(description="what you say")
    approver: str = Field(description="who you are, as approvers.yaml has it", min_length=2)
    reason: str = Field(description="why, in a sentence: it is what the history says in a year")
    token: str = Field(default="", description="what greenlight sign printed, where the ring asks for a signature")


@patient(name="take answers on {dossier.workload} {dossier.version}")
def take_answers(dossier: Dossier) -> tuple[str, ...]:
    """Record what this run's forms were answered with; return why the last answer does not count, if it does not."""
    refused: tuple[str, ...] = ()
    for said, at in _answers(dossier):
        refused = _taken(dossier, said, at)
    return refused


@patient(name="end what nobody answered for {workload}")
def end_unanswered(workload: str, ring: str) -> Dossier | None:
    """Return what this run asked last if nobody answered it in time, and end that as expired, never as approved.

    The server fails a run that waited too long; an automation has it go on once more, for this.
    """
    keys = [key for key in map(KEY.fullmatch, (each.key for each in _kept())) if key] if runtime.deployment.id else []
    if not keys:
        return None
    trust = trusted_keys(root() / "keys")
    settlement.expire(store(), signer(), trust, workload, ring, datetime.now(UTC))
    ended = requests.closed_requests(store(), trust, workload, ring)
    asked = next((each for each in ended if _short(each) == keys[-1][1]), None)
    closed = requests.closed_request(store(), trust, asked) if asked else None
    return asked if closed and closed.outcome == "expired" else None


def nobody_answered(dossier: Dossier) -> State[Promotion]:
    """Return the state of a run that ends so: an outcome, not an error."""
    said = (
        f"nobody decided on {dossier.workload} {dossier.version} in {dossier.ring} by {dossier.expires_at}: it is "
        f"closed as expired, nothing was let out; to ask anew: greenlight promote {dossier.workload} --to-ring "
        f"{dossier.ring} --version {dossier.version}"
    )
    return Completed(name="Expired", message=said)


def wait_for_a_person(dossier: Dossier, promotion: Promotion, refused: tuple[str, ...]) -> None:
    """Suspend the run until its form is answered or the request has expired; a run of no deployment just goes on."""
    if not runtime.deployment.id:
        return
    seconds = int((moment(dossier.expires_at) - datetime.now(UTC)).total_seconds())
    key = f"{_short(dossier)}-{_turns(dossier).last + 1}"
    policy = policies.asked_under(workloads.get(dossier.workload), dossier)
    suspend_flow_run(wait_for_input=_form(dossier, promotion, policy, refused), timeout=max(1, seconds), key=key)


def is_about(key: str | None, dossier: Dossier) -> bool:
    """Say whether the form of *key* asks about *dossier*."""
    found = KEY.fullmatch(key or "")
    return found is not None and found[1] == _short(dossier)


def question(dossier: Dossier, promotion: Promotion, refused: tuple[str, ...]) -> str:
    """Return what stands above the form, as Markdown: the question, why it is asked (again), every verdict."""
    lines = [f"# Shall {dossier.workload} {dossier.version} serve in {dossier.ring}?", ""]
    if refused:
        lines += ["**The last answer does not count:**", "", *(f"- {each}" for each in refused), ""]
    lines += [
        promotion.because,
        "",
        f"The page: {promotion.page}",
        "",
        "| verdict | gate | found |",
        "|-|-|-|",
    ]
    # Prefect's form is narrow and shows few rows at a time: what speaks against it comes first.
    lines += [_row(verdict) for verdict in sorted(dossier.verdicts, key=lambda each: each.outcome == "pass")]
    return "\n".join(lines)


def _form(dossier: Dossier, promotion: Promotion, policy: Policy, refused: tuple[str, ...]) -> type[Answer]:
    """Return the form with the ring's lengths; Prefect's own way to fill in a form drops what it was to check."""
    least = policy.min_reason_characters
    reason = Field(description=Answer.model_fields["reason"].description, min_length=least)
    made: dict[str, Any] = {
        "decision": (Kind, Field(default="hold", description=Answer.model_fields["decision"].description)),
        "reason": (str, reason),
    }
    if policy.wants.signature:
        made["token"] = (str, Field(description=Answer.model_fields["token"].description, min_length=10))
    form = create_model("Answer", __base__=Answer, **made)
    form._description = question(dossier, promotion, refused)
    return form


def _row(verdict: Verdict) -> str:
    cells = (verdict.outcome, f"{verdict.gate}: {verdict.target}".removesuffix(": "), verdict.found)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _taken(dossier: Dossier, said: Answer, at: datetime) -> tuple[str, ...]:
    token = "".join(said.token.split())
    rules = decisions.rules(dossier, trusted_keys(root() / "keys"))
    claim = Decision(
        kind=said.decision,
        workload=dossier.workload,
        ring=dossier.ring,
        version=dossier.version,
        dossier=dossier.digest,
        nonce=dossier.nonce,
        approver=said.approver.strip(),
        reason=" ".join(said.reason.split()),
        at=at.astimezone(UTC).isoformat(timespec="seconds"),
        expires_at=dossier.expires_at,
    )
    now = datetime.now(UTC)
    meant = decisions.judged(store(), dossier, token, rules, now).decision if token else None
    if meant is not None and _name(meant) != _name(claim):
        return (
            f"the form says {claim.kind} by {claim.approver}, its token {meant.kind} by {meant.approver}: say the same "
            "in both",
        )
    return decisions.submit(store(), signer(), dossier, token or claim, rules, now)


def _name(decision: Decision) -> tuple[str, str]:
    return decision.kind, decision.approver.casefold()


def _answers(dossier: Dossier) -> Iterator[tuple[Answer, datetime]]:
    """Yield what the forms of this run were answered with, and when; a form that was not answered is left out."""
    for each in _turns(dossier).answers:
        try:
            yield Answer(**each.decoded_value), each.created or datetime.now(UTC)
        except (ValidationError, TypeError):
            # Put there past the form, by whoever may call the API: no answer.
            continue


def _turns(dossier: Dossier) -> Turns:
    """Return what this run has asked about *dossier*: a run that is retried still has its forms, but forgot their keys.

    A form is kept only after its key: of a run that was killed in between, the key alone tells.
    """
    if not runtime.deployment.id:
        return Turns(0, ())
    with get_client(sync_client=True) as client:
        fired = client.read_flow_run(runtime.flow_run.id).empirical_policy.pause_keys or ()
    kept = {each.key: each for each in _kept()}
    mine = [key for key in map(KEY.fullmatch, (*kept, *fired)) if key and key[1] == _short(dossier)]
    answered = sorted((int(key[2]), key[0]) for key in mine if key[3] == "response")
    return Turns(max((int(key[2]) for key in mine), default=0), tuple(kept[name] for _, name in answered))


def _kept() -> list[FlowRunInput]:
    """Return this run's forms and their answers, oldest first."""
    run = runtime.flow_run.id
    with get_client(sync_client=True) as client:
        return client.filter_flow_run_input(run, key_prefix="suspended-", limit=MOST_INPUTS, exclude_keys=set())


def _short(dossier: Dossier) -> str:
    return dossier.digest[:DIGITS]
