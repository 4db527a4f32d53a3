"""Days of tables in the store: blobs first, then one signed manifest per day, replaced as a whole or not at all.

A reader opens the manifest once and has the old day whole or the new day whole; nothing is ever appended to a day. What
the rows mean belongs to whoever publishes them.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import sweeps
from tasks.adapters.blobs import blob_path, has_blob, put_blob, side_by_side
from tasks.adapters.signing import Signer, Trust, seal, unseal
from tasks.adapters.store import Store, read_bytes
from tasks.core.digests import plain
from tasks.core.partitions import Partition, Table, partition_key
from tasks.core.values import Blob
from tasks.errors import AlreadyExists, Conflict, HomeDamaged, NotTrusted

FORM = "greenlight.partition/1"
PARTITION: TypeAdapter[Partition] = TypeAdapter(Partition)


def standing(store: Store, kind: str, workload: str, day: str, name: str) -> str:
    """Return the version of the day's manifest, empty if there is none: what a publication is to replace."""
    head = store.head(partition_key(kind, workload, day, name))
    return head.version if head else ""


def publish(store: Store, signer: Signer, partition: Partition, *, source: Store, replaces: str) -> bool:
    """Make *partition*, whose blobs lie in *source*, the day that readers see; say whether that changed anything.

    *replaces* is the version of the manifest that was ``standing`` when the work on it began, empty for none. Raises
    Conflict where another publication came in between, HomeDamaged where *source* lacks a blob.
    """
    blobs = tuple(part for table in partition.tables.values() for part in table.parts)

    def bring() -> None:
        side_by_side(lambda blob: _bring(source, store, blob, partition.key), blobs)

    sweep = sweeps.standing(store)
    bring()
    changed = _replaced(store, signer, partition, replaces)
    sweeps.outlive(store, sweep, blobs, bring, partition.key)
    return changed


def _bring(source: Store, to: Store, blob: Blob, key: str) -> None:
    if source.uri != to.uri:
        put_blob(to, blob_path(source, blob))
    elif not has_blob(to, blob):
        raise HomeDamaged(f"{key} is not published: its blob {blob.digest} is gone from {to.uri}; run again")


def _replaced(store: Store, signer: Signer, partition: Partition, replaces: str) -> bool:
    sealed = seal(signer, FORM, {"partition": plain(partition)})
    head = store.head(partition.key)
    if head is not None and read_bytes(store, partition.key) == sealed:
        return False
    try:
        store.put(partition.key, sealed, if_absent=not replaces, if_match=replaces or None)
    except (Conflict, AlreadyExists) as error:
        if read_bytes(store, partition.key) == sealed:
            return False
        raise Conflict(
            f"{partition.key} was published by another run while this one was at work; that day stands and nothing of "
            "this run was published; look at it, then run again if this input is the right one"
        ) from error
    return True


def read(store: Store, trust: Trust, kind: str, workload: str, day: str, name: str) -> Partition | None:
    """Return what is published as that day, None if nothing is; raises NotTrusted or HomeDamaged if it is bad."""
    key = partition_key(kind, workload, day, name)
    if store.head(key) is None:
        return None
    found = unseal(trust, FORM, read_bytes(store, key), key).get("partition")
    try:
        partition = PARTITION.validate_python(found)
    except ValidationError as error:
        raise HomeDamaged(
            f"{key} is garbled: {error.error_count()} of its fields are missing or wrong; publish the day anew"
        ) from error
    if partition.key != key:
        raise NotTrusted(f"{key} holds the day {partition.key}: it was put in another's place; publish the day anew")
    return partition


def days(store: Store, kind: str, workload: str) -> Iterator[tuple[str, str]]:
    """Yield day and name of everything published of that kind, oldest first; pages may lie beside the days."""
    for key in store.list(f"{kind}/{workload}/"):
        day, _, file = key.removeprefix(f"{kind}/{workload}/").partition("/")
        if file:
            yield day, file.removesuffix(".json")


def scan(store: Store, table: Table) -> pl.LazyFrame:
    """Return the rows of a published table, in order; the bytes of every part are verified."""
    return pl.scan_parquet([blob_path(store, part) for part in table.parts])
