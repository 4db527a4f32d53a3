"""How raw cells become typed columns: names, spellings of *missing*, sentinels, numbers, months, dates.

Pure Polars over one frame at a time; opening files is tasks/adapters/sources.py, their encoding is
tasks/adapters/encoding.py, and whether a value makes sense is the contract's. Nothing is dropped: a cell that cannot be
read is null and is kept, as ``column=raw text``, in ``_unparsed``.
"""

from __future__ import annotations

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from types import MappingProxyType
from typing import Protocol

import polars as pl

from tasks.errors import ColumnsMissing, SourceUnusable
from tasks.workloads.spec import POLARS_TYPES, Column

ROW = "_row"
UNPARSED = "_unparsed"
SHORT, EXTRA = "_short", "_extra"

MISSING = (
    *("", "nan", "NaN", "NAN", "NA", "N/A", "n/a", "#N/A", "null", "Null", "NULL", "none", "None", "NONE"),
    *("-", "--", "—", "–"),
)
MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
MONTH_NUMBERS: Mapping[str, int] = MappingProxyType(
    {
        spelling: number
        for number, name in enumerate(MONTHS, start=1)
        for spelling in (name, name[:3], str(number), f"{number:02d}", f"{number}.0")
    }
    | {"sept": 9}
)
CLOCK = r"^([01]?[0-9]|2[0-3]):([0-5][0-9])(?::[0-5][0-9])?$"
DATE_FORMATS = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")

# The largest float up to which every whole number has its own float.
EXACT_WHOLE = float(2**53)
CURRENCY = r"^([+-]?)\s*[$€£¥₹]\s*|\s*[$€£¥₹]$"
NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$"
# Groups of three behind one separator throughout; dots only from two groups on, since 1.234 is also a fraction.
GROUPED = (
    r"^[+-]?[0-9]{1,3}(?:"
    r"(?:(?:,[0-9]{3})+|(?: [0-9]{3})+|(?:_[0-9]{3})+|(?:'[0-9]{3})+|(?:\x{A0}[0-9]{3})+|(?:\x{202F}[0-9]{3})+)"
    r"(?:\.[0-9]+)?|(?:\.[0-9]{3}){2,})$"
)
GROUPED_BY_DOTS = r"^[+-]?[0-9]{1,3}(?:\.[0-9]{3}){2,}$"
SEPARATORS = r"[, _'\x{A0}\x{202F}]"
# What is left of letters that were destroyed before the file reached us: U+FFFD, its bytes read as Latin-1, filler.
LOST = "\ufffd|ï¿½|ý{2,}"


class Table(Protocol):
    """What a reader needs to know of a source: a workload knows it, and so may who reads a few columns."""

    @property
    def name(self) -> str:
        """Return what it is called where something is wrong with it."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Return its columns."""

    @property
    def event_time(self) -> str:
        """Return the column whose absence needs no telling; there may be none."""


@dataclass(frozen=True)
class Matched:
    """Which header holds which declared column: ``positions`` by column name; the rest is said, not kept."""

    positions: Mapping[str, int]
    unknown: tuple[str, ...]
    absent: tuple[str, ...]


@dataclass(frozen=True)
class Typed:
    """A typed frame (declared columns and ``_unparsed``) and how many cells of which column were what."""

    frame: pl.DataFrame
    sentinels: Mapping[str, int]
    unparsed: Mapping[str, int]
    lost: Mapping[str, int]
    rows_lost: int
    rows_short: int
    rows_extra: int


def normalised(name: str) -> str:
    """Return *name* in snake case: ``Gross enrollment (%)`` becomes ``gross_enrollment``."""
    return re.sub(r"\W+", "_", unicodedata.normalize("NFKC", name).casefold()).strip("_")


