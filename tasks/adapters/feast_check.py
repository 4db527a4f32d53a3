"""Counts the entities of a snapshot that are online, after materializing, with a value at least as new as its own.

It exists because an online store that lost a row says nothing. Ten million entities are counted in parts of
neighbouring keys, so that they stay under 1 GB. What to do about a missing entity does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from feast import Entity, FeatureStore, FeatureView
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.type_map import python_values_to_proto_values

from tasks.adapters.feast_parts import by_range, height, into, part_count
from tasks.adapters.feast_sources import moment
from tasks.adapters.feast_sqlite import EVENT_AT, CompactSqliteOnlineStore
from tasks.adapters.leftovers import own_folder

PART_ROWS = 500_000
KEYS_PER_READ = 2_000


@dataclass(frozen=True)
class Held:
    """Entities that should be online, and those that are."""

    found: int
    wanted: int


def held_online(
    store: FeatureStore, views: Sequence[FeatureView], rows: pl.LazyFrame, entity: str, event_time: str
) -> dict[str, Held]:
    """Count the entities of *rows*, and those online in each view with an event time no older than their newest."""
    known = rows.select(entity, event_time).drop_nulls()
    wanted, found = 0, dict.fromkeys((view.name for view in views), 0)
    with own_folder(Path(store.repo_path), ".known-") as spill:
        count = part_count(height(known), PART_ROWS)
        newest = pl.col(event_time).max().dt.timestamp("us").alias("wanted")
        for part in into(spill)(known, by_range(known, [entity], count), count):
            entities = part.group_by(entity).agg(newest).collect(engine="streaming")
            wanted += entities.height
            for view in views if entities.height else ():
                for stamps in _stamps(store, view, entities[entity]):
                    both = entities.join(stamps, on=entity)
                    found[view.name] += both.filter(pl.col(EVENT_AT) >= pl.col("wanted")).height
    return {name: Held(found=some, wanted=wanted) for name, some in found.items()}


def _stamps(store: FeatureStore, view: FeatureView, entities: pl.Series) -> Iterator[pl.DataFrame]:
    """Yield the event times (``EVENT_AT``) that are online for a part's entities, and for others between them."""
    online = store._get_provider().online_store
    if isinstance(online, CompactSqliteOnlineStore):
        yield from online.stamps(store.config, view, entities.min(), entities.max())
    else:
        yield from _read(store, view, entities)


def _read(store: FeatureStore, view: FeatureView, entities: pl.Series) -> Iterator[pl.DataFrame]:
    """Ask any other online store for the time of each entity, as its readers do."""
    declared: Entity = store.get_entity(view.entities[0])
    for some in entities.to_frame().iter_slices(KEYS_PER_READ):
        values = python_values_to_proto_values(some[entities.name].to_list(), declared.value_type)
        keys = [EntityKey(join_keys=[declared.join_key], entity_values=[value]) for value in values]
        read = store._get_provider().online_store.online_read(store.config, view, keys, [view.features[0].name])
        found = [None if at is None else moment(at) for at, _ in read]
        yield some.with_columns(pl.Series(EVENT_AT, found, dtype=pl.Int64))
