"""The ledger in the store: what serves is what its newest entry says. Appending is the system's one commit point.

An entry is one signed object made by create-if-absent; whoever loses the race gets LedgerMoved and has promoted
nothing. Aliases and pointers that follow the ledger belong to ``projections``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tasks.adapters import anchors
from tasks.adapters.signing import Signer, Trust, listed_keys, seal, trusted_keys, unseal
from tasks.adapters.store import Store, read_bytes
from tasks.core.digests import plain
from tasks.core.ledger_chain import CHANGES, Anchor, Break, digest_of_entry, first_break, link, same_change
from tasks.core.values import Entry
from tasks.errors import AlreadyExists, GreenlightError, HomeDamaged, LedgerMoved, NotTrusted

FORM = "greenlight.ledger/1"
ENTRY_NAME = re.compile(r"\d{6}\.json")
ENTRY: TypeAdapter[Entry] = TypeAdapter(Entry)
# Entries of other rings may come in between while one is appended; so many times in a row is no coincidence.
TRIES = 20


def entry_key(workload: str, number: int) -> str:
    """Return where an entry lies."""
    return f"ledger/{workload}/{number:06}.json"


def append(store: Store, signer: Signer, draft: Entry, champion_number: int) -> Entry:
    """Append *draft* to the ledger and return it as written; its ``number`` and ``previous`` are set here.

    *champion_number* is the number of the ring's newest change as it was when the draft was decided on, 0 if there was
    none; raises LedgerMoved where that is another by now. Entries of other rings in between are no hindrance. Where the
    ledger records the same already (the reply to an earlier try was lost, or the run was killed after it), that entry
    is returned and no entry is written. Raises HomeDamaged where the ledger's end was cut off, NotTrusted where another
    service signs here.
    """
    for _ in range(TRIES):
        noted = anchors.noted(store, signer.keys, draft.workload)
        later, current = _since_change(store, draft.workload, draft.ring)
        head = later[0] if later else current
        refuse_foreign(store, signer, head)
        known = next((entry for entry in (*later, current) if entry and same_change(entry, draft)), None)
        if known is not None:
            anchors.note(store, signer, known)
            return known
        if number_of(current) != champion_number:
            raise _moved(draft, champion_number, number_of(current))
        anchors.refuse_cut(noted, draft.workload, number_of(head))
        entry = link(draft, head)
        try:
            store.put(entry_key(entry.workload, entry.number), sealed(signer, entry), if_absent=True)
        except AlreadyExists:
            continue
        anchors.note(store, signer, entry)
        return entry
    raise LedgerMoved(
        f"{draft.workload}: others appended to the ledger {TRIES} times while {draft.version} was to be let out in "
        f"{draft.ring}; nothing was promoted; run again"
    )


def refuse_foreign(store: Store, signer: Signer, head: Entry | None) -> None:
    """Raise NotTrusted where the store's ledgers, as their newest entry *head* says, are signed by another service.

    That service would trust no ledger any more in which an entry of ours stood. Ours may follow where this home's keys
    folder noted the ledger's end (its key was renewed), or lists its own key among the trusted ones besides the other.
    """
    head = head or _any_head(store)
    if head is None:
        return
    signed_by = json.loads(read_bytes(store, entry_key(head.workload, head.number)))["signature"]["key"]
    if signed_by == signer.fingerprint:
        read_entry(store, head.workload, head.number, signer.trust())
    elif signer.keys is not None and _may_follow(store, signer, signer.keys, head.workload):
        read_entry(store, head.workload, head.number, trusted_keys(signer.keys))
    else:
        raise NotTrusted(
            f"the ledgers in {store.uri} are signed by the key {signed_by}, this home's is {signer.fingerprint}: the "
            "service would trust no ledger with an entry of this home, so nothing was written. Let the service do it "
            "(set PREFECT_API_URL, or run this on its machine), or copy its keys/service.key here"
        )


def number_of(entry: Entry | None) -> int:
    """Return the entry's number, 0 where there is none: what a decision is bound to, to be handed to ``append``."""
    return entry.number if entry else 0


def length(store: Store, workload: str) -> int:
    """Return how many entries the ledger has; raises HomeDamaged if one is missing or a stranger lies among them."""
    names = [key.rpartition("/")[2] for key in store.list(f"ledger/{workload}/")]
    for number, name in enumerate(names, start=1):
        if not ENTRY_NAME.fullmatch(name):
            raise HomeDamaged(
                f"ledger/{workload}/{name} is no ledger entry; find out who put it there and move it away"
            )
        if name != f"{number:06}.json":
            raise HomeDamaged(
                f"{entry_key(workload, number)} is missing though later entries are there: it was removed; "
                "restore it from a backup, nothing is promoted meanwhile"
            )
    return len(names)


def head_of(store: Store, workload: str) -> Entry | None:
    """Return the newest entry of any ring, None if the ledger is empty."""
    number = length(store, workload)
    return read_entry(store, workload, number) if number else None


