"""Snapshots and quarantined rows in the store: what a run saw, and what it would not train on.

Named twice: by content, as blobs, which everything else refers to; and by a readable key, for people.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from expectations.contract import Suite
from tasks.adapters import quarantine
from tasks.adapters.blobs import blob_path, put_blob
from tasks.adapters.parquet import write_parquet
from tasks.adapters.provenance import code_digest
from tasks.adapters.sources import digest_source, read_source
from tasks.adapters.store import Store
from tasks.core import rules
from tasks.core.digests import canonical_json
from tasks.core.run import Run
from tasks.core.values import Contracted, Finding, RuleResult, Snapshot
from tasks.errors import BadRequest, SourceUnusable
from tasks.workloads.spec import Workload


def take(store: Store, spec: Workload, source: Path, run: Run, folder: Path) -> Snapshot:
    """Read *source* into a snapshot: the Parquet blob first, then its manifest."""
    file = folder / "snapshot.parquet"
    read = read_source(spec, source, file, observed_at=moment(run.observed_at))
    if digest_source(source) != run.source_digest:
        raise SourceUnusable(f"{source} changed while it was read; nothing was kept of it, run again when it is whole")
    rows, findings = read.rows, read.findings
    if run.window_days is not None:
        file, before = _newest(spec, file, run.window_days, folder)
        rows, findings = rows - before.count, (*findings, before)
    snapshot = Snapshot(
        workload=spec.name,
        rows=put_blob(store, file),
        row_count=rows,
        source_digest=run.source_digest,
        schema=read.schema,
        findings=findings,
    )
    manifest = {"snapshot": snapshot, "code": code_digest()}
    store.put(f"snapshots/{spec.name}/{snapshot.digest}.json", canonical_json(manifest))
    return snapshot


def _newest(spec: Workload, file: Path, days: float, folder: Path) -> tuple[Path, Finding]:
    """Return the rows of the last *days* before the newest one with a label, and how many lie before; undated stay."""
    rows, at = pl.scan_parquet(file), pl.col(spec.event_time)
    labelled = pl.any_horizontal(pl.col(target.column).is_not_null() for target in spec.targets)
    since = rows.select(at.filter(labelled).max() - pl.duration(microseconds=round(days * 86_400_000_000)))
    cut = since.collect(engine="streaming").item()
    kept, outside = folder / "window.parquet", pl.lit(False) if cut is None else (at < cut).fill_null(False)
    count = rows.select(pl.len()).collect().item() - write_parquet(rows.filter(~outside), kept)
    return kept, Finding("before_window", f"not looked at: seen more than {days:g} days before the newest row", count)


def moment(text: str | None) -> datetime | None:
    """Return the moment *text* names, in UTC where it names no zone; raises BadRequest if it names none."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{text!r} is no date; write it as 2026-11-21 or 2026-11-21T04:00:00+00:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def divide(store: Store, suite: Suite, snapshot: Snapshot, results: tuple[RuleResult, ...], folder: Path) -> Contracted:
    """Split the snapshot by its contract into accepted and quarantined rows, both kept."""
    accepted, quarantined = folder / "accepted.parquet", folder / "quarantined.parquet"
    counts = quarantine.split(suite, blob_path(store, snapshot.rows), accepted, quarantined)
    rules.stop_if_counts_differ(results, counts.broken, snapshot.workload)
    contracted = Contracted(
        snapshot=snapshot.digest,
        accepted=put_blob(store, accepted),
        quarantined=put_blob(store, quarantined),
        rows_in=snapshot.row_count,
        rows_accepted=counts.accepted,
        rows_quarantined=counts.quarantined,
        results=results,
    )
    store.put(quarantine_key(snapshot), quarantined)
    return contracted


def quarantine_key(snapshot: Snapshot) -> str:
    """Return the readable key of the snapshot's quarantined rows."""
    return f"quarantine/{snapshot.workload}/{snapshot.digest[:12]}.parquet"
