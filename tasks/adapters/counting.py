"""Reads a batch the way a training source is read, and counts it at a champion's reference profile in bounded memory.

Whatever is wrong with the batch becomes a finding: a monitor that stops at a bad batch says nothing of it. What the
counts mean is core's word.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from tasks.adapters import contents, quarantine
from tasks.adapters.blobs import blob_path, put_blob, read_blob
from tasks.adapters.bundles import Bundle
from tasks.adapters.parquet import ROW_GROUP_ROWS
from tasks.adapters.serving import Serving
from tasks.adapters.sources import SourceRead, digest_source, read_source, refuse_absent
from tasks.adapters.store import Store
from tasks.adapters.suites import suite_of
from tasks.core.batch_counts import count_rows, merge, oddities
from tasks.core.digests import canonical_json, digest_of
from tasks.core.models import Model
from tasks.core.profile import CORRELATION_ROWS, correlations
from tasks.core.values import Blob, Finding
from tasks.core.watch import Counted
from tasks.errors import SourceUnusable
from tasks.workloads.spec import Workload

Profile = Mapping[str, Any]


@dataclass(frozen=True)
class _Read:
    """The accepted rows of a batch as a file, and how it was read."""

    accepted: Path
    rows_in: int
    rows: int
    findings: tuple[Finding, ...]


def reference_of(bundle: Bundle) -> dict[str, Any]:
    """Return the profile the bundle's champion learned from, with how many rows its contract rejected."""
    profile: dict[str, Any] = json.loads(bundle.read(contents.PROFILE))
    contracted = contents.evidence_of(bundle).contracted
    return profile | {"rows_in": contracted.rows_in, "rejected": contracted.rows_quarantined}


def weights_of(bundle: Bundle, serves: tuple[str, ...]) -> dict[str, float]:
    """Return each feature's share of what matters, the mean over what the champion *serves*; empty if nobody knows."""
    known = [each.importances for each in contents.evidence_of(bundle).evaluations if each.target in serves]
    weights: dict[str, float] = {}
    for importances in known:
        total = sum(max(0.0, rise) for rise in importances.values())
        for name, rise in importances.items():
            weights[name] = weights.get(name, 0.0) + (max(0.0, rise) / total / len(known) if total > 0 else 0.0)
    return weights


def count_batch(
    store: Store, spec: Workload, serving: Serving, source: Path, folder: Path, observed_at: datetime | None
) -> Counted:
    """Return *source* counted at the profile of what serves, predictions included; *folder* is scratch.

    Raises BadRequest where there is no such file; a file that cannot be read is a batch without counts.
    """
    refuse_absent(source, "is no batch")
    contents.refuse_other_features(serving.bundle, spec)
    try:
        name = digest_of({"source": digest_source(source), "observed_at": observed_at})
        read = _read(spec, source, folder, observed_at, trained_until(store, spec, serving.bundle))
    except SourceUnusable as error:
        told = Finding("unreadable", f"the batch cannot be read: {error}")
        return Counted(digest_of({"unreadable": str(error)}), str(source), 0, 0, (told,))
    reference = reference_of(serving.bundle)
    models = {target: contents.model_of(serving.bundle, target) for target in serving.entry.serves}
    counts = _count(spec, read, reference, models) | {"rows_in": read.rows_in, "rejected": read.rows_in - read.rows}
    findings = (*read.findings, *oddities(counts, reference))
    return Counted(name, str(source), read.rows_in, read.rows, findings, put_blob(store, canonical_json(counts)))


def _read(
    spec: Workload, source: Path, folder: Path, observed_at: datetime | None, trained_until: datetime | None
) -> _Read:
    """Read and split the batch; one that does not say when it was seen is as old as what the champion learned from."""
    lenient = replace(spec, columns=tuple(replace(column, required=False) for column in spec.columns))
    raw, accepted = folder / "rows.parquet", folder / "accepted.parquet"
    found = _dated(lenient, source, raw, observed_at, trained_until)
    split = quarantine.split(suite_of(spec.name), raw, accepted, folder / "rejected.parquet")
    return _Read(accepted, split.rows_in, split.accepted, found.findings)


def _dated(
    spec: Workload, source: Path, to: Path, observed_at: datetime | None, trained_until: datetime | None
) -> SourceRead:
    if observed_at is None and spec.newest_year:
        try:
            return read_source(spec, source, to)
        except SourceUnusable:
            # Its years may be what is missing; whatever else is wrong is said again below.
            pass
    return read_source(spec, source, to, observed_at=observed_at or trained_until)


def trained_until(store: Store, spec: Workload, bundle: Bundle) -> datetime | None:
    """Return the moment of the newest row the bundle was learned from."""
    rows = pl.scan_parquet(blob_path(store, contents.evidence_of(bundle).training_set.rows))
    newest: datetime | None = rows.select(pl.col(spec.event_time).max()).collect().item()
    return newest


def _count(spec: Workload, read: _Read, reference: Profile, models: Mapping[str, Model]) -> dict[str, Any]:
    """Count the accepted rows part by part; correlations are taken on some of each part."""
    derived = spec.derive(pl.scan_parquet(read.accepted))
    step = max(1, -(-read.rows // CORRELATION_ROWS))
    counts = count_rows(derived.limit(0).collect(), {}, reference)
    some: list[pl.DataFrame] = []
    for part in _parts(derived):
        predictions = {target: model.score(part)["predicted"] for target, model in models.items()}
        found = count_rows(part, predictions, reference)
        counts = merge(counts, found) if some else found
        some.append(_numbers(part, reference).gather_every(step))
    sample = pl.concat(some) if some else _numbers(derived.limit(0).collect(), reference)
    entities = derived.select(pl.col(spec.entity).n_unique()).collect(engine="streaming").item()
    return counts | {"entities": entities, "spearman": correlations(sample)}


def _parts(derived: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    for part in derived.collect_batches(chunk_size=ROW_GROUP_ROWS, maintain_order=True, engine="streaming"):
        if part.height:
            yield part


def _numbers(part: pl.DataFrame, reference: Profile) -> pl.DataFrame:
    names = [name for name in reference["spearman"]["columns"] if name in part.columns]
    return part.select(pl.col(names).cast(pl.Float64, strict=False))


def read_counts(store: Store, blob: Blob) -> dict[str, Any]:
    """Return the counts of a batch that was kept."""

    found: dict[str, Any] = json.loads(read_blob(store, blob))
    return found
