"""The Feast plug-ins against Feast's own stores, in CPU seconds on the same input."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.adapters import feast_store  # noqa: F401  (makes `import feast` cheap)

from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig  # isort: skip
from feast.types import Float64, Int64  # isort: skip
from feast.value_type import ValueType  # isort: skip

pytestmark = pytest.mark.slow

AT = datetime(2025, 8, 1, tzinfo=UTC)
FEATURES = [f"x{n}" for n in range(10)]
OURS: dict[str, Any] = {
    "offline_store": {"type": "tasks.adapters.feast_polars.PolarsOfflineStore"},
    "online_store": {"type": "tasks.adapters.feast_sqlite.CompactSqliteOnlineStore"},
    "batch_engine": {"type": "tasks.adapters.feast_engine.PolarsComputeEngine"},
}
THEIRS: dict[str, Any] = {
    "offline_store": {"type": "duckdb"},
    "online_store": {"type": "sqlite"},
    "batch_engine": {"type": "local"},
}


def store(folder: Path, name: str, kinds: dict[str, Any], rows: int, per_entity: int) -> FeatureStore:
    source_path = folder / "f.parquet"
    if not source_path.exists():
        numbers = pl.int_range(rows, eager=True)
        pl.DataFrame(
            {"customer": numbers // per_entity, **{each: (numbers * 7 % 1000) / 10 for each in FEATURES}}
        ).with_columns(
            at=pl.lit(AT).cast(pl.Datetime("us", "UTC")) + pl.duration(hours=numbers % per_entity)
        ).write_parquet(source_path)
    online = {**kinds["online_store"], "path": str(folder / f"{name}.sqlite")}
    registry = str(folder / f"{name}.db")
    opened = FeatureStore(
        config=RepoConfig(
            project="p",
            provider="local",
            registry=registry,
            entity_key_serialization_version=3,
            repo_path=folder,
            materialization={"online_write_batch_size": 10_000, "pull_latest_features": True},
            **{**kinds, "online_store": online},
        )
    )
    entity = Entity(name="customer", join_keys=["customer"], value_type=ValueType.INT64)
    source = FileSource(name="s", path=str(source_path), timestamp_field="at")
    schema = [Field(name="customer", dtype=Int64), *(Field(name=each, dtype=Float64) for each in FEATURES)]
    view = FeatureView(name="v", entities=[entity], ttl=timedelta(days=30), source=source, schema=schema)
    opened.apply([entity, source, view])
    return opened


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    with warnings.catch_warnings():
        # ibis 12 still calls what DuckDB 1.5 renamed.
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        work()
    return time.process_time() - start


def test_materializing_costs_a_fifth_of_feasts_own_sqlite_store(tmp_path: Path) -> None:
    costs = {}
    for name, kinds in {"ours": OURS, "theirs": THEIRS}.items():
        opened = store(tmp_path, name, kinds, 40_000, 1)
        costs[name] = cpu_seconds(partial(opened.materialize, AT, AT + timedelta(days=1)))

    print(f"materialize 40 000 entities × 10 features, CPU seconds: {costs}")
    assert costs["ours"] < costs["theirs"] / 5


def test_point_in_time_joins_cost_a_third_of_feasts_duckdb_store_with_a_long_history(tmp_path: Path) -> None:
    refs = [f"v:{each}" for each in FEATURES]
    rows = pl.int_range(100_000, eager=True)
    entities = pl.DataFrame({"customer": rows % 2_000}).with_columns(
        event_timestamp=pl.lit(AT).cast(pl.Datetime("us", "UTC")) + pl.duration(hours=rows % 100)
    )

    costs = {}
    for name, kinds in {"ours": OURS, "theirs": THEIRS}.items():
        opened = store(tmp_path, name, kinds, 200_000, 100)
        job = opened.get_historical_features(entity_df=entities.to_pandas(), features=refs)
        costs[name] = cpu_seconds(job.to_arrow)

    print(f"join 100 000 entity rows × 200 000 feature rows, CPU seconds: {costs}")
    assert costs["ours"] < costs["theirs"] / 3
