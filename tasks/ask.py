"""Ask: open the request that a decision answers, find the one that was answered already, and close it at the end."""

from __future__ import annotations

import logging
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tasks import workloads
from tasks.adapters import dossiers, ledger, policies, requests, settlement
from tasks.adapters.bundles import read_manifest
from tasks.adapters.home import root, signer, store
from tasks.adapters.requests import Outcome
from tasks.adapters.signing import trusted_keys
from tasks.core import decisions
from tasks.core.break_glass import broken
from tasks.core.dossier import Dossier, changes
from tasks.core.rollback import checked_reason
from tasks.core.run import Hearing, Promotion
from tasks.errors import BadRequest
from tasks.patience import patient
from tasks.stages import stage

logger = logging.getLogger(__name__)


@patient(name="recall {hearing.workload} {hearing.version}")
def recall(hearing: Hearing) -> Dossier | None:
    """Return what the challenger was let out on where it is the champion already: it is not judged against itself."""
    if hearing.champion is None or not hearing.serves_already:
        return None
    return dossiers.read(store(), hearing.champion.evidence)


@patient(name="ask about {hearing.workload} {hearing.version}")
def ask(hearing: Hearing, question: Dossier) -> Dossier:
    """Open the request, or find the one a run has left open; either is what will be decided on."""
    with stage(hearing, "open request") as told:
        now, trust = datetime.now(UTC), trusted_keys(root() / "keys")
        expired = settlement.expire(store(), signer(), trust, hearing.workload, hearing.ring, now)
        draft = _draft(hearing, question, now)
        dossier = _standing(draft) or requests.open_request(store(), signer(), trust, draft)
        number = ledger.number_of(hearing.champion)
        closed = requests.settle(store(), signer(), trust, dossier, number, at=_now())
        _tell_changes(closed, dossier)
        told.reused = dossier.nonce != draft.nonce
        told.note = f"{dossier.recommendation} is recommended on {dossier.digest[:12]}" + (
            f"; {len(closed) + len(expired)} older requests closed" if closed or expired else ""
        )
    return dossier


@patient(name="close request of {hearing.workload} {hearing.version}")
def close(hearing: Hearing, dossier: Dossier, promotion: Promotion) -> None:
    """Say what came of the request, last of all: whatever is not done by then, a rerun finds open and does again."""
    with stage(hearing, "close request") as told:
        outcome, trust = _outcome(dossier, promotion), trusted_keys(root() / "keys")
        if outcome is None or not requests.is_open(store(), trust, dossier):
            told.note = "closed before" if outcome else "it waits for a person's decision"
            return
        number = settlement.noted(store(), dossier)
        requests.close_request(store(), signer(), trust, dossier, outcome, at=_now(), number=number)
        serving = ledger.number_of(promotion.entry) or dossier.champion.number
        requests.settle(store(), signer(), trust, dossier, serving, at=_now())
        told.note = outcome


def _draft(hearing: Hearing, question: Dossier, now: datetime) -> Dossier:
    spec = workloads.get(hearing.workload)
    if policies.load(hearing.ring).breaks_glass:
        raise BadRequest(
            f"{hearing.ring} is no ring: name the ring {hearing.version} is to be let out in, and say why the glass is "
            'to be broken: greenlight promote … --break-glass "…"'
        )
    policy = policies.of(spec, hearing.ring)
    if hearing.break_glass:
        policy = policies.breaking_glass(spec, hearing.ring)
        reason = checked_reason(hearing.break_glass, policy.min_reason_characters)
        targets = read_manifest(store(), trusted_keys(root() / "keys"), hearing.workload, hearing.version).targets
        question = broken(question, reason, policy.digest, targets)
    until = "" if policy.automatic else (now + timedelta(hours=policy.expires_hours)).isoformat(timespec="seconds")
    return replace(question, requested_at=now.isoformat(timespec="seconds"), expires_at=until, nonce=uuid.uuid4().hex)


def _standing(draft: Dossier) -> Dossier | None:
    """Return the open request that asks the same, however its verdicts are worded by now."""
    waiting = requests.open_requests(store(), trusted_keys(root() / "keys"), draft.workload, draft.ring)
    return next((each for each in waiting if not changes(each, draft)), None)


def _tell_changes(closed: tuple[Dossier, ...], dossier: Dossier) -> None:
    for each in closed:
        if each.version == dossier.version and (changed := changes(each, dossier)):
            logger.warning(
                "%s %s in %s is asked anew, what was decided on %s counts no more; changed since: %s",
                dossier.workload,
                dossier.version,
                dossier.ring,
                each.digest[:12],
                ", ".join(decisions.named(changed)),
            )


def _outcome(dossier: Dossier, promotion: Promotion) -> Outcome | None:
    """Return what came of it, None if a person has to answer first."""
    if promotion.entry is not None:
        return "promoted" if promotion.entry.evidence == dossier.digest else "superseded"
    if promotion.status == "waiting":
        return None
    failed = promotion.status == "rejected" or dossier.recommendation == "reject"
    return "rejected" if failed else "held"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
