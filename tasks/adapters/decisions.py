"""The decisions on a dossier, in the store: recorded once, read back, judged again every time somebody acts on them.

A recorded decision is a signed token, or a claimed name sealed by the service. Whether it counts is said by the core,
each time anew: a key that was removed meanwhile, or an hour that has passed, counts against it. Nothing promotes here.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from tasks import workloads
from tasks.adapters import approvers, dossiers, policies, tokens
from tasks.adapters.signing import Signer, Trust, seal, unseal
from tasks.adapters.store import Store, read_bytes
from tasks.core import decisions as core
from tasks.core.decisions import Approver, Decision, Kind, Settled, State, Wants
from tasks.core.digests import canonical_json, digest_of_bytes
from tasks.core.dossier import Dossier
from tasks.errors import AlreadyExists, BadRequest, HomeDamaged, NotTrusted

CLAIM = "greenlight.claim/1"
# What was said where a matter has come to a state.
SAID: Mapping[State, Kind] = {"waiting": "greenlight", "greenlit": "greenlight", "held": "hold", "rejected": "reject"}
# Long enough that two decisions of one person never share a name; short enough to be read out.
DIGITS = 16


@dataclass(frozen=True)
class Rules:
    """What decisions are judged by: who may decide, what the ring's policy wants, and whose claims were really ours."""

    approvers: tuple[Approver, ...]
    wants: Wants
    trust: Trust


@dataclass(frozen=True)
class Told:
    """A decision somebody told us: the key that signed it (empty: a claimed name), and why it does not count, if so.

    ``digest`` is that of the recorded object, empty where it was not recorded; ``lapsed`` says that it was refused for
    nothing but its own hour being over.
    """

    decision: Decision | None
    signed_by: str
    refused: tuple[str, ...]
    digest: str = ""
    lapsed: bool = False

    @property
    def verified(self) -> bool:
        """Whether its author is proven by a signature."""
        return bool(self.signed_by)


@dataclass(frozen=True)
class Weighed:
    """What the decisions that count come to, those that made it so, and the digests of all that are recorded."""

    settled: Settled
    told: tuple[Told, ...]
    recorded: frozenset[str]

    @property
    def decided_by(self) -> str:
        """Who it was, each with the fingerprint of their key."""
        named = {each.decision.approver: each.signed_by or "unverified" for each in self.told if each.decision}
        return ", ".join(f"{name} ({key})" for name, key in named.items())


def rules(dossier: Dossier, trust: Trust) -> Rules:
    """Return what decisions on *dossier* are judged by, as the list of approvers is now; raises BadRequest as
    ``policies.asked_under`` does.
    """
    policy = policies.asked_under(workloads.get(dossier.workload), dossier)
    return Rules(approvers.load(), policy.wants, trust)


def submit(
    store: Store, signer: Signer, dossier: Dossier, said: str | Decision, rules: Rules, now: datetime
) -> tuple[str, ...]:
    """Record a token, or a decision nobody signed, if it counts on *dossier*; return every reason why it does not."""
    told = judged(store, dossier, said, rules, now)
    if told.decision is not None and not told.refused:
        record(store, signer, told.decision, token=said if isinstance(said, str) else "")
    return told.refused


def judged(store: Store, dossier: Dossier, said: str | Decision, rules: Rules, now: datetime) -> Told:
    """Return what a token, or a decision nobody signed, comes to on *dossier*, without recording it."""
    return _judged(store, dossier, said, rules, now, spent_on(store, dossier.nonce))


def record(store: Store, signer: Signer, decision: Decision, *, token: str = "") -> str:
    """Keep a decision under the dossier it names, once however often it is told; return its key.

    Without a *token* it is a claim, which the service seals: nobody who only reaches the store can add one.
    """
    raw = canonical_json({"token": "".join(token.split())}) if token else seal(signer, CLAIM, {"decision": decision})
    name = re.sub(r"[^a-z0-9._@-]", "-", decision.approver.casefold())[:64]
    key = f"{_folder(decision.dossier)}{name}-{digest_of_bytes(raw)[:DIGITS]}.json"
    with contextlib.suppress(AlreadyExists):
        store.put(key, raw, if_absent=True)
    return key


def decisions_on(store: Store, dossier: Dossier, rules: Rules, now: datetime) -> tuple[Told, ...]:
    """Return every decision recorded on *dossier*, with the reasons why it does not count."""
    spent = spent_on(store, dossier.nonce)
    return tuple(_read(store, key, dossier, rules, now, spent) for key in store.list(_folder(dossier.digest)))


