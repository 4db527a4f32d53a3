"""What a cloud has to say for itself: the requests one SDK sends, and what its errors mean.

Retries, budgets, lost replies, prefixes and letters to people belong to ``CloudStore``; a backend sends each request
once and raises whatever its SDK raises.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from tasks.errors import BadRequest

T = TypeVar("T")

# Kept beside every object, in the one form all four allow as a name of metadata.
SHA256, WRITER = "greenlightsha256", "greenlightwriter"
# From here on a body is sent and read in parts, and carries no condition.
PART_BYTES = 16 << 20
CHUNK_BYTES = 1 << 20
# What one page of a listing holds at most, on every cloud.
PAGE_KEYS = 1000


class Fault(Enum):
    """What an SDK's error means to us."""

    MISSING = "the object is not there"
    NO_BUCKET = "the bucket is not there"
    CONFLICT = "a condition did not hold"
    DENIED = "the credentials are missing, wrong or not enough"
    CORRUPT = "a checksum did not match"
    UNREACHABLE = "no answer, or one that says to come back later"
    REFUSED = "the request was refused"


BY_STATUS = {
    304: Fault.CONFLICT,
    401: Fault.DENIED,
    403: Fault.DENIED,
    404: Fault.MISSING,
    408: Fault.UNREACHABLE,
    409: Fault.CONFLICT,
    412: Fault.CONFLICT,
    429: Fault.UNREACHABLE,
}


def by_status(status: int) -> Fault:
    """Return what an HTTP status means where the cloud says nothing more exact."""
    return BY_STATUS.get(status, Fault.UNREACHABLE if status >= 500 or status < 300 else Fault.REFUSED)


@dataclass(frozen=True)
class Address:
    """Where a store lies: ``scheme://bucket/prefix?option=value``; options are never secret."""

    scheme: str
    bucket: str
    prefix: str
    options: Mapping[str, str]

    @classmethod
    def of(cls, uri: str, known: frozenset[str]) -> Address:
        """Read *uri*; raises BadRequest without a bucket, with a password, or with an option not in *known*."""
        parts = urlsplit(uri)
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if not parts.netloc or ":" in parts.netloc or parts.fragment:
            raise BadRequest(f"{parts.scheme}://… must read {parts.scheme}://bucket/prefix, without a password or port")
        if options.keys() - known:
            raise BadRequest(
                f"{parts.scheme}://{parts.netloc} has the options {', '.join(sorted(options))}; a {parts.scheme}:// "
                f"address knows {', '.join(sorted(known))}"
            )
        return cls(parts.scheme, parts.netloc, unquote(parts.path).strip("/"), options)


@dataclass(frozen=True)
class Budget:
    """How long a verb may take to fail. All timeouts follow from ``seconds``: a stall ends at half of it."""

    seconds: float

    @property
    def connect_seconds(self) -> float:
        """How long to wait for a connection."""
        return min(5.0, self.seconds / 4)

    @property
    def stall_seconds(self) -> float:
        """How long to wait for the next byte."""
        return self.seconds * 0.45


@dataclass(frozen=True)
class Body:
    """What is to be written: bytes, or a file of this machine; ``sha256`` is hexadecimal."""

    source: Path | bytes
    size: int
    sha256: str

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the source for reading."""
        with io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb") as stream:
            yield stream

    def digest(self, algorithm: str) -> bytes:
        """Return another digest of the source, which is read once more for it."""
        with self.opened() as stream:
            found = hashlib.new(algorithm, usedforsecurity=False)
            for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""):
                found.update(chunk)
            return found.digest()


@dataclass(frozen=True)
class Condition:
    """``absent``: nothing may be there yet. ``match``: the object must still have that version. Neither: none."""

    absent: bool = False
    match: str | None = None

    def __bool__(self) -> bool:
        return self.absent or self.match is not None


@dataclass(frozen=True)
class Found:
    """An object as one response describes it; ``metadata`` has lower-case names."""

    size: int
    version: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    """One response to a read: what was found, and its bytes from where they were asked for."""

    found: Found
    chunks: Iterator[bytes]


def twice(ask: Callable[[], T], fault: Callable[[Exception], Fault | None]) -> T:
    """Ask once more after silence: starting 5 GB over for one part in 640 would never end."""
    try:
        return ask()
    except Exception as error:
        if fault(error) is not Fault.UNREACHABLE:
            raise
        return ask()


class Backend(Protocol):
    """One cloud through its own SDK. Full keys (prefix included); errors are the SDK's, ``fault`` reads them."""

    def write(self, key: str, body: Body, condition: Condition, metadata: Mapping[str, str]) -> str:
        """Write *body*, checked by the server against a digest, and return its version.

        A condition comes only with bodies up to PART_BYTES.
        """

    def read(self, key: str, start: int) -> Answer:
        """Read from byte *start* on; *start* is 0 or less than the size."""

    def find(self, key: str) -> Found | None:
        """Describe the object; None where it is not there, or where the bucket is not and nothing tells."""

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with *prefix*, in any order."""

    def remove(self, key: str) -> None:
        """Remove the object; an SDK's error for a missing one is MISSING."""

    def reach(self) -> None:
        """Ask the bucket for one key: raises where it is not there or may not be listed."""

    def fault(self, error: Exception) -> Fault | None:
        """Say what *error* means; None for what is no error of this cloud."""
