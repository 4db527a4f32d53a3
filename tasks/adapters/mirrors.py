"""Further stores that readers use: brought up to the primary, which alone is written by decisions.

A mirror is a whole store with the same layout. It gets a bundle before anybody may read of it, then the ledger's
entries in their order, then the pointer; so a reader of a mirror sees an older champion whole or the new one whole.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from tasks.adapters import ledger, partitions, projections
from tasks.adapters.blobs import blob_key, blob_path, has_blob, read_blob
from tasks.adapters.bundles import bundle_key, read_manifest
from tasks.adapters.signing import Trust
from tasks.adapters.store import Store, read_bytes
from tasks.core.digests import canonical_json, digest_of_bytes
from tasks.core.ledger_chain import CHANGES
from tasks.core.manifest import Manifest
from tasks.core.stores import Agreement, Kept, Shown, StoreState
from tasks.core.values import Blob
from tasks.errors import AlreadyExists, GreenlightError, HomeDamaged, Unreachable

AT_ONCE = 8
# What is remembered to save time is no evidence, and is made again by whoever needs it.
NOT_MIRRORED = ("stages/", "mirrors/")
# Copied last and in this order, so that what refers to something comes after it.
LAST = ("bundles/", "ledger/", "champions/")
# Kinds of days that readers of a mirror find there, and on how many of the newest stores are held to agree.
DAYS, NEWEST_DAYS = ("predictions", "reports", "timetables"), 30
T = TypeVar("T")
R = TypeVar("R")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Repaired:
    """What one mirror was given; ``trouble`` says why it could not be healed, empty where it was."""

    uri: str
    copied: int = 0
    bytes: int = 0
    trouble: str = ""


def replicate(
    primary: Store, mirrors: Sequence[Store], trust: Trust, workload: str, version: str, at: str
) -> Agreement:
    """Give every mirror the bundle, read back what it holds now, and say who holds all of it; *at* is the time."""
    manifest = read_manifest(primary, trust, workload, version)
    kept = _at_once(lambda mirror: _kept(primary, mirror, manifest, at), mirrors)
    return Agreement((Kept(primary.uri), *kept))


def hold_to(agreement: Agreement, required: int | None, what: str) -> Agreement:
    """Return *agreement* if as many stores hold the bundle as are *required* (None: all), else raise Unreachable."""
    if agreement.missing(required):
        raise Unreachable(
            f"{what} is not let out: the policy wants it in {required or len(agreement.stores)} stores, "
            f"{agreement.sentence}. Mend the store, or take it out of GREENLIGHT_MIRRORS, and promote again; what was "
            "approved stays approved"
        )
    return agreement


def follow(primary: Store, mirrors: Sequence[Store], trust: Trust, workload: str, ring: str) -> tuple[str, ...]:
    """Show readers of every mirror what the ledger says, and say what was changed; who does not answer is told of.

    What stays behind is brought up by the next promotion, or by ``greenlight stores repair``.
    """

    def followed(mirror: Store) -> tuple[str, ...]:
        try:
            _hold_champions(primary, mirror, trust, workload)
            _append(primary, mirror, workload)
            changes = projections.reconcile(mirror, trust, None, workload, ring)
            return tuple(f"{mirror.uri}: {change}" for change in changes)
        except GreenlightError as error:
            log.warning("%s stays behind: %s When it is back: greenlight stores repair", mirror.uri, error)
            return (f"{mirror.uri} stays behind",)

    return tuple(change for changes in _at_once(followed, mirrors) for change in changes)


def carry(
    primary: Store, mirrors: Sequence[Store], trust: Trust, day: str, beside: Iterable[str] = ()
) -> tuple[str, ...]:
    """Give every mirror a published *day*, named by its manifest's key, and the objects *beside* it; say who lags.

    A day is out once the primary has it: nobody waits for a mirror that is down.
    """
    if not mirrors:
        return ()
    found = partitions.read(primary, trust, *day.removesuffix(".json").split("/"))
    parts = {part for table in found.tables.values() for part in table.parts} if found else ()

    def carried(mirror: Store) -> str:
        try:
            _at_once(lambda part: _hold(primary, mirror, part), parts)
            for key in (*beside, day):
                _given(primary, mirror, key)
            return ""
        except GreenlightError as error:
            log.warning("%s lacks %s: %s When it is back: greenlight stores repair", mirror.uri, day, error)
            return f"{mirror.uri} stays behind"

    return tuple(filter(None, _at_once(carried, mirrors)))


def repair(primary: Store, mirror: Store, at: str) -> Repaired:
    """Copy to *mirror* everything of the primary that it lacks or holds otherwise; nothing is taken from it.

    Raises HomeDamaged, and copies nothing, where the mirror's ledger has entries that the primary does not.
    """
    for workload in ledger.workloads(mirror):
        _refuse_ahead(primary, mirror, workload)
    keys = [key for key in primary.list("") if not key.startswith(NOT_MIRRORED)]
    sizes = _at_once(lambda key: _given(primary, mirror, key), [key for key in keys if not key.startswith(LAST)])
    # One by one: a mirror that dies half-way has a shorter ledger, not a broken one.
    sizes += [_given(primary, mirror, key) for prefix in LAST for key in keys if key.startswith(prefix)]
    _remember(primary, mirror.uri, at)
    return Repaired(mirror.uri, sum(size is not None for size in sizes), sum(size or 0 for size in sizes))


def look(primary: Store, store: Store, trust: Trust) -> StoreState:
    """Return what readers of *store* find, as far as it answers; the sizes of files are looked at, not their bytes."""
    try:
        entries = tuple((workload, _length(store, workload)) for workload in ledger.workloads(store))
        return StoreState(
            store.uri, tuple(_shown(store, trust)), entries, _verified_at(primary, store.uri), days=_days(store)
        )
    except GreenlightError as error:
        return StoreState(store.uri, trouble=str(error), verified_at=_verified_at(primary, store.uri))


def _kept(primary: Store, mirror: Store, manifest: Manifest, at: str) -> Kept:
    try:
        _bundle(primary, mirror, manifest)
        _remember(primary, mirror.uri, at)
        return Kept(mirror.uri)
    except GreenlightError as error:
        return Kept(mirror.uri, str(error))


def _bundle(primary: Store, mirror: Store, manifest: Manifest) -> None:
    blobs = {each.digest: each for each in manifest.files.values()}
    _at_once(lambda blob: _hold(primary, mirror, blob), blobs.values())
    _given(primary, mirror, bundle_key(manifest.workload, manifest.version))


def _hold(primary: Store, mirror: Store, blob: Blob) -> int | None:
    """Make sure by reading it back that *mirror* holds the blob; return the bytes that had to be written for it."""
    if has_blob(mirror, blob):
        with suppress(HomeDamaged):
            read_blob(mirror, blob)
            return None
    mirror.put(blob_key(blob.digest), blob_path(primary, blob), sha256=blob.digest)
    read_blob(mirror, blob)
    return blob.size


def _given(primary: Store, mirror: Store, key: str) -> int | None:
    """Make *mirror* hold what the primary holds under *key*; return the bytes that had to be written for it."""
    if key.startswith("blobs/"):
        head = primary.head(key)
        return _hold(primary, mirror, Blob(key.rpartition("/")[2], head.size)) if head else None
    wanted = read_bytes(primary, key)
    if mirror.head(key) is not None and read_bytes(mirror, key) == wanted:
        return None
    if not key.startswith("ledger/"):
        mirror.put(key, wanted)
    else:
        _create(mirror, key, wanted)
    if read_bytes(mirror, key) != wanted:
        raise HomeDamaged(f"{key} was copied to {mirror.uri} and did not come back the same; run: greenlight stores")
    return len(wanted)


def _hold_champions(primary: Store, mirror: Store, trust: Trust, workload: str) -> None:
    """A mirror that is new gets what serves before it is told that it serves."""
    for version in {
        entry.ring: entry.version for entry in ledger.read(primary, workload, trust) if entry.kind in CHANGES
    }.values():
        if mirror.head(bundle_key(workload, version)) is None:
            _bundle(primary, mirror, read_manifest(primary, trust, workload, version))


def _append(primary: Store, mirror: Store, workload: str) -> None:
    _refuse_ahead(primary, mirror, workload)
    for number in range(_length(mirror, workload) + 1, _length(primary, workload) + 1):
        key = ledger.entry_key(workload, number)
        _create(mirror, key, read_bytes(primary, key))


def _create(mirror: Store, key: str, wanted: bytes) -> None:
    """An entry is never written over: another one in its place is for a person to look at."""
    try:
        mirror.put(key, wanted, if_absent=True)
    except AlreadyExists as error:
        if read_bytes(mirror, key) != wanted:
            raise HomeDamaged(
                f"{key} in {mirror.uri} is another entry than the primary's: one of them was changed, or two primaries "
                "wrote here; compare them (greenlight ledger export), then move the wrong store's ledger away"
            ) from error


def _refuse_ahead(primary: Store, mirror: Store, workload: str) -> None:
    ours, theirs = _length(primary, workload), _length(mirror, workload)
    if theirs > ours:
        raise HomeDamaged(
            f"the ledger of {workload} has {theirs} entries in {mirror.uri} and {ours} in the primary {primary.uri}: "
            "the primary's end was cut off, or another primary writes there; restore the primary's ledger from it"
        )


def _length(store: Store, workload: str) -> int:
    return sum(1 for _ in store.list(f"ledger/{workload}/"))


def _shown(store: Store, trust: Trust) -> Iterator[Shown]:
    for key in store.list("champions/"):
        _, workload, name = key.split("/")
        entry = projections.serving(store, trust, workload, name.removesuffix(".json"))
        if entry is not None:
            files = read_manifest(store, trust, workload, entry.version).files.values()
            whole = all(_at_once(lambda blob: has_blob(store, blob), files))
            yield Shown(workload, entry.ring, entry.version, entry.manifest_digest, entry.number, whole)


def _days(store: Store) -> tuple[tuple[str, str], ...]:
    """Return the newest published days and the digest of each manifest; pages lie beside them, a level higher."""
    keys = (key for kind in DAYS for key in store.list(f"{kind}/") if key.count("/") == 3)
    newest = sorted(keys, key=lambda key: (key.split("/")[2], key))[-NEWEST_DAYS:]
    return tuple(zip(newest, _at_once(lambda key: digest_of_bytes(read_bytes(store, key)), newest), strict=True))


def _remember(primary: Store, uri: str, at: str) -> None:
    primary.put(_remembered(uri), canonical_json({"uri": uri, "verified_at": at}))


def _verified_at(primary: Store, uri: str) -> str:
    with suppress(GreenlightError):
        return str(json.loads(read_bytes(primary, _remembered(uri)))["verified_at"])
    return ""


def _remembered(uri: str) -> str:
    return f"mirrors/{digest_of_bytes(uri.encode())[:16]}.json"


def _at_once(do: Callable[[T], R], each: Iterable[T]) -> list[R]:
    with ThreadPoolExecutor(AT_ONCE) as workers:
        return list(workers.map(do, each))
