"""A store elsewhere, with what it gave kept on this machine: blobs to compute on, pages to open.

The store stays the truth: whether something is there is asked of it each time, and only what is named by its own digest
is answered from here.
"""

from __future__ import annotations

import functools
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from tasks.adapters.blobs import blob_key
from tasks.adapters.cache import BlobCache
from tasks.adapters.settings import settings
from tasks.adapters.store import Head, KeepsFiles, Store, checked_key, read_bytes
from tasks.core.values import Blob
from tasks.errors import OutOfSpace


class CachedStore:
    """The ``Store`` *origin*, which keeps no files here, and a folder that does."""

    def __init__(self, origin: Store, folder: Path, limit_bytes: int) -> None:
        self.origin = origin
        self.uri = origin.uri
        self._folder = folder
        self._cache = BlobCache(folder, limit_bytes)

    def put(
        self,
        key: str,
        source: Path | bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        sha256: str | None = None,
    ) -> Head:
        """Write *source* under *key* in the store."""
        return self.origin.put(key, source, if_absent=if_absent, if_match=if_match, sha256=sha256)

    def open(self, key: str, start: int = 0) -> BinaryIO:
        """Open the object in the store for reading."""
        return self.origin.open(key, start)

    def head(self, key: str) -> Head | None:
        """Return what the store knows of the object, None if there is none."""
        return self.origin.head(key)

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the store's keys that start with *prefix*, sorted."""
        return self.origin.list(prefix)

    def delete(self, key: str) -> None:
        """Remove the object from the store."""
        self.origin.delete(key)

    def fetched(self, blob: Blob) -> Path:
        """Return a file of this machine with the blob's bytes, verified; it stays while this process lives."""
        return self._cache.path(blob, functools.partial(self.origin.open, blob_key(blob.digest)))

    def took(self, blob: Blob, source: Path) -> None:
        """Keep the blob that was just stored, so that it need not be fetched."""
        self._cache.path(blob, functools.partial(_opened, source))

    def copied(self, key: str) -> Path:
        """Return a copy of the object as it is now, for people to open."""
        path = self._folder / "pages" / checked_key(key)
        unfinished = path.with_name(f".{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(read_bytes(self.origin, key))
            unfinished.replace(path)
        except OSError as error:
            unfinished.unlink(missing_ok=True)
            raise OutOfSpace(f"{path} cannot be written: {error.strerror}; make room, then run again") from error
        return path


def near(store: Store, root: Path) -> Store:
    """Return *store* so that its blobs can be read as files: those of another machine are kept in the home *root*."""
    if isinstance(store, KeepsFiles):
        return store
    return CachedStore(store, root / "cache", settings().cache_megabytes * 1_000_000)


def at_its_origin(store: Store) -> Store:
    """Return *store* without what is kept here: whoever checks it wants to see its own bytes."""
    return store.origin if isinstance(store, CachedStore) else store


def _opened(source: Path, start: int) -> BinaryIO:
    stream = source.open("rb")
    stream.seek(start, os.SEEK_SET)
    return stream
