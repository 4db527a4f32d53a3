"""Reads and writes the Parquet files that Feast calls file sources, and their times as Feast means them.

It exists so that every question to the offline store sees the same rows in the same order, whoever wrote the files.
Which rows answer a question does not belong here.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
from feast.data_source import DataSource
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig
from feast.utils import make_tzaware

from tasks.adapters.parquet import replacing, write_batches
from tasks.errors import BadRequest, HomeDamaged

# Files of one folder may come from writers with other habits; pandas writes nanoseconds.
TOLERANT = pl.ScanCastOptions(integer_cast="upcast", float_cast="upcast", datetime_cast="nanosecond-downcast")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def scan(config: RepoConfig, source: DataSource) -> pl.LazyFrame:
    """Read a file source, or a folder of files, in name order."""
    path = place(config, source)
    files = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    files = [each for each in files if not each.name.startswith(".")]
    if not files or not files[0].exists():
        raise HomeDamaged(f"feature source {source.name!r}: no Parquet at {path}; write the features again")
    return pl.scan_parquet(files, cast_options=TOLERANT)


def place(config: RepoConfig, source: DataSource | None) -> Path:
    """Return where a file source lies."""
    if not isinstance(source, FileSource):
        raise BadRequest(f"this offline store keeps Parquet files, not a {type(source).__name__}; use a FileSource")
    return Path(FileSource.get_uri_for_file_path(str(config.repo_path), source.path))


def mapped(rows: pl.LazyFrame, source: DataSource) -> pl.LazyFrame:
    """Give a source's columns the names of its field mapping."""
    names = set(rows.collect_schema().names())
    return rows.rename({old: new for old, new in (source.field_mapping or {}).items() if old in names})


def between(
    config: RepoConfig,
    source: DataSource,
    timestamp: str,
    created: str | None,
    *,
    start: datetime | None,
    end: datetime | None,
) -> pl.LazyFrame:
    """Return the source's rows of a range, both ends included, their times in UTC microseconds."""
    rows = scan(config, source)
    schema = rows.collect_schema()
    rows = rows.with_columns(utc(name, schema[name]) for name in (timestamp, created) if name)
    rows = rows.filter(pl.col(timestamp).is_not_null())
    at = pl.col(timestamp).dt.timestamp("us")
    if start is not None:
        rows = rows.filter(at >= moment(start))
    return rows if end is None else rows.filter(at <= moment(end))


def utc(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a time column under its own name in UTC microseconds."""
    return pl.from_epoch(micros(name, dtype), time_unit="us").dt.replace_time_zone("UTC").alias(name)


def micros(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return a time column as microseconds since 1970; without a zone it is UTC, as everywhere in Feast."""
    column = pl.col(name)
    if dtype == pl.String:
        column = column.str.to_datetime(time_unit="us", time_zone="UTC")
    elif dtype in (pl.Date, pl.Null):
        column = column.cast(pl.Datetime("us"))
    return column.dt.timestamp("us")


def moment(at: datetime) -> int:
    """Return a time as microseconds since 1970."""
    return (make_tzaware(at) - EPOCH) // timedelta(microseconds=1)


def append(rows: pl.DataFrame, folder: Path) -> None:
    """Add a file whose name sorts after those already there, so that what is written last wins a tie."""
    folder.mkdir(parents=True, exist_ok=True)
    present = sorted(folder.glob("*.parquet"))
    if present:
        rows = rows.cast({name: dtype for name, dtype in pl.read_parquet_schema(present[0]).items() if name in rows})
    number = 1 + len(present)
    replace_file(rows, folder / f"part-{number:08d}-{uuid.uuid4().hex}.parquet")


def replace_file(rows: pl.DataFrame, path: Path) -> None:
    """Write rows as one Parquet file that appears whole or not at all."""
    with replacing(path) as temporary:
        write_batches([rows], rows.schema, temporary)
