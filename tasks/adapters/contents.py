"""A challenger's bundle as we fill and read it: which file holds what. Evidence first, models beside it.

The evidence is one file of the bundle, so whoever verifies the bundle has verified what it was judged on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tasks.adapters import bundles
from tasks.adapters.blobs import read_blob
from tasks.adapters.bundles import Bundle
from tasks.adapters.provenance import features_digest, library_versions, other_versions
from tasks.adapters.sbom import bill_of_materials
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.adapters.store import Store
from tasks.core import likeness
from tasks.core.card import write_card
from tasks.core.digests import canonical_json
from tasks.core.evidence import Evidence
from tasks.core.likeness import Alike
from tasks.core.manifest import About
from tasks.core.model_files import from_files
from tasks.core.models import Model
from tasks.core.values import Blob, Challenger
from tasks.errors import BadRequest, HomeDamaged
from tasks.workloads.spec import Workload

EVIDENCE, PROFILE, CARD, ENVIRONMENT = "evidence.json", "profile.json", "card.md", "environment.json"
SBOM, LIKENESS = "sbom.cdx.json", "likeness/"
# How rows became features; "features" is how Feast was told of them.
DERIVED = "derive"
_EVIDENCE = TypeAdapter(Evidence)


def publish(store: Store, keys: Path, spec: Workload, evidence: Evidence) -> Challenger:
    """Publish the bundle of *evidence*: its models, golden samples, profile, card, environment; signed."""
    files: dict[str, bytes | Blob | Path] = {
        EVIDENCE: canonical_json(evidence),
        PROFILE: evidence.portrait.profile,
        CARD: write_card(spec, evidence).encode(),
        ENVIRONMENT: canonical_json(library_versions()),
        SBOM: bill_of_materials(),
    }
    for evaluation in evidence.evaluations:
        files |= evaluation.files
    files |= {f"{LIKENESS}{name}": blob for name, blob in evidence.portrait.likeness.items()}
    about = About(
        targets=tuple(each.target for each in evidence.evaluations),
        lineage={
            "source": evidence.snapshot.source_digest,
            "snapshot": evidence.snapshot.digest,
            "accepted": evidence.contracted.accepted.digest,
            "training set": evidence.training_set.rows.digest,
            "features": evidence.training_set.definitions_digest,
            DERIVED: features_digest(spec),
            "code": evidence.code,
            "policy": evidence.policy,
        },
        labels={"run": evidence.run_key},
    )
    return bundles.publish(store, service_signer(keys), spec.name, files, about)


def open_verified(store: Store, keys: Path, workload: str, version: str) -> Bundle:
    """Return the bundle, its signature and every digest verified; ``newest`` cannot be known here: name a version."""
    return bundles.open_bundle(store, trusted_keys(keys), workload, version)


def refuse_other_features(bundle: Bundle, spec: Workload) -> None:
    """Raise BadRequest where today's code makes other features of a row than the models were taught to read."""
    found, wanted = features_digest(spec), bundle.manifest.lineage.get(DERIVED, "none")
    if found != wanted:
        raise BadRequest(
            f"the champion {bundle.manifest.version} of {spec.name} was trained on features of the definition "
            f"{wanted[:12]}, this version of greenlight makes those of {found[:12]}: its scores would mean nothing; "
            f"retrain with: greenlight run {spec.name} --source PATH, or use the version of greenlight that trained it"
        )


def other_libraries(bundle: Bundle) -> str:
    """Name the libraries of models that are installed in another version than the bundle was made with."""
    made_with: Mapping[str, str] = json.loads(bundle.read(ENVIRONMENT))
    return other_versions(made_with)


def evidence_of(bundle: Bundle) -> Evidence:
    """Return what the bundle was judged on; raises HomeDamaged if it is of another format."""
    try:
        return _EVIDENCE.validate_json(bundle.read(EVIDENCE))
    except ValidationError as error:
        raise HomeDamaged(
            f"the evidence of {bundle.manifest.workload} {bundle.manifest.version} is of another format "
            f"({error.error_count()} fields differ); retrain with this version of greenlight"
        ) from error


def model_of(bundle: Bundle, target: str) -> Model:
    """Return the model of *target* out of a verified bundle."""
    return from_files(dict(_files(bundle, f"models/{target}/")))


def _files(bundle: Bundle, prefix: str) -> Iterator[tuple[str, bytes]]:
    found = {path: blob for path, blob in bundle.manifest.files.items() if path.startswith(prefix)}
    if not found:
        raise BadRequest(
            f"the bundle {bundle.manifest.version} has no model under {prefix}; it has models of: "
            f"{', '.join(bundle.manifest.targets)}"
        )
    for path, blob in found.items():
        yield path.removeprefix(prefix), read_blob(bundle.store, blob)


def likeness_of(bundle: Bundle) -> Alike:
    """Return what rows can be asked for their like with, out of a verified bundle; raises BadRequest if it has none."""
    if not any(path.startswith(LIKENESS) for path in bundle.manifest.files):
        raise BadRequest(
            f"the bundle {bundle.manifest.workload}/{bundle.manifest.version} knows no likeness: the workload declares "
            "none, or it was trained before there was any; retrain it"
        )
    return likeness.from_files(dict(_files(bundle, LIKENESS)))


def golden_of(bundle: Bundle, target: str) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Return the golden sample of *target*: inputs, and what the model predicted for them when it was made."""
    found: Mapping[str, Sequence[Mapping[str, Any]]] = json.loads(bundle.read(f"golden/{target}.json"))
    return found
