"""Gathers what the page of an observed batch shows, out of bundle and store, and keeps the page beside the others."""

from __future__ import annotations

import json

from pydantic import TypeAdapter

from tasks.adapters import calibrations, watch
from tasks.adapters.blobs import read_blob
from tasks.adapters.counting import read_counts
from tasks.adapters.store import Store, address
from tasks.core.batch_counts import merge
from tasks.core.drift import Report
from tasks.core.page.drift_sheet import DriftSheet
from tasks.core.watch import Observation
from tasks.workloads.spec import Workload

REPORT: TypeAdapter[Report] = TypeAdapter(Report)


def gather(store: Store, spec: Workload, seen: Observation) -> DriftSheet:
    """Return everything the page of *seen* shows: batches it was pooled with are in its counts."""
    history = tuple(each for each in watch.known(store, spec.name, seen.ring) if each.number <= seen.number)
    counts = read_counts(store, seen.counts) if seen.counts else None
    for each in history:
        if each.number in seen.pooled and each.counts and counts is not None:
            counts = merge(read_counts(store, each.counts), counts)
    return DriftSheet(
        title=spec.title,
        seen=seen,
        history=history,
        report=REPORT.validate_json(read_blob(store, seen.report)) if seen.report else None,
        reference=json.loads(read_blob(store, seen.reference)),
        counts=counts,
        calibration=calibrations.of(store, spec.name, seen.ring, seen.version),
    )


def keep(store: Store, seen: Observation, html: str) -> str:
    """Keep the page and return its address."""
    store.put(_key(seen), html.encode())
    return where(store, seen)


def where(store: Store, seen: Observation) -> str:
    """Return where people find the page."""
    return address(store, _key(seen))


def _key(seen: Observation) -> str:
    return f"reports/{seen.workload}/drift-{seen.ring}-{seen.number:06}.html"
