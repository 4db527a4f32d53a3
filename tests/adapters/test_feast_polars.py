"""The offline store on Polars: Feast's own semantics, checked by hand and against Feast's DuckDB store."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tasks.adapters import feast_answer, feast_store  # noqa: F401  (makes `import feast` cheap)
from tasks.errors import BadRequest, GreenlightError, HomeDamaged

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig  # isort: skip
from feast.errors import SavedDatasetLocationAlreadyExists  # isort: skip
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage  # isort: skip
from feast.types import Float64, Int64, String  # isort: skip
from feast.value_type import ValueType  # isort: skip

POLARS = "tasks.adapters.feast_polars.PolarsOfflineStore"
START = datetime(2025, 8, 1, tzinfo=UTC)


def day(number: float) -> datetime:
    return START + timedelta(days=number - 1)


def opened(folder: Path, offline: Any = POLARS) -> FeatureStore:
    return FeatureStore(
        config=RepoConfig(
            project="p",
            provider="local",
            registry=str(folder / f"{offline if isinstance(offline, str) else 'polars'}.db"),
            online_store={
                "type": "tasks.adapters.feast_sqlite.CompactSqliteOnlineStore",
                "path": str(folder / "o.sqlite"),
            },
            offline_store={"type": offline} if isinstance(offline, str) else offline,
            batch_engine={"type": "tasks.adapters.feast_engine.PolarsComputeEngine"},
            entity_key_serialization_version=3,
            repo_path=folder,
        )
    )


def customer(store: FeatureStore, folder: Path, rows: dict[str, list[Any]], **given: Any) -> FeatureStore:
    """Apply one view ``v`` of customers (Int64 or String keys) with feature ``x`` over *rows*."""
    frame = pl.DataFrame(rows, strict=False)
    (folder / "source").mkdir(exist_ok=True)
    frame.write_parquet(folder / "source" / "a.parquet")
    text = frame.schema["customer"] == pl.String
    entity = Entity(name="customer", join_keys=["customer"], value_type=ValueType.STRING if text else ValueType.INT64)
    source = FileSource(
        name="s",
        path=given.pop("path", "source"),
        timestamp_field="at",
        created_timestamp_column="created" if "created" in rows else "",
        field_mapping=given.pop("mapping", None),
    )
    view = FeatureView(
        name="v",
        entities=[entity],
        ttl=given.pop("ttl", timedelta(days=5)),
        source=source,
        schema=[Field(name="customer", dtype=String if text else Int64), Field(name="x", dtype=Float64)],
    )
    store.apply([entity, source, view])
    return store


def asked(store: FeatureStore, entities: Any, features: tuple[str, ...] = ("v:x",), **given: Any) -> pl.DataFrame:
    job = store.get_historical_features(entity_df=entities, features=list(features), **given)
    return pl.DataFrame(pl.from_arrow(job.to_arrow()))


ROWS: dict[str, list[Any]] = {"customer": [1, 2, 2], "at": [day(10), day(1), day(9)], "x": [1.0, 2.0, 2.5]}
ENTITIES = pl.DataFrame(
    {"customer": [1, 2, 3, 2], "event_timestamp": [day(5), day(20), day(5), day(10)], "label": [0, 1, 2, 3]}
)


def test_every_entity_row_comes_back_in_its_place_even_where_nothing_is_known(tmp_path: Path) -> None:
    answer = asked(customer(opened(tmp_path), tmp_path, ROWS), ENTITIES)

    assert answer["label"].to_list() == [0, 1, 2, 3]
    assert answer["x"].to_list() == [None, None, None, 2.5]


def test_a_feature_from_the_future_is_never_seen(tmp_path: Path) -> None:
    future = {"customer": [1, 1], "at": [day(5), day(5) + timedelta(microseconds=1)], "x": [1.0, 999.0]}

    answer = asked(
        customer(opened(tmp_path), tmp_path, future), pl.DataFrame({"customer": [1], "event_timestamp": [day(5)]})
    )

    assert answer["x"].to_list() == [1.0]


def test_a_feature_as_old_as_its_time_to_live_is_seen_and_one_microsecond_older_is_not(tmp_path: Path) -> None:
    edge = day(10) + timedelta(days=5)
    entities = pl.DataFrame({"customer": [1, 1], "event_timestamp": [edge, edge + timedelta(microseconds=1)]})

    assert asked(customer(opened(tmp_path), tmp_path, ROWS), entities)["x"].to_list() == [1.0, None]


def test_of_two_rows_at_one_time_the_later_created_wins_and_then_the_later_written(tmp_path: Path) -> None:
    tied = {
        "customer": [1, 1, 2, 2],
        "at": [day(3)] * 4,
        "created": [day(5), day(4), day(4), day(4)],
        "x": [5.0, 4.0, 1.0, 2.0],
    }
    entities = pl.DataFrame({"customer": [1, 2], "event_timestamp": [day(6), day(6)]})

    assert asked(customer(opened(tmp_path), tmp_path, tied), entities)["x"].to_list() == [5.0, 2.0]


def test_a_newer_missing_value_hides_an_older_known_one(tmp_path: Path) -> None:
    rows = {"customer": [1, 1], "at": [day(3), day(4)], "x": [3.0, None]}
    entities = pl.DataFrame({"customer": [1], "event_timestamp": [day(5)]})

    assert asked(customer(opened(tmp_path), tmp_path, rows), entities)["x"].to_list() == [None]


def test_rows_without_time_or_key_and_repeated_rows_are_kept(tmp_path: Path) -> None:
    rows = {"customer": [1, None, 2], "at": [day(3), day(3), None], "x": [3.0, 4.0, 5.0]}
    entities = pl.DataFrame(
        {"customer": [1, 1, None, 1, 2], "event_timestamp": [day(4), day(4), day(4), None, day(4)]},
        schema={"customer": pl.Int64, "event_timestamp": pl.Datetime("us", "UTC")},
    )

    assert asked(customer(opened(tmp_path), tmp_path, rows), entities)["x"].to_list() == [3.0, 3.0, None, None, None]


def test_entity_rows_may_come_as_any_frame_or_as_a_parquet_path(tmp_path: Path) -> None:
    store = customer(opened(tmp_path), tmp_path, ROWS)
    ENTITIES.write_parquet(tmp_path / "entities.parquet")
    shapes = [ENTITIES, ENTITIES.lazy(), ENTITIES.to_pandas(), ENTITIES.to_arrow(), str(tmp_path / "entities.parquet")]

    answers = [asked(store, shape) for shape in shapes]

    assert all(answer.equals(answers[0]) for answer in answers)


def test_entity_rows_of_another_shape_are_refused_with_what_would_do(tmp_path: Path) -> None:
    store = customer(opened(tmp_path), tmp_path, ROWS)

    with pytest.raises(BadRequest, match="path of a Parquet file; found str select 1"):
        asked(store, "select 1")
    with pytest.raises(BadRequest, match="exactly one column of times; found 0"):
        asked(store, pl.DataFrame({"customer": [1]}))


def test_the_only_column_of_times_is_the_event_time(tmp_path: Path) -> None:
    entities = pl.DataFrame({"customer": [2], "observed_at": [day(10)]})

    assert asked(customer(opened(tmp_path), tmp_path, ROWS), entities).to_dict(as_series=False) == {
        "customer": [2],
        "observed_at": [day(10)],
        "x": [2.5],
    }


def test_times_without_zone_in_another_zone_as_text_or_in_nanoseconds_are_the_same_instant(tmp_path: Path) -> None:
    store = customer(opened(tmp_path), tmp_path, {**ROWS, "at": [at.isoformat() for at in ROWS["at"]]})
    utc = pd.DatetimeIndex([day(10)])
    shapes = [utc, utc.tz_localize(None), utc.tz_convert("Asia/Tokyo"), utc.as_unit("ns")]

    answers = [asked(store, pd.DataFrame({"customer": [2], "event_timestamp": shape})) for shape in shapes]

    assert [answer["x"].to_list() for answer in answers] == [[2.5]] * 4
    assert {answer["event_timestamp"][0] for answer in answers} == {day(10)}


def test_source_columns_under_other_names_are_mapped(tmp_path: Path) -> None:
    renamed = {"customer": [2], "seen": [day(9)], "raw_x": [2.5]}
    mapping = {"seen": "at", "raw_x": "x"}
    store = customer(opened(tmp_path), tmp_path, renamed, mapping=mapping)

    assert asked(store, ENTITIES)["x"].to_list() == [None, None, None, 2.5]
    store.materialize(day(1), day(20))
    assert store.get_online_features(features=["v:x"], entity_rows=[{"customer": 2}]).to_dict()["x"] == [2.5]


def test_text_keys_and_renamed_join_keys_meet(tmp_path: Path) -> None:
    rows = {"customer": ["a", "b"], "at": [day(1), day(1)], "x": [1.0, 2.0]}
    store = customer(opened(tmp_path), tmp_path, rows)
    view = store.get_feature_view("v").with_name("w").with_join_key_map({"customer": "buyer"})
    entities = pl.DataFrame({"customer": ["a", "b"], "buyer": ["b", "zz"], "event_timestamp": [day(2), day(2)]})
    from feast import FeatureService

    # Feast cannot compare a service whose views are in part renamed.
    service = FeatureService(name="both", features=[store.get_feature_view("v").with_name("u"), view])
    store.apply([service])

    job = store.get_historical_features(
        entity_df=entities, features=store.get_feature_service("both"), full_feature_names=True
    )
    answer = pl.DataFrame(pl.from_arrow(job.to_arrow()))

    assert answer["u__x"].to_list() == [1.0, 2.0]
    assert answer["w__x"].to_list() == [2.0, None]


def test_a_column_that_would_appear_twice_is_refused(tmp_path: Path) -> None:
    store = customer(opened(tmp_path), tmp_path, ROWS)

    with pytest.raises(BadRequest, match="1 columns would appear twice: x"):
        asked(store, ENTITIES.with_columns(x=pl.lit(0.0)))


def test_without_entity_rows_each_entity_of_the_range_is_answered_as_of_its_end_like_feasts_file_store(
    tmp_path: Path,
) -> None:
    rows = {
        "customer": [1, 1, 2, 3, 4],
        "at": [day(6), day(8), day(2), day(12), day(5)],
        "x": [1.0, 1.5, 2.0, 3.0, 4.0],
    }
    store = customer(opened(tmp_path), tmp_path, rows)
    job = store.get_historical_features(features=["v:x"], start_date=day(5), end_date=day(10))
    answer = pl.DataFrame(pl.from_arrow(job.to_arrow()))

    assert answer.to_dict(as_series=False) == {
        "event_timestamp": [day(10), day(10)],
        "customer": [1, 4],
        "x": [1.5, 4.0],
    }
    theirs = customer(opened(tmp_path, "file"), tmp_path, rows, path="source/a.parquet")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        frame = theirs.get_historical_features(features=["v:x"], start_date=day(5), end_date=day(10)).to_df()
    assert sorted(zip(frame["customer"], frame["x"], strict=True)) == [(1, 1.5), (4, 4.0)]


def test_a_folder_of_files_is_one_history_and_pushed_rows_are_appended_to_it(tmp_path: Path) -> None:
    store = customer(opened(tmp_path), tmp_path, ROWS)

    store.write_to_offline_store("v", pd.DataFrame({"customer": [3], "at": [day(4)], "x": [3.5]}))

    assert asked(store, ENTITIES)["x"].to_list() == [None, None, 3.5, 2.5]
    assert [path.name[:13] for path in sorted((tmp_path / "source").iterdir())] == ["a.parquet", "part-00000002"]


def test_one_file_is_never_rewritten_by_an_append(tmp_path: Path) -> None:
    store = customer(opened(tmp_path), tmp_path, ROWS, path="source/a.parquet")

    with pytest.raises(BadRequest, match="cannot be appended to"):
        store.write_to_offline_store("v", pd.DataFrame({"customer": [3], "at": [day(4)], "x": [3.5]}))


def test_a_source_that_is_gone_is_named(tmp_path: Path) -> None:
    store = customer(opened(tmp_path), tmp_path, ROWS)
    (tmp_path / "source" / "a.parquet").unlink()

    with pytest.raises(HomeDamaged, match="feature source 's': no Parquet at"):
        asked(store, ENTITIES)


def test_a_saved_dataset_appears_whole_and_is_not_overwritten_unasked(tmp_path: Path) -> None:
    store = customer(opened(tmp_path), tmp_path, ROWS)
    storage = SavedDatasetFileStorage(path=str(tmp_path / "saved" / "d.parquet"))
    job = store.get_historical_features(entity_df=ENTITIES, features=["v:x"])

    job.persist(storage)

    assert pl.read_parquet(tmp_path / "saved" / "d.parquet")["x"].to_list() == [None, None, None, 2.5]
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["d.parquet"]
    with pytest.raises(SavedDatasetLocationAlreadyExists):
        job.persist(storage)
    job.persist(storage, allow_overwrite=True)


def test_an_answer_with_fewer_rows_than_the_question_is_not_written(tmp_path: Path) -> None:
    job = feast_answer.PolarsRetrievalJob(
        lambda _cut: [ENTITIES.lazy().with_row_index(feast_answer.ROW).head(3)], rows_wanted=4, repo_path=str(tmp_path)
    )

    with pytest.raises(GreenlightError, match="returned 3 rows for 4 entity rows"):
        job.persist(SavedDatasetFileStorage(path=str(tmp_path / "d.parquet")))
    assert list(tmp_path.iterdir()) == []


def test_parts_by_key_give_the_same_answer_in_the_same_order(tmp_path: Path) -> None:
    rows = {
        "customer": list(range(300)) * 3,
        "at": [day(1 + n % 7) for n in range(900)],
        "x": [n / 7 for n in range(900)],
    }
    entities = pl.DataFrame(
        {"customer": [n * 7 % 320 for n in range(1000)], "event_timestamp": [day(n % 11) for n in range(1000)]}
    )
    store = customer(opened(tmp_path), tmp_path, rows)
    bucketed = customer(opened(tmp_path, {"type": POLARS, "bucket_rows": 150}), tmp_path, rows)
    storage = SavedDatasetFileStorage(path=str(tmp_path / "d.parquet"))

    job = bucketed.get_historical_features(entity_df=entities, features=["v:x"])
    job.persist(storage)

    assert len(job.parts) == 7
    assert asked(bucketed, entities).equals(asked(store, entities))
    assert pl.read_parquet(tmp_path / "d.parquet").equals(asked(store, entities))
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


MICROSECONDS = st.integers(0, 12).map(lambda n: START + timedelta(microseconds=n))
TIMES = st.one_of(MICROSECONDS, st.integers(0, 12).map(lambda n: START + timedelta(hours=n)))
KEY = st.one_of(st.none(), st.integers(0, 3))
WORD = st.one_of(st.none(), st.sampled_from(["", "a", "b"]))
VALUE = st.one_of(st.none(), st.floats(-5, 5, width=16))
# DuckDB leaves complete ties to chance; ours are decided, and tested above.
FEATURE_ROWS = st.lists(st.tuples(KEY, WORD, TIMES, TIMES, VALUE), max_size=25, unique_by=lambda row: row[:4])
ENTITY_ROWS = st.lists(st.tuples(KEY, WORD, TIMES), min_size=1, max_size=12)


TTLS = {"ever": None, "hours": timedelta(hours=3), "moment": timedelta(microseconds=4)}
UTC_TIME = pl.Datetime("us", "UTC")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, FeatureStore]:
    """Ours, ours in parts, and Feast's DuckDB store, over one file that each example writes anew."""
    folder = tmp_path_factory.mktemp("equal")
    kinds = {"whole": POLARS, "parts": {"type": POLARS, "bucket_rows": 4}, "duckdb": "duckdb"}
    return {name: _composite(opened(folder, kind), folder) for name, kind in kinds.items()}


