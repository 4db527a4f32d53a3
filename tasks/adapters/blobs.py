"""Bytes by content: what is large is stored once, under its own digest, and verified whenever it is read.

What the bytes mean, and who refers to them, is not known here.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from tasks.adapters.store import KeepsCopies, KeepsFiles, Store, fetched, read_bytes
from tasks.core.digests import digest_of_bytes
from tasks.core.values import Blob
from tasks.errors import BadRequest, HomeDamaged

# A file changed twice within one tick of the file system's clock looks unchanged, so what is that new is not remembered
# as verified.
CLOCK_TICK_NS = 50_000_000
# Small files wait for the network, not for us: so many requests at once take that much less time. Large ones, of which
# each is held in memory in part, are fewer at a time.
CONNECTIONS, LARGE_AT_ONCE = 32, 8
SMALL_BYTES = 1 << 18
T = TypeVar("T")
R = TypeVar("R")


def blob_key(digest: str) -> str:
    """Return where the blob with that digest lies in any store."""
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise BadRequest(f"{digest!r} is no sha256 digest: 64 hexadecimal digits are wanted")
    return f"blobs/sha256/{digest[:2]}/{digest}"


def put_blob(store: Store, source: Path | bytes) -> Blob:
    """Store *source* under its digest; bytes that are there already are not written again, damaged ones are."""
    blob = describe_blob(source)
    if not _is_whole(store, blob):
        store.put(blob_key(blob.digest), source, sha256=blob.digest)
    if isinstance(store, KeepsCopies) and isinstance(source, Path):
        store.took(blob, source)
    return blob


def put_blobs(store: Store, sources: Mapping[str, Path | bytes]) -> dict[str, Blob]:
    """Store all *sources*, several at a time, and return the blob of each under its name."""
    groups: dict[int, list[str]] = {CONNECTIONS: [], LARGE_AT_ONCE: []}
    for name, source in sources.items():
        groups[CONNECTIONS if _size_of(source) <= SMALL_BYTES else LARGE_AT_ONCE].append(name)
    blobs: dict[str, Blob] = {}
    for at_once, names in groups.items():
        each = side_by_side(functools.partial(put_blob, store), (sources[name] for name in names), at_once)
        blobs |= zip(names, each, strict=True)
    return {name: blobs[name] for name in sources}


def side_by_side(work: Callable[[T], R], items: Iterable[T], at_once: int = LARGE_AT_ONCE) -> list[R]:
    """Return what *work* gives for each, in order; for work that waits for a store rather than for this machine."""
    with ThreadPoolExecutor(at_once) as threads:
        return list(threads.map(work, items))


def _size_of(source: Path | bytes) -> int:
    """What is not there is told by whoever reads it."""
    if isinstance(source, bytes):
        return len(source)
    return source.stat().st_size if source.exists() else 0


def describe_blob(source: Path | bytes) -> Blob:
    """Return digest and size of *source* without storing it."""
    if isinstance(source, bytes):
        return Blob(digest_of_bytes(source), len(source))
    try:
        with source.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return Blob(digest, stream.tell())
    except OSError as error:
        raise HomeDamaged(f"{source} was to be stored but cannot be read: {error.strerror}; run again") from error


def has_blob(store: Store, blob: Blob) -> bool:
    """Say whether the store holds an object of the blob's size under its name; its bytes are not read."""
    head = store.head(blob_key(blob.digest))
    return head is not None and head.size == blob.size


def read_blob(store: Store, blob: Blob) -> bytes:
    """Return the blob's bytes, verified; raises HomeDamaged if they are gone, cut or altered."""
    near = isinstance(store, KeepsCopies)
    data = fetched(store, blob).read_bytes() if near else read_bytes(store, blob_key(blob.digest))
    if len(data) != blob.size or digest_of_bytes(data) != blob.digest:
        raise _damaged(store, blob, len(data))
    return data


def blob_path(store: Store, blob: Blob) -> Path:
    """Return a file of this machine with the blob's bytes, to be read and never written.

    The size is verified on each call, the digest once per process and file version; raises HomeDamaged otherwise.
    """
    if not isinstance(store, KeepsFiles):
        return fetched(store, blob)
    head = store.head(blob_key(blob.digest))
    path = store.local_path(blob_key(blob.digest))
    if head is None or head.size != blob.size:
        raise _damaged(store, blob, head.size if head else None)
    try:
        whole = holds(path, blob)
    except FileNotFoundError as error:
        # Collected as garbage since it was looked for.
        raise _damaged(store, blob, None) from error
    if not whole:
        raise _damaged(store, blob, head.size)
    return path


def holds(path: Path, blob: Blob) -> bool:
    """Say whether the file has the blob's bytes, which are read once per process and file version."""
    about = path.stat()
    settled = time.time_ns() - about.st_ctime_ns > CLOCK_TICK_NS
    return _verified(path, blob, about.st_ino, about.st_ctime_ns) if settled else describe_blob(path) == blob


def _is_whole(store: Store, blob: Blob) -> bool:
    if not has_blob(store, blob):
        return False
    if not isinstance(store, KeepsFiles):
        return True
    try:
        return blob_path(store, blob).is_file()
    except HomeDamaged:
        return False


@lru_cache(maxsize=4096)
def _verified(path: Path, blob: Blob, inode: int, changed_ns: int) -> bool:
    return describe_blob(path) == blob


def _damaged(store: Store, blob: Blob, found_bytes: int | None) -> HomeDamaged:
    found = "it is gone" if found_bytes is None else f"{found_bytes} bytes were found"
    altered = " with another digest" if found_bytes == blob.size else ""
    return HomeDamaged(
        f"the blob {blob.digest} in {store.uri} is damaged: {found}{altered}, {blob.size} bytes with that digest "
        f"are wanted; delete {blob_key(blob.digest)} in the store and run again to compute it anew, "
        "or restore it from a backup"
    )
