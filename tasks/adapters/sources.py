"""A source, whatever its format, becomes one Parquet file: typed, in order, byte for byte the same on any machine.

CSV in any usual encoding and separator, gzip, Parquet, or a folder of them. Encoding is tasks/adapters/encoding.py,
cutting lines into cells delimited.py, writing snapshot_file.py, the meaning of cells tasks/core/reading.py; judging
rows is the contract's. Nothing is dropped: rows in = rows out.
Memory is bounded by the block read and the row group written, not by the source.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.adapters.delimited import parse, sniff
from tasks.adapters.encoding import Repairs, clean_blocks, is_parquet, mended, reading, text_chunks
from tasks.adapters.parquet import ROW_GROUP_ROWS
from tasks.adapters.snapshot_file import output, spool, write_rows
from tasks.core.reading import EXTRA, ROW, SHORT, UNPARSED, Matched, Table, Typed, match_columns, typed
from tasks.core.values import Finding
from tasks.errors import BadRequest, SourceUnusable
from tasks.workloads.spec import POLARS_TYPES, Workload

READABLE = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz", ".parquet", ".pq")
# Years beyond are typing errors and date nothing.
LAST_YEAR = 2100


@dataclass(frozen=True)
class SourceRead:
    """What was read: the number of rows, their columns, and what a person should know."""

    rows: int
    schema: Mapping[str, str]
    findings: tuple[Finding, ...]


@dataclass
class _Tally:
    """What was noticed while reading, added up over blocks and files."""

    rows: int = 0
    sentinels: Counter[str] = field(default_factory=Counter)
    unparsed: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    mended: Counter[str] = field(default_factory=Counter)
    rows_lost: int = 0
    rows_short: int = 0
    rows_extra: int = 0
    undated: int = 0
    newest: datetime | None = None
    newest_year: int | None = None
    files: list[Finding] = field(default_factory=list)


def read_source(spec: Workload, source: Path, to: Path, *, observed_at: datetime | None = None) -> SourceRead:
    """Write every row of *source* to the Parquet file *to* and say what was found on the way.

    Columns are the declared ones, ``_row`` (1 for the first row, running over the files of a folder by name) and
    ``_unparsed``. An event time the source does not give is *observed_at*, or follows the newest year it names; one
    that is required stays missing.
    Raises SourceUnusable, OutOfSpace.
    """
    tally = _Tally()
    files = _files(source, tally)
    frames = chain.from_iterable(_file_frames(spec, path, _place(path, source), tally) for path in files)
    with output(to) as partial:
        # The newest date is known only at the end, so rows wait on disk; reading the source twice would cost more.
        waiting = spool(_row_groups(spec, frames, tally), partial.with_suffix(".spool"))
        if not tally.rows:
            raise _rowless(source)
        rule, moment = _event_time(spec, tally, observed_at, source)
        dated = (frame.with_columns(pl.col(spec.event_time).fill_null(pl.lit(moment))) for frame in waiting)
        write_rows(spec, dated, partial)
    schema = {name: str(dtype) for name, dtype in _snapshot_schema(spec).items()}
    return SourceRead(tally.rows, schema, _findings(tally, rule))


def refuse_absent(source: Path, what: str) -> None:
    """Raise BadRequest where nothing is at *source*: there "is no batch", there "are no actuals"."""
    if not source.exists():
        raise BadRequest(f"there {what} at {source}; name a CSV or Parquet file, or a folder of them")


def frames_of(table: Table, source: Path) -> Iterator[pl.DataFrame]:
    """Yield the declared columns of *source*, rows in order, where no workload declares it; raises SourceUnusable."""
    tally = _Tally()
    for path in _files(source, tally):
        yield from _file_frames(table, path, _place(path, source), tally)


def glance(spec: Workload, source: Path) -> None:
    """Raise SourceUnusable for what `read_source` would refuse at the first rows of *source*."""
    tally = _Tally()
    frames = (_file_frames(spec, path, "", tally) for path in _files(source, tally))
    if not any(frame.height for frame in chain.from_iterable(frames)):
        raise _rowless(source)


def digest_source(source: Path) -> str:
    """Return the sha256 of a file's bytes, or of a folder's names and bytes in order; raises SourceUnusable."""
    tally = _Tally()
    files = _files(source, tally)
    if files == [source]:
        return _digest_file(source).hexdigest()
    # What a finding says of files that are not read is part of what was found, so it is part of the name too.
    whole = hashlib.sha256("".join(finding.message for finding in tally.files).encode())
    for path in files:
        whole.update(path.relative_to(source).as_posix().encode() + b"\0" + _digest_file(path).digest())
    return whole.hexdigest()


def _digest_file(path: Path) -> hashlib._Hash:
    with reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")


def _files(source: Path, tally: _Tally) -> list[Path]:
    """Return the files of a source in order: itself, or the readable ones of a folder by name, hidden ones left out."""
    with reading(source):
        if not source.is_dir():
            size = source.stat().st_size
            if not size:
                raise SourceUnusable(f"{source} is empty (0 bytes); give a CSV or Parquet file with a header and rows")
            return [source]
        found = [path for path in source.rglob("*") if path.is_file() and not _hidden(path, source)]
        visible = sorted(found, key=lambda path: path.relative_to(source).as_posix())
    files = [path for path in visible if path.name.lower().endswith(READABLE) and path.stat().st_size]
    others = [path.relative_to(source).as_posix() for path in visible if path not in set(files)]
    if not files:
        there = f"{len(others)} other or empty files ({', '.join(others[:5])})" if others else "nothing"
        raise SourceUnusable(f"{source} holds {there} and no {', '.join(READABLE)} file; give a folder with data in it")
    if others:
        tally.files.append(Finding("files_ignored", f"not read: {', '.join(others[:10])}", len(others)))
    return files


def _rowless(source: Path) -> SourceUnusable:
    return SourceUnusable(f"{source} has a header and no rows; give a source with data in it")


def _place(path: Path, source: Path) -> str:
    """Return what a finding calls a file: its place in the folder; a single file's name says nothing of its bytes."""
    return "" if path == source else f"{path.relative_to(source).as_posix()}: "


