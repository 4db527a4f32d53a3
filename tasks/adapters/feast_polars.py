"""Feast's offline store on Polars: point-in-time joins by as-of join, over Parquet files, losing no entity row.

It exists because Feast's own file store drops entity rows whose features are out of date, and its DuckDB store joins
every row of an entity with every other. Configure it as ``offline_store: {type:
tasks.adapters.feast_polars.PolarsOfflineStore}``. What a feature means does not belong here, nor where the home is;
the join is feast_join.py, the files are feast_sources.py and what is handed back is feast_answer.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, cast

import pandas as pd
import polars as pl
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.file_source import FileLoggingDestination, FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalMetadata
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.utils import compute_non_entity_date_range, make_tzaware

from tasks.adapters.feast_answer import PolarsRetrievalJob
from tasks.adapters.feast_join import View, asked_of, joined, newest
from tasks.adapters.feast_parts import Cut, by_range, height, key_of, part_count
from tasks.adapters.feast_sources import append, between, mapped, micros, moment, place, scan, utc
from tasks.errors import BadRequest

EVENT = "event_timestamp"


class PolarsOfflineStoreConfig(FeastConfigBaseModel):
    """How the store works; Feast finds the class by its name."""

    type: Literal["tasks.adapters.feast_polars.PolarsOfflineStore"] = "tasks.adapters.feast_polars.PolarsOfflineStore"
    # More rows than this, on either side, are joined in parts by a hash of the key: about 60 bytes × columns each.
    bucket_rows: int = 200_000


class PolarsOfflineStore(OfflineStore):
    """Answers Feast's questions about the past from Parquet."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> PolarsRetrievalJob:
        """Join to each entity row what was known at its time; without entity rows, to each entity of the range."""
        views = [_view(config, each, feature_refs, full_feature_names) for each in feature_views]
        if entity_df is None:
            start, end = compute_non_entity_date_range(feature_views, start_date, end_date)
            views = [_since(view, start) for view in views]
            entities, event = _entities_between(views, start, end), EVENT
        else:
            entities, event = _entity_rows(entity_df)
        asked = asked_of(entities, event)
        return PolarsRetrievalJob(
            joined(entities, event, views, asked, config.offline_store.bucket_rows).parts,
            rows_wanted=asked.rows,
            full_feature_names=full_feature_names,
            odfvs=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(
                features=feature_refs,
                keys=[name for name in entities.collect_schema().names() if name != event],
                min_event_timestamp=asked.first,
                max_event_timestamp=asked.last,
            ),
            repo_path=str(config.repo_path),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> PolarsRetrievalJob:
        """Return each entity's newest row of the range, both ends included."""
        rows = between(config, data_source, timestamp_field, created_timestamp_column, start=start_date, end=end_date)
        columns = _listed(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        order = [timestamp_field, *([created_timestamp_column] if created_timestamp_column else [])]
        rows = rows.select(columns)
        count = part_count(height(rows), config.offline_store.bucket_rows) if join_key_columns else 1
        part = by_range(rows, join_key_columns, count) if count > 1 else pl.lit(0)

        def parts(cut: Cut) -> Iterator[pl.LazyFrame]:
            for each in cut(rows, part, count):
                yield newest(each, join_key_columns, order)

        return PolarsRetrievalJob(parts, repo_path=str(config.repo_path))

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> PolarsRetrievalJob:
        """Return every row of the range, both ends included."""
        rows = between(config, data_source, timestamp_field, created_timestamp_column, start=start_date, end=end_date)
        columns = _listed(join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        return PolarsRetrievalJob(lambda _cut: [rows.select(columns)], repo_path=str(config.repo_path))

    @staticmethod
    def offline_write_batch(
        config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None
    ) -> None:
        """Append rows to a folder source as one more file, which appears whole or not at all."""
        folder = place(config, feature_view.batch_source)
        if folder.suffix == ".parquet" or folder.is_file():
            raise BadRequest(f"{folder} is one file and cannot be appended to; let the source be a folder of files")
        append(cast(pl.DataFrame, pl.from_arrow(table)), folder)
        if progress:
            progress(table.num_rows)

    @staticmethod
    def write_logged_features(
        config: RepoConfig, data: pa.Table | Path, source: Any, logging_config: Any, registry: BaseRegistry
    ) -> None:
        """Append served features to the logging destination's folder."""
        destination = logging_config.destination
        if not isinstance(destination, FileLoggingDestination):
            raise BadRequest(f"features are logged to a folder of files, not to a {type(destination).__name__}")
        rows = pl.read_parquet(data) if isinstance(data, Path) else cast(pl.DataFrame, pl.from_arrow(data))
        append(rows, Path(FileSource.get_uri_for_file_path(str(config.repo_path), destination.path)))


def _entity_rows(given: Any) -> tuple[pl.LazyFrame, str]:
    """Return the entity rows lazily, and the name of their time column, which becomes UTC microseconds."""
    rows = _lazy(given)
    schema = rows.collect_schema()
    times = [name for name, dtype in schema.items() if isinstance(dtype, pl.Datetime)]
    if EVENT not in schema and len(times) != 1:
        raise BadRequest(
            f"the entity rows need a column {EVENT!r}, or exactly one column of times; found {len(times)}: {times}"
        )
    event = EVENT if EVENT in schema else times[0]
    return rows.with_columns(utc(event, schema[event])), event


def _lazy(given: Any) -> pl.LazyFrame:
    if isinstance(given, pl.LazyFrame):
        return given
    if isinstance(given, pl.DataFrame):
        return given.lazy()
    if isinstance(given, pd.DataFrame):
        return pl.from_pandas(given).lazy()
    if isinstance(given, pa.Table):
        return cast(pl.DataFrame, pl.from_arrow(given)).lazy()
    if isinstance(given, str | Path) and Path(given).exists():
        return pl.scan_parquet(given)
    raise BadRequest(
        f"entity rows may be a pandas or Polars frame, a LazyFrame, an Arrow table or the path of a Parquet file; "
        f"found {type(given).__name__} {given if isinstance(given, str | Path) else ''}".rstrip()
    )


def _view(config: RepoConfig, view: FeatureView, refs: Sequence[str], full_names: bool) -> View:
    """Read a feature view's declaration into what the join needs."""
    source = cast(FileSource, view.batch_source)
    name: str = cast(Any, view.projection).name_to_use()
    wanted = [ref.split(":", 1)[1] for ref in refs if ref.split(":", 1)[0] == name]
    rows = mapped(scan(config, source), source)
    renamed = view.projection.join_key_map
    return View(
        name=view.name,
        rows=rows,
        keys={renamed.get(column.name, column.name): column.name for column in view.entity_columns},
        timestamp=source.timestamp_field,
        created=source.created_timestamp_column or "",
        columns={each: f"{name}__{each}" if full_names else each for each in dict.fromkeys(wanted)},
        ttl=view.ttl if view.ttl and view.ttl.total_seconds() else None,
        source=(source.path, tuple(sorted((source.field_mapping or {}).items()))),
    )


def _since(view: View, start: datetime) -> View:
    dtype = view.rows.collect_schema()[view.timestamp]
    return replace(view, rows=view.rows.filter(micros(view.timestamp, dtype) >= moment(start)))


def _entities_between(views: Sequence[View], start: datetime, end: datetime) -> pl.LazyFrame:
    """Return every entity with a feature in the range, once, as of its end; Feast's file store does the same."""
    shared = dict.fromkeys(key for view in views for key in view.keys)
    if any(set(view.keys) != set(shared) for view in views):
        raise BadRequest("without entity rows, all feature views must share their keys; name entity rows instead")
    seen = [
        view.rows.filter(
            micros(view.timestamp, view.rows.collect_schema()[view.timestamp]).is_between(moment(start), moment(end))
        ).select(key_of(view.rows, own).alias(key) for key, own in view.keys.items())
        for view in views
    ]
    keys = list(shared)
    return (
        pl.concat(seen)
        .unique()
        .drop_nulls()
        .sort(keys)
        .select(pl.lit(make_tzaware(end).astimezone(UTC)).cast(pl.Datetime("us", "UTC")).alias(EVENT), *keys)
    )


def _listed(keys: Sequence[str], features: Sequence[str], timestamp: str, created: str | None) -> list[str]:
    return list(dict.fromkeys([*keys, *features, timestamp, *([created] if created else [])]))
