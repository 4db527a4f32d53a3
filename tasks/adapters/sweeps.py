"""What a collection of garbage tells publishers: one object in the store, and how a publisher outlives a collection.

A publisher finds a blob there and does not upload it; a collection that took it for garbage may delete it a moment
later. So publishing looks here before and after: if a collection came in between, it looks for its blobs again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from tasks.adapters.blobs import has_blob, side_by_side
from tasks.adapters.store import Store, read_bytes
from tasks.core.garbage import Sweep
from tasks.core.values import Blob
from tasks.errors import HomeDamaged

KEY = "gc/sweep.json"
POLL_SECONDS = 0.2
SWEEP: TypeAdapter[Sweep] = TypeAdapter(Sweep)


def standing(store: Store) -> str:
    """Return which collection was the last, empty if there was none."""
    head = store.head(KEY)
    return head.version if head else ""


def read(store: Store) -> Sweep:
    """Return what the last collection noted."""
    if store.head(KEY) is None:
        return Sweep()
    try:
        return SWEEP.validate_json(read_bytes(store, KEY))
    except ValidationError as error:
        raise HomeDamaged(
            f"{KEY} in {store.uri} is garbled; delete it: every blob gets its whole grace anew"
        ) from error


def outlive(store: Store, before: str, blobs: Collection[Blob], again: Callable[[], object], what: str) -> None:
    """Return when *blobs*, which the record *what* names by now, are there whatever was collected since *before*.

    *before* is what was ``standing`` when the first of them was looked for; *again* puts there what was taken. Raises
    HomeDamaged where it does not.
    """
    if blobs and _came_between(store, before, {blob.digest for blob in blobs}) and _gone(store, blobs):
        # They are named by now, so no other collection takes them.
        again()
        if gone := _gone(store, blobs):
            raise HomeDamaged(
                f"{len(gone)} of the {len(blobs)} blobs that {what} names had been collected as garbage: "
                f"{', '.join(gone)}; run again to make them anew"
            )


def _came_between(store: Store, before: str, ours: AbstractSet[str]) -> bool:
    """Say whether a collection was at work since *before*; return only when it deletes none of *ours* any more."""
    waited = False
    while _deletes(read(store), ours):
        waited = True
        time.sleep(POLL_SECONDS)
    return waited or standing(store) != before


def _gone(store: Store, blobs: Collection[Blob]) -> list[str]:
    found = side_by_side(lambda blob: has_blob(store, blob), blobs)
    return [blob.digest for blob, there in zip(blobs, found, strict=True) if not there]


def _deletes(sweep: Sweep, ours: AbstractSet[str]) -> bool:
    """A collection that was killed deletes nothing after its time."""
    return bool(ours & set(sweep.deleting)) and sweep.until > datetime.now(UTC).isoformat()
