"""Writes rows as JSON, CSV, XLSX or Parquet for another tool: batch by batch, and the file appears whole or not at all.

What the rows are and whether they can be trusted was settled before; see ``exports``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from tasks.adapters.history import FORMULA
from tasks.adapters.parquet import ROW_GROUP_ROWS, replacing, write_batches
from tasks.errors import BadRequest

Batches = Iterable[pl.DataFrame]

# What one sheet takes beside its header, what one cell takes: Microsoft, "Excel specifications and limits".
SHEET_ROWS, CELL_CHARACTERS = 1_048_575, 32_767
# Stated as the sheet's making, so that the same rows give the same bytes.
MADE_AT = datetime(2000, 1, 1, tzinfo=UTC)
# Beyond it two whole numbers are one to a spreadsheet, which only knows doubles.
LARGEST_WHOLE = 2**53


@dataclass(frozen=True)
class Exported:
    """A file that was written."""

    form: str
    rows: int
    path: str


def write(rows: pl.LazyFrame, form: str, to: Path, *, force: bool) -> Exported:
    """Write *rows* to *to*, in order and in bounded memory; raises BadRequest where *to* exists and *force* is not set.

    Text that a spreadsheet would run begins with an apostrophe in CSV; in XLSX it is a cell of text, which never runs.
    Where *form* has no missing numbers (JSON, XLSX), NaN and infinity are missing.
    """
    refuse_existing(to, force=force)
    schema = rows.collect_schema()
    batches = rows.collect_batches(chunk_size=ROW_GROUP_ROWS, maintain_order=True, engine="streaming")
    try:
        with replacing(to, new=not force) as part:
            count = WRITERS[form](batches, schema, part)
    except FileExistsError as error:
        raise is_there(to) from error
    return Exported(form, count, str(to))


def refuse_existing(to: Path, *, force: bool, option: str = "--to") -> None:
    """Raise BadRequest where *to* is a folder, or a file that nobody said may be overwritten; *option* names it."""
    if to.is_dir():
        raise BadRequest(f"{to} is a folder; name a file with {option}")
    if to.exists() and not force:
        raise is_there(to, option)


def refuse_source(out: Path, source: Path) -> None:
    """Raise BadRequest where *out* is the *source*, or a file of it, under whatever name."""
    if out.exists() and source.exists() and (out.samefile(source) or out.resolve().is_relative_to(source.resolve())):
        raise BadRequest(f"{out} is the source itself; name another file with --out")


def harmless(schema: pl.Schema) -> list[pl.Expr]:
    """Return every column, text that a spreadsheet would run with an apostrophe before it (OWASP: CSV injection)."""
    begins = "^[" + "".join(f"\\x{{{ord(sign):x}}}" for sign in FORMULA) + "]"
    return [
        pl.when(pl.col(name).str.contains(begins)).then("'" + pl.col(name)).otherwise(pl.col(name)).alias(name)
        if kind == pl.String
        else pl.col(name)
        for name, kind in schema.items()
    ]


def is_there(to: Path, option: str = "--to") -> BadRequest:
    """Return the letter about a file that is there already."""
    return BadRequest(f"{to} is there already and was left as it is; name another file with {option}, or add --force")


def _csv(batches: Batches, schema: pl.Schema, part: Path) -> int:
    rows = 0
    with part.open("wb") as out:
        schema.to_frame().write_csv(out)
        for batch in batches:
            rows += batch.height
            batch.select(harmless(schema)).write_csv(out, include_header=False)
    return rows


def _json(batches: Batches, schema: pl.Schema, part: Path) -> int:
    """Write one array with a row a line: a batch is written as lines, and no line break is left inside of a value."""
    rows = 0
    with part.open("w", encoding="utf-8", newline="\n") as out:
        for batch in batches:
            out.write(",\n" if rows else "[\n")
            out.write(batch.write_ndjson().rstrip("\n").replace("\n", ",\n"))
            rows += batch.height
        out.write("\n]\n" if rows else "[]\n")
    return rows


def write_sheets(tables: Mapping[str, pl.DataFrame], part: Path) -> None:
    """Write each table as a sheet of its name; raises BadRequest where xlsxwriter is not installed."""
    with _workbook(part) as book:
        for name, frame in tables.items():
            _sheet(book, name, [frame], frame.schema)


def _xlsx(batches: Batches, schema: pl.Schema, part: Path) -> int:
    with _workbook(part) as book:
        return _sheet(book, "export", batches, schema)


@contextmanager
def _workbook(part: Path) -> Iterator[Any]:
    try:
        import xlsxwriter
    except ModuleNotFoundError as error:
        raise BadRequest(
            "XLSX is written by xlsxwriter, which is not installed; run: pip install 'greenlight[xlsx]', or export as "
            "csv, json or parquet"
        ) from error
    with xlsxwriter.Workbook(str(part), {"constant_memory": True, "tmpdir": str(part.parent)}) as book:
        book.set_properties({"created": MADE_AT.replace(tzinfo=None)})
        yield book


def _sheet(book: Any, name: str, batches: Batches, schema: pl.Schema) -> int:
    rows, sheet = 0, book.add_worksheet(name)
    for place, column in enumerate(schema):
        sheet.write_string(0, place, column)
    for batch in batches:
        refuse_too_many(rows + batch.height)
        for row in batch.iter_rows():
            rows += 1
            _fill(sheet, rows, row)
    return rows


def refuse_too_many(rows: int) -> None:
    """Raise BadRequest where a sheet cannot take so many rows."""
    if rows > SHEET_ROWS:
        raise BadRequest(
            f"there are {rows:,} rows or more, a sheet of XLSX takes {SHEET_ROWS:,}; nothing was written: choose fewer "
            "days, or export as csv or parquet"
        )


def _fill(sheet: Any, row: int, values: Iterable[object]) -> None:
    """Write a row, each value as what it is: no text becomes a formula, a number or a link."""
    for place, value in enumerate(cells(values)):
        if isinstance(value, bool):
            sheet.write_boolean(row, place, value)
        elif isinstance(value, str):
            sheet.write_string(row, place, value)
        elif value is not None:
            sheet.write_number(row, place, value)


def cells(values: Iterable[object]) -> Iterable[bool | str | int | float | None]:
    """Yield *values* as a sheet takes them: moments as ISO 8601 text, a whole number no double holds as text.

    Raises BadRequest for a text that is too long for a cell.
    """
    for value in values:
        if isinstance(value, float):
            yield value if math.isfinite(value) else None
        elif isinstance(value, bool | None):
            yield value
        elif isinstance(value, int):
            yield value if abs(value) <= LARGEST_WHOLE else str(value)
        else:
            yield _short_enough(value.isoformat() if isinstance(value, date) else str(value))


def _short_enough(text: str) -> str:
    if len(text) > CELL_CHARACTERS:
        raise BadRequest(
            f"a text has {len(text):,} characters ({text[:40]!r}…), a cell of XLSX takes {CELL_CHARACTERS:,}; nothing "
            "was written: export as csv, json or parquet"
        )
    return text


WRITERS: Mapping[str, Callable[[Batches, pl.Schema, Path], int]] = {
    "json": _json,
    "csv": _csv,
    "xlsx": _xlsx,
    "parquet": write_batches,
}
