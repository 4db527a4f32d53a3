"""Cuts clean text into records and cells: which separator, which header, and which records are too short or too long.

Making text clean is encoding.py; what cells mean is tasks/core/reading.py.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.adapters.encoding import SEPARATORS
from tasks.core.reading import EXTRA, SHORT, known_headers
from tasks.errors import SourceUnusable
from tasks.workloads.spec import Column

SAMPLE_BYTES = 1 << 18
# A line may be this many cells too long before the last of them could go unnoticed.
EXTRA_CELLS = 8


def sniff(first: bytes, columns: Sequence[Column], path: Path) -> tuple[str, list[str]]:
    """Choose the separator whose header names most declared columns, then the one that cuts most rows alike."""
    sample = first[:SAMPLE_BYTES].decode("utf-8", "greenlight-windows-1252")
    lines = [line for line in sample.split("\n") if line.strip()]
    if not lines:
        raise SourceUnusable(f"{path} holds nothing but blank lines; give a CSV or Parquet file with a header and rows")
    # The sample's last line may be cut short.
    rows = {separator: _split(lines[:-1] or lines, separator) for separator in SEPARATORS}
    return max(
        ((separator, found[0]) for separator, found in rows.items()),
        key=lambda choice: (
            known_headers(choice[1], columns),
            len(choice[1]) > 1 and sum(len(row) == len(choice[1]) for row in rows[choice[0]]),
            len(choice[1]),
        ),
    )


def _split(lines: Sequence[str], separator: str) -> list[list[str]]:
    try:
        rows = [row for row in csv.reader((f"{line}\n" for line in lines), delimiter=separator) if row]
    except csv.Error:
        rows = []
    return rows or [lines[0].strip().split(separator)]


def parse(block: bytes, separator: str, *, width: int, named: int, path: Path) -> pl.DataFrame:
    """Parse whole records into text cells, *width* and more of them, each with whether it is too short or too long.

    Too short is a record with fewer cells than the header up to its last name, *named*; an empty last cell is a cell.
    """
    schema = {f"{place}": pl.String for place in range(width + EXTRA_CELLS)}
    try:
        cells = pl.scan_csv(
            block,
            has_header=False,
            separator=separator,
            schema=schema,
            infer_schema=False,
            missing_columns="insert",
            extra_columns="ignore",
        ).collect()
    except pl.exceptions.PolarsError as error:
        raise SourceUnusable(f"{path} is not a table separated by {separator!r} ({error}); give a CSV file") from error
    too_long = pl.any_horizontal(pl.col(cells.columns[width:]).is_not_null()).alias(EXTRA)
    return cells.with_columns(_too_short(cells, block, separator, named, path), too_long)


def _too_short(cells: pl.DataFrame, block: bytes, separator: str, named: int, path: Path) -> pl.Series:
    # The reader fills up what is not there with nulls, so only a record whose last cell is null can be too short.
    if not cells.to_series(named - 1).null_count():
        return pl.repeat(False, cells.height, eager=True).alias(SHORT)
    counts = cells_per_record(block, separator)
    if counts.size != cells.height:
        raise SourceUnusable(
            f"{path}: {counts.size} lines were read as {cells.height} rows; no row may be lost, so nothing was kept. "
            "Save the file anew as plain CSV"
        )
    return pl.Series(SHORT, counts < named)


def cells_per_record(block: bytes, separator: str) -> npt.NDArray[np.intp]:
    """Return the number of cells of every record of a clean *block*: the separators outside quotes, and one."""
    text = np.frombuffer(block, np.uint8)
    ends, marks = text == ord("\n"), text == ord(separator)
    if b'"' in block:
        outside = ~np.logical_xor.accumulate(text == ord('"'))
        ends &= outside
        marks &= outside
    places = np.flatnonzero(ends)
    if not block.endswith(b"\n"):
        places = np.append(places, text.size)
    return np.diff(np.searchsorted(np.flatnonzero(marks), places), prepend=0) + 1
