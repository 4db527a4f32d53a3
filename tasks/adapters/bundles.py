"""Publishing and opening bundles: blobs first, the signed manifest last, and nothing is parsed before all is verified.

What is in a bundle is decided by who publishes it; whether it may serve is the ledger's word.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tasks.adapters import sweeps
from tasks.adapters.blobs import blob_key, blob_path, describe_blob, put_blobs, read_blob, side_by_side
from tasks.adapters.signing import Signer, Trust, seal, unseal
from tasks.adapters.store import KeepsCopies, KeepsFiles, Store, read_bytes
from tasks.core.digests import plain
from tasks.core.manifest import FORMAT, About, Manifest, checked_path, manifest_of, refuse_pickle
from tasks.core.values import Blob, Challenger
from tasks.errors import AlreadyExists, BadRequest, HomeDamaged, NotTrusted, OutOfSpace

FORM = "greenlight.bundle/1"
MANIFEST_FILE = "manifest.json"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bundle:
    """A verified bundle; ``read`` and ``path`` verify once more what they hand out."""

    store: Store
    manifest: Manifest

    @property
    def challenger(self) -> Challenger:
        """The bundle's name, digest and targets."""
        return Challenger(
            self.manifest.workload, self.manifest.version, self.manifest.digest, tuple(self.manifest.targets)
        )

    def read(self, path: str) -> bytes:
        """Return the bytes of one file; raises BadRequest if the bundle has no such file."""
        return read_blob(self.store, self._blob(path))

    def path(self, path: str) -> Path:
        """Return a local file with the bytes of one file of the bundle, to be read only."""
        return blob_path(self.store, self._blob(path))

    def _blob(self, path: str) -> Blob:
        if path not in self.manifest.files:
            raise BadRequest(
                f"the bundle {self.manifest.workload}/{self.manifest.version} has no file {path!r}; "
                f"it has {', '.join(self.manifest.files)}"
            )
        return self.manifest.files[path]


def bundle_key(workload: str, version: str) -> str:
    """Return where the manifest of a bundle lies."""
    return f"bundles/{workload}/{version}.json"


def publish(
    store: Store, signer: Signer, workload: str, files: Mapping[str, bytes | Path | Blob], about: About
) -> Challenger:
    """Publish *files* as a bundle and return its name; publishing the same again changes nothing.

    A value of *files* is the content, a file that holds it, or a blob that is already in the store. Raises BadRequest
    for a pickle or a path that leaves the bundle.
    """
    sweep = sweeps.standing(store)
    manifest = manifest_of(workload, about, _stored(store, files))
    key = bundle_key(workload, manifest.version)
    sealed = seal(signer, FORM, {"manifest": plain(manifest)})
    try:
        store.put(key, sealed, if_absent=True)
    except AlreadyExists:
        _accept_or_mend(store, signer, key, sealed, manifest)
    sweeps.outlive(store, sweep, tuple(manifest.files.values()), lambda: _stored(store, files), key)
    return Bundle(store, manifest).challenger


def open_bundle(store: Store, trust: Trust, workload: str, version: str) -> Bundle:
    """Return the bundle after verifying its signature and then the digest of every file.

    Raises NotTrusted for a foreign or changed signature, HomeDamaged for a manifest or a file that is cut or gone.
    """
    bundle = Bundle(store, read_manifest(store, trust, workload, version))
    named = f"of the bundle {workload}/{version}"
    side_by_side(lambda file: _verified(store, file[1], f"{file[0]} {named}"), bundle.manifest.files.items())
    return bundle


def read_manifest(store: Store, trust: Trust, workload: str, version: str) -> Manifest:
    """Return the bundle's manifest, its signature and name verified; the files are not looked at."""
    key = bundle_key(workload, version)
    return manifest_in(read_bytes(store, key), trust, workload, version, key)


def manifest_in(raw: bytes, trust: Trust, workload: str, version: str, key: str) -> Manifest:
    """Return the manifest in signed bytes, its signature and name verified; *key* names them in errors."""
    manifest = _parsed(unseal(trust, FORM, raw, key).get("manifest"), key)
    if manifest.version != version or manifest.workload != workload:
        raise NotTrusted(
            f"{key} holds the bundle {manifest.workload}/{manifest.version}, wanted {workload}/{version}: "
            "it was put in another's place; restore it from a backup or publish it anew"
        )
    if manifest.format != FORMAT:
        raise BadRequest(f"{key} has the format {manifest.format}, this version reads {FORMAT}; update greenlight")
    return manifest


