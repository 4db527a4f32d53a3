"""Which challenger of a workload is the newest: for whoever asks without naming a version. Nothing trusts it."""

from __future__ import annotations

import json

from tasks.adapters.store import Store, read_bytes
from tasks.core.digests import canonical_json
from tasks.core.values import Challenger
from tasks.errors import BadRequest

NEWEST = "newest"


def point(store: Store, challenger: Challenger) -> None:
    """Make *challenger* the newest of its workload."""
    store.put(_key(challenger.workload), canonical_json({"version": challenger.version}))


def resolve(store: Store, workload: str, version: str) -> str:
    """Return *version*, or the newest one where that is asked for; raises BadRequest if there is none yet."""
    if version != NEWEST:
        return version
    if store.head(_key(workload)) is None:
        raise BadRequest(f"{workload} has no challenger yet; run: greenlight run {workload} --source PATH")
    return str(json.loads(read_bytes(store, _key(workload)))["version"])


def _key(workload: str) -> str:
    return f"challengers/{workload}.json"
