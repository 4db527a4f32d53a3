"""Ingest: from whatever the source is to an immutable snapshot."""

from __future__ import annotations

from pathlib import Path

from tasks import workloads
from tasks.adapters import snapshots
from tasks.adapters.home import scratch, signer, store
from tasks.adapters.memo import remember
from tasks.core.run import Run
from tasks.core.values import Snapshot
from tasks.patience import patient
from tasks.stages import stage


@patient(name="ingest {run.workload}")
def ingest(run: Run) -> Snapshot:
    """Read the source into a content-addressed Parquet snapshot; every row of it, typed and normalised."""
    spec = workloads.get(run.workload)
    with stage(run, "ingest") as told, scratch(run.workload) as folder:
        found = remember(
            store(),
            signer(),
            run.workload,
            "ingest",
            {"source": run.source_digest, "observed_at": run.observed_at, "window_days": run.window_days},
            Snapshot,
            lambda: snapshots.take(store(), spec, Path(run.source), run, folder),
        )
        told.rows, told.reused = found.value.row_count, found.reused
        told.note = f"{found.value.row_count:,} rows, {len(found.value.findings)} findings"
    return found.value
