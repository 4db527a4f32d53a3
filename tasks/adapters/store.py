"""An object store is five verbs. This module says what they promise; each kind of store is an adapter of its own.

Uniqueness anywhere in the system is ``put(..., if_absent=True)``; there is no second mechanism. What a key means
belongs to the modules that write it (blobs, bundles, ledger), not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import BinaryIO, Protocol, cast, runtime_checkable
from urllib.parse import urlsplit, urlunsplit

from tasks.core.values import Blob
from tasks.errors import BadRequest

LONGEST_KEY = 1024
LONGEST_NAME_BYTES = 255


@dataclass(frozen=True)
class Head:
    """What is known of an object without reading it; ``version`` changes whenever its bytes do."""

    key: str
    size: int
    version: str


class Store(Protocol):
    """Objects by key. Every verb may raise Unreachable (retried) and OutOfSpace.

    ``put`` makes all of *source* visible or nothing. With ``if_absent`` exactly one of any number of writers wins and
    the others get AlreadyExists; with ``if_match`` the object must still have that version, else Conflict. Where
    ``sha256`` is given, bytes with another digest are refused (HomeDamaged) and nothing becomes visible.
    ``open`` reads from byte *start* on, which is less than the size or 0, and raises HomeDamaged for a key that is not
    there; ``head`` returns None. ``list`` yields keys in order.
    ``delete`` of a missing key is no error.
    """

    uri: str

    def put(
        self,
        key: str,
        source: Path | bytes,
        *,
        if_absent: bool = False,
        if_match: str | None = None,
        sha256: str | None = None,
    ) -> Head:
        """Write *source* (a file or bytes) under *key*."""

    def open(self, key: str, start: int = 0) -> BinaryIO:
        """Open the object for reading, from byte *start* on."""

    def head(self, key: str) -> Head | None:
        """Return what is known of the object, None if there is none."""

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with *prefix*, sorted."""

    def delete(self, key: str) -> None:
        """Remove the object."""


@runtime_checkable
class KeepsFiles(Protocol):
    """A store whose objects are files of this machine, which may be read in place."""

    def local_path(self, key: str) -> Path:
        """Return where the object's bytes lie."""


@runtime_checkable
class KeepsCopies(Protocol):
    """A store elsewhere, of whose objects copies are kept on this machine."""

    def fetched(self, blob: Blob) -> Path:
        """Return a verified file with the blob's bytes, which stays while this process lives."""

    def took(self, blob: Blob, source: Path) -> None:
        """Keep the blob that was just stored."""

    def copied(self, key: str) -> Path:
        """Return a copy of the object as it is now."""


def open_store(uri: str) -> Store:
    """Return the store at *uri*; raises BadRequest for a scheme nobody declared."""
    scheme = urlsplit(uri).scheme
    if scheme not in OPENERS:
        raise BadRequest(
            f"no store is known for {uri!r}: the scheme {scheme!r} is none of {', '.join(sorted(OPENERS))}; "
            "set GREENLIGHT_STORE to an address like file:///srv/greenlight"
        )
    return OPENERS[scheme](uri)


def read_bytes(store: Store, key: str) -> bytes:
    """Return all bytes of a small object; raises HomeDamaged if it is not there."""
    with store.open(key) as stream:
        return stream.read()


def address(store: Store, key: str) -> str:
    """Return where people find the object: a path on this machine, else its address in the store."""
    return str(store.local_path(key)) if isinstance(store, KeepsFiles) else located(store, key)


def located(store: Store, key: str) -> str:
    """Return the object's address; a store's own may end with options."""
    parts = urlsplit(store.uri)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{key}"))


def local_file(store: Store, key: str) -> Path:
    """Return a file of this machine with the object's bytes, for people to open; nobody may write it."""
    if isinstance(store, KeepsFiles):
        return store.local_path(key)
    return _keeping(store).copied(key)


def fetched(store: Store, blob: Blob) -> Path:
    """Return a file with the blob's bytes out of a store elsewhere, verified; it stays while this process lives."""
    return _keeping(store).fetched(blob)


def _keeping(store: Store) -> KeepsCopies:
    if not isinstance(store, KeepsCopies):
        raise BadRequest(f"of the store {store.uri} nothing is kept on this machine; fetch the bundle instead")
    return store


def checked_key(key: str) -> str:
    """Return *key* if it may name an object on every kind of store, else raise BadRequest."""
    problem = _problem(key)
    if problem:
        raise BadRequest(f"the key {key!r} cannot name an object: {problem}")
    return key


def _problem(key: str) -> str:
    names = key.split("/")
    if len(key) > LONGEST_KEY:
        return f"it has {len(key)} characters, at most {LONGEST_KEY} are allowed"
    if any(name in ("", ".", "..") or "\0" in name for name in names):
        return "it is empty, or a part of it is empty, '.', '..' or holds a NUL"
    longest = max(len(name.encode("utf-8", "surrogatepass")) for name in names)
    if longest > LONGEST_NAME_BYTES:
        return f"a part of it has {longest} bytes, at most {LONGEST_NAME_BYTES} are allowed"
    if names[0].startswith(".tmp") or names[0] == ".lock":
        return f"{names[0]!r} is where the store keeps what is not finished"
    return ""


def _directory(uri: str) -> Store:
    from tasks.adapters.directory import DirectoryStore

    return DirectoryStore.at(uri)


def _cloud(extra: str, module: str) -> Callable[[str], Store]:
    def at(uri: str) -> Store:
        try:
            return cast(Store, import_module(f"tasks.adapters.clouds.{module}").at(uri))
        except ModuleNotFoundError as error:
            raise BadRequest(
                f"the store {uri} needs {error.name}, which is not installed; run: pip install 'greenlight[{extra}]'"
            ) from error

    return at


OPENERS: dict[str, Callable[[str], Store]] = {
    "file": _directory,
    "s3": _cloud("s3", "s3"),
    "gs": _cloud("gcs", "gcs"),
    "az": _cloud("azure", "azure"),
    "oci": _cloud("oci", "oracle"),
}