def _hidden(path: Path, below: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(below).parts)


def _file_frames(spec: Table, path: Path, name: str, tally: _Tally) -> Iterator[pl.DataFrame]:
    """Yield the typed frames of one file, and count what was noticed."""
    for raw in _parquet_frames(spec, path, name, tally) if is_parquet(path) else _csv_frames(spec, path, name, tally):
        texts = [column.name for column in spec.columns if column.type in ("text", "category")]
        readable, counts = mended(raw, texts)
        tally.mended.update(counts)
        try:
            read = typed(readable, spec.columns)
        except pl.exceptions.PolarsError as error:
            raise SourceUnusable(
                f"{path}: a column holds lists or records where one value per row is wanted ({error}); flatten it first"
            ) from error
        yield _counted(read, tally)


def _counted(read: Typed, tally: _Tally) -> pl.DataFrame:
    tally.sentinels.update(read.sentinels)
    tally.unparsed.update(read.unparsed)
    tally.lost.update(read.lost)
    tally.rows_lost += read.rows_lost
    tally.rows_short += read.rows_short
    tally.rows_extra += read.rows_extra
    return read.frame


def _csv_frames(spec: Table, path: Path, name: str, tally: _Tally) -> Iterator[pl.DataFrame]:
    repairs = Repairs()
    chunks = text_chunks(path, repairs)
    first = next(chunks, b"")
    separator, headers = sniff(first, spec.columns, path)
    matched = _matched(spec, headers, path, name, tally)
    named = max((place for place, header in enumerate(headers, start=1) if header.strip()), default=1)
    at_header = True
    for block in clean_blocks(chain([first], chunks), separator, repairs, path):
        cells = parse(block, separator, width=len(headers), named=named, path=path)
        raw = cells.slice(1) if at_header else cells
        at_header = False
        if raw.height:
            yield raw.select(*_declared(spec, matched, raw.columns), SHORT, EXTRA)
    tally.files += _repair_findings(repairs, name)


def _matched(spec: Table, headers: Sequence[str], path: Path, name: str, tally: _Tally) -> Matched:
    matched = match_columns(headers, spec.columns, str(path))
    if matched.unknown:
        message = f"{name}columns not declared for {spec.name}, not kept: {', '.join(map(repr, matched.unknown))}"
        tally.files.append(Finding("columns_unknown", message, len(matched.unknown)))
    # What is made of other columns is not missing, nor is the time, which may be given beside the source.
    made = {spec.event_time, *(column.name for column in spec.columns if column.made)}
    absent = [column for column in matched.absent if column not in made]
    if absent:
        message = f"{name}optional columns not in the source, all missing: {', '.join(absent)}"
        tally.files.append(Finding("columns_absent", message, len(absent)))
    return matched


def _declared(spec: Table, matched: Matched, columns: Sequence[str]) -> list[pl.Expr]:
    return [
        pl.col(columns[matched.positions[column.name]]).alias(column.name)
        if column.name in matched.positions
        else pl.lit(None, pl.String).alias(column.name)
        for column in spec.columns
    ]


def _parquet_frames(spec: Table, path: Path, name: str, tally: _Tally) -> Iterator[pl.DataFrame]:
    try:
        with reading(path), pq.ParquetFile(path) as file:
            headers = file.schema_arrow.names
            matched = _matched(spec, headers, path, name, tally)
            wanted = [headers[place] for place in matched.positions.values()]
            for batch in file.iter_batches(batch_size=ROW_GROUP_ROWS, columns=wanted):
                raw = pl.DataFrame(pa.Table.from_batches([batch]))
                named = raw.rename({headers[place]: name for name, place in matched.positions.items()})
                absent = [pl.lit(None, pl.String).alias(column) for column in matched.absent]
                whole = named.with_columns(*absent, pl.lit(False).alias(SHORT), pl.lit(False).alias(EXTRA))
                yield whole.select(*(column.name for column in spec.columns), SHORT, EXTRA)
    except pa.ArrowException as error:
        raise SourceUnusable(f"{path} is a damaged Parquet file ({error}); write or download it again") from error