def champion(store: Store, workload: str, ring: str, trust: Trust | None = None) -> Entry | None:
    """Return the newest entry that changed what serves in *ring*, None if nothing ever did.

    Raises HomeDamaged for a damaged entry on the way and, where *trust* is given, NotTrusted for a foreign one.
    """
    return _since_change(store, workload, ring, trust)[1]


def repairs(store: Store, workload: str, ring: str, trust: Trust | None = None) -> tuple[Entry, ...]:
    """Return the repairs that were recorded in *ring* since its newest change, newest first."""
    later, _ = _since_change(store, workload, ring, trust)
    return tuple(entry for entry in later if (entry.ring, entry.kind) == (ring, "repair"))


def _since_change(
    store: Store, workload: str, ring: str, trust: Trust | None = None
) -> tuple[list[Entry], Entry | None]:
    """Return what was appended since the ring's newest change, newest first, and that change."""
    later: list[Entry] = []
    for entry in _backwards(store, workload, trust):
        if entry.ring == ring and entry.kind in CHANGES:
            return later, entry
        later.append(entry)
    return later, None


def _backwards(store: Store, workload: str, trust: Trust | None) -> Iterator[Entry]:
    after: Entry | None = None
    for number in range(length(store, workload), 0, -1):
        entry = read_entry(store, workload, number, trust)
        if after is not None and after.previous != digest_of_entry(entry):
            raise _broken(workload, Break(number, "its digest is not the one the next entry holds: it was changed"))
        yield entry
        after = entry


def read(store: Store, workload: str, trust: Trust | None = None) -> tuple[Entry, ...]:
    """Return all entries, oldest first; raises HomeDamaged where one is cut, changed or missing."""
    entries = tuple(read_entry(store, workload, number, trust) for number in range(1, length(store, workload) + 1))
    broken = first_break(entries)
    if broken:
        raise _broken(workload, broken)
    return entries


def read_entry(store: Store, workload: str, number: int, trust: Trust | None = None) -> Entry:
    """Return one entry; raises HomeDamaged if it is cut, garbled or in another's place, NotTrusted if not signed."""
    key = entry_key(workload, number)
    entry = parsed(read_bytes(store, key), key, trust)
    if (entry.workload, entry.number) != (workload, number):
        raise HomeDamaged(
            f"{key} holds entry {entry.number} of {entry.workload}: it was put in another's place; restore it"
        )
    return entry


def verify(store: Store, trust: Trust, workload: str, *noted: Anchor) -> Break | None:
    """Return the first broken entry, None if signatures, numbers, chain and what was *noted* elsewhere all hold."""
    entries: list[Entry] = []
    try:
        for number in range(1, _last_number(store, workload) + 1):
            entries.append(read_entry(store, workload, number, trust))
        length(store, workload)
    except (HomeDamaged, NotTrusted) as error:
        return first_break(entries) or Break(len(entries) + 1, str(error))
    return first_break(entries, *noted)


def workloads(store: Store) -> Iterator[str]:
    """Yield the workloads that have a ledger, sorted."""
    yield from sorted({key.split("/")[1] for key in store.list("ledger/")})


def sealed(signer: Signer, entry: Entry) -> bytes:
    """Return the signed bytes of an entry."""
    return seal(signer, FORM, {"entry": plain(entry)})


def parsed(raw: bytes, what: str, trust: Trust | None) -> Entry:
    """Return the entry in signed bytes; *what* names them in errors."""
    content = unseal(trust, FORM, raw, what).get("entry")
    try:
        return ENTRY.validate_python(content)
    except ValidationError as error:
        raise HomeDamaged(
            f"{what} is garbled: {error.error_count()} of its fields are missing or wrong; restore it from a backup"
        ) from error


def _any_head(store: Store) -> Entry | None:
    """Return the newest entry of some ledger that can be read: a damaged one stops none of the others."""
    for workload in workloads(store):
        with suppress(HomeDamaged):
            return head_of(store, workload)
    return None


def _may_follow(store: Store, signer: Signer, keys: Path, workload: str) -> bool:
    if signer.fingerprint in listed_keys(keys).keys:
        return True
    noted = anchors.noted_beside(keys, workload)
    if noted is None or noted.number > length(store, workload):
        return False
    return digest_of_entry(read_entry(store, workload, noted.number)) == noted.digest


def _last_number(store: Store, workload: str) -> int:
    names = (key.rpartition("/")[2] for key in store.list(f"ledger/{workload}/"))
    return max((int(name[:6]) for name in names if ENTRY_NAME.fullmatch(name)), default=0)


def _moved(draft: Entry, decided_on: int, found: int) -> LedgerMoved:
    return LedgerMoved(
        f"{draft.workload}: {draft.version} was to be let out in {draft.ring} over the champion of entry "
        f"{decided_on or 'none'}, but by now the newest change of that ring is entry {found or 'none'}: another came "
        "first and nothing was promoted; look at it, then run again"
    )


def _broken(workload: str, broken: Break) -> GreenlightError:
    return HomeDamaged(
        f"{entry_key(workload, broken.number)} is damaged: {broken.reason}; restore the ledger from a backup, "
        "nothing is promoted meanwhile"
    )
