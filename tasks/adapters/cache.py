"""Blobs of a store elsewhere, kept on this machine: fetched once, verified, and never taken from under a reader.

A file that was handed out is held by a shared lock until its process ends, however it ends; what nobody holds makes
room for what comes, least recently used first. The operating system frees the locks, so none is ever left behind.
Where the bytes come from is not known here.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from tasks.adapters.blobs import blob_key, holds
from tasks.adapters.directory import CHUNK_BYTES, FULL
from tasks.core.values import Blob
from tasks.errors import HomeDamaged, OutOfSpace

# Others may evict, or finish, what we are about to take; so often in a row is no coincidence.
TRIES = 20
PART = "part"

Opened = Callable[[int], BinaryIO]


class BlobCache:
    """A folder of verified blobs, at most *limit_bytes* large as far as nobody holds more."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self._limit_bytes = limit_bytes
        self._held: dict[Path, int] = {}

    def path(self, blob: Blob, opened: Opened) -> Path:
        """Return a file with the blob's bytes, which stays while this process lives.

        *opened* gives the bytes from a position on; an interrupted download goes on where it ended. Raises HomeDamaged
        where they are not those with the digest.
        """
        path = self.folder / blob_key(blob.digest)
        with _letters(path):
            for _ in range(TRIES):
                if self._hold(path) and self._is_whole(path, blob):
                    return path
                self._fetch(path, blob, opened)
        raise HomeDamaged(f"the copy {path} was taken away {TRIES} times while it was made; run again")

    def _hold(self, path: Path) -> bool:
        """Keep whoever makes room away from *path* until this process ends; False if there is no such file."""
        if path in self._held and _is_open_as(self._held[path], path):
            return True
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        if not _is_open_as(descriptor, path):
            os.close(descriptor)
            return False
        # When it was last used, for whoever makes room.
        os.utime(descriptor)
        self._keep(path, descriptor)
        return True

    def _keep(self, path: Path, descriptor: int) -> None:
        before = self._held.pop(path, None)
        if before is not None:
            os.close(before)
        self._held[path] = descriptor

    def _is_whole(self, path: Path, blob: Blob) -> bool:
        whole = holds(path, blob)
        if not whole:
            path.unlink(missing_ok=True)
        return whole

    def _fetch(self, path: Path, blob: Blob, opened: Opened) -> None:
        """Download the blob unless somebody else does, or did, meanwhile."""
        unfinished = self.folder / "parts" / blob.digest
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        # exist_ok would ask again what it is, and somebody may remove it in between.
        with contextlib.suppress(FileExistsError):
            unfinished.mkdir()
        # The folder is locked, not the file: that one is a reader's as soon as it has its name.
        with _alone(unfinished, fcntl.LOCK_EX) as ours:
            if not ours:
                return
            if not path.exists():
                with (unfinished / PART).open("a+b") as out:
                    self._make_room(blob.size - os.fstat(out.fileno()).st_size)
                    download(out, blob, opened)
                path.parent.mkdir(parents=True, exist_ok=True)
                # Held before it has its name, so that nobody takes it in between.
                descriptor = os.open(unfinished / PART, os.O_RDONLY | os.O_CLOEXEC)
                fcntl.flock(descriptor, fcntl.LOCK_SH)
                (unfinished / PART).replace(path)
                self._keep(path, descriptor)
            shutil.rmtree(unfinished)

    def _make_room(self, wanted_bytes: int) -> None:
        """Remove what was used longest ago and is held by nobody, until *wanted_bytes* more fit."""
        known = sorted(_files(self.folder))
        free = self._limit_bytes - sum(size for _, size, _ in known)
        for _, size, place in known:
            if free >= wanted_bytes:
                return
            if _removed(place):
                free += size


def download(out: BinaryIO, blob: Blob, opened: Opened) -> int:
    """Complete the file *out*, which holds the blob's first bytes, make it durable, and return how many bytes came.

    Raises HomeDamaged where what came has another digest: *out* is empty then, so that the next try begins anew.
    """
    digest = hashlib.sha256()
    out.seek(0)
    while chunk := out.read(CHUNK_BYTES):
        digest.update(chunk)
    begun = out.tell()
    if begun < blob.size:
        with opened(begun) as stream:
            while out.tell() <= blob.size and (chunk := stream.read(CHUNK_BYTES)):
                digest.update(chunk)
                out.write(chunk)
    out.flush()
    os.fsync(out.fileno())
    if (out.tell(), digest.hexdigest()) == (blob.size, blob.digest):
        return out.tell() - begun
    found = out.tell()
    out.truncate(0)
    if begun:
        # What was there before may have been the wrong part.
        return download(out, blob, opened)
    raise HomeDamaged(
        f"the blob {blob.digest} came with {found} bytes of another digest, {blob.size} with that digest are wanted: "
        "its bytes in the store were altered; delete it there and run again to compute it anew, or restore it from a "
        "backup"
    )


def _files(folder: Path) -> Iterator[tuple[int, int, Path]]:
    """Yield when each was used last, its size, and where it lies: files, and the folders of unfinished ones."""
    parts = ((path, path.parent) for path in (folder / "parts").glob(f"*/{PART}"))
    whole = ((path, path) for path in (folder / "blobs").glob("*/*/*"))
    for path, place in (*whole, *parts):
        with contextlib.suppress(FileNotFoundError):
            about = path.stat()
            yield about.st_mtime_ns, about.st_size, place


def _removed(place: Path) -> bool:
    """Remove what lies there unless somebody holds it; whoever waited for it meanwhile sees that it is gone."""
    try:
        with _alone(place, fcntl.LOCK_EX | fcntl.LOCK_NB) as ours:
            if ours:
                shutil.rmtree(place) if place.is_dir() else place.unlink()
            return ours
    except BlockingIOError:
        return False


@contextlib.contextmanager
def _alone(place: Path, how: int) -> Iterator[bool]:
    """Lock a file or a folder meanwhile; False where it was gone before the lock was ours."""
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(descriptor, how)
        yield _is_open_as(descriptor, place)
    finally:
        os.close(descriptor)


def _is_open_as(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def _letters(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL | {errno.ENOTDIR, errno.EISDIR, errno.EMFILE}:
            raise
        raise OutOfSpace(
            f"{path} could not be kept on this machine: {error.strerror}; make room, or make the folder writable, or "
            "delete it, then run again: what came already is not fetched anew"
        ) from error
