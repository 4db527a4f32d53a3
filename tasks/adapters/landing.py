"""Where files land: a folder of this machine, or a prefix of an object store, at whose five verbs it is looked at.

What was fetched from a store and taken care of is noted by name and version, so that nothing is fetched twice. What is
in a file, and whether it is known under another name, is the deliveries' word.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tasks.adapters.sources import READABLE, digest_source
from tasks.adapters.store import Store, located, open_store
from tasks.core.digests import canonical_json, digest_of
from tasks.errors import AlreadyExists, BadRequest, HomeDamaged, SourceUnusable

HIDDEN = (".", "_")


@dataclass(frozen=True)
class Landed:
    """A file that landed, on this machine; ``name`` is its place, ``version`` that of a store's object, else empty."""

    path: Path
    name: str
    version: str = ""

    @cached_property
    def digest(self) -> str:
        """The digest of its bytes; raises SourceUnusable where there are none to read, or it is no table."""
        if self.path.is_dir():
            raise SourceUnusable(f"{self.path} is a folder, and only files are taken in: move them up")
        if not self.path.name.lower().endswith(READABLE):
            raise SourceUnusable(f"{self.path} is no table; its name ends in none of {', '.join(READABLE)}")
        return digest_source(self.path)


def landed(store: Store, workload: str, place: str, room: Path) -> Iterator[Landed]:
    """Yield what is at *place*, a folder or a store's address, in the order of the names; *room* is scratch.

    Of a store's, those that were noted as ``dealt_with`` in *store* are left out, and a file is gone once the next is
    asked for. Raises BadRequest where there is no such folder or store, Unreachable where none answers.

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
        if not each.name.startswith(HIDDEN):
            yield Landed(each, str(each))


def dealt_with(store: Store, workload: str, file: Landed) -> None:
    """Note that a store's *file* need not be fetched again as long as it has this version."""
    if file.version:
        with suppress(AlreadyExists):
            told = canonical_json({"file": file.name, "version": file.version, "digest": file.digest})
            store.put(_note(workload, file.name, file.version), told, if_absent=True)


def _objects(store: Store, workload: str, there: Store, room: Path) -> Iterator[Landed]:
    for key in there.list(""):
        name = key.rpartition("/")[2]
        head = None if name.startswith(HIDDEN) or not name else there.head(key)
        if head is None:
            continue
        file = Landed(room / name, located(there, key), head.version)
        if store.head(_note(workload, file.name, file.version)) is not None:
            continue
        try:
            with there.open(key) as source, file.path.open("wb") as out:
                shutil.copyfileobj(source, out)
        except HomeDamaged:
            # Gone since it was listed: whoever delivers may clean up.
            continue
        yield file
        file.path.unlink(missing_ok=True)


def _note(workload: str, name: str, version: str) -> str:
    return f"fetched/{workload}/{digest_of({'file': name, 'version': version})}.json"
