"""Answers of the offline store: lazy parts that are read whole, batch by batch, or into a file.

It exists because ten million rows do not fit in a gigabyte at once. How the parts are computed does not belong here.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import cast

import pandas as pd
import polars as pl
import pyarrow as pa
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import FileSource, SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage

from tasks.adapters.feast_parts import Cut, filtered, into, spilled
from tasks.adapters.feast_sources import replace_file
from tasks.adapters.parquet import replacing, write_batches
from tasks.errors import BadRequest, GreenlightError

ROW = "__entity_row"
BATCH_ROWS = 131_072


class PolarsRetrievalJob(RetrievalJob):
    """Disjoint lazy parts of one answer, cut as asked; an answer to entity rows carries their position in ``ROW``."""

    def __init__(
        self,
        parts: Callable[[Cut], Iterable[pl.LazyFrame]],
        *,
        rows_wanted: int | None = None,
        full_feature_names: bool = False,
        odfvs: Sequence[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
        repo_path: str | None = None,
    ) -> None:
        self.cut_parts = parts
        self.parts = tuple(parts(filtered))
        self._rows_wanted = rows_wanted
        self._full_feature_names = full_feature_names
        self._odfvs = list(odfvs)
        self._metadata = metadata
        self._repo_path = repo_path

    @property
    def full_feature_names(self) -> bool:
        """Whether features are named ``view__feature``."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """The views Feast computes after retrieval."""
        return self._odfvs

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked for."""
        return self._metadata

    @property
    def rows_wanted(self) -> int | None:
        """How many entity rows were asked about; none for a range of the source."""
        return self._rows_wanted

    def to_lazy(self) -> pl.LazyFrame:
        """Return the whole answer, in the entity rows' order; it is sorted in memory (see ``ordered``)."""
        whole = pl.concat(self.parts)
        return whole.sort(ROW).drop(ROW) if self._rows_wanted is not None else whole

    @property
    def schema(self) -> pl.Schema:
        """Return the answer's columns and their types."""
        return self.to_lazy().collect_schema()

    def batches(self, spill: Path) -> Iterator[pl.DataFrame]:
        """Yield the answer in the entity rows' order with bounded memory: it lies under *spill* meanwhile."""
        if len(self.parts) == 1 or self._rows_wanted is None:
            yield from self.to_lazy().collect_batches(maintain_order=True, engine="streaming")
            return
        with tempfile.TemporaryDirectory(dir=spill, prefix=".spill-") as name:
            folder, count = Path(name), len(self.parts)
            answers = (part.collect(engine="streaming") for part in self.cut_parts(into(folder)))
            stretch = pl.col(ROW).cast(pl.Int64) // -(-self._rows_wanted // count)
            for part in spilled(answers, self.parts[0].collect_schema(), stretch, count, folder):
                yield from part.collect().sort(ROW).drop(ROW).iter_slices(BATCH_ROWS)

    def check(self, rows: int) -> None:
        """Raise if the answer has another number of rows than the question."""
        if self._rows_wanted is not None and rows != self._rows_wanted:
            raise GreenlightError(
                f"the point-in-time join returned {rows} rows for {self._rows_wanted} entity rows; this is a fault of "
                "the offline store, or the entity rows are read in another order each time. Nothing was written."
            )

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        answer = self.to_lazy().collect(engine="streaming")
        self.check(answer.height)
        # Feast turns a table of several chunks into online rows from the first chunk only.
        return answer.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return cast(pd.DataFrame, self._to_arrow_internal(timeout).to_pandas())

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Write the answer as one Parquet file that appears whole or not at all."""
        if not isinstance(storage, SavedDatasetFileStorage):
            raise BadRequest(f"answers are saved as Parquet files, not as {type(storage).__name__}")
        path = Path(FileSource.get_uri_for_file_path(self._repo_path, storage.file_options.uri))
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._odfvs:
            replace_file(cast(pl.DataFrame, pl.from_arrow(self.to_arrow())), path)
            return
        with replacing(path) as temporary:
            self.check(write_batches(self.batches(path.parent), self.schema, temporary))
