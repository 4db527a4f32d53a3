"""Dossiers by their digest: kept for good as blobs, and followed from a ledger entry down to the bundle it let out.

Asking and answering belong to ``requests``.
"""

from __future__ import annotations

from pydantic import TypeAdapter, ValidationError

from tasks.adapters import contents
from tasks.adapters.blobs import blob_key, put_blob, read_blob
from tasks.adapters.bundles import read_manifest
from tasks.adapters.signing import Trust
from tasks.adapters.store import Store
from tasks.core.digests import canonical_json
from tasks.core.dossier import Dossier
from tasks.core.manifest import Manifest
from tasks.core.values import Blob, Entry
from tasks.errors import HomeDamaged, NotTrusted

DOSSIER: TypeAdapter[Dossier] = TypeAdapter(Dossier)


def keep(store: Store, dossier: Dossier) -> Blob:
    """Keep *dossier* as an immutable blob under its digest."""
    return put_blob(store, canonical_json(dossier))


def read(store: Store, digest: str) -> Dossier:
    """Return the dossier with that digest; raises HomeDamaged if it is gone, altered or no dossier."""
    head = store.head(blob_key(digest))
    if head is None:
        raise HomeDamaged(f"the dossier {digest} is gone from {store.uri}: restore {blob_key(digest)} from a backup")
    return parsed(read_blob(store, Blob(digest, head.size)), f"the blob {digest}")


def parsed(raw: bytes, what: str) -> Dossier:
    """Return the dossier in canonical JSON; *what* names it in errors."""
    try:
        return DOSSIER.validate_json(raw)
    except ValidationError as error:
        raise HomeDamaged(
            f"{what} is no dossier of this version of greenlight: {error.error_count()} of its fields are missing or "
            "wrong; retrain with this version, or read it with the one that wrote it"
        ) from error


def trace(store: Store, trust: Trust, entry: Entry) -> Dossier:
    """Follow *entry* to its dossier and on to the bundle, and return the dossier.

    Raises HomeDamaged where a link is gone, NotTrusted where one does not lead to the next.
    """
    dossier = read(store, entry.evidence)
    manifest = read_manifest(store, trust, entry.workload, entry.version)
    for what, found, wanted in _links(entry, dossier, manifest):
        if found != wanted:
            raise NotTrusted(
                f"entry {entry.number} of {entry.workload} does not lead to what it let out: {what} is {found}, wanted "
                f"{wanted}; one of the two was changed: restore the ledger, the dossier and the bundle from one backup"
            )
    return dossier


def _links(entry: Entry, dossier: Dossier, manifest: Manifest) -> tuple[tuple[str, str, str], ...]:
    evaluation = manifest.files.get(contents.EVIDENCE)
    return (
        ("the dossier's workload", dossier.workload, entry.workload),
        ("the dossier's ring", dossier.ring, entry.ring),
        ("the dossier's version", dossier.version, entry.version),
        ("the dossier's bundle", dossier.manifest, entry.manifest_digest),
        ("what serves", ", ".join(entry.serves), ", ".join(dossier.serves)),
        ("the bundle's digest", manifest.digest, dossier.manifest),
        ("the bundle's evaluation", evaluation.digest if evaluation else "none", dossier.evidence),
        ("the bundle's snapshot", manifest.lineage.get("snapshot", "none"), dossier.snapshot),
        ("the bundle's feature definitions", manifest.lineage.get("features", "none"), dossier.definitions),
    )
