"""Reads a batch of actuals the way a training source is read, and keeps what it says as labels by entity and time.

Columns of features may be missing; labels must not all be. Whose predictions they are held against is appraisals'.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from tasks.adapters import frames
from tasks.adapters.sources import digest_source, read_source, refuse_absent
from tasks.adapters.store import Store
from tasks.core.actuals import Actuals, distil, label_columns
from tasks.core.digests import digest_of
from tasks.errors import SourceUnusable
from tasks.workloads.spec import Workload

# Dates rows of sources that give no times; such labels are matched by entity, and it is never looked at.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def read(store: Store, spec: Workload, source: Path, folder: Path, observed_at: datetime | None) -> Actuals:
    """Return what *source* says came true; *folder* is scratch.

    Raises BadRequest where there is no such file, SourceUnusable where it cannot be read or has no label.
    """
    refuse_absent(source, "are no actuals")
    columns = tuple(replace(each, required=each.name == spec.entity) for each in spec.columns)
    found = read_source(
        replace(spec, newest_year="", columns=columns),
        source,
        folder / "actuals.parquet",
        observed_at=observed_at or NEVER,
    )
    undated = sum(each.count for each in found.findings if each.code == "event_time")
    rows = pl.read_parquet(folder / "actuals.parquet", columns=[spec.entity, spec.event_time, *label_columns(spec)])
    by_time = undated < found.rows or observed_at is not None
    said = distil(rows, spec, by_time=by_time)
    if said.labels.is_empty():
        raise SourceUnusable(
            f"none of the {found.rows} rows of {source} names a {spec.entity} and a value of "
            f"{', '.join(label_columns(spec))}: nothing came true there; give the table that has the labels"
        )
    return Actuals(
        batch=digest_of({"source": digest_source(source), "observed_at": observed_at}),
        source=str(source),
        rows_in=found.rows,
        rows=said.labels.height,
        repeated=said.repeated,
        empty=said.empty,
        by_time=by_time,
        labels=frames.keep(store, said.labels, folder, "labels"),
        # That features are missing is no news of actuals.
        findings=tuple(each for each in found.findings if each.code not in ("event_time", "columns_absent")),
    )
