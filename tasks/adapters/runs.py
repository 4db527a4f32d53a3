"""Runs by the content of their inputs: naming a request, and remembering what came of it.

The record of a finished run lets the same request answer *unchanged* at once; it decides nothing else.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from tasks import workloads
from tasks.adapters import contents, journal, ledger, policies, projections, snapshots
from tasks.adapters.blobs import has_blob
from tasks.adapters.bundles import bundle_key, read_manifest
from tasks.adapters.pages import page_key
from tasks.adapters.provenance import code_digest
from tasks.adapters.settings import settings
from tasks.adapters.signing import trusted_keys
from tasks.adapters.sources import digest_source
from tasks.adapters.store import Store, address, local_file, read_bytes
from tasks.core import rules
from tasks.core.digests import canonical_json, digest_of
from tasks.core.failures import untrained
from tasks.core.run import Promotion, Run, RunSummary
from tasks.core.tuning import OFF, Tuning
from tasks.errors import HomeDamaged

SUMMARY = TypeAdapter(RunSummary)
# What a deleted folder takes with it is made again by the next run.
FEAST, MLFLOW = ("feast/.born", "feast/registry.sqlite"), ("mlflow/mlflow.db",)
logger = logging.getLogger(__name__)


def open_run(
    workload: str,
    source: str,
    *,
    reason: str = "asked",
    ring: str = "dev",
    observed_at: str | None = None,
    tuning: Tuning = OFF,
    window_days: float | None = None,
) -> Run:
    """Name a request by its inputs; raises UnknownWorkload, SourceUnusable."""
    spec = workloads.get(workload)
    snapshots.moment(observed_at)
    source_digest = digest_source(Path(source))
    code, policy = code_digest(), policies.of(spec, ring).digest
    inputs = {
        "declaration": spec,
        "code": code,
        "source": source_digest,
        "observed_at": observed_at,
        "policy": policy,
        "tuning": tuning.model_dump(),
        "window_days": window_days,
    }
    return Run(
        workload=workload,
        source=source,
        source_digest=source_digest,
        key=digest_of(inputs)[:16],
        code=code,
        policy=policy,
        as_of=datetime.now(UTC).date().isoformat(),
        ring=ring,
        reason=reason,
        observed_at=observed_at,
        window_days=window_days,
    )


def _key(run: Run) -> str:
    return f"runs/{run.workload}/{run.key}.json"


def close_run(store: Store, root: Path, run: Run, promotion: Promotion) -> RunSummary:
    """Put together what came of *run*, keep it, and return it."""
    bundle = contents.open_verified(store, root / "keys", run.workload, promotion.version)
    evidence = contents.evidence_of(bundle)
    contracted = evidence.contracted
    summary = RunSummary(
        run=run,
        rows_in=contracted.rows_in,
        rows_accepted=contracted.rows_accepted,
        rows_quarantined=contracted.rows_quarantined,
        quarantine=address(store, snapshots.quarantine_key(evidence.snapshot)),
        quarantine_reasons=rules.reasons(contracted),
        findings=evidence.snapshot.findings,
        scorecards=evidence.scorecards,
        evaluations=evidence.evaluations,
        untrained=untrained(evidence.scorecards),
        promotion=promotion,
        bundle=address(store, bundle_key(run.workload, promotion.version)),
        times=journal.read(root, run.workload, run.key),
    )
    store.put(_key(run), canonical_json(summary))
    return summary


def finished(store: Store, root: Path, run: Run) -> RunSummary | None:
    """Return what came of the same request before; None if nothing did, or if what it left does not stand any more."""
    if store.head(_key(run)) is None:
        return None
    try:
        summary = SUMMARY.validate_json(read_bytes(store, _key(run)))
    except ValidationError:
        return None
    return _here(store, summary) if _stands(store, root, summary) else None


def _here(store: Store, summary: RunSummary) -> RunSummary:
    """It may have been kept by another machine, whose copy of the page is not ours."""
    promotion = summary.promotion
    page = local_file(store, page_key(promotion.workload, promotion.version, promotion.ring))
    return replace(summary, promotion=replace(promotion, page=str(page)))


def _stands(store: Store, root: Path, summary: RunSummary) -> bool:
    """Say whether bundle and page are whole and readers see what the ledger says; a broken ledger raises."""
    promotion, trust = summary.promotion, trusted_keys(root / "keys")
    champion = ledger.champion(store, promotion.workload, promotion.ring, trust)
    try:
        seen = projections.serving(store, trust, promotion.workload, promotion.ring)
        manifest = read_manifest(store, trust, promotion.workload, promotion.version)
    except HomeDamaged as damage:
        logger.warning("%s: run again from where it still holds: %s", promotion.workload, damage)
        return False
    whole = all(has_blob(store, blob) for blob in manifest.files.values())
    page = store.head(page_key(promotion.workload, promotion.version, promotion.ring))
    # Judged against a champion that is gone, "not promoted" says nothing of the one there is now.
    same_champion = promotion.entry is not None or promotion.champion_number == ledger.number_of(champion)
    embedded = all((root / each).exists() for each in (*FEAST, *(() if settings().mlflow_uri else MLFLOW)))
    return champion == seen and whole and page is not None and same_champion and embedded