def match_columns(headers: Sequence[str], columns: Sequence[Column], where: str) -> Matched:
    """Find each declared column among *headers* by name or alias, whatever the spelling.

    Raises SourceUnusable when two headers mean the same column, ColumnsMissing when a required one is missing; *where*
    names the source.
    """
    names = {_key(name): column.name for column in columns for name in (column.name, *column.aliases)}
    keys = [_key(header) for header in headers]
    meanings = [names.get(key, f"?{key}") for key in keys]
    _refuse_twins(headers, [meaning if key else "" for key, meaning in zip(keys, meanings, strict=True)], where)
    positions = {meaning: place for place, meaning in enumerate(meanings) if not meaning.startswith("?")}
    absent = tuple(column.name for column in columns if column.name not in positions)
    missing = [column for column in columns if column.required and column.name in absent and not column.made]
    if missing:
        letter = _missing_letter(missing, headers, where)
        raise ColumnsMissing(letter, tuple(column.name for column in missing), tuple(headers), where)
    unknown = tuple(header for header, meaning in zip(headers, meanings, strict=True) if meaning.startswith("?"))
    return Matched(positions, unknown, absent)


def known_headers(headers: Iterable[str], columns: Sequence[Column]) -> int:
    """Count the *headers* that name a declared column."""
    names = {_key(name) for column in columns for name in (column.name, *column.aliases)}
    return sum(_key(header) in names for header in headers)


def typed(raw: pl.DataFrame, columns: Sequence[Column]) -> Typed:
    """Turn *raw* (one column per declared column, of any plain type, ``_short`` and ``_extra``) into declared types."""
    numbers = [column for column in columns if column.type in ("float", "int")]
    floats = raw.select(pl.col(column.name).cast(pl.Float64, strict=False) for column in numbers)
    hard = {column.name: _read_with_care(raw[column.name], floats[column.name], column) for column in numbers}
    others = [column for column in columns if column not in numbers]
    read = raw.select(SHORT, EXTRA, *(_parsed(column, raw.schema[column.name]).alias(column.name) for column in others))
    frame = read.with_columns(
        _number(raw[column.name], floats[column.name], hard[column.name], column) for column in numbers
    )
    failed = {
        name: raw[name].cast(pl.String).is_in(cells.unreadable) for name, cells in hard.items() if cells.unreadable
    }
    failed |= _failures(raw, frame, [column for column in others if column.type in ("month", "datetime")])
    kept = frame.select(_without_sentinels(column).alias(column.name) for column in columns).with_columns(
        _with_clock(column) for column in columns if column.clock
    )
    kept = kept.with_columns(_made(column) for column in columns if column.made)
    texts = [
        column.name for column in columns if column.type in ("text", "category") and beyond_ascii(frame[column.name])
    ]
    lost = frame.select(pl.col(name).str.contains(LOST).fill_null(False) for name in texts)
    return Typed(
        frame=kept.with_columns(_unparsed_text(raw, failed).alias(UNPARSED)),
        sentinels=_sentinel_counts(frame, columns),
        unparsed={name: int(cells.sum()) for name, cells in failed.items()},
        lost={name: count for name, count in lost.sum().row(0, named=True).items() if count} if texts else {},
        rows_lost=int(lost.select(pl.any_horizontal(pl.all())).to_series().sum()) if texts else 0,
        rows_short=int(raw[SHORT].sum()),
        rows_extra=int(raw[EXTRA].sum()),
    )


@dataclass(frozen=True)
class _HardCells:
    """The distinct cells of a number column that a plain cast cannot read: what they say, and which say nothing."""

    texts: Sequence[str]
    values: pl.Series
    unreadable: Sequence[str]


NO_HARD_CELLS = _HardCells((), pl.Series([], dtype=pl.Null), ())


def beyond_ascii(cells: pl.Series) -> bool:
    """Tell whether any cell holds a letter beyond ASCII: cheaper than a pattern, and most columns hold none."""
    return bool((cells.str.len_bytes() != cells.str.len_chars()).any())


def _key(name: str) -> str:
    return normalised(name).replace("_", "")


