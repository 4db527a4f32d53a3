"""Opens a batch: names the request, and notes what serves and what is published before any work begins.

All that a person can get wrong in asking is found here, at once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tasks import workloads
from tasks.adapters import contents, experiments, partitions, policies, predictions, runs, serving
from tasks.adapters.signing import trusted_keys
from tasks.adapters.store import Store, open_store
from tasks.core.digests import digest_of
from tasks.core.partitions import checked_day
from tasks.core.scoring import Asked, Batch


def open_batch(store: Store, keys: Path, asked: Asked) -> Batch:
    """Return the batch that is to be scored; it is published in *store* where no output is named.

    Raises UnknownWorkload, SourceUnusable, and BadRequest where there is no such ring, nothing serves in it, or what
    serves reads other features than today's code makes.
    """
    spec, ring = workloads.get(asked.workload), asked.ring
    day = checked_day(asked.date or datetime.now(UTC).date().isoformat())
    policies.next_ring(ring)
    champion = serving.champion(store, keys, spec.name, ring)
    contents.refuse_other_features(serving.opened(store, keys, champion), spec)
    run = runs.open_run(
        spec.name,
        asked.source,
        reason="score",
        ring=ring,
        observed_at=asked.observed_at,
        window_days=asked.window_days,
    )
    experiment = experiments.at_work(store, trusted_keys(keys), champion)
    at = _address(asked.output) if asked.output else store.uri
    stands = partitions.standing(open_store(at), predictions.KIND, spec.name, day, ring)
    batch = Batch(replace(run, as_of=day), day, champion, at, stands, experiment)
    named = digest_of({"run": run.key, "date": day, "bundle": champion.manifest_digest, **batch.tried})[:16]
    return replace(batch, run=replace(batch.run, key=f"score/{day}-{ring}-{named}"))


def _address(output: str) -> str:
    """Return the address of a store; a plain path is a folder of this machine."""
    return output if "://" in output else Path(output).expanduser().resolve().as_uri()