def fetch_bundle(store: Store, trust: Trust, workload: str, version: str, to_dir: Path) -> Bundle:
    """Copy the verified bundle, and its signed manifest, into the new folder *to_dir*: all of it or nothing.

    A folder that holds exactly this bundle already is left alone; raises BadRequest if anything else is there.
    """
    bundle = Bundle(store, read_manifest(store, trust, workload, version))
    if to_dir.exists() and any(to_dir.iterdir()):
        _holds_exactly(to_dir, bundle.manifest)
        return bundle
    with _all_or_nothing(to_dir) as folder:
        for path, blob in bundle.manifest.files.items():
            _copy(store, blob, folder / checked_path(path), path)
        (folder / MANIFEST_FILE).write_bytes(read_bytes(store, bundle_key(workload, version)))
    return bundle


def _stored(store: Store, files: Mapping[str, bytes | Path | Blob]) -> dict[str, Blob]:
    side_by_side(lambda item: _refuse(store, *item), files.items())
    known = {path: source for path, source in files.items() if isinstance(source, Blob)}
    return known | put_blobs(store, {path: each for path, each in files.items() if not isinstance(each, Blob)})


def _refuse(store: Store, path: str, source: bytes | Path | Blob) -> None:
    if checked_path(path) == MANIFEST_FILE:
        raise BadRequest(f"{MANIFEST_FILE} is written by publishing; give the file another name")
    if isinstance(source, Blob):
        refuse_pickle(path, read_blob(store, source))
    else:
        refuse_pickle(path, source if isinstance(source, bytes) else _file_bytes(source))


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise HomeDamaged(f"{path} was to be published but cannot be read: {error.strerror}; run again") from error


def _accept_or_mend(store: Store, signer: Signer, key: str, sealed: bytes, manifest: Manifest) -> None:
    """The name is the content's digest, so an existing manifest is this one, unless it was cut or garbled."""
    try:
        found = _parsed(unseal(signer.trust(), FORM, read_bytes(store, key), key).get("manifest"), key)
    except (HomeDamaged, NotTrusted) as error:
        log.warning("%s is written anew: %s", key, error)
    else:
        if found.digest == manifest.digest:
            return
    store.put(key, sealed)


def _parsed(content: object, key: str) -> Manifest:
    try:
        return TypeAdapter(Manifest).validate_python(content)
    except ValidationError as error:
        raise HomeDamaged(
            f"{key} is garbled: {error.error_count()} of its fields are missing or wrong; "
            "restore it from a backup, or delete it and run again"
        ) from error


def _verified(store: Store, blob: Blob, what: str) -> None:
    try:
        if isinstance(store, KeepsFiles | KeepsCopies):
            blob_path(store, blob)
        else:
            read_blob(store, blob)
    except HomeDamaged as error:
        raise HomeDamaged(f"{what} is damaged: {error}") from error


def _holds_exactly(folder: Path, manifest: Manifest) -> None:
    present = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if not path.is_dir()}
    present.pop(MANIFEST_FILE, None)
    same = set(present) == set(manifest.files) and all(
        describe_blob(path) == manifest.files[name] for name, path in present.items()
    )
    if not same:
        raise BadRequest(
            f"{folder} is not empty and does not hold the bundle {manifest.workload}/{manifest.version}; "
            "name a new folder, or empty this one"
        )


@contextlib.contextmanager
def _all_or_nothing(to_dir: Path) -> Iterator[Path]:
    folder = to_dir.with_name(f".{to_dir.name}.{uuid.uuid4().hex}.part")
    try:
        folder.mkdir(parents=True)
        yield folder
        os.rename(folder, to_dir)
    except OSError as error:
        raise OutOfSpace(
            f"the bundle could not be written to {to_dir}: {error.strerror}; make room or name another folder, "
            "nothing was left behind"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(store: Store, blob: Blob, to: Path, what: str) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    with store.open(blob_key(blob.digest)) as source, to.open("xb") as out:
        shutil.copyfileobj(source, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())
    if describe_blob(to) != blob:
        raise HomeDamaged(f"{what} is damaged: its bytes in {store.uri} are not those with the digest {blob.digest}")