# Each example asks DuckDB through ibis, a fifth of a second, so a failure is reported as it is found, not shrunk.
@settings(max_examples=15, phases=[Phase.generate])
@given(features=FEATURE_ROWS, entities=ENTITY_ROWS)
def test_answers_equal_those_of_feasts_duckdb_store(
    stores: dict[str, FeatureStore], features: list[Any], entities: list[Any]
) -> None:
    schema = {"number": pl.Int64, "word": pl.String, "at": UTC_TIME, "created": UTC_TIME, "x": pl.Float64}
    pl.DataFrame(features, schema=schema, orient="row").write_parquet(
        Path(stores["whole"].config.repo_path) / "f.parquet"
    )
    entity_schema = {"number": pl.Int64, "word": pl.String, "event_timestamp": UTC_TIME}
    rows = pl.DataFrame(entities, schema=entity_schema, orient="row").with_row_index("label")
    pandas = rows.to_pandas()
    pandas["number"] = pandas["number"].astype("Int64")
    views = ("ever:x", "hours:x", "moment:x", "mapped:z")

    with warnings.catch_warnings():
        # ibis 12 still calls what DuckDB 1.5 renamed.
        warnings.filterwarnings("ignore", message="fetch_arrow_table|.*fetch_record_batch", category=DeprecationWarning)
        expected = asked(stores["duckdb"], pandas, views, full_feature_names=True).sort("label")

    names = ["label", "ever__x", "hours__x", "moment__x", "mapped__z"]
    for kind in ("whole", "parts"):
        found = asked(stores[kind], rows, views, full_feature_names=True)
        assert found.select(names).rows() == expected.select(names).rows()


def _composite(store: FeatureStore, folder: Path) -> FeatureStore:
    number = Entity(name="number", join_keys=["number"], value_type=ValueType.INT64)
    word = Entity(name="word", join_keys=["word"], value_type=ValueType.STRING)
    keys = [Field(name="number", dtype=Int64), Field(name="word", dtype=String)]
    times = {"path": str(folder / "f.parquet"), "timestamp_field": "at", "created_timestamp_column": "created"}
    source, renamed = FileSource(name="s", **times), FileSource(name="m", **times, field_mapping={"x": "z"})
    both = [number, word]
    views = [
        FeatureView(name=name, entities=both, ttl=ttl, source=source, schema=[*keys, Field(name="x", dtype=Float64)])
        for name, ttl in TTLS.items()
    ]
    mapped = FeatureView(
        name="mapped",
        entities=both,
        ttl=timedelta(hours=5),
        source=renamed,
        schema=[*keys, Field(name="z", dtype=Float64)],
    )
    pl.DataFrame(
        schema={"number": pl.Int64, "word": pl.String, "at": UTC_TIME, "created": UTC_TIME, "x": pl.Float64}
    ).write_parquet(folder / "f.parquet")
    store.apply([number, word, source, renamed, *views, mapped])
    return store
