"""A directory with the promises of an object store: the embedded default.

A write is a finished, fsynced file under ``.tmp`` that gets its name in one step: link(2) to create (it fails where the
name is taken, and never shows half a file), rename(2) under a lock to replace. Nothing here knows what an object means.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from tasks.adapters.store import Head, checked_key
from tasks.errors import AlreadyExists, BadRequest, Conflict, GreenlightError, HomeDamaged, OutOfSpace, Unreachable

CHUNK_BYTES = 1 << 20
# Up to here a version is the digest of the bytes: a file replaced twice in one tick of the clock is still told apart.
SMALL_BYTES = 64 << 10
# A living writer holds a lock on its file in .tmp, from right after making it; a killed one's file is nobody's.
UNLOCKED_SECONDS = 5

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG})
MISNAMED = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.EINVAL, errno.ELOOP})
NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS})


class DirectoryStore:
    """A ``Store`` in a directory of this machine; it is made on the first write, not before."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uri = root.as_uri()
        self._swept = False

    @classmethod
    def at(cls, uri: str) -> DirectoryStore:
        """Return the store at a ``file://`` address; raises BadRequest for another machine or a relative path."""
        parts = urlsplit(uri)
        path = Path(unquote(parts.path))
        if parts.netloc not in ("", "localhost") or not path.is_absolute() or parts.query or parts.fragment:
            raise BadRequest(f"{uri!r} names no directory of this machine; write file:///absolute/path")
        return cls(path)

    def local_path(self, key: str) -> Path:
        """Return where the object's bytes lie; they may be read in place and must not be written."""
        return self.root / checked_key(key)

    def put(
        self,
        key: str,
        source: Path | bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        sha256: str | None = None,
    ) -> Head:
        """Write *source* under *key*, whole or not at all."""
        path = self.local_path(key)
        with _letters(self.root, key), self._finished(key, source, sha256) as temporary:
            _make_directories(path.parent)
            head = _head(key, temporary)
            if if_absent:
                self._create(key, temporary, path)
            else:
                self._replace(key, temporary, path, if_match)
            sync_directory(path.parent)
            return head

    def open(self, key: str, start: int = 0) -> BinaryIO:
        """Open the object for reading, from byte *start* on; raises HomeDamaged if it is not there."""
        with _letters(self.root, key):
            stream = self.local_path(key).open("rb")
            stream.seek(start)
            return stream

    def head(self, key: str) -> Head | None:
        """Return size and version of the object, None if there is none."""
        path = self.local_path(key)
        with _letters(self.root, key):
            try:
                return _head(key, path) if path.is_file() else None
            except FileNotFoundError:
                return None

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with *prefix*, sorted; unfinished writes are not among them."""
        top = self.root / prefix.rpartition("/")[0] if "/" in prefix else self.root
        if prefix.rpartition("/")[0]:
            checked_key(prefix.rpartition("/")[0])
        with _letters(self.root, prefix):
            yield from sorted(key for key in self._keys(top) if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is no error."""
        with _letters(self.root, key), contextlib.suppress(FileNotFoundError):
            self.local_path(key).unlink()

    def _keys(self, top: Path) -> Iterator[str]:
        for folder, folders, files in os.walk(top, onerror=_raise_unless_gone):
            if Path(folder) == self.root:
                folders[:] = [name for name in folders if name != ".tmp"]
            inside = os.path.relpath(folder, self.root)
            keys = (name if inside == "." else f"{inside}/{name}" for name in files)
            yield from (key for key in keys if key != ".lock")

    @contextlib.contextmanager
    def _finished(self, key: str, source: Path | bytes, sha256: str | None) -> Iterator[Path]:
        _make_directories(self.root / ".tmp")
        self._sweep()
        temporary = self.root / ".tmp" / uuid.uuid4().hex
        try:
            with open(temporary, "xb") as out:
                fcntl.flock(out, fcntl.LOCK_EX)
                found = _write(out, source)
                if sha256 is not None and found != sha256:
                    raise HomeDamaged(
                        f"the bytes written for {key} have the digest {found[:12]}…, wanted {sha256[:12]}…: their "
                        "source changed while it was copied, or the disk did not keep them; nothing was stored"
                    )
                yield temporary
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()

    def _create(self, key: str, temporary: Path, path: Path) -> None:
        try:
            os.link(temporary, path)
        except FileExistsError as error:
            raise AlreadyExists(f"{key} is already in {self.uri}; nothing was written") from error
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            self._create_without_links(key, temporary, path)

    def _create_without_links(self, key: str, temporary: Path, path: Path) -> None:
        with self._lock():
            if path.exists():
                raise AlreadyExists(f"{key} is already in {self.uri}; nothing was written")
            os.replace(temporary, path)

    def _replace(self, key: str, temporary: Path, path: Path, if_match: str | None) -> None:
        with self._lock():
            if if_match is not None:
                current = self.head(key)
                found = current.version if current else "no object"
                if found != if_match:
                    raise Conflict(
                        f"{key} in {self.uri} is at version {found}, wanted {if_match}: "
                        "somebody else wrote it meanwhile; read it again and decide anew"
                    )
            os.replace(temporary, path)

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        with open(self.root / ".lock", "ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _sweep(self) -> None:
        if self._swept:
            return
        self._swept = True
        for left in (self.root / ".tmp").iterdir():
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > UNLOCKED_SECONDS:
                    _remove_if_nobodys(left)


def _remove_if_nobodys(path: Path) -> None:
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()


def _write(out: BinaryIO, source: Path | bytes) -> str:
    digest = hashlib.sha256()
    for chunk in _chunks(source):
        digest.update(chunk)
        out.write(chunk)
    out.flush()
    os.fsync(out.fileno())
    return digest.hexdigest()


def _chunks(source: Path | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    with _opened_source(source) as stream:
        yield from iter(lambda: stream.read(CHUNK_BYTES), b"")


def _opened_source(source: Path) -> BinaryIO:
    try:
        return source.open("rb")
    except OSError as error:
        raise HomeDamaged(f"{source} was to be stored but cannot be read: {error.strerror}; run again") from error


def _head(key: str, path: Path) -> Head:
    with path.open("rb") as stream:
        about = os.fstat(stream.fileno())
        if about.st_size > SMALL_BYTES:
            return Head(key, about.st_size, f"{about.st_ino}-{about.st_mtime_ns}-{about.st_size}")
        return Head(key, about.st_size, hashlib.sha256(stream.read()).hexdigest())


def _make_directories(path: Path) -> None:
    """Make *path* and its parents, each new name made durable too."""
    if path.is_dir():
        return
    _make_directories(path.parent)
    with contextlib.suppress(FileExistsError):
        path.mkdir()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


@contextlib.contextmanager
def _letters(root: Path, key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _letter(root, key, error) from error


def _letter(root: Path, key: str, error: OSError) -> GreenlightError:
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError):
        return HomeDamaged(f"{key} is gone from the store {root}: {reason}; run again to write it anew")
    if error.errno in FULL:
        return OutOfSpace(
            f"the store {root} could not take or give {key}: {reason}; make room, or make the folder writable for "
            "this user, or set GREENLIGHT_HOME to another folder, then run again: nothing is half written"
        )
    if error.errno in MISNAMED:
        return BadRequest(f"{key} cannot be a key in the store {root}: {reason}")
    return Unreachable(f"the store {root} did not answer for {key}: {reason}; check the disk or the mount")
