"""Feast's compute engine on Polars: carries each entity's newest row from the offline to the online store.

It exists because Feast's local engine builds one protobuf value per cell. Configure it as ``batch_engine: {type:
tasks.adapters.feast_engine.PolarsComputeEngine}``. Where rows come from or go to does not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import polars as pl
from feast.entity import Entity
from feast.feature_view import FeatureView
from feast.infra.common.materialization_job import MaterializationJobStatus, MaterializationTask
from feast.infra.compute_engines.base import ComputeEngine
from feast.infra.compute_engines.local.job import LocalMaterializationJob
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.registry.base_registry import BaseRegistry
from feast.repo_config import FeastConfigBaseModel
from feast.utils import _convert_arrow_to_proto, _get_column_names

from tasks.adapters.feast_answer import PolarsRetrievalJob
from tasks.adapters.feast_parts import into
from tasks.adapters.feast_sqlite import CREATED_AT, EVENT_AT, CompactSqliteOnlineStore
from tasks.adapters.leftovers import own_folder
from tasks.errors import BadRequest


class PolarsComputeEngineConfig(FeastConfigBaseModel):
    """How the engine works; Feast finds the class by its name."""

    type: Literal["tasks.adapters.feast_engine.PolarsComputeEngine"] = "tasks.adapters.feast_engine.PolarsComputeEngine"
    # Rows written in one transaction: what a kill may undo, and what is held as Python objects at once.
    batch_rows: int = 100_000


class PolarsComputeEngine(ComputeEngine):
    """Materializes feature views; historical retrieval is the offline store's."""

    def __init__(self, *, batch_rows: int = 100_000, **given: Any) -> None:
        super().__init__(**given)
        self._batch_rows = batch_rows

    def update(
        self,
        project: str,
        views_to_delete: Sequence[Any],
        views_to_keep: Sequence[Any],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
    ) -> None:
        """Prepare nothing: the engine lives in this process."""

    def teardown_infra(self, project: str, fvs: Sequence[Any], entities: Sequence[Entity]) -> None:
        """Tear down nothing: the engine lives in this process."""

    def _materialize_one(
        self, registry: BaseRegistry, task: MaterializationTask, **given: Any
    ) -> LocalMaterializationJob:
        # What fails here is raised by Feast, which first gives the view the state it had before.
        self._carry(registry, task)
        job_id = f"{task.feature_view.name}-{task.start_time}-{task.end_time}"
        return LocalMaterializationJob(job_id=job_id, status=MaterializationJobStatus.SUCCEEDED)

    def _carry(self, registry: BaseRegistry, task: MaterializationTask) -> None:
        view = task.feature_view
        if getattr(view, "aggregations", None) or getattr(view, "feature_transformation", None):
            raise BadRequest(f"feature view {view.name!r} computes features; compute them in derive and store them")
        if not view.online:
            return
        if isinstance(self.online_store, CompactSqliteOnlineStore):
            self.online_store.prepare(self.repo_config, view)
        with own_folder(Path(self.repo_config.repo_path or "."), ".newest-") as spill:
            for batch in self._batches(registry, task, spill):
                self._write(view, batch)

    def _batches(self, registry: BaseRegistry, task: MaterializationTask, spill: Path) -> Iterator[pl.DataFrame]:
        """Yield the newest rows of the range under the view's own names, with ``EVENT_AT`` and ``CREATED_AT``.

        They come in the order of their keys: SQLite writes neighbours together, and appends to an empty table.
        """
        view, source = task.feature_view, cast(FileSource, task.feature_view.batch_source)
        entities = [registry.get_entity(name, task.project, allow_cache=True) for name in view.entities]
        keys, features, at, created = _get_column_names(view, entities)
        newest = cast(
            PolarsRetrievalJob,
            self.offline_store.pull_latest_from_table_or_query(
                self.repo_config, source, keys, features, at, created, task.start_time, task.end_time
            ),
        )
        mapped = source.field_mapping or {}
        stamps = [
            pl.col(at).dt.timestamp("us").alias(EVENT_AT),
            (pl.col(created).dt.timestamp("us") if created else pl.lit(None, pl.Int64)).alias(CREATED_AT),
        ]
        named = [pl.col(name).alias(mapped.get(name, name)) for name in dict.fromkeys([*keys, *features])]
        for part in newest.cut_parts(into(spill)):
            rows = part.filter(pl.all_horizontal(pl.col(key).is_not_null() for key in keys)) if keys else part
            yield from rows.select(*named, *stamps).collect(engine="streaming").iter_slices(self._batch_rows)

    def _write(self, view: FeatureView, batch: pl.DataFrame) -> None:
        if isinstance(self.online_store, CompactSqliteOnlineStore):
            self.online_store.write_frame(self.repo_config, view, batch)
            return
        for rows in batch.iter_slices(10_000):
            self.online_store.online_write_batch(self.repo_config, view, _values(view, rows), None)


def _values(view: FeatureView, rows: pl.DataFrame) -> Any:
    """Return rows as the tuples of protobuf values that every other online store takes."""
    source = cast(FileSource, view.batch_source)
    at, created = source.timestamp_field, source.created_timestamp_column
    stamps = {at: EVENT_AT} | ({created: CREATED_AT} if created else {})
    named = rows.with_columns(
        pl.from_epoch(held, time_unit="us").dt.replace_time_zone("UTC").alias(name) for name, held in stamps.items()
    ).drop(EVENT_AT, CREATED_AT)
    keys = {column.name: column.dtype.to_value_type() for column in view.entity_columns}
    table = named.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())
    return cast(Any, _convert_arrow_to_proto(table, view, keys))
