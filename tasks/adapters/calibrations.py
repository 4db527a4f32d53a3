"""What was measured of the drift rule beside a champion: made from its training rows and the batches of the past, kept.

How often the rule errs is core's to count; here lie the rows, the past and the one record per champion.
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import contents, watch
from tasks.adapters.blobs import blob_path
from tasks.adapters.counting import read_counts, reference_of, weights_of
from tasks.adapters.serving import Serving
from tasks.adapters.store import Store, read_bytes
from tasks.core.batch_counts import merge
from tasks.core.digests import canonical_json
from tasks.core.drift import compare
from tasks.core.drift_odds import ROWS_MOST, RULE, Calibration, Odds, on_noise
from tasks.core.watch import Observation, next_told
from tasks.errors import HomeDamaged
from tasks.workloads.spec import Workload

CALIBRATION: TypeAdapter[Calibration] = TypeAdapter(Calibration)


def calibrate(store: Store, spec: Workload, serving: Serving, policy: str, trials: int) -> Calibration:
    """Measure the rule beside what serves and keep what was found under *policy* (its digest)."""
    past = watch.known(store, spec.name, serving.entry.ring)
    replayed = _replayed(store, spec, serving, past)
    found = Calibration(
        workload=spec.name,
        ring=serving.entry.ring,
        version=serving.entry.version,
        policy=policy,
        rule=RULE,
        noise=_noise(store, spec, serving, trials),
        batches=len(past),
        critical=sum(each.severity == "critical" for each in replayed),
        fired=sum(
            each.told == "workload.drifted" and (place == 0 or replayed[place - 1].incident != each.incident)
            for place, each in enumerate(replayed)
        ),
    )
    store.put(_key(found.workload, found.ring, found.version), canonical_json(found))
    return found


def of(store: Store, workload: str, ring: str, version: str) -> Calibration | None:
    """Return what was measured of today's rule beside that version, None if nobody has."""
    key = _key(workload, ring, version)
    if store.head(key) is None:
        return None
    try:
        found = CALIBRATION.validate_json(read_bytes(store, key))
    except ValidationError as error:
        raise HomeDamaged(f"{key} in {store.uri} cannot be read: run greenlight monitor calibrate again") from error
    return found if found.rule == RULE else None


def _noise(store: Store, spec: Workload, serving: Serving, trials: int) -> Odds:
    rows = pl.read_parquet(blob_path(store, contents.evidence_of(serving.bundle).training_set.rows))
    chance = np.random.default_rng(int(serving.entry.manifest_digest[:12], 16))
    if rows.height > ROWS_MOST:
        rows = rows[np.sort(chance.choice(rows.height, ROWS_MOST, replace=False))]
    predictions = {
        target: contents.model_of(serving.bundle, target).score(rows)["predicted"] for target in serving.entry.serves
    }
    labels = {target.column for target in spec.targets}
    weights = weights_of(serving.bundle, serving.entry.serves)
    reference = reference_of(serving.bundle)
    return on_noise(rows, rows[spec.entity], predictions, reference, weights, labels, trials=trials, chance=chance)


def _replayed(store: Store, spec: Workload, serving: Serving, past: tuple[Observation, ...]) -> tuple[Observation, ...]:
    """Look at the batches of the past again, those beside what serves now, with today's rule."""
    reference, weights = reference_of(serving.bundle), weights_of(serving.bundle, serving.entry.serves)
    labels = {target.column for target in spec.targets}
    again: tuple[Observation, ...] = ()
    counts = {each.number: each.counts for each in past}
    for each in past:
        blobs = [counts.get(number) for number in (*each.pooled, each.number)]
        if each.champion != serving.entry.number or None in blobs:
            again += (each,)
            continue
        report = compare(
            reference, reduce(merge, [read_counts(store, blob) for blob in blobs if blob]), weights, labels
        )
        moved = tuple(one.name for one in report.critical)
        told, incident = next_told(again, each.champion, report.severity, moved)
        again += (replace(each, severity=report.severity, told=told, incident=incident),)
    return again


def _key(workload: str, ring: str, version: str) -> str:
    return f"calibrations/{workload}/{ring}/{version}.json"
