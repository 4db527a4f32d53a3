"""Cuts rows into parts by their key, so that ten million are joined, sorted or counted part by part under 1 GB.

A part is a filter that reads the rows again, or a file that one reading of the rows fills. Rows of one key always share
a part. What is done with a part does not belong here.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL

from tasks.errors import BadRequest, OutOfSpace

# Polars reads ahead of a writer by a number of batches, not of bytes: 30 batches of its own size are 900 MB.
MORSEL_ROWS = 16_384
CUT_ROWS = 65_536
SAMPLES_PER_PART = 1_000
# Each part is a file held open while the rows are cut; a process may commonly hold 1,024.
PARTS_MOST = 500
PART = "__part"

# Returns rows as so many parts, each row in the part whose number the expression computes.
Cut = Callable[[pl.LazyFrame, pl.Expr, int], list[pl.LazyFrame]]


def filtered(rows: pl.LazyFrame, part: pl.Expr, parts: int) -> list[pl.LazyFrame]:
    """Cut rows into filters of them: nothing is written, and each part reads all rows again."""
    return [rows] if parts == 1 else [rows.filter(part == number) for number in range(parts)]


def into(folder: Path) -> Cut:
    """Return what cuts rows into files under *folder*, reading them once."""

    def cut(rows: pl.LazyFrame, part: pl.Expr, parts: int) -> list[pl.LazyFrame]:
        if parts == 1:
            return [rows]
        with pl.Config(streaming_chunk_size=MORSEL_ROWS):
            batches = rows.collect_batches(chunk_size=CUT_ROWS, maintain_order=True, engine="streaming")
            return spilled(batches, rows.collect_schema(), part, parts, folder)

    return cut


def spilled(
    batches: Iterable[pl.DataFrame], schema: pl.Schema, part: pl.Expr, parts: int, folder: Path
) -> list[pl.LazyFrame]:
    """Write each row of *batches* to the file of its part; rows of one part keep their order. Raises OutOfSpace."""
    try:
        paths = _written(batches, _arrow(schema.to_frame()).schema, part, parts, Path(tempfile.mkdtemp(dir=folder)))
    except OSError as error:
        raise OutOfSpace(
            f"the rows could not be cut into {parts} parts under {folder}: {error.strerror or error}; make room there "
            "(about as much as the rows take), then run again: nothing was changed"
        ) from error
    return [pl.scan_ipc(path) for path in paths]


def _written(batches: Iterable[pl.DataFrame], schema: pa.Schema, part: pl.Expr, parts: int, folder: Path) -> list[Path]:
    paths = [folder / f"{number}.arrow" for number in range(parts)]
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with ExitStack() as stack:
        files = [stack.enter_context(pa.ipc.new_file(path, schema, options=options)) for path in paths]
        for batch in batches:
            numbered = batch.with_columns(part.cast(pl.Int64).alias(PART))
            for (number,), rows in numbered.partition_by(PART, as_dict=True, include_key=False).items():
                files[number].write_table(_arrow(rows))
    return paths


def _arrow(rows: pl.DataFrame) -> pa.Table:
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())


def part_count(rows: int, part_rows: int) -> int:
    """Return how many parts of about *part_rows* the rows make; the parts of very many rows are larger."""
    return max(1, min(math.ceil(rows / part_rows), PARTS_MOST))


def height(rows: pl.LazyFrame) -> int:
    """Count rows without holding them."""
    return int(rows.select(pl.len()).collect(engine="streaming").item())


def by_hash(keys: Sequence[pl.Expr], parts: int) -> pl.Expr:
    """Number the parts by a hash of the key: both sides of a join are cut alike."""
    return reduce(xor, (key.hash(seed=number) for number, key in enumerate(keys)), pl.lit(0, pl.UInt64)) % parts


def by_range(rows: pl.LazyFrame, keys: Sequence[str], parts: int) -> pl.Expr:
    """Number the parts in the order of their keys, of about as many rows each, judged by a sample of the rows."""
    step = max(1, height(rows) // (parts * SAMPLES_PER_PART))
    typed = {name: key_of(rows, name) for name in keys}
    sample = (
        rows.select(each.alias(name) for name, each in typed.items())
        .with_row_index(PART)
        .filter(pl.col(PART).hash() % step == 0)
        .select(keys)
        .drop_nulls()
        .collect(engine="streaming")
        .sort(keys)
    )
    bounds = sample[[sample.height * number // parts for number in range(1, parts)]] if sample.height else sample
    # A key that cannot be compared, such as a missing one, goes with the lowest.
    at_least = [_at_least(typed, bound).fill_null(value=False).cast(pl.Int64) for bound in bounds.rows(named=True)]
    return pl.sum_horizontal(pl.lit(0, pl.Int64), *at_least)


def _at_least(keys: Mapping[str, pl.Expr], bound: Mapping[str, Any]) -> pl.Expr:
    """Compare a key of several columns as SQLite orders it: by the first, then the next."""
    names = list(keys)
    found: pl.Expr = keys[names[-1]] >= bound[names[-1]]
    for name in reversed(names[:-1]):
        found = (keys[name] > bound[name]) | ((keys[name] == bound[name]) & found)
    return found


def key_of(rows: pl.LazyFrame, name: str) -> pl.Expr:
    """Return a key in the one type both sides are joined on: whole numbers as Int64, words as String."""
    schema = rows.collect_schema()
    if name not in schema and name == DUMMY_ENTITY_ID:
        return pl.lit(DUMMY_ENTITY_VAL)
    if name not in schema:
        raise BadRequest(f"the key {name!r} is missing; found the columns {', '.join(schema.names())}")
    dtype, column = schema[name], pl.col(name)
    if dtype.is_integer() or dtype == pl.Null:
        return column.cast(pl.Int64)
    if dtype.is_float():  # pandas turns whole numbers with gaps into floats
        return pl.when(column == column.floor()).then(column.cast(pl.Int64, strict=False))
    return column.cast(pl.String) if isinstance(dtype, pl.Categorical | pl.Enum) else column
