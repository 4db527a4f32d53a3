"""Feast's online store on SQLite, one wide row per entity and view.

It exists because Feast's own SQLite store keeps one row per entity *and feature*, each written by its own statement
(159 CPU seconds and 1.9 GB for a million entities), and lets an older range overwrite newer values. Configure it as
``online_store: {type: tasks.adapters.feast_sqlite.CompactSqliteOnlineStore, path: …}``. Deciding what to write does not
belong here: that is the compute engine's.

A row is replaced only by one that is as new: by event time, then creation time, then order of writing. A missing number
and a number that is not a number are the same here, as in SQLite.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, cast

import polars as pl
from feast.entity import Entity
from feast.feature_view import FeatureView
from feast.infra.online_stores.online_store import OnlineStore
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.type_map import VALUE_TYPE_TO_PROTO_VALUE_MAP, python_values_to_proto_values
from feast.value_type import ValueType

from tasks.adapters.feast_sources import EPOCH, moment
from tasks.errors import HomeDamaged

EVENT_AT = "__event_us"
CREATED_AT = "__created_us"
NEVER = -(2**63)
KEYS_PER_QUERY = 500
KEYS_PER_FETCH = 50_000

# What SQLite holds as it is; any other type is held as the bytes of Feast's own value.
NATIVE = {
    ValueType.DOUBLE: pl.Float64,
    ValueType.FLOAT: pl.Float64,
    ValueType.INT64: pl.Int64,
    ValueType.INT32: pl.Int64,
    ValueType.BOOL: pl.Int64,
    ValueType.STRING: pl.String,
    ValueType.BYTES: pl.Binary,
    ValueType.UNIX_TIMESTAMP: pl.Int64,
}


class CompactSqliteOnlineStoreConfig(FeastConfigBaseModel):
    """Where the store lies; Feast finds the class by its name."""

    type: Literal["tasks.adapters.feast_sqlite.CompactSqliteOnlineStore"] = (
        "tasks.adapters.feast_sqlite.CompactSqliteOnlineStore"
    )
    path: str = "online.sqlite"
    # How long a writer waits for another one.
    busy_seconds: float = 60.0


class CompactSqliteOnlineStore(OnlineStore):
    """Holds each entity's newest features; readers are never kept waiting by a writer (write-ahead log)."""

    def __init__(self) -> None:
        self._local = threading.local()

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,
    ) -> None:
        """Drop the tables of views that went; create or widen those of views that stay."""
        self.teardown(config, tables_to_delete, entities_to_delete)
        for view in tables_to_keep:
            self.prepare(config, view)

    def teardown(self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]) -> None:
        """Drop the tables of *tables*."""
        connection = self._connection(config)
        with connection:
            for view in tables:
                connection.execute(f"drop table if exists {_table(config, view)}")

    def prepare(self, config: RepoConfig, view: FeatureView) -> None:
        """Create the view's table, or add the columns of features it did not have yet."""
        _, features = _columns(view)
        connection = self._connection(config)
        with connection:
            connection.execute("begin immediate")
            connection.execute(_create(config, view))
            with closing(connection.execute(f"pragma table_info({_table(config, view)})")) as rows:
                present = {row[1] for row in rows}
            for name in features:
                if name not in present:
                    connection.execute(f"alter table {_table(config, view)} add column {_quoted(name)}")

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: Sequence[tuple[EntityKey, dict[str, Value], datetime, datetime | None]],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows that Feast pushes, in one transaction."""
        _, features = _columns(table)
        kinds = _kinds(table)
        self._write(
            config,
            table,
            (
                (
                    *_key_of(key, table),
                    moment(at),
                    NEVER if created is None else moment(created),
                    *(_stored(values.get(name), kinds[name]) for name in features),
                )
                for key, values, at, created in data
            ),
        )
        if progress:
            progress(len(data))

    def write_frame(self, config: RepoConfig, view: FeatureView, rows: pl.DataFrame) -> None:
        """Write a frame of keys, ``EVENT_AT``, ``CREATED_AT`` and features, in one transaction.

        Frames in the order of their keys append to an empty table; in any other order each rewrites most of it.
        """
        keys, features = _columns(view)
        kinds = _kinds(view)
        columns = [_encoded(rows[name], kinds[name]) for name in keys]
        stamps = [rows[EVENT_AT], rows[CREATED_AT].fill_null(NEVER)]
        values = [_encoded(rows[name], kinds[name]) for name in features]
        self._write(config, view, pl.DataFrame([*columns, *stamps, *values]).iter_rows())

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: Sequence[EntityKey],
        requested_features: Sequence[str] | None = None,
    ) -> list[tuple[datetime | None, dict[str, Value] | None]]:
        """Return each key's event time and features, in the keys' order; ``(None, None)`` where there is none."""
        wanted = list(requested_features or _columns(table)[1])
        keys = [_key_of(key, table) for key in entity_keys]
        found = self._found(config, table, sorted(set(keys), key=repr), wanted)
        kinds = _kinds(table)
        return [_answer(found.get(key), wanted, kinds) for key in keys]

    def stamps(self, config: RepoConfig, view: FeatureView, lowest: Any, highest: Any) -> Iterator[pl.DataFrame]:
        """Yield every key between two, both included, with its event time in microseconds (``EVENT_AT``)."""
        (key,), kinds = _columns(view)[0], _kinds(view)
        schema = {key: NATIVE.get(kinds[key], pl.String), EVENT_AT: pl.Int64}
        name, at = _quoted(key), _quoted(EVENT_AT)
        query = f"select {name}, {at} from {_table(config, view)} where {name} between ? and ? order by {name}"
        with closing(self._execute(config, view, query, [lowest, highest])) as rows:
            for some in iter(lambda: rows.fetchmany(KEYS_PER_FETCH), []):
                yield pl.DataFrame(some, schema, orient="row")

    def disconnect(self) -> None:
        """Close this thread's connections."""
        for connection in self._local.__dict__.values():
            connection.close()
        self._local.__dict__.clear()

    def _found(
        self, config: RepoConfig, view: FeatureView, keys: Sequence[tuple[Any, ...]], wanted: Sequence[str]
    ) -> dict[tuple[Any, ...], tuple[Any, ...]]:
        names, _ = _columns(view)
        selected = ", ".join(_quoted(name) for name in [*names, EVENT_AT, *wanted])
        found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        for start in range(0, len(keys), KEYS_PER_QUERY):
            some = keys[start : start + KEYS_PER_QUERY]
            marks = ", ".join(f"({', '.join('?' * len(names))})" for _ in some)
            among = f"({', '.join(_quoted(name) for name in names)}) in (values {marks})"
            query = f"select {selected} from {_table(config, view)} where {among}"
            with closing(self._execute(config, view, query, [part for key in some for part in key])) as rows:
                found.update((row[: len(names)], row[len(names) :]) for row in rows)
        return found

    def _execute(self, config: RepoConfig, view: FeatureView, query: str, values: Sequence[Any]) -> sqlite3.Cursor:
        try:
            return self._connection(config).execute(query, values)
        except sqlite3.DatabaseError as error:
            raise HomeDamaged(
                f"online store {_path(config)}: feature view {view.name!r} cannot be read ({error}); apply the "
                "definitions and materialize again"
            ) from error

    def _write(self, config: RepoConfig, view: FeatureView, rows: Iterable[Sequence[Any]]) -> None:
        connection = self._connection(config)
        with connection:
            connection.executemany(_upsert(config, view), rows)

    def _connection(self, config: RepoConfig) -> sqlite3.Connection:
        """Return this thread's connection; a forked process opens its own."""
        path = _path(config)
        name = f"{os.getpid()}:{path}"
        held = self._local.__dict__.get(name)
        if held is None:
            held = self._local.__dict__[name] = _connected(path, config.online_store.busy_seconds)
        return cast(sqlite3.Connection, held)


