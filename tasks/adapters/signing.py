"""Who vouches for what: Ed25519 keys as OpenSSH files, and sealed documents that nobody else can have written.

The service signs manifests and ledger entries with a key of its own, made on first use. Which document means what is
known to the modules that seal it; who may decide is the policy's business.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_ssh_private_key,
    load_ssh_public_key,
)

from tasks.adapters.leftovers import own_folder
from tasks.core.digests import canonical_json
from tasks.errors import AlreadyExists, HomeDamaged, NotTrusted, OutOfSpace

SERVICE_KEY = "service.key"
SERVICE_PUBLIC = "service.pub"
TRUSTED = "trusted"


@dataclass(frozen=True)
class Signature:
    """A signature in base64, and the fingerprint of the key that is said to have made it."""

    key: str
    value: str


@dataclass(frozen=True)
class Signer:
    """A private key that signs, and the folder it lies in, if it lies in one."""

    private: Ed25519PrivateKey
    keys: Path | None = None

    @property
    def fingerprint(self) -> str:
        """The key's fingerprint, as ssh-keygen -l prints it."""
        return fingerprint(self.private.public_key())

    def sign(self, data: bytes) -> Signature:
        """Sign *data*; the same data gives the same signature."""
        return Signature(self.fingerprint, base64.b64encode(self.private.sign(data)).decode())

    def trust(self) -> Trust:
        """Return a trust in this key alone."""
        return Trust({self.fingerprint: self.private.public_key()})


@dataclass(frozen=True)
class Trust:
    """The public keys whose signatures count, by fingerprint."""

    keys: Mapping[str, Ed25519PublicKey]

    def verify(self, data: bytes, signature: Signature, what: str) -> None:
        """Return if a trusted key signed *data*; raises NotTrusted naming *what* and the key otherwise."""
        if not self.keys:
            raise NotTrusted(
                f"{what} is signed by the key {signature.key}, but this home has signed nothing yet and trusts no key: "
                f"restore keys/{SERVICE_KEY}, or put the .pub file of whoever signed into keys/{TRUSTED}"
            )
        if signature.key not in self.keys:
            raise NotTrusted(
                f"{what} is signed by the key {signature.key}, which is none of the {len(self.keys)} trusted: "
                f"{', '.join(sorted(self.keys))}; if it is a colleague's, put its .pub file into keys/{TRUSTED}"
            )
        try:
            self.keys[signature.key].verify(_only_spelling(signature.value), data)
        except (InvalidSignature, ValueError) as error:
            raise NotTrusted(
                f"the signature of {what} by the key {signature.key} does not fit its content: it was changed after "
                "it was signed; restore it from a backup or publish it anew"
            ) from error


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the fingerprint ssh-keygen prints for *key*."""
    body = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1]
    return "SHA256:" + base64.b64encode(hashlib.sha256(base64.b64decode(body)).digest()).decode().rstrip("=")


def service_signer(keys: Path) -> Signer:
    """Return the service's key from the folder *keys*; made on first use, readable by its owner only."""
    path = keys / SERVICE_KEY
    if not path.exists():
        _make_key(path)
    private = _private_key(path)
    public = keys / SERVICE_PUBLIC
    if not public.exists():
        write_key(public, public_line(private.public_key(), "greenlight-service"), 0o644, replace=True)
    return Signer(private, keys)


def trusted_keys(keys: Path) -> Trust:
    """Return what this home trusts: its service key, if it has signed anything yet, and every ``trusted/*.pub``.

    Reading makes no key: in an empty folder nothing is trusted.
    """
    path = keys / SERVICE_KEY
    own = [_private_key(path).public_key()] if path.exists() else []
    return Trust({fingerprint(key): key for key in own} | dict(listed_keys(keys).keys))


def listed_keys(keys: Path) -> Trust:
    """Return what somebody put into ``trusted/*.pub``."""
    listed = [_public_key(path) for path in sorted((keys / TRUSTED).glob("*.pub"))]
    return Trust({fingerprint(key): key for key in listed})


def seal(signer: Signer, form: str, body: Mapping[str, Any]) -> bytes:
    """Return *body* as a signed document of the form *form* (``greenlight.bundle/1``), which the signature covers."""
    signature = signer.sign(canonical_json({"form": form, **body}))
    return canonical_json({"form": form, **body, "signature": signature})


def unseal(trust: Trust | None, form: str, raw: bytes, what: str) -> Mapping[str, Any]:
    """Return the body of a sealed document; without *trust* its signature is not looked at.

    Raises HomeDamaged if it is cut or garbled, NotTrusted if no trusted key signed exactly this.
    """
    try:
        document = json.loads(raw)
        signature = Signature(**document.pop("signature"))
        found = document.pop("form")
        if not (isinstance(signature.key, str) and isinstance(signature.value, str)):
            raise TypeError("a signature is two texts")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise HomeDamaged(
            f"{what} is truncated or garbled ({len(raw)} bytes that are no signed document): "
            "restore it from a backup, or delete it and run again if nothing was promoted on it"
        ) from error
    if found != form:
        raise NotTrusted(f"{what} is of the form {found!r}, wanted {form!r}; it was put in another document's place")
    if trust is not None:
        trust.verify(canonical_json({"form": form, **document}), signature, what)
    return dict(document)


def _make_key(path: Path) -> None:
    private = Ed25519PrivateKey.generate()
    body = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    with contextlib.suppress(AlreadyExists):
        write_key(path, body, 0o600, replace=False)


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        private = load_ssh_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise HomeDamaged(f"the key {path} cannot be read: {error}; restore it from a backup") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise HomeDamaged(f"the key {path} is a {type(private).__name__}, wanted an Ed25519 key; restore it")
    return private


def _public_key(path: Path) -> Ed25519PublicKey:
    try:
        public = load_ssh_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise HomeDamaged(f"{path} is no public key in one OpenSSH line: {error}; replace or remove it") from error
    if not isinstance(public, Ed25519PublicKey):
        raise HomeDamaged(f"{path} is a {type(public).__name__}, wanted an ssh-ed25519 line; replace or remove it")
    return public


def public_line(key: Ed25519PublicKey, owner: str) -> bytes:
    """Return *key* as the line of an OpenSSH .pub file."""
    return key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH) + f" {owner}\n".encode()


def write_key(path: Path, data: bytes, mode: int, *, replace: bool) -> None:
    """Write a key file whole, of that mode from its first byte; without *replace* AlreadyExists if there is one."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with own_folder(path.parent) as unfinished:
            temporary = unfinished / path.name
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            _name(temporary, path, replace)
    except OSError as error:
        raise OutOfSpace(
            f"the key {path} could not be written: {error.strerror}; make the folder writable for this user"
        ) from error


def _name(temporary: Path, path: Path, replace: bool) -> None:
    if replace:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise AlreadyExists(f"{path} is there already, and a key is never overwritten; take another name") from error


def _only_spelling(text: str) -> bytes:
    """Return the bytes in base64; ValueError where the same bytes would be spelt otherwise (its last bits are free)."""
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise ValueError("not the one spelling of its bytes")
    return found
