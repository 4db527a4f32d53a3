"""Gathers what a run's page shows, out of bundle, journal and store, and keeps the page under its version and ring."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter

from tasks.adapters import contents, frames, journal, ledger
from tasks.adapters.blobs import read_blob
from tasks.adapters.store import Store, local_file
from tasks.core.archetype_summary import ArchetypeSummary
from tasks.core.dossier import Dossier
from tasks.core.evidence import Evidence
from tasks.core.influence import InfluenceTable
from tasks.core.page.data import MOST_QUARANTINED
from tasks.core.page.run_report import RunReport
from tasks.core.run import Promotion, RunStatus
from tasks.workloads.spec import Workload


def gather(store: Store, root: Path, spec: Workload, dossier: Dossier, promotion: Promotion) -> RunReport:
    """Return everything the page of *dossier* shows; it is the same page whenever it is drawn."""
    bundle = contents.open_verified(store, root / "keys", dossier.workload, dossier.version)
    evidence, portrait = contents.evidence_of(bundle), contents.evidence_of(bundle).portrait
    champion = ledger.champion(store, dossier.workload, dossier.ring)
    return RunReport(
        # Its numbers are those the evidence was measured with.
        spec=replace(spec, gate=evidence.measured_for),
        outcome=_outcome(dossier, promotion),
        because=dossier.because,
        version=dossier.version,
        ring=dossier.ring,
        snapshot=evidence.snapshot,
        contracted=evidence.contracted,
        training_set=evidence.training_set,
        scorecards=evidence.scorecards,
        evaluations=evidence.evaluations,
        predictions={each.target: frames.read(store, each.predictions) for each in evidence.evaluations},
        verdicts=dossier.verdicts,
        serves=promotion.serves,
        champion_before=dossier.champion.version,
        champion_after=champion.version if champion else "",
        challenger=bundle.challenger,
        entry=promotion.entry,
        archetypes=_summary(store, evidence),
        assignments=frames.read(store, portrait.assignments) if portrait.assignments else None,
        influence=tuple(_influence(store, evidence, spec)),
        quarantine=frames.read(store, evidence.contracted.quarantined).head(MOST_QUARANTINED),
        lineage=tuple(bundle.manifest.lineage.items()),
        times=journal.read(root, dossier.workload, dossier.run_key),
    )


def keep(store: Store, dossier: Dossier, html: str) -> Path:
    """Keep the page and return it as a file of this machine."""
    key = page_key(dossier.workload, dossier.version, dossier.ring)
    store.put(key, html.encode())
    return local_file(store, key)


def page_key(workload: str, version: str, ring: str) -> str:
    """Return where the page lies: a version is judged anew in every ring, and its file's name tells them apart."""
    return f"reports/{workload}/{version}-{ring}.html"


def _outcome(dossier: Dossier, promotion: Promotion) -> RunStatus:
    """A page tells of its decision, so asking for a champion's promotion again does not make it another page."""
    entry = promotion.entry
    return "promoted" if entry and entry.evidence == dossier.digest else promotion.status


def _summary(store: Store, evidence: Evidence) -> ArchetypeSummary | None:
    blob = evidence.portrait.archetypes
    return TypeAdapter(ArchetypeSummary).validate_json(read_blob(store, blob)) if blob else None


def _influence(store: Store, evidence: Evidence, spec: Workload) -> list[InfluenceTable]:
    kept = evidence.portrait.influence
    amounts = spec.influence.amounts if spec.influence else ()
    return [
        InfluenceTable(by, amounts, _frame(store, evidence, by), _frame(store, evidence, f"{by}_concentration"))
        for by in kept
        if f"{by}_concentration" in kept
    ]


def _frame(store: Store, evidence: Evidence, name: str) -> pl.DataFrame:
    return frames.read(store, evidence.portrait.influence[name])