def _connected(path: Path, busy_seconds: float) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Feast hands the store from thread to thread; each thread still gets its own connection.
    connection = sqlite3.connect(path, timeout=busy_seconds, check_same_thread=False)
    connection.execute("pragma journal_mode = wal").close()
    connection.execute("pragma synchronous = normal").close()
    connection.execute("pragma cache_size = -65536").close()
    return connection


def _path(config: RepoConfig) -> Path:
    path = Path(config.online_store.path)
    return path if path.is_absolute() else Path(config.repo_path or ".") / path


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _table(config: RepoConfig, view: FeatureView) -> str:
    return _quoted(f"{config.project}_{view.name}")


def _columns(view: FeatureView) -> tuple[list[str], list[str]]:
    return [column.name for column in view.entity_columns], [field.name for field in view.features]


def _kinds(view: FeatureView) -> dict[str, ValueType]:
    return {field.name: field.dtype.to_value_type() for field in [*view.entity_columns, *view.features]}


def _create(config: RepoConfig, view: FeatureView) -> str:
    keys, features = _columns(view)
    names = [_quoted(name) for name in [*keys, EVENT_AT, CREATED_AT, *features]]
    primary = ", ".join(_quoted(name) for name in keys)
    return (
        f"create table if not exists {_table(config, view)} ({', '.join(names)}, primary key ({primary})) without rowid"
    )


