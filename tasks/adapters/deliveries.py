"""Files that landed, each taken in exactly once by the digest of its bytes, and what was taken as a source.

The commit point is the turn, ``turns/<workload>.json``, which holds the newest delivery: it is replaced only by who has
looked at all that came before, so that no two homes take in the same row. Before it, all is named by content and may be
done again. The record ``deliveries/<workload>/<digest>.json`` follows, made by the next reader where the writer was
killed; after it, the file is known under any name. The folder that others read as a source holds one Parquet file per
delivery and follows from the records.

Files that lie there together are a backlog, all held against one watermark, that of its beginning. It is noted while
the backlog is under way, so that one killed and begun again sets aside what it would have set aside.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import frames
from tasks.adapters.blobs import blob_path
from tasks.adapters.landing import Landed
from tasks.adapters.parquet import write_parquet
from tasks.adapters.sources import read_source
from tasks.adapters.store import Store, read_bytes
from tasks.core import deliveries
from tasks.core.deliveries import AHEAD, KNOWN, LATE, UNREADABLE, WHY, Delivery, Sorted
from tasks.core.digests import canonical_json, digest_of
from tasks.errors import AlreadyExists, HomeDamaged
from tasks.workloads.spec import POLARS_TYPES, Workload

DELIVERY = TypeAdapter(Delivery)
DELIVERIES = TypeAdapter(list[Delivery])
BEGUN = TypeAdapter(dict[str, str])


@dataclass(frozen=True)
class Backlog:
    """What files that lie there together are held against: all that was taken in before each, and one watermark.

    ``turn`` is the version of the newest delivery, the last of all *before*; None where there is none.
    """

    before: Mapping[str, Delivery]
    turn: str | None
    watermark: datetime | None


def known(store: Store, workload: str) -> dict[str, Delivery]:
    """Return every delivery so far by its digest; raises HomeDamaged for a record that cannot be read.

    An index beside the records spares reading each of them; it follows from them and may be deleted.
    """
    _settle(store, workload)
    return _recorded(store, workload)


def _recorded(store: Store, workload: str) -> dict[str, Delivery]:
    keys = list(store.list(f"deliveries/{workload}/"))
    indexed = _indexed(store, workload)
    found = {_digest_in(key): indexed.get(_digest_in(key)) or _read(store, key) for key in keys}
    if found.keys() != indexed.keys():
        store.put(_index(workload), canonical_json(list(found.values())))
    return found


def is_known(store: Store, workload: str, digest: str) -> bool:
    """Say whether a file was taken in, without reading anything."""
    return store.head(_key(workload, digest)) is not None


def begin(store: Store, workload: str, place: str, lateness_hours: float) -> Backlog:
    """Return what the files at *place* are held against; one that was begun and never ended goes on as it began."""
    turn = _settle(store, workload)
    before = _recorded(store, workload)
    begun = {"newest": deliveries.newest_of(before.values())}
    try:
        store.put(_begun(workload, place), canonical_json(begun), if_absent=True)
    except AlreadyExists:
        # Gone again where another home ended it just now.
        with suppress(HomeDamaged):
            begun = BEGUN.validate_json(read_bytes(store, _begun(workload, place)))
    return Backlog(before, turn, deliveries.watermark(begun["newest"], lateness_hours))


def anew(store: Store, workload: str, backlog: Backlog) -> Backlog:
    """Return the *backlog* with what others took in since; its watermark stays."""
    turn = _settle(store, workload)
    return replace(backlog, before=_recorded(store, workload), turn=turn)


def end(store: Store, workload: str, place: str) -> None:
    """Note that all that lay at *place* was looked at: what lands from now on is another backlog."""
    store.delete(_begun(workload, place))


def take(
    store: Store, spec: Workload, file: Landed, backlog: Backlog, folder: Path, *, now: datetime
) -> Backlog | None:
    """Take *file* of the *backlog* in and return what the next is held against; None if it was taken in already.

    Raises Conflict where another home took something in since, which may hold the same rows: look at it ``anew``.
    *folder* is scratch. What nobody has been told of is marked before the record is made, so that a kill right after
    it leaves nobody ignorant; see ``untold``. Raises SourceUnusable for a file without rows, or that is no table.
    """
    if file.digest in backlog.before or is_known(store, spec.name, file.digest):
        return None
    read_source(spec, file.path, folder / "read.parquet")
    rows = pl.read_parquet(folder / "read.parquet")
    sorted_out = deliveries.sort_out(spec, rows, _known_rows(store, spec, backlog, rows), backlog.watermark, now)
    delivery = _kept(store, spec, file, sorted_out, folder, backlog.watermark, now)
    with suppress(AlreadyExists):
        store.put(_mark(spec.name, file.digest), b"{}", if_absent=True)
    written, turn = canonical_json(delivery), backlog.turn
    turn = store.put(_turn(spec.name), written, if_absent=turn is None, if_match=turn).version
    _record(store, delivery)
    return replace(backlog, before={**backlog.before, file.digest: delivery}, turn=turn)


def untold(store: Store, workload: str) -> list[Delivery]:
    """Return the deliveries that nobody may have been told of.

    One that was marked and never recorded is left for when it is.
    """
    marked = (_key(workload, _digest_in(mark)) for mark in store.list(f"untold/{workload}/"))
    return [_read(store, key) for key in marked if store.head(key) is not None]


def told(store: Store, delivery: Delivery) -> None:
    """Note that *delivery* was told of."""
    store.delete(_mark(delivery.workload, delivery.digest))


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


def _settle(store: Store, workload: str) -> str | None:
    """See that the newest delivery has its record, and return the version of the turn; None where there is none yet."""
    turn = store.head(_turn(workload))
    if turn is None:
        return None
    newest = _read(store, _turn(workload))
    if not is_known(store, workload, newest.digest):
        _record(store, newest)
    return turn.version


def _record(store: Store, delivery: Delivery) -> None:
    with suppress(AlreadyExists):
        store.put(_key(delivery.workload, delivery.digest), canonical_json(delivery), if_absent=True)


def _known_rows(store: Store, spec: Workload, backlog: Backlog, landed: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that may be among those that *landed*: of their time; from before the watermark all are late."""
    parts, edge, span = [pl.DataFrame(schema=_schema(spec))], backlog.watermark, deliveries.span(spec, landed)
    at = pl.col(spec.event_time)
    for each in backlog.before.values():
        if not deliveries.may_share(each, span, edge):
            continue
        rows = pl.scan_parquet(blob_path(store, each.taken))
        parts.append((rows if edge is None else rows.filter((at >= edge) | at.is_null())).collect())
    return pl.concat(parts)


