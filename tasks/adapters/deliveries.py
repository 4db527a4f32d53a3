"""Files that land in a folder, each taken in exactly once by the digest of its bytes, and what was taken as a source.

The record ``deliveries/<workload>/<digest>.json``, created if absent, is the commit point: before it, all is named by
content and may be done again; after it, the file is known under any name. The folder that others read as a source holds
one Parquet file per delivery and follows from the records.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import frames
from tasks.adapters.blobs import blob_path
from tasks.adapters.parquet import write_parquet
from tasks.adapters.sources import READABLE, digest_source, read_source
from tasks.adapters.store import Store, read_bytes
from tasks.core import deliveries
from tasks.core.deliveries import KNOWN, LATE, UNREADABLE, WHY, Delivery, Sorted
from tasks.core.digests import canonical_json
from tasks.errors import AlreadyExists, BadRequest, HomeDamaged
from tasks.workloads.spec import POLARS_TYPES, Workload

DELIVERY = TypeAdapter(Delivery)


@dataclass(frozen=True)
class Landed:
    """A file in the landing folder, and the digest of its bytes."""

    path: Path
    digest: str


def landed(folder: Path) -> list[Landed]:
    """Return the files to look at, in the order of their names; raises BadRequest where there is no folder.

    Hidden files are still being written: whoever delivers renames a file to its name once it is whole.
    """
    if not folder.is_dir():
        raise BadRequest(f"nothing can land in {folder}, which is no folder; make it, or name another")
    names = (each for each in sorted(folder.iterdir()) if each.is_file() and not each.name.startswith((".", "_")))
    return [Landed(each, digest_source(each)) for each in names if each.name.lower().endswith(READABLE)]


def known(store: Store, workload: str) -> dict[str, Delivery]:
    """Return every delivery so far by its digest; raises HomeDamaged for a record that cannot be read."""
    found = {}
    for key in store.list(f"deliveries/{workload}/"):
        try:
            delivery = DELIVERY.validate_json(read_bytes(store, key))
        except ValidationError as error:
            raise HomeDamaged(
                f"the record {key} in {store.uri} cannot be read: {error}; restore it, then run again"
            ) from error
        found[delivery.digest] = delivery
    return found


def take(
    store: Store, spec: Workload, file: Landed, folder: Path, *, lateness_hours: float, now: datetime
) -> Delivery | None:
    """Take *file* in and return what came of it; None if it was taken in before. *folder* is scratch."""
    before = known(store, spec.name)
    if file.digest in before:
        return None
    edge = deliveries.watermark([each.newest for each in before.values()], lateness_hours)
    read_source(spec, file.path, folder / "read.parquet")
    rows = pl.read_parquet(folder / "read.parquet")
    sorted_out = deliveries.sort_out(spec, rows, _known_rows(store, spec, before, edge), edge)
    delivery = _kept(store, spec, file, sorted_out, folder, edge, now)
    with suppress(AlreadyExists):
        store.put(f"deliveries/{spec.name}/{file.digest}.json", canonical_json(delivery), if_absent=True)
        return delivery
    return None


def gather(store: Store, workload: str, to: Path) -> int:
    """Bring the folder *to* up to the records, one file per delivery with rows; return how many files were missing."""
    missing = 0
    for delivery in known(store, workload).values():
        path = to / f"{delivery.digest[:32]}.parquet"
        if delivery.rows_taken and not path.exists():
            write_parquet(pl.scan_parquet(blob_path(store, delivery.taken)), path)
            missing += 1
    return missing


def taken(store: Store, workload: str) -> list[Path]:
    """Return files with all rows that were ever taken in, in the order of the deliveries' digests."""
    return [blob_path(store, each.taken) for each in known(store, workload).values() if each.rows_taken]


def _known_rows(store: Store, spec: Workload, before: dict[str, Delivery], edge: datetime | None) -> pl.DataFrame:
    """Return the rows that may come again: of deliveries that reach beyond the watermark; what is older is late."""
    parts = [pl.DataFrame(schema=_schema(spec))]
    for each in before.values():
        rows = pl.scan_parquet(blob_path(store, each.taken))
        parts.append((rows if edge is None else rows.filter(pl.col(spec.event_time) >= edge)).collect())
    return pl.concat(parts)


def _kept(
    store: Store, spec: Workload, file: Landed, found: Sorted, folder: Path, edge: datetime | None, now: datetime
) -> Delivery:
    newest, why = deliveries.newest_seen(spec, found.taken, now), found.aside[WHY]
    return Delivery(
        workload=spec.name,
        digest=file.digest,
        file=file.path.name,
        rows_in=found.taken.height + found.aside.height,
        rows_taken=found.taken.height,
        known=int((why == KNOWN).sum()),
        late=int((why == LATE).sum()),
        unreadable=int((why == UNREADABLE).sum()),
        newest=newest.isoformat() if newest else "",
        watermark=edge.isoformat() if edge else "",
        taken=frames.keep(store, found.taken, folder, "taken"),
        aside=frames.keep(store, found.aside, folder, "aside"),
    )


def _schema(spec: Workload) -> dict[str, pl.DataType | type[pl.DataType]]:
    return {column.name: POLARS_TYPES[column.type] for column in spec.columns}
