"""Takes what serves out of the store into a folder of its reader's: verified, resumed, replaced in one step.

``DIR`` is a symbolic link into ``.DIR.versions`` beside it, where a version gets its name when it is whole. Whoever
resolves the link once reads one version only: the one before stays until the next but one is pulled. What serves is the
ledger's word; nothing is decided here.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.adapters import ledger, projections
from tasks.adapters.blobs import blob_key, describe_blob, side_by_side
from tasks.adapters.bundles import MANIFEST_FILE, bundle_key, manifest_in
from tasks.adapters.cache import download
from tasks.adapters.directory import sync_directory
from tasks.adapters.signing import Trust
from tasks.adapters.store import Store, read_bytes
from tasks.core.ledger_chain import CHANGES
from tasks.core.manifest import Manifest, checked_path
from tasks.core.values import Blob, Entry
from tasks.errors import BadRequest, HomeDamaged, NotTrusted, OutOfSpace

UNFINISHED = ".part"


@dataclass(frozen=True)
class Pulled:
    """What a folder holds now, and how many bytes had to come for it; ``changed`` says whether it held another."""

    workload: str
    ring: str
    version: str
    to: str
    files: int
    size_bytes: int
    fetched_bytes: int
    changed: bool


def pull(store: Store, trust: Trust, workload: str, ring: str, to: Path, version: str | None = None) -> Pulled:
    """Let *to* hold what serves in *ring*, or a *version* that was let out there; an interrupted pull goes on.

    Raises NotTrusted for a foreign signature, HomeDamaged for altered bytes, BadRequest where *to* is not ours or
    was changed since; *to* stays as it was then.
    """
    entry = _let_out(store, trust, workload, ring, version)
    kept = to.with_name(f".{to.name}.versions")
    with _letters(to), _alone(kept):
        before, now = _held(to, kept, workload), kept / f"{workload}-{entry.version}"
        fetched = 0 if now.exists() else _fetched(store, trust, entry, now)
        manifest = _whole(trust, entry, now)
        if before != now:
            _point(to, kept, now)
            _prune(kept, {before, now})
    size = sum(blob.size for blob in manifest.files.values())
    return Pulled(workload, ring, entry.version, str(to), len(manifest.files), size, fetched, before != now)


def _let_out(store: Store, trust: Trust, workload: str, ring: str, version: str | None) -> Entry:
    if version is None:
        entry = projections.serving(store, trust, workload, ring)
        if entry is None:
            raise BadRequest(f"nothing of {workload} serves in {ring} in {store.uri}; look at greenlight status")
        return entry
    changes = [each for each in ledger.read(store, workload, trust) if each.ring == ring and each.kind in CHANGES]
    for entry in reversed(changes):
        if entry.version == version:
            return entry
    known = ", ".join(sorted({each.version for each in changes})) or "none"
    raise BadRequest(f"{version!r} of {workload} was never let out in {ring}; these were: {known}")


def _held(to: Path, kept: Path, workload: str) -> Path | None:
    """Return the version *to* holds; raises BadRequest for anything that was not pulled."""
    if to.is_symlink():
        held = to.parent / os.readlink(to)
        if held.parent == kept and held.name.startswith(f"{workload}-"):
            return held
        raise BadRequest(f"{to} leads to {held}, no pulled version of {workload}; name another folder")
    if to.exists() and not (to.is_dir() and not any(to.iterdir())):
        raise BadRequest(f"{to} holds something else than a pulled bundle; name another folder, or empty this one")
    return None


def _fetched(store: Store, trust: Trust, entry: Entry, to: Path) -> int:
    """Download the bundle to *to*, which gets its name when all of it is there; return how many bytes came."""
    key = bundle_key(entry.workload, entry.version)
    sealed = read_bytes(store, key)
    manifest = _manifest(sealed, trust, entry, key)
    unfinished = to.with_name(to.name + UNFINISHED)
    came = side_by_side(lambda file: _file(store, unfinished, *file), manifest.files.items())
    _write(unfinished / MANIFEST_FILE, sealed)
    for folder, _, _ in os.walk(unfinished):
        sync_directory(Path(folder))
    unfinished.rename(to)
    sync_directory(to.parent)
    return sum(came)


def _file(store: Store, folder: Path, path: str, blob: Blob) -> int:
    to = folder / checked_path(path)
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        with to.open("a+b") as out:
            return download(out, blob, functools.partial(store.open, blob_key(blob.digest)))
    except HomeDamaged as error:
        raise HomeDamaged(f"{path} is damaged in {store.uri}, and nothing was changed here: {error}") from error


def _manifest(sealed: bytes, trust: Trust, entry: Entry, what: str) -> Manifest:
    manifest = manifest_in(sealed, trust, entry.workload, entry.version, what)
    if manifest.digest != entry.manifest_digest:
        raise NotTrusted(
            f"{what} has the digest {manifest.digest}, the ledger let out {entry.manifest_digest}; restore it"
        )
    return manifest


def _whole(trust: Trust, entry: Entry, folder: Path) -> Manifest:
    """Return the manifest of a pulled version after verifying it and every file; raises BadRequest if any changed."""
    manifest = _manifest((folder / MANIFEST_FILE).read_bytes(), trust, entry, str(folder / MANIFEST_FILE))
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    wrong = present ^ {*manifest.files, MANIFEST_FILE}
    wrong |= {path for path in present & set(manifest.files) if describe_blob(folder / path) != manifest.files[path]}
    if wrong:
        raise BadRequest(f"{folder} was changed since it was pulled: {', '.join(sorted(wrong))}; delete it, pull again")
    return manifest


def _point(to: Path, kept: Path, now: Path) -> None:
    link = kept / "next"
    link.unlink(missing_ok=True)
    # As it will be read from where *to* lies.
    link.symlink_to(f"{kept.name}/{now.name}")
    if to.is_dir() and not to.is_symlink():
        to.rmdir()
    link.replace(to)
    sync_directory(to.parent)


def _prune(kept: Path, keep: set[Path | None]) -> None:
    for version in set(kept.iterdir()) - keep:
        shutil.rmtree(version)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


@contextlib.contextmanager
def _alone(kept: Path) -> Iterator[None]:
    """Keep other pulls into the same folder waiting meanwhile."""
    kept.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(kept, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _letters(to: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutOfSpace(
            f"the bundle could not be written to {to}: {error.strerror}; make room, or name another folder, then run "
            "again: what came already is not fetched anew"
        ) from error
