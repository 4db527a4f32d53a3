"""Where files land: a folder of this machine, or a prefix of an object store, at whose five verbs it is looked at.

What was fetched and taken in from a store is noted by name and version, so that nothing is fetched twice. What is in a
file, and whether it is known under another name, is the deliveries' word.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tasks.adapters.sources import READABLE, digest_source
from tasks.adapters.store import Store, open_store
from tasks.core.digests import canonical_json, digest_of
from tasks.errors import AlreadyExists, BadRequest, HomeDamaged


@dataclass(frozen=True)
class Landed:
    """A file that landed, on this machine, and the digest of its bytes."""

    path: Path
    digest: str


def landed(store: Store, workload: str, place: str, room: Path) -> Iterator[Landed]:
    """Yield the files at *place*, a folder or a store's address, in the order of their names; *room* is scratch.

    Of a store's, those that were yielded before and taken care of until the next was asked for are left out; *store* is
    where that is noted. Raises BadRequest where there is no such folder or store, Unreachable where none answers.

    Hidden files are still being written: whoever delivers to a folder renames a file to its name once it is whole. A
    store shows whole objects only.
    """
    if "://" in place:
        yield from _objects(store, workload, open_store(place), room)
    else:
        yield from _files(Path(place))


def _files(folder: Path) -> Iterator[Landed]:
    if not folder.is_dir():
        raise BadRequest(f"nothing can land in {folder}, which is no folder; make it, or name another")
    for each in sorted(folder.iterdir()):
        if each.is_file() and _is_table(each.name):
            yield Landed(each, digest_source(each))


def _objects(store: Store, workload: str, there: Store, room: Path) -> Iterator[Landed]:
    for key in there.list(""):
        name = key.rpartition("/")[2]
        head = there.head(key) if _is_table(name) else None
        if head is None:
            continue
        version = {"store": there.uri, "key": key, "version": head.version}
        note = f"fetched/{workload}/{digest_of(version)}.json"
        if store.head(note) is not None:
            continue
        try:
            found = _fetched(there, key, room / name)
        except HomeDamaged:
            # Gone since it was listed: whoever delivers may clean up.
            continue
        yield found
        with suppress(AlreadyExists):
            store.put(note, canonical_json({**version, "digest": found.digest}), if_absent=True)
        found.path.unlink()


def _fetched(there: Store, key: str, to: Path) -> Landed:
    with there.open(key) as source, to.open("wb") as out:
        shutil.copyfileobj(source, out)
    return Landed(to, digest_source(to))


def _is_table(name: str) -> bool:
    return name.lower().endswith(READABLE) and not name.startswith((".", "_"))