def settle(store: Store, dossier: Dossier, rules: Rules, now: datetime) -> Settled:
    """Return what the recorded decisions that count come to; a claim stands back where its owner has signed."""
    return weigh(store, dossier, rules, now).settled


def weigh(store: Store, dossier: Dossier, rules: Rules, now: datetime) -> Weighed:
    """Return what ``settle`` does, with the decisions that made it so."""
    found = decisions_on(store, dossier, rules, now)
    told = [each for each in found if each.decision and (each.lapsed or not each.refused)]
    proven = {each.decision.approver.casefold() for each in told if each.decision and each.verified}
    standing = {
        each.decision: each
        for each in told
        if each.decision and (each.verified or each.decision.approver.casefold() not in proven)
    }
    counting = {said: each for said, each in standing.items() if not each.lapsed}
    settled = core.settled(counting, rules.wants, [said for said, each in standing.items() if each.lapsed])
    made = [each for said, each in counting.items() if said.approver in settled.by and said.kind == SAID[settled.state]]
    return Weighed(settled, tuple(made), frozenset(each.digest for each in found))


def spend(store: Store, dossier: Dossier, approvers: Sequence[str]) -> None:
    """Use up the dossier's nonce; a killed run finds its own again, and any other dossier gets NotTrusted."""
    try:
        body = canonical_json({"dossier": dossier.digest, "approvers": list(approvers)})
        store.put(_nonce_key(dossier.nonce), body, if_absent=True)
    except AlreadyExists as error:
        if spent_on(store, dossier.nonce) != dossier.digest:
            raise NotTrusted(
                f"{dossier.workload} in {dossier.ring}: the nonce of this request was used up by another dossier, "
                f"{spent_on(store, dossier.nonce)[:12]}…: an approval is used once; run promote again to ask anew"
            ) from error


def spent_on(store: Store, nonce: str) -> str:
    """Return the digest of the dossier that used up *nonce*, empty if none did."""
    key = _nonce_key(nonce)
    if store.head(key) is None:
        return ""
    try:
        return str(json.loads(read_bytes(store, key))["dossier"])
    except (ValueError, KeyError, TypeError) as error:
        raise HomeDamaged(f"{key} is garbled: restore it from a backup, nothing is promoted meanwhile") from error


def _read(store: Store, key: str, dossier: Dossier, rules: Rules, now: datetime, spent: str) -> Told:
    raw = read_bytes(store, key)
    try:
        content = json.loads(raw)
        claim = "" if "token" in content else unseal(rules.trust, CLAIM, raw, key).get("decision")
        said = str(content["token"]) if "token" in content else tokens.parsed(claim, key)
        return replace(_judged(store, dossier, said, rules, now, spent), digest=digest_of_bytes(raw))
    except (ValueError, TypeError, HomeDamaged, NotTrusted, BadRequest) as error:
        return Told(None, "", (f"{key} is no decision: {error}",))


def _judged(store: Store, dossier: Dossier, said: str | Decision, rules: Rules, now: datetime, spent: str) -> Told:
    try:
        signed = tokens.read(said, rules.approvers) if isinstance(said, str) else tokens.SignedDecision(said, "")
    except (BadRequest, NotTrusted) as error:
        return Told(None, "", (str(error),))
    why_not = partial(
        core.refusals,
        dossier=dossier,
        approvers=rules.approvers,
        wants=rules.wants,
        now=now,
        signed_by=signed.fingerprint,
        decided_on=_decided_on(store, signed.decision, dossier),
        spent_on=spent,
    )
    refused = why_not(signed.decision)
    lapsed = bool(refused) and not why_not(replace(signed.decision, expires_at=""))
    return Told(signed.decision, signed.fingerprint, refused, lapsed=lapsed)


def _decided_on(store: Store, decision: Decision, dossier: Dossier) -> Dossier | None:
    """Return the other dossier a decision was made on, so that a person is told what differs; None if it is gone."""
    if decision.dossier == dossier.digest:
        return None
    with contextlib.suppress(HomeDamaged, BadRequest):
        return dossiers.read(store, decision.dossier)
    return None


def _folder(digest: str) -> str:
    return f"decisions/{digest[:DIGITS]}/"


def _nonce_key(nonce: str) -> str:
    return f"nonces/{nonce}"
