"""Which number (major.minor.patch) a challenger would have: told by the ledger, kept in the dossier it is let out on.

A bundle keeps the number it was first let out under, through every ring and every rollback. The registry shows it as a
tag; that tag decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tasks.adapters import contents, dossiers, ledger
from tasks.adapters.registry import Registry
from tasks.adapters.signing import trusted_keys
from tasks.adapters.store import Store
from tasks.core import versions
from tasks.core.comparison import Comparison
from tasks.core.evidence import Evidence
from tasks.core.values import Entry
from tasks.core.versions import ModelVersion
from tasks.errors import BadRequest, HomeDamaged

TAG = "semantic_version"


def given(store: Store, keys: Path, workload: str) -> dict[str, ModelVersion]:
    """Return the number of every version that was ever let out, by version."""
    found: dict[str, ModelVersion] = {}
    for entry in ledger.read(store, workload, trusted_keys(keys)):
        number = of_entry(store, entry) if entry.kind == "promotion" and entry.version not in found else ""
        if number:
            found[entry.version] = versions.parsed(number)
    return found


def of_entry(store: Store, entry: Entry) -> str:
    """Return the number in the dossier *entry* was decided on; empty where it names none that can be read."""
    try:
        return dossiers.read(store, entry.evidence).semantic_version
    except (HomeDamaged, BadRequest):
        return ""


def wanted(
    store: Store,
    keys: Path,
    version: str,
    evidence: Evidence,
    champion: Entry | None,
    comparisons: Sequence[Comparison],
) -> str:
    """Return the number the challenger is let out under, if it is."""
    taken = given(store, keys, evidence.workload)
    if version in taken:
        return str(taken[version])
    if champion is None:
        return str(versions.following(taken.values(), "major"))
    parent = contents.evidence_of(contents.open_verified(store, keys, champion.workload, champion.version))
    outcomes = {each.outcome for each in comparisons}
    better = "better" in outcomes and outcomes <= {"better", "non_inferior"}
    far = versions.step(versions.makeup(evidence), versions.makeup(parent), better=better)
    return str(versions.following(taken.values(), far))


def show(store: Store, registry: Registry, entry: Entry) -> None:
    """Tag the registered version with its number, for readers of the registry."""
    number = of_entry(store, entry)
    if number:
        registry.label(entry.workload, entry.manifest_digest, TAG, number)
