"""What is asked of whoever decides: one signed request per question, kept until it is answered, and closed once.

``requests/<workload>/<ring>/<subject>-<attempt>.json`` holds the dossier; ``<the same>.closed.json`` what came of it. A
run that was killed finds its own question there again, so it ends in the same ledger entry. Who may answer, and how, is
not known here; whether it was let out is the ledger's word.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from tasks.adapters import dossiers, ledger
from tasks.adapters.signing import Signer, Trust, seal, unseal
from tasks.adapters.store import Store, read_bytes
from tasks.core.digests import canonical_json, digest_of, plain
from tasks.core.dossier import Dossier, subject_of
from tasks.errors import AlreadyExists, BadRequest, HomeDamaged

logger = logging.getLogger(__name__)

FORM, CLOSED_FORM = "greenlight.request/1", "greenlight.closed/1"
SUBJECT_DIGITS = 12
REQUEST_NAME = re.compile(r"[0-9a-f]{12}-\d+\.json")

Outcome = Literal["promoted", "not promoted", "held", "rejected", "expired", "superseded"]


@dataclass(frozen=True)
class Closed:
    """What came of a request, by the digest of its dossier; ``number`` is the ledger entry it led to, 0 if none."""

    dossier: str
    outcome: Outcome
    at: str
    number: int = 0


CLOSED: TypeAdapter[Closed] = TypeAdapter(Closed)


def open_request(store: Store, signer: Signer, trust: Trust, draft: Dossier) -> Dossier:
    """Ask *draft*, unless its question is open already: then the dossier that was asked first is returned.

    A question that was closed, or has expired when *draft* is asked, is asked anew as its next attempt. The dossier is
    kept as a blob before this returns.
    """
    # As it will be read: a whole number where a fraction is declared has another spelling after that.
    wanted = dossiers.parsed(canonical_json(draft), "the request to be opened")
    asked = next(filter(None, (_asked(store, signer, trust, wanted, attempt) for attempt in count(1))))
    dossiers.keep(store, asked)
    return asked


def close_request(
    store: Store, signer: Signer, trust: Trust, dossier: Dossier, outcome: Outcome, *, at: str, number: int = 0
) -> Closed:
    """Say once what came of the request of *dossier*; whoever comes second gets what was said first.

    Raises BadRequest if it was never asked.
    """
    key = _key_of(store, trust, dossier)
    closed = Closed(dossier.digest, outcome, at, number)
    try:
        store.put(_closed(key), seal(signer, CLOSED_FORM, {"closed": plain(closed)}), if_absent=True)
    except AlreadyExists:
        return _read_closed(store, trust, key)
    return closed


def closed_request(store: Store, trust: Trust, dossier: Dossier) -> Closed | None:
    """Return what came of the request of *dossier*, None while it is open; raises BadRequest if it was never asked."""
    key = _key_of(store, trust, dossier)
    return _read_closed(store, trust, key) if store.head(_closed(key)) else None


def is_open(store: Store, trust: Trust, dossier: Dossier) -> bool:
    """Say whether the request of *dossier* still waits to be closed."""
    waiting = open_requests(store, trust, dossier.workload, dossier.ring)
    return any(each.digest == dossier.digest for each in waiting)


def open_requests(
    store: Store, trust: Trust, workload: str | None = None, ring: str | None = None
) -> tuple[Dossier, ...]:
    """Return the dossiers that wait for an answer, oldest first."""
    return _requests(store, trust, workload, ring, shut=False)


def closed_requests(
    store: Store, trust: Trust, workload: str | None = None, ring: str | None = None
) -> tuple[Dossier, ...]:
    """Return the dossiers that were answered or given up, oldest first."""
    return _requests(store, trust, workload, ring, shut=True)


def settle(
    store: Store, signer: Signer, trust: Trust, asked: Dossier, champion_number: int, *, at: str
) -> tuple[Dossier, ...]:
    """Close the open requests of the ring that nothing can come of any more, and return them.

    Those were decided against another champion than that of entry *champion_number*, or are of the version that is now
    *asked* about. One the ledger has let out, by a run that was killed before it could close it, is closed as promoted.
    """
    _close_unreadable(store, signer, trust, asked, at)
    others = [each for each in open_requests(store, trust, asked.workload, asked.ring) if each.digest != asked.digest]
    stale = [each for each in others if each.champion.number != champion_number or each.version == asked.version]
    entries = ledger.read(store, asked.workload) if stale else ()
    let_out = {entry.evidence: entry.number for entry in entries if entry.kind == "promotion"}
    for each in stale:
        number = let_out.get(each.digest, 0)
        outcome: Outcome = "promoted" if number else "superseded"
        close_request(store, signer, trust, each, outcome, at=at, number=number)
    return tuple(stale)


def _requests(store: Store, trust: Trust, workload: str | None, ring: str | None, *, shut: bool) -> tuple[Dossier, ...]:
    prefix = f"requests/{workload}/" if workload else "requests/"
    keys = [key for key in store.list(prefix) if ring is None or key.split("/")[2] == ring]
    ended = {key for key in keys if key.endswith(".closed.json")}
    meant = [key for key in keys if REQUEST_NAME.fullmatch(_name(key)) and (_closed(key) in ended) == shut]
    found = filter(None, (_readable(store, trust, key) for key in meant))
    return tuple(sorted(found, key=lambda dossier: (dossier.requested_at, dossier.workload, dossier.subject)))


def _asked(store: Store, signer: Signer, trust: Trust, draft: Dossier, attempt: int) -> Dossier | None:
    """Return what is open as *attempt*, None if that is closed or another question."""
    key = f"{_prefix(draft)}{attempt}.json"
    try:
        store.put(key, seal(signer, FORM, {"request": plain(draft)}), if_absent=True)
    except AlreadyExists:
        kept = _readable(store, trust, key)
    else:
        return draft
    if kept is None or kept.subject != draft.subject or store.head(_closed(key)):
        return None
    if kept.expires_at and kept.expires_at <= draft.requested_at:
        close_request(store, signer, trust, kept, "expired", at=draft.requested_at)
        return None
    return kept


def _key_of(store: Store, trust: Trust, dossier: Dossier) -> str:
    for key in _attempts(store, dossier):
        kept = _readable(store, trust, key)
        if kept is not None and kept.digest == dossier.digest:
            return key
    raise BadRequest(
        f"the dossier {dossier.digest[:12]}… of {dossier.workload} in {dossier.ring} was never asked: there is no "
        f"request {_prefix(dossier)}*.json that holds it"
    )


def _attempts(store: Store, dossier: Dossier) -> Iterator[str]:
    yield from (key for key in store.list(_prefix(dossier)) if REQUEST_NAME.fullmatch(_name(key)))


def _readable(store: Store, trust: Trust, key: str) -> Dossier | None:
    """Return the dossier, None where another version of ours asked it: one such request stops no other."""
    body = _body(store, trust, key)
    try:
        found = dossiers.parsed(canonical_json(body), key)
    except HomeDamaged as error:
        logger.warning("%s; it is left aside and will be closed as superseded when its ring is asked anew", error)
        return None
    if found.digest == digest_of(body):
        return found
    logger.warning("%s was asked by another version of greenlight: it is left aside, run promote to ask anew", key)
    return None


def _body(store: Store, trust: Trust, key: str) -> Mapping[str, Any]:
    """Return a request as it was written; its place is checked by that, for this version may have more fields."""
    body = unseal(trust, FORM, read_bytes(store, key), key).get("request")
    if not isinstance(body, Mapping):
        raise HomeDamaged(f"{key} holds no request: restore it from a backup")
    place = f"requests/{body.get('workload')}/{body.get('ring')}/{subject_of(body)[:SUBJECT_DIGITS]}-"
    if not key.startswith(place):
        raise HomeDamaged(f"{key} holds a request of {place}*: it was put in another's place; move it away")
    return body


def _close_unreadable(store: Store, signer: Signer, trust: Trust, asked: Dossier, at: str) -> None:
    """Close what another version asked in the ring of *asked*: no decision on it can count under this one."""
    keys = tuple(store.list(f"requests/{asked.workload}/{asked.ring}/"))
    for key in keys:
        if REQUEST_NAME.fullmatch(_name(key)) and _closed(key) not in keys and _readable(store, trust, key) is None:
            closed = Closed(digest_of(_body(store, trust, key)), "superseded", at)
            with contextlib.suppress(AlreadyExists):
                store.put(_closed(key), seal(signer, CLOSED_FORM, {"closed": plain(closed)}), if_absent=True)


def _read_closed(store: Store, trust: Trust, key: str) -> Closed:
    body = unseal(trust, CLOSED_FORM, read_bytes(store, _closed(key)), _closed(key)).get("closed")
    try:
        return CLOSED.validate_python(body)
    except ValidationError as error:
        raise HomeDamaged(
            f"{_closed(key)} is garbled: {error.error_count()} of its fields are missing or wrong; restore it"
        ) from error


def _prefix(dossier: Dossier) -> str:
    return f"requests/{dossier.workload}/{dossier.ring}/{dossier.subject[:SUBJECT_DIGITS]}-"


def _closed(key: str) -> str:
    return f"{key.removesuffix('.json')}.closed.json"


def _name(key: str) -> str:
    return key.rpartition("/")[2]