def _row_groups(spec: Workload, frames: Iterator[pl.DataFrame], tally: _Tally) -> Iterator[pl.DataFrame]:
    """Cut *frames* into row groups of a fixed size, number the rows, and note the newest dates."""
    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        while sum(each.height for each in held) >= ROW_GROUP_ROWS:
            whole = pl.concat(held)
            held = [whole[ROW_GROUP_ROWS:]]
            yield _numbered(spec, whole[:ROW_GROUP_ROWS], tally)
    left = pl.concat(held) if held else pl.DataFrame()
    if left.height:
        yield _numbered(spec, left, tally)


def _numbered(spec: Workload, frame: pl.DataFrame, tally: _Tally) -> pl.DataFrame:
    numbers = pl.int_range(tally.rows + 1, tally.rows + 1 + frame.height, dtype=pl.Int64).alias(ROW)
    tally.rows += frame.height
    moments = frame[spec.event_time]
    tally.undated += moments.null_count()
    tally.newest = _newer(tally.newest, moments.max())
    if spec.newest_year:
        years = frame[spec.newest_year]
        tally.newest_year = _newer(tally.newest_year, years.filter(years <= LAST_YEAR).max())
    return frame.select(*(column.name for column in spec.columns), numbers, UNPARSED)


def _newer(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else max(one, other)


def _event_time(
    spec: Workload, tally: _Tally, observed_at: datetime | None, source: Path
) -> tuple[str, datetime | None]:
    """Return the rule by which undated rows are dated, in words, and the moment they get."""
    if not tally.undated:
        return f"every row of the source has its {spec.event_time}", None
    if any(column.required for column in spec.columns if column.name == spec.event_time):
        return f"{tally.undated} of {tally.rows} rows have no {spec.event_time}, and nothing stands in for it", None
    if tally.newest is not None:
        rule = f"{tally.undated} of {tally.rows} rows have no {spec.event_time}; they get the source's newest"
        return f"{rule}, {tally.newest.isoformat()}", tally.newest
    if observed_at is not None:
        moment = observed_at.astimezone(UTC) if observed_at.tzinfo else observed_at.replace(tzinfo=UTC)
        return f"the source has no {spec.event_time}; it was given as {moment.isoformat()}", moment
    if tally.newest_year is not None:
        moment = datetime(tally.newest_year + 1, 1, 1, tzinfo=UTC)
        rule = f"the source has no {spec.event_time}; 1 January after its newest {spec.newest_year}"
        return f"{rule} ({tally.newest_year}) is taken: {moment.isoformat()}", moment
    raise SourceUnusable(
        f"{source} does not say when its {tally.rows} rows were seen: there is no {spec.event_time} and no year to go "
        "by; give --observed-at YYYY-MM-DD"
    )


def _snapshot_schema(spec: Workload) -> pl.Schema:
    declared = {column.name: POLARS_TYPES[column.type] for column in spec.columns}
    return pl.Schema({**declared, ROW: pl.Int64, UNPARSED: pl.String})


def _findings(tally: _Tally, rule: str) -> tuple[Finding, ...]:
    """Return what a person should know, in a fixed order."""
    cells = (
        ("letters_repaired", tally.mended, "cells were encoded twice and have been repaired"),
        (
            "letters_lost",
            tally.lost,
            f"cells in {tally.rows_lost} rows hold letters destroyed earlier; kept as they are",
        ),
        ("sentinels", tally.sentinels, "cells hold a value that stands for missing; they are now missing"),
        ("unparsed", tally.unparsed, f"cells are not of their column's type; they are null and kept in {UNPARSED}"),
    )
    counted = [
        Finding(code, f"{counts.total()} {what}: {_by_column(counts)}", counts.total())
        for code, counts, what in cells
        if counts
    ]
    if tally.rows_short:
        message = f"{tally.rows_short} rows have fewer cells than the header; the row says so in {UNPARSED}"
        counted.append(Finding("missing_fields", message, tally.rows_short))
    if tally.rows_extra:
        message = f"{tally.rows_extra} rows have more cells than the header; the row says so in {UNPARSED}"
        counted.append(Finding("extra_fields", message, tally.rows_extra))
    dated = [Finding("event_time", rule, tally.undated)] if tally.undated else []
    return (*tally.files, *counted, *dated)


def _by_column(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _repair_findings(repairs: Repairs, name: str) -> list[Finding]:
    said = (
        (
            "encoding",
            repairs.lines_not_utf8,
            f"{name}{repairs.lines_not_utf8} lines are not UTF-8; their odd bytes were read as Windows-1252. "
            "If letters look wrong, save the file as UTF-8",
        ),
        ("encoding", int(repairs.utf16), f"{name}the file is UTF-16 and was read as such"),
        ("nul_bytes", repairs.nul_bytes, f"{name}{repairs.nul_bytes} NUL bytes were taken out"),
        (
            "broken_quotes",
            repairs.broken_quotes,
            f"{name}{repairs.broken_quotes} lines have a quote that does not close; it was read as a character",
        ),
    )
    return [Finding(code, message, count) for code, count, message in said if count]
