"""Observations in the store, where all workers see them: a numbered one is made by create-if-absent, or not at all.

Whoever loses the race for a number reads what the winner saw and looks again: a batch counts once, and what it is
pooled with is what stands before it. What an observation means is core's word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tasks.adapters import contents, sweeps
from tasks.adapters.blobs import put_blob, read_blob
from tasks.adapters.counting import read_counts, reference_of, weights_of
from tasks.adapters.serving import Serving
from tasks.adapters.store import Store, read_bytes
from tasks.core.batch_counts import as_profile, merge
from tasks.core.digests import canonical_json
from tasks.core.drift import Report, compare
from tasks.core.watch import Counted, Observation, next_told, seen_before, waiting
from tasks.errors import AlreadyExists, Conflict, HomeDamaged
from tasks.workloads.spec import Workload

OBSERVATION: TypeAdapter[Observation] = TypeAdapter(Observation)
# As many as are looked back on: for a batch seen before, a pool of small ones, and the page.
NEWEST = 60
TRIES = 100


def known(store: Store, workload: str, ring: str, newest: int = NEWEST) -> tuple[Observation, ...]:
    """Return the *newest* observations of the workload in the ring, oldest first."""
    keys = sorted(store.list(_folder(workload, ring)))[-newest:]
    return tuple(_read(store, key) for key in keys)


def profile_of(store: Store, seen: Sequence[Observation]) -> dict[str, Any]:
    """Return what the batches *seen* hold together, as a profile; raises HomeDamaged where a blob is gone or broken."""
    counts = reduce(merge, (read_counts(store, each.counts) for each in seen if each.counts))
    return as_profile(counts, read_counts(store, seen[-1].reference))


def observe(store: Store, spec: Workload, serving: Serving, batch: Counted, at: str) -> Observation:
    """Hold *batch* against what serves, together with those before it that were too small, and keep what was seen.

    The same batch beside the same champion is one observation, however often and by however many it is looked at.
    """
    reference, weights = reference_of(serving.bundle), weights_of(serving.bundle, serving.entry.serves)
    labels = {target.column for target in spec.targets}
    sweep = sweeps.standing(store)
    kept = [read_blob(store, batch.counts)] if batch.counts else []

    def look(before: tuple[Observation, ...]) -> Observation:
        again = seen_before(before, serving.entry.number, batch.name)
        if again is not None:
            return again
        pool = waiting(before, serving.entry.number) if batch.counts else ()
        blobs = (*(each.counts for each in pool), batch.counts)
        counted = [read_counts(store, blob) for blob in blobs if blob]
        report = compare(reference, reduce(merge, counted), weights, labels) if counted else None
        kept.extend([canonical_json(report)] if report else ())
        return _observation(store, serving, batch, before, pool, report, at)

    seen = _append(store, spec.name, serving.entry.ring, look)
    ours = [blob for blob in (seen.counts, seen.report) if blob]
    sweeps.outlive(store, sweep, ours, lambda: [put_blob(store, raw) for raw in kept], _key(seen))
    return seen


def _observation(
    store: Store,
    serving: Serving,
    batch: Counted,
    before: tuple[Observation, ...],
    pool: tuple[Observation, ...],
    report: Report | None,
    at: str,
) -> Observation:
    entry, severity = serving.entry, report.severity if report else "insufficient"
    moved = tuple(each.name for each in report.critical) if report else ()
    told, incident = next_told(before, entry.number, severity, moved)
    return Observation(
        workload=entry.workload,
        ring=entry.ring,
        number=before[-1].number + 1 if before else 1,
        champion=entry.number,
        version=entry.version,
        batch=batch.name,
        source=batch.source,
        at=at,
        rows_in=batch.rows_in,
        rows=batch.rows,
        severity=severity,
        because=report.because if report else batch.findings[0].message,
        moved=moved,
        findings=batch.findings,
        reference=contents.evidence_of(serving.bundle).portrait.profile,
        counts=batch.counts,
        report=put_blob(store, canonical_json(report)) if report else None,
        pooled=tuple(each.number for each in pool),
        told=told,
        incident=incident,
    )


def _append(
    store: Store, workload: str, ring: str, look: Callable[[tuple[Observation, ...]], Observation]
) -> Observation:
    """Keep what *look* makes of what is known, under the next number; one found among the known is not kept twice."""
    for _ in range(TRIES):
        before = known(store, workload, ring)
        seen = look(before)
        if seen in before:
            return seen
        try:
            store.put(_key(seen), canonical_json(seen), if_absent=True)
        except AlreadyExists:
            continue
        return seen
    raise Conflict(f"{workload} in {ring}: others noted batches {TRIES} times while one was to be noted; run again")


def _folder(workload: str, ring: str) -> str:
    return f"drift/{workload}/{ring}/"


def _key(seen: Observation) -> str:
    return f"{_folder(seen.workload, seen.ring)}{seen.number:06}.json"


def _read(store: Store, key: str) -> Observation:
    try:
        return OBSERVATION.validate_json(read_bytes(store, key))
    except ValidationError as error:
        raise HomeDamaged(f"{key} in {store.uri} cannot be read: restore it from a backup, or delete it") from error
