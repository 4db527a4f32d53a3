"""Which decisions on a dossier count, and what they come to: greenlights, holds and rejects by named people.

Pure: who signed is told by the tokens, who may decide by the list of approvers, how many by the ring's policy. Nothing
here reads a clock, and nothing promotes: a greenlight only lets the gates' verdict through.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Literal, get_args

from tasks.core.dossier import Dossier

Kind = Literal["greenlight", "hold", "reject"]
State = Literal["waiting", "greenlit", "held", "rejected"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Of two decisions one person dated alike the more careful one stands: the dates have whole seconds.
CARE: Mapping[str, int] = {"greenlight": 0, "hold": 1, "reject": 2}
# How far an approver's clock may be ahead of ours. A decision dated next year could never be withdrawn.
AHEAD = timedelta(minutes=5)
# What people call the parts of a dossier; a part that is not named here is called as it is spelt.
PARTS: Mapping[str, str] = {
    "version": "the candidate",
    "manifest": "the bundle",
    "snapshot": "the data",
    "definitions": "the feature definitions",
    "rollback": "the rollback target",
    "rehearsal": "the rehearsal",
    "nonce": "the request (opened again since)",
}


@dataclass(frozen=True)
class Decision:
    """What one person says to one dossier (its digest), why, and until when that holds.

    Times are ISO 8601; an empty ``expires_at`` means as long as the request is open.
    """

    kind: Kind
    workload: str
    ring: str
    version: str
    dossier: str
    nonce: str
    approver: str
    reason: str
    at: str
    expires_at: str


@dataclass(frozen=True)
class Approver:
    """Somebody who may decide: an OpenSSH public key, its fingerprint, and the last day it counts."""

    name: str
    roles: tuple[str, ...]
    key: str
    fingerprint: str
    expires: date | None = None


@dataclass(frozen=True)
class Wants:
    """What a ring's policy asks of decisions; without roles any approver will do."""

    signature: bool
    approvals: int = 1
    roles: tuple[str, ...] = ()
    min_reason: int = 1


@dataclass(frozen=True)
class Settled:
    """What the decisions that count come to: ``by`` whom, for what ``reason`` in their words.

    ``missing`` is how many greenlights are wanted still.
    """

    state: State
    by: tuple[str, ...]
    missing: int
    reason: str

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        names = ", ".join(self.by) or "nobody yet"
        if self.state == "waiting":
            return f"waiting for {counted(self.missing, 'more approval')}; greenlit by {names}"
        return f"{self.state} by {names}: {self.reason}"


def refusals(
    decision: Decision,
    dossier: Dossier,
    *,
    approvers: Sequence[Approver],
    wants: Wants,
    now: datetime,
    signed_by: str = "",
    decided_on: Dossier | None = None,
    spent_on: str = "",
) -> tuple[str, ...]:
    """Return every reason why *decision* does not count on *dossier*, a sentence each; empty means it counts.

    *signed_by* is the fingerprint of the key whose signature was verified, empty for a claimed name; *decided_on* the
    dossier whose digest the decision bears, where it is still known; *spent_on* the dossier that used up the nonce.
    """
    return (
        *_of_the_person(decision, dossier, approvers, wants, now, signed_by),
        *_of_the_question(decision, dossier, decided_on, spent_on),
        *_of_the_time(decision, dossier, now),
        *_of_the_words(decision, wants),
    )


def settled(decisions: Iterable[Decision], wants: Wants, lapsed: Collection[Decision] = ()) -> Settled:
    """Return what *decisions*, all of which count, come to together; *lapsed* would count, were their hour not over.

    One reject ends the matter. Otherwise what somebody said last is what they say: a hold stands until its author
    greenlights later. Whose last word has lapsed says nothing: what it took back does not come back. With no hold left,
    as many different people must have greenlit as the policy wants.
    """
    said = tuple(decisions)
    last: dict[str, Decision] = {}
    for each in sorted((*said, *lapsed), key=lambda one: (moment(one.at), CARE[one.kind])):
        last[each.approver.casefold()] = each
    rejects = [each for each in said if each.kind == "reject"]
    standing = [each for each in last.values() if each not in lapsed]
    holds = [each for each in standing if each.kind == "hold"]
    lets = [each for each in standing if each.kind == "greenlight"]
    missing = max(1, wants.approvals) - len(lets)
    if rejects or holds:
        return _settled("rejected" if rejects else "held", rejects or holds, 0)
    return _settled("waiting" if missing > 0 else "greenlit", lets, max(0, missing))


def differences(one: Dossier, other: Dossier) -> tuple[str, ...]:
    """Name what differs between two dossiers, in the words of people."""
    return named(each.name for each in fields(Dossier) if getattr(one, each.name) != getattr(other, each.name))


