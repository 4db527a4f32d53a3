"""Tables in the store for whoever reads it, ``tables/<workload>/<name>.parquet``: projections, made of the records.

Some follow from the rows that were taken in (the workload declares which), two from the days that were scored and their
truth. A reader has the old table whole or the new one whole. What is in them is core's and the workload's word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from tasks.adapters import appraisals, contents, deliveries, frames, partitions, predictions
from tasks.adapters.blobs import blob_key, blob_path
from tasks.adapters.counting import trained_until
from tasks.adapters.memo import remember
from tasks.adapters.parquet import Rows, replacing, write_parquet
from tasks.adapters.predictions import Day
from tasks.adapters.signing import Signer, trusted_keys
from tasks.adapters.store import Store
from tasks.core import tables
from tasks.core.actuals import keys_of, label_columns
from tasks.core.digests import digest_of
from tasks.core.tables import METRICS, PREDICTIONS, Taught
from tasks.core.values import Blob
from tasks.errors import AlreadyExists, Conflict, HomeDamaged
from tasks.workloads.spec import Workload

TRIES = 5
Made = Callable[[pl.LazyFrame], pl.LazyFrame]


@dataclass(frozen=True)
class ScoredDay:
    """A scored day's share of both tables, as Parquet blobs."""

    predictions: Blob
    metrics: Blob


@dataclass(frozen=True)
class Said:
    """What was predicted on a ring's earlier days: their shares, and a name for the rows they were made of."""

    shares: tuple[Blob, ...] = ()
    digest: str = ""

    def of(self, store: Store, spec: Workload, since: object) -> pl.DataFrame:
        """Return entity, moment and target of what was said of moments from *since* on."""
        names = [*keys_of(spec), "target"]
        parts = (pl.scan_parquet(blob_path(store, each)).select(names) for each in self.shares)
        found = [each.filter(pl.col(spec.event_time) >= pl.lit(since)).collect() for each in parts]
        return pl.concat(found).unique()


SHARES: Mapping[str, Callable[[ScoredDay], Blob]] = {
    PREDICTIONS: lambda day: day.predictions,
    METRICS: lambda day: day.metrics,
}


def table_key(workload: str, name: str) -> str:
    """Return where a table lies in any store."""
    return f"tables/{workload}/{name}.parquet"


def keys_by_table(spec: Workload) -> dict[str, tuple[str, ...]]:
    """Return every table of the workload and the columns that name one of its rows; none where it declares none."""
    own = {name: each.key for name, each in spec.tables.items()}
    return own | {PREDICTIONS: tables.predictions_key(spec), METRICS: tables.METRICS_KEY} if own else {}


def of_rows(store: Store, spec: Workload, folder: Path) -> dict[str, int]:
    """Make the tables of all rows that were ever taken in; return their heights. *folder* is scratch.

    They follow from the deliveries alone: made again, they are the same bytes.
    """
    heights = {}
    for name, table in spec.tables.items():

        def write(to: Path, make: Made = table.make) -> int | None:
            parts = deliveries.taken(store, spec.name)
            return write_parquet(make(pl.scan_parquet(parts)), to) if parts else None

        heights[name] = _replaced(store, table_key(spec.name, name), folder / f"{name}.parquet", write)
    return {name: height for name, height in heights.items() if height is not None}


def of_scored_days(store: Store, signer: Signer, keys: Path, spec: Workload, folder: Path) -> dict[str, int]:
    """Make the tables of what was predicted, on every day and in every ring, and of what it was worth.

    A day is worked out once for the labels known of it; so a table is made anew at the cost of what changed.
    """
    heights = {}
    for name, share in SHARES.items():

        def write(to: Path, share: Callable[[ScoredDay], Blob] = share) -> int | None:
            return _joined(store, [share(day) for day in scored_days(store, signer, keys, spec, folder)], to)

        heights[name] = _replaced(store, table_key(spec.name, name), folder / f"{name}.parquet", write)
    return {name: height for name, height in heights.items() if height is not None}


