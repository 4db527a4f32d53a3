"""Removes from the store what nothing names any more: first a mark, then, a grace later, the blob.

Every record is read for whatever is written like a digest, and so is every document among the blobs that one names. A
collection that is killed leaves marks and at most a few blobs less; the next one goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tasks.adapters import challengers, ledger, measured, requests, sweeps
from tasks.adapters.blobs import blob_key, side_by_side
from tasks.adapters.bundles import bundle_key
from tasks.adapters.signing import Trust
from tasks.adapters.store import Store
from tasks.core import garbage
from tasks.core.digests import canonical_json
from tasks.core.garbage import Collected, Sweep
from tasks.errors import BadRequest, Conflict, HomeDamaged

# Publishers that need what is being deleted wait this long for a collection that was killed.
DELETING = timedelta(minutes=2)
BLOBS = "blobs/sha256/"
# Tables name nothing, and what we noted ourselves keeps nothing.
NO_RECORDS = (BLOBS, "gc/", "quarantine/", "tables/")
# What tells of a version that was retired; it stays, and keeps the dossier, but not the version's files.
HISTORY = ("stages/", "runs/", "requests/", "decisions/", "dossiers/", "reports/")


def collect(store: Store, trust: Trust, *, grace: timedelta, keep: int | None, dry_run: bool) -> Collected:
    """Retire versions beyond the last *keep* of each workload (None: none), and delete blobs unnamed for *grace*.

    What ever served, is asked about, or is the newest, is never retired. Raises Conflict where another collection is
    at work.
    """
    now, known, version = datetime.now(UTC), sweeps.read(store), sweeps.standing(store)
    if known.until > now.isoformat():
        raise Conflict(f"another collection is at work in {store.uri} until {known.until}; wait for it, then run again")
    going = _retired(store, trust, keep) if keep is not None else []
    if going and not dry_run:
        known = replace(known, forgotten=tuple(sorted({*known.forgotten, *_retire(store, going)})))
    present, unnamed = _unnamed(store, known)
    marks = garbage.marked(known.marks, unnamed, now)
    due = garbage.due(marks, now, grace)
    sizes = dict(zip(due, side_by_side(lambda digest: _size(store, digest), due), strict=True))
    if not dry_run:
        due = _deleted(store, replace(known, marks=marks, deleting=due, number=known.number + 1), version)
    freed = sum(sizes[digest] for digest in due)
    waiting = {digest: since for digest, since in marks.items() if digest not in set(due)}
    return Collected(len(present), len(unnamed), tuple(going), due, freed, waiting, dry_run)


def _retired(store: Store, trust: Trust, keep: int) -> list[str]:
    """Return the manifests of versions that may go."""
    if keep < 1:
        raise BadRequest(f"at least the last 1 version of a workload is kept, {keep} were asked for")
    names = [key.removeprefix("bundles/").removesuffix(".json").split("/") for key in store.list("bundles/")]
    going: list[str] = []
    for workload in sorted({workload for workload, _ in names}):
        dates = {version: measured.when(store, trust, workload, version) for each, version in names if each == workload}
        protected = set(_protected(store, trust, workload))
        going += [bundle_key(workload, version) for version in garbage.retired(dates, keep, protected)]
    return going


def _protected(store: Store, trust: Trust, workload: str) -> Iterator[str]:
    yield from (entry.version for entry in ledger.read(store, workload, trust))
    yield from (asked.version for asked in requests.open_requests(store, trust, workload))
    try:
        yield challengers.resolve(store, workload, challengers.NEWEST)
    except BadRequest:
        return


def _retire(store: Store, manifests: list[str]) -> AbstractSet[str]:
    """Delete manifests, and the remembered results only they shared; return the files that nothing kept names."""
    present = _blobs(store)
    others = _closure(store, present, _direct(store, lambda key: not key.startswith(HISTORY) and key not in manifests))
    doomed = _closure(store, present, _direct(store, lambda key: key in manifests)) - others
    for key in manifests:
        store.delete(key)
    for key in list(store.list("stages/")):
        if garbage.digests_in(_raw(store, key)) & doomed:
            store.delete(key)
    return doomed


def _unnamed(store: Store, known: Sweep) -> tuple[AbstractSet[str], AbstractSet[str]]:
    """Return all blobs, and those that nothing names."""
    alive = _direct(store, lambda key: key.startswith(("bundles/", "stages/")))
    present = _blobs(store)
    followed = present - (frozenset(known.forgotten) - alive)
    return present, present - _closure(store, followed, _direct(store, lambda _: True))


def _closure(store: Store, present: AbstractSet[str], roots: AbstractSet[str]) -> AbstractSet[str]:
    """Follow digests from blob to blob, among those of *present*."""
    found, new = set[str](), roots & present
    while new:
        found |= new
        inner = side_by_side(lambda digest: _inside(store, digest), new)
        new = frozenset().union(*inner) & present - found
    return found


def _blobs(store: Store) -> AbstractSet[str]:
    return {key.rpartition("/")[2] for key in store.list(BLOBS)}


def _direct(store: Store, wanted: Callable[[str], bool]) -> AbstractSet[str]:
    """Return every digest in the records whose key is *wanted*."""
    keys = [key for key in store.list("") if not key.startswith(NO_RECORDS) and wanted(key)]
    return frozenset[str]().union(*side_by_side(lambda key: garbage.digests_in(_raw(store, key)), keys))


def _inside(store: Store, digest: str) -> AbstractSet[str]:
    """Return the digests in a blob that is a document: it ends like one, so that no model is read for this."""
    key = blob_key(digest)
    size = _size(store, digest)
    if size < len(digest) or _raw(store, key, size - 1) not in (b"}", b"]"):
        return frozenset()
    return garbage.digests_in(_raw(store, key))


def _raw(store: Store, key: str, start: int = 0) -> bytes:
    try:
        with store.open(key, start) as stream:
            return stream.read()
    except HomeDamaged:
        if store.head(key) is None:
            return b""
        raise


def _size(store: Store, digest: str) -> int:
    head = store.head(blob_key(digest))
    return head.size if head else 0


def _deleted(store: Store, sweep: Sweep, version: str) -> tuple[str, ...]:
    """Tell publishers, look once more whether anything names them by now, and delete the rest."""
    until = datetime.now(UTC) + DELETING
    at_work = _noted(store, replace(sweep, until=until.isoformat()), version)
    _, unnamed = _unnamed(store, sweep) if sweep.deleting else (set(), set())
    gone = [digest for digest in sweep.deleting if digest in unnamed]
    gone = [digest for digest in gone if _delete_before(store, digest, until)]
    marks = {digest: since for digest, since in sweep.marks.items() if digest not in set(gone)}
    _noted(store, replace(sweep, marks=marks, deleting=(), until="", number=sweep.number + 1), at_work)
    return tuple(gone)


def _delete_before(store: Store, digest: str, until: datetime) -> bool:
    """What is late is left to the next collection: a publisher no longer waits for it."""
    if datetime.now(UTC) > until - DELETING / 4:
        return False
    store.delete(blob_key(digest))
    return True


def _noted(store: Store, sweep: Sweep, version: str) -> str:
    raw = canonical_json(sweep)
    head = store.put(sweeps.KEY, raw, if_absent=not version, if_match=version or None)
    return head.version
