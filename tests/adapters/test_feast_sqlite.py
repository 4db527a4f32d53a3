"""The compact online store: what it holds, which value wins, and who may read while another writes."""

from __future__ import annotations

import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.adapters import feast_store  # noqa: F401  (makes `import feast` cheap)
from tasks.adapters.feast_sqlite import CompactSqliteOnlineStore
from tasks.errors import BadRequest, HomeDamaged

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig  # isort: skip
from feast.types import Array, Bool, Bytes, Float32, Float64, Int64, String, UnixTimestamp  # isort: skip
from feast.value_type import ValueType  # isort: skip

FLOAT_X = [Field(name="x", dtype=Float64)]


def day(number: int) -> datetime:
    return datetime(2025, 8, number, tzinfo=UTC)


def opened(folder: Path, **engine: Any) -> FeatureStore:
    return FeatureStore(
        config=RepoConfig(
            project="p",
            provider="local",
            registry=str(folder / "r.db"),
            online_store={
                "type": "tasks.adapters.feast_sqlite.CompactSqliteOnlineStore",
                "path": str(folder / "o.sqlite"),
            },
            offline_store={"type": "tasks.adapters.feast_polars.PolarsOfflineStore", "bucket_rows": 2},
            batch_engine={"type": "tasks.adapters.feast_engine.PolarsComputeEngine", **engine},
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )


def declared(
    store: FeatureStore, rows: pl.DataFrame, fields: list[Field] = FLOAT_X, keys: tuple[str, ...] = ("customer",)
) -> FeatureStore:
    """Apply a view ``v`` with *fields* over *rows* (keys, ``at``, ``created``, features)."""
    rows.write_parquet(Path(store.config.repo_path) / "f.parquet")
    text = {key: rows.schema[key] == pl.String for key in keys}
    entities = [
        Entity(name=key, join_keys=[key], value_type=ValueType.STRING if text[key] else ValueType.INT64) for key in keys
    ]
    source = FileSource(name="s", path="f.parquet", timestamp_field="at", created_timestamp_column="created")
    schema = [Field(name=key, dtype=String if text[key] else Int64) for key in keys]
    view = FeatureView(name="v", entities=entities, ttl=timedelta(days=99), source=source, schema=[*schema, *fields])
    store.apply([*entities, source, view])
    return store


def frame(*rows: tuple[int, int, int, float | None]) -> pl.DataFrame:
    """Rows of customer, day, day of creation, x."""
    return pl.DataFrame(
        [(customer, day(at), day(created), x) for customer, at, created, x in rows],
        schema=["customer", "at", "created", "x"],
        orient="row",
    )


def online(store: FeatureStore, *customers: int, feature: str = "v:x") -> list[Any]:
    rows = [{"customer": customer} for customer in customers]
    return list(store.get_online_features(features=[feature], entity_rows=rows).to_dict()[feature[2:]])


def test_the_newest_value_of_each_entity_is_served(tmp_path: Path) -> None:
    store = declared(opened(tmp_path), frame((1, 1, 1, 1.0), (1, 3, 3, 1.5), (2, 2, 2, 2.0), (3, 9, 9, 3.0)))

    store.materialize(day(1), day(5))

    assert online(store, 2, 1, 3, 1) == [2.0, 1.5, None, 1.5]


def test_an_older_range_never_overwrites_newer_values(tmp_path: Path) -> None:
    store = declared(opened(tmp_path), frame((1, 1, 1, 1.0), (1, 3, 3, 1.5)))

    store.materialize(day(2), day(5))
    store.materialize(day(1), day(2))

    assert online(store, 1) == [1.5]


def test_of_two_values_at_one_time_the_later_created_stays_and_then_the_later_written(tmp_path: Path) -> None:
    store = declared(opened(tmp_path), frame((1, 1, 5, 5.0), (1, 1, 4, 4.0), (2, 1, 1, 1.0), (2, 1, 1, 2.0)))
    store.materialize(day(1), day(2))
    assert online(store, 1, 2) == [5.0, 2.0]

    frame((1, 1, 4, 7.0), (2, 1, 1, 8.0)).write_parquet(tmp_path / "f.parquet")
    store.materialize(day(1), day(2))

    assert online(store, 1, 2) == [5.0, 8.0]


def test_every_type_comes_back_as_it_was(tmp_path: Path) -> None:
    at = datetime(2024, 2, 29, 12, 30, 1, tzinfo=UTC)
    values: dict[str, tuple[Any, Any, Any]] = {
        "float": (Float64, pl.Float64, 0.1),
        "small": (Float32, pl.Float32, 0.5),
        "big": (Int64, pl.Int64, -(2**62)),
        "text": (String, pl.String, 'ünï "x"\'; drop'),
        "flag": (Bool, pl.Boolean, False),
        "bytes": (Bytes, pl.Binary, b"\x00\xff"),
        "seen": (UnixTimestamp, pl.Datetime("us", "UTC"), at),
        "many": (Array(Float64), pl.List(pl.Float64), [1.0, 2.0]),
    }
    columns = [pl.Series(name, [value, None], dtype=dtype) for name, (_, dtype, value) in values.items()]
    rows = frame((1, 1, 1, None), (2, 1, 1, None)).drop("x").with_columns(columns)
    fields = [Field(name=name, dtype=dtype) for name, (dtype, _, _) in values.items()]
    store = declared(opened(tmp_path), rows, fields)

    store.materialize(day(1), day(2))
    found = store.get_online_features(
        features=[f"v:{name}" for name in values], entity_rows=[{"customer": 1}, {"customer": 2}]
    ).to_dict()

    for name, (_, _, value) in values.items():
        assert found[name] == [value, None], name


def test_text_and_composite_keys_are_told_apart(tmp_path: Path) -> None:
    rows = pl.DataFrame(
        {"shop": ["a", "a", "b"], "till": [1, 2, 1], "at": [day(1)] * 3, "created": [day(1)] * 3, "x": [1.0, 2.0, 3.0]}
    )
    store = declared(opened(tmp_path), rows, keys=("shop", "till"))

    store.materialize(day(1), day(2))
    asked = {"shop": ["b", "a", "b"], "till": [1, 2, 2]}

    assert store.get_online_features(features=["v:x"], entity_rows=asked).to_dict()["x"] == [3.0, 2.0, None]


def test_a_feature_added_later_is_missing_until_it_is_materialized(tmp_path: Path) -> None:
    rows = frame((1, 1, 1, 1.0)).with_columns(y=pl.lit(10.0))
    store = declared(opened(tmp_path), rows)
    store.materialize(day(1), day(2))

    declared(store, rows, [*FLOAT_X, Field(name="y", dtype=Float64)])
    assert online(store, 1) == [1.0]
    assert online(store, 1, feature="v:y") == [None]
    store.materialize(day(1), day(2))

    assert online(store, 1, feature="v:y") == [10.0]


def test_pushed_rows_obey_the_same_order(tmp_path: Path) -> None:
    store = declared(opened(tmp_path), frame((1, 3, 3, 3.0)))
    store.materialize(day(1), day(5))

    store.write_to_online_store("v", frame((1, 2, 2, 2.0), (2, 2, 2, 2.5)).to_pandas())

    assert online(store, 1, 2) == [3.0, 2.5]


def test_each_entity_is_one_row_in_the_file(tmp_path: Path) -> None:
    store = declared(opened(tmp_path, batch_rows=2), frame(*((n % 5, 1 + n, 1, float(n)) for n in range(20))))

    store.materialize(day(1), day(25))
    store.materialize(day(1), day(25))

    assert sqlite3.connect(tmp_path / "o.sqlite").execute("select count(*) from p_v").fetchall() == [(5,)]
    assert online(store, 0, 4) == [15.0, 19.0]


def test_rows_reach_an_empty_table_in_the_order_of_their_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In any other order each transaction rewrites most of the table: hours, for ten million entities."""
    store = declared(opened(tmp_path, batch_rows=2), frame(*((n * 7 % 20, 1 + n % 3, 1, float(n)) for n in range(40))))
    written: list[int] = []
    whole = CompactSqliteOnlineStore.write_frame

    def listening(self: Any, config: Any, view: Any, rows: pl.DataFrame) -> None:
        written.extend(rows["customer"])
        whole(self, config, view, rows)

    monkeypatch.setattr(CompactSqliteOnlineStore, "write_frame", listening)
    store.materialize(day(1), day(25))

    assert written == list(range(20))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_a_reader_is_answered_while_another_connection_writes(tmp_path: Path) -> None:
    store = declared(opened(tmp_path), frame((1, 1, 1, 1.0)))
    store.materialize(day(1), day(2))
    writer = sqlite3.connect(tmp_path / "o.sqlite", isolation_level=None)
    writer.execute("begin immediate")
    writer.execute("update p_v set x = 99")

    assert online(store, 1) == [1.0]

    writer.execute("commit")
    assert online(store, 1) == [99.0]
    writer.close()


def test_each_thread_reads_through_its_own_connection(tmp_path: Path) -> None:
    store = declared(opened(tmp_path), frame(*((n, 1, 1, float(n)) for n in range(50))))
    store.materialize(day(1), day(2))
    answers: list[list[Any]] = []

    threads = [threading.Thread(target=lambda: answers.append(online(store, *range(50)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert answers == [[float(n) for n in range(50)]] * 4


def test_a_view_that_was_dropped_is_asked_for_again(tmp_path: Path) -> None:
    store = declared(opened(tmp_path), frame((1, 1, 1, 1.0)))
    store.materialize(day(1), day(2))
    with sqlite3.connect(tmp_path / "o.sqlite") as connection:
        connection.execute("drop table p_v")

    with pytest.raises(HomeDamaged, match=r"'v' cannot be read .*no such table.*materialize again"):
        online(store, 1)


@pytest.mark.filterwarnings("ignore:Batch feature views are experimental:RuntimeWarning")
def test_a_view_that_computes_is_refused_by_the_engine(tmp_path: Path) -> None:
    from feast import BatchFeatureView
    from feast.transformation.pandas_transformation import PandasTransformation

    store = declared(opened(tmp_path), frame((1, 1, 1, 1.0)))
    plain = store.get_feature_view("v")
    view = BatchFeatureView(
        name="w",
        entities=[store.get_entity("customer")],
        source=plain.batch_source,
        schema=[Field(name="customer", dtype=Int64), *FLOAT_X],
        feature_transformation=PandasTransformation(udf=lambda rows: rows, udf_string="same"),
        mode="pandas",
        online=True,
    )
    store.apply([view])

    with pytest.raises(BadRequest, match="'w' computes features"):
        store.materialize(day(1), day(2), feature_views=["w"])