def scored_days(store: Store, signer: Signer, keys: Path, spec: Workload, folder: Path) -> Iterator[ScoredDay]:
    """Yield every scored day's share of the tables, oldest first: what was said belongs to the first day it was."""
    versions: dict[str, Taught] = {}
    rings: dict[str, Said] = {}
    found = {day for kind in predictions.ANYWHERE for day in partitions.days(store, kind, spec.name)}
    for date, ring in sorted(found):
        day = predictions.read(store, trusted_keys(keys), spec.name, ring, date, predictions.ANYWHERE)
        labels = _labels(store, keys, day)
        said, scored = rings.get(ring, Said()), day.tables[predictions.SCORED]
        inputs = {"day": day.about, "scored": scored, "labels": labels, "said": said.digest}
        compute = partial(_scored_day, store, keys, spec, day, labels, said, versions, folder)
        share = remember(store, signer, spec.name, "tabulate", inputs, ScoredDay, compute).value
        # Not by the shares' own digests: they change with every label, and what was said does not.
        rings[ring] = Said((*said.shares, share.predictions), digest_of({"before": said.digest, "scored": scored}))
        yield share


def _scored_day(
    store: Store,
    keys: Path,
    spec: Workload,
    day: Day,
    labels: Blob | None,
    said: Said,
    versions: dict[str, Taught],
    folder: Path,
) -> ScoredDay:
    scored = predictions.rows(store, day).collect()
    known = frames.read(store, labels) if labels else _none_known(scored, spec)
    rows = tables.predicted_rows(spec, scored, known, _before(store, spec, day, scored), day.about.ring, day.about.date)
    for version in rows["model_version"].unique().to_list():
        versions.setdefault(version, _taught(store, keys, spec, version))
    rows = tables.learned_from(spec, rows, versions)
    before = said.of(store, spec, rows[spec.event_time].min()) if said.shares else rows.clear()
    return ScoredDay(
        frames.keep(store, tables.first_said(spec, rows, before), folder, "told"),
        frames.keep(store, tables.metrics_rows(spec, rows, versions), folder, "worth"),
    )


def _taught(store: Store, keys: Path, spec: Workload, version: str) -> Taught:
    bundle = contents.open_verified(store, keys, spec.name, version)
    until = trained_until(store, spec, bundle)
    if until is None:
        raise HomeDamaged(f"the training set of {spec.name} {version} has no row; restore it from a backup")
    training = pl.scan_parquet(blob_path(store, contents.evidence_of(bundle).training_set.rows))
    return tables.taught(spec, training.select(label_columns(spec)).collect(), until)


def _labels(store: Store, keys: Path, day: Day) -> Blob | None:
    """Return the labels known of a scored day; None where nobody has asked for them yet."""
    about = day.about
    found = partitions.read(store, trusted_keys(keys), appraisals.KIND, about.workload, about.date, about.ring)
    return found.tables[appraisals.LABELS].parts[0] if found else None


def _none_known(scored: pl.DataFrame, spec: Workload) -> pl.DataFrame:
    none = [pl.lit(None, pl.Float64).alias(name) for name in label_columns(spec)]
    return scored.select(keys_of(spec)).clear().with_columns(none)


def _before(store: Store, spec: Workload, day: Day, scored: pl.DataFrame) -> pl.DataFrame:
    """Return the label of the time before of each row, by the day's snapshot; none where that is gone."""
    keys, names = keys_of(spec), list(dict.fromkeys(each.previous for each in spec.targets if each.previous))
    head = store.head(blob_key(day.about.snapshot))
    if head is None or not names:
        return scored.select(keys).clear().with_columns(pl.lit(None, pl.Float64).alias(name) for name in names)
    rows = pl.scan_parquet(blob_path(store, Blob(day.about.snapshot, head.size)))
    return spec.derive(rows).select(*keys, *names).unique(keys, keep="first").collect()


def _joined(store: Store, parts: list[Blob], to: Path) -> int | None:
    """Write all *parts* into one file, one after the other: memory holds one of them."""
    if not parts:
        return None
    paths = [blob_path(store, part) for part in parts]
    with ExitStack() as stack:
        part = stack.enter_context(replacing(to))
        rows = stack.enter_context(Rows(part, pl.Schema(pl.read_parquet_schema(paths[0]))))
        for path in paths:
            rows.add(pl.read_parquet(path))
    return rows.count


def _replaced(store: Store, key: str, path: Path, write: Callable[[Path], int | None]) -> int | None:
    """Put what *write* makes in place of the table, anew where another did so meanwhile; return its height, if any."""
    for _ in range(TRIES):
        head = store.head(key)
        height = write(path)
        if height is None:
            return None
        try:
            store.put(key, path, if_absent=head is None, if_match=head.version if head else None)
        except (Conflict, AlreadyExists):
            continue
        return height
    raise Conflict(f"{key} in {store.uri} was replaced by others {TRIES} times meanwhile; run again")
