"""The five verbs over any cloud: conditions that survive a lost reply, bytes checked both ways, faults within a budget.

An SDK that retries reports a conflict for its own success. So every conditional write carries a writer's name of its
own, and after a conflict or silence the object is asked who wrote it. Nothing here knows one cloud from another.
"""

from __future__ import annotations

import errno
import hashlib
import io
import time
import uuid
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from tasks.adapters.blobs import describe_blob
from tasks.adapters.clouds.backend import (
    CHUNK_BYTES,
    PART_BYTES,
    SHA256,
    WRITER,
    Address,
    Answer,
    Backend,
    Body,
    Budget,
    Condition,
    Fault,
)
from tasks.adapters.settings import settings
from tasks.adapters.store import Head, checked_key
from tasks.errors import (
    AccessDenied,
    AlreadyExists,
    BadRequest,
    Conflict,
    GreenlightError,
    HomeDamaged,
    NoBucket,
    OutOfSpace,
    Unreachable,
)

FIRST_PAUSE_SECONDS = 0.2
TRIES = 5
# Bytes that arrive altered are asked for again this often: a wire may be at fault, an object that stays wrong is not.
READS = 3
LOCAL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EMFILE, errno.EFBIG})
UNCONDITIONAL = Condition()
T = TypeVar("T")


def store_at(uri: str, options: frozenset[str], backend: Callable[[Address, Budget], Backend]) -> CloudStore:
    """Return the store at *uri*, an address that knows *options*, within the budget of the settings."""
    address, budget = Address.of(uri, options), Budget(settings().store_seconds)
    return CloudStore(uri, address.prefix, backend(address, budget), budget)