def _refuse_twins(headers: Sequence[str], meanings: Sequence[str], where: str) -> None:
    twins = sorted({meaning for meaning in meanings if meaning and meanings.count(meaning) > 1})
    if not twins:
        return
    same = [header for header, meaning in zip(headers, meanings, strict=True) if meaning == twins[0]]
    raise SourceUnusable(
        f"{where}: {len(same)} columns mean the same thing: {', '.join(map(repr, same))}; "
        "each column may appear once. Remove or rename all but one."
    )


def _missing_letter(missing: Sequence[Column], headers: Sequence[str], where: str) -> str:
    lines = []
    for column in missing:
        spellings = (column.name, *column.aliases)
        close = difflib.get_close_matches(column.name, [normalised(header) for header in headers], n=2, cutoff=0.6)
        hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else ""
        lines.append(f"{column.name!r} ({column.meaning}; also accepted: {', '.join(spellings)}){hint}")
    found = ", ".join(map(repr, headers[:40])) or "none"
    return (
        f"{where}: {len(missing)} required columns are missing: {'; '.join(lines)}. "
        f"Columns found ({len(headers)}): {found}. Rename the columns in the source, or give another source."
    )


def _read_with_care(raw: pl.Series, floats: pl.Series, column: Column) -> _HardCells:
    """Read what the cast could not; only distinct cells pay for the patterns."""
    hard = _not_read(floats, column) & raw.is_not_null()
    if not hard.any():
        return NO_HARD_CELLS
    texts = raw.filter(hard).cast(pl.String).unique().sort()
    cells = texts.to_frame(column.name).select(
        text=pl.col(column.name), value=_careful_number(column), written=_present(column).is_not_null()
    )
    unreadable = cells.filter(pl.col("written") & pl.col("value").is_null())["text"]
    return _HardCells(texts.to_list(), cells["value"], unreadable.to_list())


def _not_read(floats: pl.Series, column: Column) -> pl.Series:
    number = pl.col(floats.name)
    wrong = number.is_null() | number.is_infinite()
    if column.type == "int":
        wrong = wrong | (number.is_not_nan() & ((number.abs() >= EXACT_WHOLE) | (number != number.round())))
    return floats.to_frame().select(wrong).to_series()


def _number(raw: pl.Series, floats: pl.Series, hard: _HardCells, column: Column) -> pl.Series:
    dtype = POLARS_TYPES[column.type]
    number = floats.fill_nan(None)
    if not hard.texts:
        return number.cast(dtype)
    easy = pl.when(~_not_read(floats, column)).then(number).cast(dtype, strict=False)
    careful = raw.cast(pl.String).replace_strict(hard.texts, hard.values, default=None, return_dtype=dtype)
    return pl.select(pl.coalesce(easy, careful).alias(column.name)).to_series()


def _failures(raw: pl.DataFrame, frame: pl.DataFrame, columns: Sequence[Column]) -> dict[str, pl.Series]:
    """Return the cells of month and date columns in which something is written that could not be read."""
    unread = {
        column.name: raw.select(_present(column).is_not_null()).to_series() & frame[column.name].is_null()
        for column in columns
    }
    return {name: cells for name, cells in unread.items() if cells.any()}


def _parsed(column: Column, dtype: pl.DataType) -> pl.Expr:
    if column.type == "month":
        return _present(column).str.to_lowercase().replace_strict(MONTH_NUMBERS, default=None, return_dtype=pl.Int64)
    return _moment(column, dtype) if column.type == "datetime" else _present(column)


def _present(column: Column) -> pl.Expr:
    """Return the cell's text without surrounding space, null where it is a spelling of *missing*."""
    text = pl.col(column.name).cast(pl.String).str.strip_chars()
    # NA is Namibia where the column holds country codes.
    missing = [each for each in MISSING if each != "NA" or "ISO 3166" not in column.unit]
    return pl.when(~text.is_in(missing)).then(text)


