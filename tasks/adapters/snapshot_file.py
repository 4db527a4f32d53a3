"""Writes the Parquet file a source becomes: whole or not at all, the same bytes for the same rows, in bounded memory.

Rows can wait on disk until the last one is known. What they mean, and where they come from, is sources.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.adapters.parquet import ROW_GROUP_ROWS
from tasks.errors import OutOfSpace
from tasks.workloads.spec import Workload


@contextmanager
def output(to: Path) -> Iterator[Path]:
    """Hand out a path beside *to* that becomes *to* at the end, whole or not at all; raises OutOfSpace."""
    # Named after the target alone: what a killed run leaves, the next one overwrites.
    partial = to.with_name(f"{to.name}.partial")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(to)
    except OSError as error:
        raise OutOfSpace(
            f"{to} cannot be written: {error.strerror or error}; free some space or choose a home that may be written"
        ) from error
    finally:
        for leftover in (partial, partial.with_suffix(".spool")):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)


def spool(frames: Iterator[pl.DataFrame], at: Path) -> Iterator[pl.DataFrame]:
    """Keep *frames* on disk until the last one is there, then give them back one by one."""
    schema: pa.Schema | None = None
    with at.open("wb") as file, ExitStack() as stack:
        writer: pa.RecordBatchFileWriter | None = None
        for frame in frames:
            table = _arrow(frame)
            if writer is None:
                schema = table.schema
                writer = stack.enter_context(pa.ipc.new_file(file, schema))
            writer.write_table(table, max_chunksize=ROW_GROUP_ROWS)
    return _unspooled(at) if schema is not None else iter(())


def _unspooled(at: Path) -> Iterator[pl.DataFrame]:
    with at.open("rb") as file, pa.ipc.open_file(file) as batches:
        for number in range(batches.num_record_batches):
            yield pl.DataFrame(pa.Table.from_batches([batches.get_batch(number)]))


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest())


def write_rows(spec: Workload, frames: Iterator[pl.DataFrame], to: Path) -> None:
    """Write one row group per frame; settings are spelled out because the bytes name the snapshot."""
    # A dictionary pays for repeated words only; for numbers it costs time and space.
    words = [column.name for column in spec.columns if column.type == "category"]
    settings = {"compression": "zstd", "compression_level": 1, "version": "2.6", "store_schema": False}
    with to.open("wb") as file, ExitStack() as stack:
        writer: pq.ParquetWriter | None = None
        for frame in frames:
            table = _arrow(frame)
            if writer is None:
                writer = pq.ParquetWriter(file, table.schema, use_dictionary=words or False, **settings)
                stack.enter_context(writer)
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
