"""What follows the ledger so that readers need not walk it: ``champions/<workload>/<ring>.json`` and the MLflow alias.

A projection can be rebuilt at any time and decides nothing. The file is a copy of the signed ledger entry, so a reader
verifies it by itself; it never goes backwards.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from tasks.adapters import ledger
from tasks.adapters.bundles import Bundle, read_manifest
from tasks.adapters.signing import Trust
from tasks.adapters.store import Head, Store, read_bytes
from tasks.core.digests import canonical_json
from tasks.core.ledger_chain import digest_of_entry
from tasks.core.values import Challenger, Entry
from tasks.errors import AlreadyExists, Conflict, HomeDamaged, NotTrusted

TRIES = 20
log = logging.getLogger(__name__)


class Aliases(Protocol):
    """Where readers of a model registry look which version serves."""

    def knows(self, workload: str, manifest_digest: str) -> bool:
        """Say whether a version with that bundle is registered."""

    def register(self, challenger: Challenger, run_id: str, store: Store, tags: Mapping[str, str]) -> str:
        """Register the bundle as a version of its workload; without *run_id* it belongs to no run."""

    def point(self, workload: str, alias: str, manifest_digest: str) -> bool:
        """Point *alias* at the version with that bundle; say whether it had to be moved."""


@dataclass(frozen=True)
class Projected:
    """What readers go by now, and what had to be changed for it; empty if nothing had to."""

    entry: Entry | None
    change: str


def champion_key(workload: str, ring: str) -> str:
    """Return where readers find what serves in *ring*."""
    return f"champions/{workload}/{ring}.json"


def repaired_key(entry: Entry) -> str:
    """Return where it is kept that a repair the ledger records was carried out."""
    return f"repairs/{entry.workload}/{entry.number:06}.json"


def alias_of(ring: str) -> str:
    """Return the registry alias of the ring's champion: plain ``champion`` is what serves in production."""
    return "champion" if ring == "prod" else f"champion-{ring}"


def serving(store: Store, trust: Trust, workload: str, ring: str) -> Entry | None:
    """Return the signed entry readers go by, None if nothing serves; raises NotTrusted or HomeDamaged if it is bad."""
    key = champion_key(workload, ring)
    if store.head(key) is None:
        return None
    entry = ledger.parsed(read_bytes(store, key), key, trust)
    if (entry.workload, entry.ring) != (workload, ring):
        raise NotTrusted(
            f"{key} holds the champion of {entry.workload} in {entry.ring}: it was put in another's place; "
            "run: greenlight reconcile"
        )
    return entry


def reconcile(store: Store, trust: Trust, aliases: Aliases | None, workload: str, ring: str) -> tuple[str, ...]:
    """Bring every projection of *ring* up to the ledger and say what was changed; nothing if all was right.

    Raises HomeDamaged where a signed projection is newer than the ledger: then the ledger's end was cut off.
    """
    projected = _project(store, trust, workload, ring, ledger.champion(store, workload, ring, trust))
    changes = [projected.change] if projected.change else []
    if projected.entry is not None and aliases is not None:
        changes += _aliased(store, trust, aliases, projected.entry)
        _close_repair(store, trust, workload, ring)
    return tuple(changes)


def _aliased(store: Store, trust: Trust, aliases: Aliases, entry: Entry) -> Iterator[str]:
    if not aliases.knows(entry.workload, entry.manifest_digest):
        bundle = Bundle(store, read_manifest(store, trust, entry.workload, entry.version))
        aliases.register(bundle.challenger, "", store, {"run_key": entry.run_key})
        yield f"the registry had lost {entry.version} of {entry.workload}; it is registered again, without its run"
    if aliases.point(entry.workload, alias_of(entry.ring), entry.manifest_digest):
        yield f"the registry's alias {alias_of(entry.ring)} of {entry.workload} now points at {entry.version}"


def _close_repair(store: Store, trust: Trust, workload: str, ring: str) -> None:
    for entry in ledger.repairs(store, workload, ring, trust)[:1]:
        with suppress(AlreadyExists):
            store.put(repaired_key(entry), canonical_json({"entry": digest_of_entry(entry)}), if_absent=True)


def _project(store: Store, trust: Trust, workload: str, ring: str, entry: Entry | None) -> Projected:
    key = champion_key(workload, ring)
    for _ in range(TRIES):
        head = store.head(key)
        found = _readable(store, trust, workload, ring) if head else None
        if found is not None and (entry is None or found.number > entry.number):
            entry = _caught_up(store, trust, workload, ring, found)
            continue
        if found == entry:
            return Projected(entry, _withdraw(store, key) if head and entry is None else "")
        if entry is not None and _put(store, key, entry, head):
            was = f"{found.version} (entry {found.number})" if found else "nothing readable" if head else "nothing"
            change = f"{key} now names {entry.version} (entry {entry.number}); it named {was}"
            return Projected(entry, change)
    raise Conflict(f"{key} was written by somebody else {TRIES} times in a row; run: greenlight reconcile")


def _readable(store: Store, trust: Trust, workload: str, ring: str) -> Entry | None:
    try:
        return serving(store, trust, workload, ring)
    except (HomeDamaged, NotTrusted) as error:
        log.warning("%s is written anew: %s", champion_key(workload, ring), error)
        return None


def _caught_up(store: Store, trust: Trust, workload: str, ring: str, found: Entry) -> Entry:
    """Read the ledger again: a promotion may have been appended and projected since it was read."""
    entry = ledger.champion(store, workload, ring, trust)
    if entry is None or entry.number < found.number:
        raise HomeDamaged(
            f"{champion_key(workload, ring)} names entry {found.number}, but the newest of that ring in the ledger "
            f"is {entry.number if entry else 'none'}: its end was cut off; restore ledger/{workload} from a backup"
        )
    return entry


def _withdraw(store: Store, key: str) -> str:
    store.delete(key)
    return f"{key} was removed: the ledger has no champion and the file was not readable"


def _put(store: Store, key: str, entry: Entry, head: Head | None) -> bool:
    raw = read_bytes(store, ledger.entry_key(entry.workload, entry.number))
    try:
        store.put(key, raw, if_absent=head is None, if_match=head.version if head else None)
    except (Conflict, AlreadyExists):
        return False
    return True