class CloudStore:
    """A ``Store`` in a bucket, below *prefix*."""

    def __init__(self, uri: str, prefix: str, backend: Backend, budget: Budget) -> None:
        self.uri = uri
        self._prefix = f"{prefix}/" if prefix else ""
        self._backend = backend
        self._budget = budget
        self._reached = False

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
        full, condition = self._full(key), Condition(if_absent, if_match)
        body = _body(source, key, sha256)
        if condition and body.size > PART_BYTES:
            raise BadRequest(f"{key} has {body.size} bytes; at most {PART_BYTES} can be written under a condition")
        metadata = {SHA256: body.sha256} | ({WRITER: uuid.uuid4().hex} if condition else {})

        def write() -> str:
            try:
                return self._backend.write(full, body, condition, metadata)
            except Exception as error:
                found = self._backend.find(full) if self._may_be_ours(error, condition) else None
                if found is None or found.metadata.get(WRITER) != metadata[WRITER]:
                    raise
                return found.version

        return Head(key, body.size, self._asked(write, key, condition))

    def open(self, key: str, start: int = 0) -> BinaryIO:
        """Open the object for reading from byte *start* on, its bytes checked against the digest kept beside it.

        Up to PART_BYTES they are checked before the first is handed out, beyond that at the end. A part of them cannot
        be: whoever asks for one knows the digest of the whole.
        """
        full = self._full(key)
        for tries_left in reversed(range(READS)):
            answer = self._asked(lambda: self._backend.read(full, start), key)
            stream = _Stream(self, key, full, answer, start)
            if answer.found.size > PART_BYTES:
                return io.BufferedReader(stream, CHUNK_BYTES)
            try:
                return io.BytesIO(stream.readall() or b"")
            except HomeDamaged:
                if not tries_left:
                    raise
        raise AssertionError("the last try returns or raises")

    def head(self, key: str) -> Head | None:
        """Return what is known of the object, None if there is none."""
        full = self._full(key)
        found = self._asked(lambda: self._backend.find(full), key)
        if found is None:
            self._reach(key)
        return Head(key, found.size, found.version) if found else None

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with *prefix*, sorted."""
        names = self._asked(lambda: sorted(self._backend.names(self._prefix + prefix)), f"{prefix}*")
        if not names:
            self._reach(f"{prefix}*")
        yield from (name.removeprefix(self._prefix) for name in names)

    def delete(self, key: str) -> None:
        """Remove the object; a missing one is no error."""
        full = self._full(key)
        try:
            self._asked(lambda: self._backend.remove(full), key)
        except HomeDamaged:
            return

    def _full(self, key: str) -> str:
        checked_key(self._prefix + checked_key(key))
        if not key.isprintable():
            raise BadRequest(f"the key {key!r} cannot name an object: not every cloud takes what cannot be printed")
        return self._prefix + key

    def _may_be_ours(self, error: Exception, condition: Condition) -> bool:
        return bool(condition) and self.fault(error) in (Fault.CONFLICT, Fault.UNREACHABLE)

    def _reach(self, key: str) -> None:
        """An empty answer is believed only of a bucket that is known to be there."""
        if not self._reached:
            self._asked(self._backend.reach, key, missing=Fault.NO_BUCKET)
            self._reached = True

    def _asked(
        self,
        ask: Callable[[], T],
        key: str,
        condition: Condition = UNCONDITIONAL,
        missing: Fault = Fault.MISSING,
    ) -> T:
        """Return what *ask* answers; silence is asked again, as long as another one still ends within the budget."""
        started, tries = time.monotonic(), 0
        while True:
            try:
                return ask()
            except GreenlightError:
                raise
            except Exception as error:
                fault = missing if (fault := self.fault(error)) is Fault.MISSING else fault
                spent, tries = time.monotonic() - started, tries + 1
                if fault is Fault.MISSING:
                    self._reach(key)
                if fault is not Fault.UNREACHABLE or tries == TRIES or spent > self._budget.seconds / 2:
                    raise self._letter(error, fault, key, condition, spent) from error
            time.sleep(min(FIRST_PAUSE_SECONDS * 2**tries, self._budget.seconds / 10))

    def fault(self, error: Exception) -> Fault | None:
        """Say what *error* means: what a socket says is the same on every cloud."""
        return Fault.UNREACHABLE if isinstance(error, TimeoutError | ConnectionError) else self._backend.fault(error)

    def _letter(
        self, error: Exception, fault: Fault | None, key: str, condition: Condition, spent: float
    ) -> GreenlightError:
        said = f"{type(error).__name__}: {str(error)[:300]}"
        if fault is None:
            if isinstance(error, OSError) and error.errno in LOCAL:
                return OutOfSpace(f"{key} could not be copied to or from {self.uri}: {error.strerror}; make room")
            raise error
        if fault is Fault.CONFLICT and condition.absent:
            return AlreadyExists(f"{key} is already in {self.uri}; nothing was written")
        # Under If-Match some clouds call a missing object missing.
        if fault is Fault.CONFLICT or (fault is Fault.MISSING and condition.match):
            return Conflict(
                f"{key} in {self.uri} is not at version {condition.match} any more: somebody else wrote it meanwhile; "
                "read it again and decide anew"
            )
        made, advice = LETTERS[fault]
        return made(f"{self.uri}: {key}: {fault.value} (after {spent:.0f} s): {advice} It said: {said}")


LETTERS: dict[Fault, tuple[type[GreenlightError], str]] = {
    Fault.MISSING: (HomeDamaged, "restore the object from a mirror or a backup, or run again to write it anew."),
    Fault.NO_BUCKET: (NoBucket, "make the bucket, or correct the address in GREENLIGHT_STORE or GREENLIGHT_MIRRORS."),
    Fault.DENIED: (AccessDenied, "check the credentials this process finds and what they may do; see README, Stores."),
    Fault.CORRUPT: (HomeDamaged, "the bytes were altered on their way and nothing was stored; run again."),
    Fault.UNREACHABLE: (
        Unreachable,
        "check the network and the cloud's status, then run again: nothing is half written.",
    ),
    Fault.REFUSED: (BadRequest, "check the address, the bucket's settings and the name."),
}


class _Stream(io.RawIOBase):
    """The bytes of one object. A body that is cut goes on where it ended, if the object is still the same."""

    def __init__(self, store: CloudStore, key: str, full: str, answer: Answer, start: int) -> None:
        self._store, self._key, self._full, self._start = store, key, full, start
        self._found, self._chunks = answer.found, answer.chunks
        self._digest = hashlib.sha256()
        self._position = start
        self._rest = b""

    def readable(self) -> bool:
        """Say that this is for reading."""
        return True

    def close(self) -> None:
        """Give the connection back, also before the end."""
        if isinstance(self._chunks, Generator):
            self._chunks.close()
        super().close()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill *buffer* with the next bytes; at the end the digest is checked (HomeDamaged)."""
        if not self._rest:
            self._rest = self._next()
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def _next(self) -> bytes:
        if self._position == self._found.size:
            self._check()
            return b""
        chunk = self._store._asked(self._chunk, self._key)
        self._digest.update(chunk)
        self._position += len(chunk)
        return chunk

    def _chunk(self) -> bytes:
        """Return the next bytes, of a new response where the one before was cut."""
        try:
            if chunk := next(self._chunks, b""):
                return chunk
        except Exception as error:
            if self._store.fault(error) is not Fault.UNREACHABLE:
                raise
        answer = self._store._backend.read(self._full, self._position)
        if answer.found.version != self._found.version:
            raise Conflict(f"{self._key} in {self._store.uri} was written anew while it was read; read it again")
        self._chunks = answer.chunks
        chunk = next(self._chunks, b"")
        if not chunk:
            raise TimeoutError(f"{self._position} of {self._found.size} bytes came")
        return chunk

    def _check(self) -> None:
        wanted = self._found.metadata.get(SHA256)
        if wanted and not self._start and wanted != self._digest.hexdigest():
            raise HomeDamaged(
                f"{self._key} came from {self._store.uri} with the digest {self._digest.hexdigest()[:12]}…, wanted "
                f"{wanted[:12]}…: its bytes were altered on the way or in the store; run again, and if it stays so "
                "restore it from a mirror: greenlight stores repair"
            )


def _body(source: Path | bytes, key: str, promised: str | None) -> Body:
    blob = describe_blob(source)
    if promised is not None and promised != blob.digest:
        raise HomeDamaged(
            f"the bytes to be written as {key} have the digest {blob.digest[:12]}…, wanted {promised[:12]}…: "
            "their source changed meanwhile; nothing was stored"
        )
    return Body(source, blob.size, blob.digest)
