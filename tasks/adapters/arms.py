"""Gives every row of a scored batch the answer of its arm's model, part by part, and says which arm that was.

Both models answered all rows in the same parts and blocks, so a row's answer does not depend on who else is in its arm.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tasks.adapters import frames
from tasks.adapters.blobs import blob_path
from tasks.adapters.scoring import ScoredRows
from tasks.adapters.store import Store
from tasks.core.experiments import TREATMENT, Experiment, arms
from tasks.core.partitions import Table
from tasks.core.values import Blob
from tasks.workloads.spec import Workload


def given(
    store: Store, spec: Workload, experiment: Experiment, control: ScoredRows, treatment: ScoredRows, folder: Path
) -> ScoredRows:
    """Return the rows with the answers of their arms, and the column ``arm``."""
    parts, broken = [], dict.fromkeys(control.not_finite, 0)
    for ours, theirs in zip(control.table.parts, treatment.table.parts, strict=True):
        rows = _mixed(store, spec, experiment, ours, theirs)
        for target in broken:
            broken[target] += int((~rows[target].is_finite()).sum())
        parts.append(frames.keep(store, rows, folder, "arms"))
    reused = control.reused and treatment.reused
    return ScoredRows(Table(tuple(parts), control.table.rows), broken, reused)


def _mixed(store: Store, spec: Workload, experiment: Experiment, ours: Blob, theirs: Blob) -> pl.DataFrame:
    rows, others = (pl.read_parquet(blob_path(store, blob)) for blob in (ours, theirs))
    arm = arms(rows[spec.entity], experiment.name)
    answered = [name for name in rows.columns if name not in (spec.entity, spec.event_time)]
    treated = pl.lit(arm == TREATMENT)
    return rows.with_columns(
        pl.when(treated).then(others[name]).otherwise(pl.col(name)).alias(name) for name in answered
    ).with_columns(arm)