def _careful_number(column: Column) -> pl.Expr:
    """Read thousands separators, currency signs and exponents; a fraction is no whole number, infinity is no number."""
    text = _present(column).str.replace(CURRENCY, "${1}")
    if column.unit == "%":
        text = text.str.strip_suffix("%").str.strip_chars()
    separators = pl.when(text.str.contains(GROUPED_BY_DOTS)).then(text.str.replace_all(".", "", literal=True))
    grouped = separators.otherwise(text.str.replace_all(SEPARATORS, ""))
    plain = pl.when(text.str.contains(GROUPED)).then(grouped).when(text.str.contains(NUMBER)).then(text)
    number = plain.cast(pl.Float64, strict=False)
    number = pl.when(number.is_finite()).then(number)
    if column.type == "float":
        return number
    whole = pl.when((number == number.round()) & (number.abs() < float(2**63))).then(number)
    return pl.coalesce(plain.cast(pl.Int64, strict=False), whole.cast(pl.Int64, strict=False))


def _moment(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Read ISO dates and times as UTC; a moment without an offset is taken as UTC."""
    if dtype == pl.Date:
        return pl.col(column.name).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    if isinstance(dtype, pl.Datetime):
        moment = pl.col(column.name).dt.cast_time_unit("us")
        return moment.dt.convert_time_zone("UTC") if dtype.time_zone else moment.dt.replace_time_zone("UTC")
    text = _present(column).str.replace(r"^(\d{4}-\d{2}-\d{2})[Tt]", "${1} ").str.replace(r"\s*(?:[Zz]|UTC)$", "")
    here = [
        text.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC") for form in DATE_FORMATS
    ]
    offset = text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f%#z", time_unit="us", time_zone="UTC", strict=False)
    return pl.coalesce(*here, offset)


def _with_clock(column: Column) -> pl.Expr:
    """Give a moment that is written as a day the time of day of its clock's column, where that says one."""
    day, clock = pl.col(column.name), pl.col(column.clock).cast(pl.String)
    hours, minutes = (clock.str.extract(CLOCK, group).cast(pl.Int64) for group in (1, 2))
    at = day + pl.duration(hours=hours, minutes=minutes)
    return pl.when((day.dt.time() == time()) & hours.is_not_null()).then(at).otherwise(day).alias(column.name)


def _made(column: Column) -> pl.Expr:
    """Return what the source says, and what is made of the row's other columns where it says nothing."""
    made = column.made() if column.made else pl.lit(None)
    return pl.coalesce(pl.col(column.name), made.cast(POLARS_TYPES[column.type])).alias(column.name)


def _without_sentinels(column: Column) -> pl.Expr:
    value = pl.col(column.name)
    return pl.when(~_is_sentinel(column)).then(value) if column.sentinels else value


def _is_sentinel(column: Column) -> pl.Expr:
    values = pl.Series(list(column.sentinels)).cast(POLARS_TYPES[column.type])
    return pl.col(column.name).is_in(values.implode())


def _sentinel_counts(frame: pl.DataFrame, columns: Sequence[Column]) -> Mapping[str, int]:
    suspects = [column for column in columns if column.sentinels]
    counts = {column.name: int(frame.select(_is_sentinel(column).sum()).item()) for column in suspects}
    return {name: count for name, count in counts.items() if count}


def _unparsed_text(raw: pl.DataFrame, failed: Mapping[str, pl.Series]) -> pl.Series:
    """Join ``column=raw text`` of every failed cell of a row, then what is wrong with the line's length."""
    cells = [
        pl.when(cells).then(pl.lit(f"{name}=") + pl.col(name).cast(pl.String).str.strip_chars().str.head(200))
        for name, cells in failed.items()
    ]
    extra = pl.when(pl.col(EXTRA)).then(pl.lit("extra fields"))
    short = pl.when(pl.col(SHORT)).then(pl.lit("missing fields"))
    joined = pl.concat_str(*cells, short, extra, separator=",", ignore_nulls=True)
    return raw.select(pl.when(joined != "").then(joined)).to_series()
