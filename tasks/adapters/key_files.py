"""The key files of people: an approver's Ed25519 pair as OpenSSH writes it, with or without a passphrase.

The service's own key is the business of ``signing``; whose key counts is said by ``approvers``.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_ssh_private_key,
)

from tasks.adapters.signing import Signer, public_line, write_key
from tasks.errors import AlreadyExists, BadRequest, NotTrusted

OWNER_ONLY = 0o600


def make(path: Path, name: str, passphrase: str = "") -> Signer:
    """Make a key pair at *path* and *path*.pub; raises AlreadyExists rather than overwrite a key."""
    refuse_taken(path)
    private = Ed25519PrivateKey.generate()
    lock = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    write_key(path, private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, lock), OWNER_ONLY, replace=False)
    write_key(public_half(path), public_line(private.public_key(), name), 0o644, replace=False)
    return Signer(private)


def refuse_taken(path: Path) -> None:
    """Raise AlreadyExists if either half of the pair at *path* is there already."""
    for each in (path, public_half(path)):
        if each.exists():
            raise AlreadyExists(f"{each} is there already, and a key is never overwritten; take another name or --out")


def public_half(path: Path) -> Path:
    """Return where the public half of the private key *path* lies."""
    return path.with_name(f"{path.name}.pub")


def read(path: Path, ask_passphrase: Callable[[], str]) -> Signer:
    """Return the key at *path*; the passphrase is asked for only if the file has one.

    Raises BadRequest for a file that is no Ed25519 key, NotTrusted for one others may read and for a wrong passphrase.
    """
    raw = _private_bytes(path)
    private = _loaded(path, raw, None)
    if private is None:
        private = _loaded(path, raw, ask_passphrase())
    if not isinstance(private, Ed25519PrivateKey):
        raise BadRequest(f"the key {path} is a {type(private).__name__}, wanted Ed25519: make one, greenlight key new")
    return Signer(private)


def _private_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            raw = file.read()
    except OSError as error:
        raise BadRequest(
            f"the key {path} cannot be read: {error.strerror}; name another with --key, or make one: greenlight key new"
        ) from error
    if mode & ~OWNER_ONLY:
        raise NotTrusted(
            f"the key {path} has the mode {mode:04o}, wanted {OWNER_ONLY:04o}: others could have read it. "
            f"If nobody did: chmod 600 {path}; else make a new one and strike this one from approvers.yaml"
        )
    return raw


def _loaded(path: Path, raw: bytes, passphrase: str | None) -> object:
    """Return the private key, None if it wants a passphrase and none was given."""
    try:
        return load_ssh_private_key(raw, None if passphrase is None else passphrase.encode())
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        if passphrase is not None:
            raise NotTrusted(f"the passphrase does not open the key {path}; try again") from error
        # The library says so by this kind of error: the file is a key, and locked.
        if isinstance(error, TypeError):
            return None
        raise BadRequest(f"{path} is no private key of OpenSSH: {error}; name another with --key") from error