def named(parts: Iterable[str]) -> tuple[str, ...]:
    """Return fields of a dossier in the words of people."""
    return tuple(PARTS.get(name, f"the {name.replace('_', ' ')}") for name in parts)


def moment(text: str) -> datetime:
    """Return the moment an ISO 8601 text names, UTC where it names no zone; raises ValueError if it names none."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def counted(number: int, what: str) -> str:
    """Return "1 approval", "2 approvals"."""
    return f"{number} {what}{'' if number == 1 else 's'}"


def listed(name: str, approvers: Iterable[Approver]) -> Approver | None:
    """Return the approver of that name, in any case of letters."""
    return next((each for each in approvers if each.name.casefold() == name.casefold()), None)


def _of_the_person(
    decision: Decision,
    dossier: Dossier,
    approvers: Sequence[Approver],
    wants: Wants,
    now: datetime,
    signed_by: str,
) -> Iterator[str]:
    name, known = decision.approver, listed(decision.approver, approvers)
    if wants.signature and not signed_by:
        yield (
            f"{dossier.ring} asks for a signature and {name!r} is only a claimed name: sign with greenlight approve "
            "or paste a token made by greenlight sign"
        )
    if known is None and (signed_by or wants.signature or wants.roles):
        names = ", ".join(each.name for each in approvers) or "nobody"
        yield f"{name!r} is no approver: approvers.yaml lists {names}"
    if known is not None and signed_by:
        yield from _of_the_key(known, signed_by, now)
    if known is not None and wants.roles and not set(known.roles) & set(wants.roles):
        yield f"{name} has the role {', '.join(known.roles)}; {dossier.ring} wants {' or '.join(wants.roles)}"
    if name.casefold() == dossier.requested_by.casefold():
        yield f"{name} asked for this promotion and may not decide on it: let somebody else decide"


def _of_the_key(known: Approver, signed_by: str, now: datetime) -> Iterator[str]:
    if known.fingerprint != signed_by:
        yield (
            f"it is signed by the key {signed_by}, but approvers.yaml lists {known.fingerprint} for {known.name}: "
            "the key was replaced since, or is somebody else's"
        )
    elif known.expires is not None and known.expires < now.astimezone(UTC).date():
        yield f"the key of {known.name} expired on {known.expires}: list a new one in approvers.yaml"


def _of_the_question(decision: Decision, dossier: Dossier, decided_on: Dossier | None, spent_on: str) -> Iterator[str]:
    if decision.kind not in KINDS:
        yield f"{decision.kind!r} is no decision: say {', '.join(KINDS)}"
    for word in ("workload", "ring", "version"):
        if getattr(decision, word) != getattr(dossier, word):
            yield f"it is for the {word} {getattr(decision, word)}, asked is {getattr(dossier, word)}"
    if decision.dossier != dossier.digest:
        changed = ", ".join(differences(decided_on, dossier)) if decided_on else "which part is no longer known"
        yield (
            f"it was made on the dossier {decision.dossier[:12]}…, asked is {dossier.digest[:12]}…; "
            f"what differs: {changed}. Read the dossier again and decide anew"
        )
    elif decision.nonce != dossier.nonce:
        yield "its nonce is not the one of the dossier it names: it was put together by hand"
    if spent_on and spent_on != dossier.digest:
        yield f"its nonce was used up by the dossier {spent_on[:12]}…: an approval is used once"


def _of_the_time(decision: Decision, dossier: Dossier, now: datetime) -> Iterator[str]:
    try:
        if moment(decision.at) - now > AHEAD:
            yield f"it is dated {decision.at}, and now is {now.isoformat(timespec='seconds')}: set the clock right"
        if _over(decision.expires_at, now):
            yield f"it expired at {decision.expires_at}: decide anew"
        if _over(dossier.expires_at, now):
            yield f"the request expired at {dossier.expires_at}: run promote again to ask anew"
    except ValueError as error:
        yield f"one of its times cannot be read: {error}"


def _over(expires_at: str, now: datetime) -> bool:
    return bool(expires_at) and moment(expires_at) <= now


def _of_the_words(decision: Decision, wants: Wants) -> Iterator[str]:
    reason = " ".join(decision.reason.split())
    if len(reason) < wants.min_reason:
        wanted = counted(wants.min_reason, "character")
        yield f"its reason has {counted(len(reason), 'character')}, wanted at least {wanted}: say why"
    if not reason.isprintable() or not decision.approver.isprintable():
        yield "its reason or name holds characters that cannot be printed: write it in plain text"


def _settled(state: State, by: Sequence[Decision], missing: int) -> Settled:
    ordered = sorted(by, key=lambda one: (moment(one.at), one.approver))
    return Settled(
        state,
        tuple(dict.fromkeys(each.approver for each in ordered)),
        missing,
        "; ".join(dict.fromkeys(" ".join(each.reason.split()) for each in ordered)),
    )