def _upsert(config: RepoConfig, view: FeatureView) -> str:
    keys, features = _columns(view)
    values = [_quoted(name) for name in [EVENT_AT, CREATED_AT, *features]]
    key_names = [_quoted(name) for name in keys]
    newer = ", ".join(f"{name} = excluded.{name}" for name in values)
    event, created = _quoted(EVENT_AT), _quoted(CREATED_AT)
    return (
        f"insert into {_table(config, view)} ({', '.join(key_names + values)}) "
        f"values ({', '.join('?' * len(key_names + values))}) "
        f"on conflict ({', '.join(key_names)}) do update set {newer} "
        f"where (excluded.{event}, excluded.{created}) >= ({event}, {created})"
    )


def _key_of(key: EntityKey, view: FeatureView) -> tuple[Any, ...]:
    values = dict(zip(key.join_keys, key.entity_values, strict=True))
    return tuple(_plain(values[column.name]) for column in view.entity_columns)


def _plain(value: Value) -> Any:
    kind = value.WhichOneof("val")
    return None if kind is None else getattr(value, kind)


def _stored(value: Value | None, kind: ValueType) -> Any:
    if value is None or value.WhichOneof("val") is None:
        return None
    return _plain(value) if kind in NATIVE else value.SerializeToString()


def _answer(
    row: tuple[Any, ...] | None, wanted: Sequence[str], kinds: dict[str, ValueType]
) -> tuple[datetime | None, dict[str, Value] | None]:
    if row is None:
        return None, None
    at = EPOCH + timedelta(microseconds=row[0])
    return at, {name: _value(held, kinds[name]) for name, held in zip(wanted, row[1:], strict=True)}


def _value(held: Any, kind: ValueType) -> Value:
    if held is None:
        return Value()
    if kind not in NATIVE:
        return cast(Value, Value.FromString(held))
    plain: Any = {VALUE_TYPE_TO_PROTO_VALUE_MAP[kind]: bool(held) if kind == ValueType.BOOL else held}
    return Value(**plain)


def _encoded(column: pl.Series, kind: ValueType) -> pl.Series:
    """Turn a column into what SQLite holds; a time into whole seconds, as in Feast's own values."""
    if kind == ValueType.UNIX_TIMESTAMP and column.dtype.is_temporal():
        return column.cast(pl.Datetime("us")).dt.timestamp("us") // 1_000_000
    if kind in NATIVE:
        return column.cast(NATIVE[kind])
    values = python_values_to_proto_values(column.to_list(), kind)
    return pl.Series(column.name, [_stored(value, kind) for value in values], dtype=pl.Binary)
