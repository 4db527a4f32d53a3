"""Writes Parquet that is the same bytes for the same rows, because blobs are named by their content.

Row groups have a fixed size and source order, whatever the number of threads or the size of the batches that arrive.
A file appears whole or not at all. What the rows mean does not belong here.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.errors import OutOfSpace

ROW_GROUP_ROWS = 131_072

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM}


def write_parquet(lazy: pl.LazyFrame, to: Path) -> int:
    """Write *lazy*, in its own order and in bounded memory, to *to*; return the number of rows.

    Raises OutOfSpace when the disk is full, read-only or may not be written.
    """
    with replacing(to) as part:
        return write_batches(
            lazy.collect_batches(chunk_size=ROW_GROUP_ROWS, maintain_order=True, engine="streaming"),
            lazy.collect_schema(),
            part,
        )


def write_batches(batches: Iterable[pl.DataFrame], schema: pl.Schema, to: Path) -> int:
    """Write *batches*, re-cut to fixed row groups, to *to*; return the number of rows."""
    with Rows(to, schema) as rows:
        for batch in batches:
            rows.add(batch)
    return rows.count


class Rows:
    """A Parquet file being written, frame by frame; ``count`` is the number of rows it was given."""

    def __init__(self, to: Path, schema: pl.Schema) -> None:
        self.count = 0
        self._held: list[pl.DataFrame] = []
        # Dictionaries pay for texts only: for numbers they double the time and make the file larger.
        texts = [name for name, kind in schema.items() if kind == pl.String]
        empty = _to_arrow(schema.to_frame())
        self._writer = pq.ParquetWriter(to, empty.schema, compression="zstd", use_dictionary=texts)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        if failure is None and self._held:
            self._writer.write_table(_to_arrow(pl.concat(self._held)), row_group_size=ROW_GROUP_ROWS)
        self._writer.close()

    def add(self, frame: pl.DataFrame) -> None:
        """Take *frame* and write every row group that is now complete."""
        self.count += frame.height
        self._held.append(frame)
        if sum(held.height for held in self._held) < ROW_GROUP_ROWS:
            return
        whole = pl.concat(self._held)
        full = whole.height - whole.height % ROW_GROUP_ROWS
        for start in range(0, full, ROW_GROUP_ROWS):
            self._writer.write_table(_to_arrow(whole.slice(start, ROW_GROUP_ROWS)), row_group_size=ROW_GROUP_ROWS)
        self._held = [whole.slice(full)] if full < whole.height else []


@contextmanager
def replacing(to: Path, *, new: bool = False) -> Iterator[Path]:
    """Lend a temporary path beside *to* that becomes *to*, synced to disk, if the block ends well.

    Where it is to be *new*, raises FileExistsError if somebody else made one meanwhile.
    """
    part = to.with_name(f".{to.name}.{os.getpid()}.part")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        yield part
        _sync(part)
        if new:
            to.hardlink_to(part)
        else:
            part.replace(to)
        _sync(to.parent)
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise OutOfSpace(
            f"cannot write {to}: {error.strerror or error}; free some space or make the folder writable, then run again"
        ) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _to_arrow(frame: pl.DataFrame) -> pa.Table:
    # One chunk per column: the writer starts a new data page at every chunk, and chunks depend on the thread count.
    return frame.rechunk().to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
