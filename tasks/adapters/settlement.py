"""What a question comes to, written into the ledger: a promotion, or that it was rejected, held, or answered by nobody.

Whether a person is asked, and whether what they said counts, is said elsewhere; here it is carried out, once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks.adapters import approvers, decisions, dossiers, ledger, line, requests
from tasks.adapters.decisions import Weighed
from tasks.adapters.policies import BREAK_GLASS, Policy
from tasks.adapters.signing import Signer, Trust
from tasks.adapters.store import Store
from tasks.core import gates
from tasks.core.break_glass import may_be_overridden
from tasks.core.decisions import listed, moment
from tasks.core.dossier import Dossier
from tasks.core.rollback import checked_reason
from tasks.core.run import RunStatus
from tasks.core.values import Entry, EntryKind
from tasks.errors import BadRequest, HomeDamaged

SERVICE = "service"
# Entries that answer a question. A rollback, a review or a repair names its dossier too, and answers none.
ANSWERS = frozenset({"promotion", "rejection", "hold", "expiry"})

# What ends a question for good, whatever is said to it afterwards.
ENDED: Mapping[EntryKind, RunStatus] = {"rejection": "rejected", "expiry": "not promoted"}


@dataclass(frozen=True)
class Settlement:
    """How a question stands, why, and the promotion it led to, if it did."""

    status: RunStatus
    because: str
    entry: Entry | None = None


def asks_a_person(dossier: Dossier, policy: Policy) -> bool:
    """Say whether a person decides: never on what failed, unless the glass is broken and nothing firm forbids it."""
    if policy.automatic:
        return False
    return may_be_overridden(dossier) if dossier.break_glass else dossier.recommendation != "reject"


def settle(
    store: Store,
    signer: Signer,
    trust: Trust,
    dossier: Dossier,
    policy: Policy,
    now: datetime,
    publish: Callable[[], object] = bool,
) -> Settlement:
    """Carry out what the gates or, where they are asked, people say to *dossier*.

    *publish* is called right before anything is let out, and what it raises prevents that. Raises LedgerMoved if
    another was first, NotTrusted if the dossier's nonce was used up by another.
    """
    if asks_a_person(dossier, policy):
        weighed = decisions.weigh(store, dossier, decisions.rules(dossier, trust), now)
        return _answered(store, signer, trust, dossier, policy, weighed, now, publish)
    if not gates.let_out(dossier.verdicts, policy):
        return Settlement("not promoted", dossier.because)
    draft = _draft(dossier, "promotion", f"policy {dossier.ring}", dossier.because, now)
    return _let_out(store, signer, trust, dossier, draft, dossier.because, publish)


def expire(store: Store, signer: Signer, trust: Trust, workload: str, ring: str, now: datetime) -> tuple[Dossier, ...]:
    """End what nobody answered in time, never as approved, and return it; what was let out meanwhile is left alone."""
    late = [each for each in requests.open_requests(store, trust, workload, ring) if is_late(each, now)]
    let_out = {entry.evidence for entry in ledger.read(store, workload) if entry.kind == "promotion"} if late else set()
    ended = tuple(each for each in late if each.digest not in let_out)
    for each in ended:
        reason = f"asked at {each.requested_at}, it was not decided by {each.expires_at}"
        entry = _note(store, signer, trust, _draft(each, "expiry", SERVICE, reason, now))
        at = now.isoformat(timespec="seconds")
        requests.close_request(store, signer, trust, each, "expired", at=at, number=entry.number)
    return ended


def noted(store: Store, dossier: Dossier) -> int:
    """Return the number of the newest ledger entry that answers *dossier*, 0 if there is none."""
    return max((each.number for each in _answers(store, dossier)), default=0)


def _answers(store: Store, dossier: Dossier, trust: Trust | None = None) -> tuple[Entry, ...]:
    entries = ledger.read(store, dossier.workload, trust)
    return tuple(each for each in entries if each.evidence == dossier.digest and each.kind in ANSWERS)


def review(store: Store, signer: Signer, trust: Trust, workload: str, number: int, *, by: str, reason: str) -> Entry:
    """Record that *by* looked at the entry by which the glass was broken; raises BadRequest where that cannot be.

    Nobody reviews what they asked for or signed themselves, and nobody whom approvers.yaml does not list.
    """
    said = checked_reason(reason)
    entries = {each.number: each for each in ledger.read(store, workload, trust)}
    broken = entries.get(number)
    if broken is None or broken.kind != "promotion" or not broken.decided_by.startswith(BREAK_GLASS):
        flagged = [each.number for each in entries.values() if each.decided_by.startswith(BREAK_GLASS)]
        raise BadRequest(
            f"entry {number} of {workload} did not break the glass, so there is nothing to review; those that did: "
            f"{', '.join(map(str, flagged)) or 'none'}"
        )
    dossier = dossiers.read(store, broken.evidence)
    signed = {_name(each) for each in broken.decided_by.removeprefix(f"{BREAK_GLASS} by ").split(", ")}
    if by.casefold() in signed | {dossier.requested_by.casefold()}:
        raise BadRequest(f"{by} asked for entry {number} of {workload} or signed it: somebody else reviews it")
    if listed(by, people := approvers.load()) is None:
        names = ", ".join(each.name for each in people) or "nobody"
        raise BadRequest(f"{by!r} is no approver, and a review is an approver's: approvers.yaml lists {names}")
    draft = _draft(dossier, "review", by, said, datetime.now(UTC))
    return _note(store, signer, trust, draft)


def _name(signed: str) -> str:
    return signed.partition(" (")[0].casefold()


def _answered(
    store: Store,
    signer: Signer,
    trust: Trust,
    dossier: Dossier,
    policy: Policy,
    weighed: Weighed,
    now: datetime,
    publish: Callable[[], object],
) -> Settlement:
    settled, by = weighed.settled, weighed.decided_by
    if settled.state == "greenlit":
        if ended := _ended(store, trust, dossier, weighed):
            return ended
        decisions.spend(store, dossier, settled.by)
        who = f"{BREAK_GLASS} by {by}" if dossier.break_glass else by
        draft = _draft(dossier, "promotion", who, settled.reason, now, weighed)
        return _let_out(store, signer, trust, dossier, draft, settled.sentence, publish)
    if settled.state == "rejected":
        _note(store, signer, trust, _draft(dossier, "rejection", by, settled.reason, now, weighed))
        return Settlement("rejected", settled.sentence)
    if settled.state == "held":
        _note(store, signer, trust, _draft(dossier, "hold", by, settled.reason, now, weighed))
    return Settlement("waiting", f"{settled.sentence}; {_how(dossier, policy)}")


def _let_out(
    store: Store,
    signer: Signer,
    trust: Trust,
    dossier: Dossier,
    draft: Entry,
    because: str,
    publish: Callable[[], object],
) -> Settlement:
    """Append *draft*, unless the line was stopped since the gates looked; what is out already is found again."""
    stopped = line.running(store, trust, dossier.workload)
    if stopped is not None and not any(each.kind == "promotion" for each in _answers(store, dossier)):
        return Settlement("not promoted", stopped.sentence)
    publish()
    return Settlement("promoted", because, ledger.append(store, signer, draft, dossier.champion.number))


def _ended(store: Store, trust: Trust, dossier: Dossier, weighed: Weighed) -> Settlement | None:
    """Return how the ledger has ended the question already: whoever reaches the store can delete what was said there.

    Raises HomeDamaged where a hold that the ledger has is gone from the store.
    """
    for entry in _answers(store, dossier, trust):
        if entry.kind in ENDED:
            said = f"{entry.kind} by {entry.decided_by}: {entry.reason} (ledger entry {entry.number}); ask anew"
            return Settlement(ENDED[entry.kind], said)
        gone = set(entry.decisions) - weighed.recorded if entry.kind == "hold" else ()
        if gone:
            raise HomeDamaged(
                f"{dossier.workload} {dossier.version} in {dossier.ring} was held by {entry.decided_by} (ledger entry "
                f"{entry.number}), but {len(gone)} of the {len(entry.decisions)} decisions that held it were removed "
                "from the store: restore them from a backup, or reject it and ask anew; nothing is promoted meanwhile"
            )
    return None


def _how(dossier: Dossier, policy: Policy) -> str:
    doubts = "" if dossier.recommendation == "greenlight" else f", because {dossier.because.rstrip('.')}"
    return (
        f"recommended is {dossier.recommendation}{doubts}; {' or '.join(policy.roles) or 'anybody but who asked'} "
        f"decides until {dossier.expires_at} with: greenlight approve {dossier.workload} --ring {dossier.ring} "
        f'--version {dossier.version} --reason "…" (or hold, or reject)'
    )


def _note(store: Store, signer: Signer, trust: Trust, draft: Entry) -> Entry:
    """Append what changes nothing that serves."""
    champion = ledger.champion(store, draft.workload, draft.ring, trust)
    return ledger.append(store, signer, draft, ledger.number_of(champion))


def is_late(dossier: Dossier, now: datetime) -> bool:
    """Say whether nobody can answer any more, whoever has noticed."""
    return bool(dossier.expires_at) and moment(dossier.expires_at) <= now


def _draft(
    dossier: Dossier, kind: EntryKind, decided_by: str, reason: str, now: datetime, weighed: Weighed | None = None
) -> Entry:
    return Entry(
        workload=dossier.workload,
        number=0,
        kind=kind,
        ring=dossier.ring,
        version=dossier.version,
        manifest_digest=dossier.manifest,
        serves=dossier.serves,
        evidence=dossier.digest,
        policy=dossier.policy,
        decided_by=decided_by,
        reason=reason,
        at=now.isoformat(timespec="seconds"),
        previous="",
        run_key=dossier.run_key,
        decisions=tuple(each.digest for each in weighed.told) if weighed else (),
    )