def _kept(
    store: Store, spec: Workload, file: Landed, found: Sorted, folder: Path, edge: datetime | None, now: datetime
) -> Delivery:
    newest, why = deliveries.newest_seen(spec, found.taken, now), found.aside[WHY]
    span = deliveries.span(spec, found.taken)
    return Delivery(
        workload=spec.name,
        digest=file.digest,
        file=file.path.name,
        rows_in=found.taken.height + found.aside.height,
        rows_taken=found.taken.height,
        known=int((why == KNOWN).sum()),
        late=int((why == LATE).sum()),
        ahead=int((why == AHEAD).sum()),
        unreadable=int((why == UNREADABLE).sum()),
        newest=newest.isoformat() if newest else "",
        earliest=span.first.isoformat() if span.first else "",
        latest=span.last.isoformat() if span.last else "",
        undated=span.undated,
        watermark=edge.isoformat() if edge else "",
        taken=frames.keep(store, found.taken, folder, "taken"),
        aside=frames.keep(store, found.aside, folder, "aside"),
    )


def _key(workload: str, digest: str) -> str:
    return f"deliveries/{workload}/{digest}.json"


def _mark(workload: str, digest: str) -> str:
    return f"untold/{workload}/{digest}.json"


def _turn(workload: str) -> str:
    return f"turns/{workload}.json"


def _begun(workload: str, place: str) -> str:
    return f"backlogs/{workload}/{digest_of({'place': place})}.json"


def _index(workload: str) -> str:
    return f"deliveries/{workload}.json"


def _digest_in(key: str) -> str:
    return key.rpartition("/")[2].removesuffix(".json")


def _read(store: Store, key: str) -> Delivery:
    try:
        return DELIVERY.validate_json(read_bytes(store, key))
    except ValidationError as error:
        raise HomeDamaged(
            f"the record {key} in {store.uri} cannot be read: {error}; restore it, then run again"
        ) from error


def _indexed(store: Store, workload: str) -> dict[str, Delivery]:
    """Return what the index has; one that cannot be read has nothing."""
    if store.head(_index(workload)) is None:
        return {}
    try:
        return {each.digest: each for each in DELIVERIES.validate_json(read_bytes(store, _index(workload)))}
    except ValidationError:
        return {}


def _schema(spec: Workload) -> dict[str, pl.DataType | type[pl.DataType]]:
    return {column.name: POLARS_TYPES[column.type] for column in spec.columns}
