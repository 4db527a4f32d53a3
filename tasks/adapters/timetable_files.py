"""Reads the files of slots, of programmes and of what is scheduled now; refuses by file, row and column what is wrong.

The columns are the tables below, and docs/timetable.md tells people of them. What the values mean is the core's part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tasks.core.timetable.asked import Asked
from tasks.core.timetable.problem import Problem, Programme, Slot, Window
from tasks.errors import BadRequest, SourceUnusable
from tasks.workloads.airtime import Airtime
from tasks.workloads.spec import Workload

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
YES_NO = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
SEPARATOR = ";"
MOST_DAYS = 366


@dataclass(frozen=True)
class Cell:
    """How a column's text is read, what is wanted of it, and what it is where a cell is empty; None: it must not be."""

    read: Callable[[str], Any]
    wanted: str
    otherwise: Any = None
    required: bool = False


def _names(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(SEPARATOR) if part.strip())


def _clock(text: str) -> time:
    return time.fromisoformat(text.zfill(5))


def _dates(text: str) -> frozenset[date]:
    return frozenset(date.fromisoformat(each) for each in _names(text))


def _windows(text: str) -> tuple[Window, ...]:
    found = [tuple(map(date.fromisoformat, each.split(".."))) for each in sorted(_names(text))]
    windows = tuple(Window(first, last) for first, last in found)
    if any(each.last < each.first for each in windows):
        raise ValueError(text)
    return windows


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text)
        if number < least:
            raise ValueError(text)
        return number

    return read


TEXT = Cell(str, "text")
COUNT = Cell(lambda text: str(_whole(0)(text)), "a whole number, 0 or more")
NAME = Cell(str, "a name", required=True)
YES, NO = (Cell(lambda text: YES_NO[text.lower()], "yes or no", otherwise=said) for said in (True, False))
LIST = Cell(_names, f"names with {SEPARATOR!r} between them", otherwise=frozenset())
MINUTES = Cell(_whole(1), "a whole number of minutes, 1 or more", required=True)
SLOTS: dict[str, Cell] = {
    "slot": TEXT,
    "date": Cell(date.fromisoformat, "a day as 2026-11-21"),
    "weekday": Cell(lambda text: WEEKDAYS.index(text.lower()[:3]), f"one of {', '.join(WEEKDAYS)}"),
    "start": Cell(_clock, "a time as 20:15", required=True),
    "minutes": MINUTES,
    "advertisers": LIST,
    "available": YES,
    "kept_for": TEXT,
}
PROGRAMMES: dict[str, Cell] = {
    "programme": NAME,
    "genre": NAME,
    "minutes": MINUTES,
    "uses": Cell(_whole(0), "a whole number, 0 or more", otherwise=1),
    "restricted": NO,
    "rights": Cell(_windows, f"spans as 2026-07-01..2026-07-31, {SEPARATOR!r} between them", otherwise=()),
    "unavailable": Cell(_dates, f"days as 2026-07-04, {SEPARATOR!r} between them", otherwise=frozenset()),
    "excludes": LIST,
}
CURRENT: Mapping[str, Cell] = {"slot": NAME, "programme": TEXT}


@dataclass(frozen=True)
class _Row:
    """A row of a file and its number there, the header being row 1."""

    number: int
    cells: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.cells[name]


@dataclass(frozen=True)
class Files:
    """Where it is written what may be shown, when, and what is scheduled now, if that is to be compared."""

    slots: Path
    programmes: Path
    current: Path | None = None


def read(spec: Workload, files: Files, first: date, days: int) -> Asked:
    """Return what the files ask for, of *days* days from *first*; raises SourceUnusable, BadRequest."""
    if not 1 <= days <= MOST_DAYS:
        raise BadRequest(f"a timetable of {days} days was asked for; wanted 1 to {MOST_DAYS}")
    airtime = airtime_of(spec)
    rows = _rows(files.slots, SLOTS | _told(spec, airtime.of_slot))
    placed = sorted(_placed(files.slots, rows, airtime, first, days), key=lambda each: each[0].start)
    shown = _rows(files.programmes, PROGRAMMES | _told(spec, airtime.of_programme))
    asked = Asked(
        slots=tuple(slot for slot, _ in placed),
        programmes=tuple(_programme(row) for row in shown),
        of_slots={name: tuple(row[name] for _, row in placed) for name in airtime.of_slot},
        of_programmes={name: tuple(row[name] for row in shown) for name in airtime.of_programme},
    )
    _refuse_contradictions(asked, files)
    return asked if files.current is None else _with_current(asked, files.current)


def airtime_of(spec: Workload) -> Airtime:
    """Return how the workload's rows are airings; raises BadRequest where they are not."""
    if spec.airtime is None:
        raise BadRequest(f"the rows of {spec.name} are no airings, so no timetable follows from its predictions")
    return spec.airtime


def _told(spec: Workload, names: Sequence[str]) -> dict[str, Cell]:
    kinds = {column.name: column.type for column in spec.columns}
    return {name: COUNT if kinds[name] == "int" else TEXT for name in names}


def _rows(path: Path, columns: Mapping[str, Cell]) -> list[_Row]:
    frame = _frame(path)
    strangers = sorted(set(frame.columns) - set(columns))
    missing = sorted(name for name, cell in columns.items() if cell.required and name not in frame.columns)
    if strangers or missing:
        odd = f"it has no column {', '.join(missing)}" if missing else f"nobody knows its column {', '.join(strangers)}"
        raise SourceUnusable(
            f"{path}: {odd}; found {', '.join(frame.columns)}; wanted {', '.join(columns)}, of which must be there: "
            f"{', '.join(name for name, cell in columns.items() if cell.required)}"
        )
    if frame.is_empty():
        raise SourceUnusable(f"{path} has a header and 0 rows; wanted at least 1")
    return [
        _Row(number, {name: _cell(path, number, name, cell, row.get(name)) for name, cell in columns.items()})
        for number, row in enumerate(frame.iter_rows(named=True), 2)
    ]


def _frame(path: Path) -> pl.DataFrame:
    if not path.is_file():
        raise SourceUnusable(f"there is no file {path}; name a CSV or Parquet file")
    try:
        if path.suffix == ".parquet":
            found = pl.read_parquet(path)
            lists = [name for name, kind in found.schema.items() if kind == pl.List]
            found = found.with_columns(pl.col(name).cast(pl.List(pl.String)).list.join(SEPARATOR) for name in lists)
            found = found.cast(pl.String)
        else:
            found = pl.read_csv(path, infer_schema=False)
    except pl.exceptions.NoDataError as error:
        raise SourceUnusable(f"{path} is empty; wanted a header and at least 1 row") from error
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise SourceUnusable(
            f"{path} is no table ({str(error).splitlines()[0]}); give a CSV or Parquet file"
        ) from error
    return found.rename({name: name.strip().lower() for name in found.columns})


def _cell(path: Path, number: int, name: str, cell: Cell, text: str | None) -> Any:
    clean = (text or "").strip()
    if not clean and not cell.required:
        return cell.otherwise
    try:
        if not clean:
            raise ValueError(name)
        return cell.read(clean)
    except (ValueError, TypeError, KeyError) as error:
        raise SourceUnusable(f"{path}, row {number}, column {name}: found {clean!r}; wanted {cell.wanted}") from error


def _placed(path: Path, rows: Sequence[_Row], airtime: Airtime, first: date, days: int) -> list[tuple[Slot, _Row]]:
    """Return the slots of the days asked for: those of a date, or a week's pattern again and again."""
    found = []
    for row in rows:
        if (row["date"] is None) == (row["weekday"] is None):
            raise SourceUnusable(
                f"{path}, row {row.number}: found date {row['date']} and weekday {row['weekday']}; wanted one of the "
                "two: a slot of that day, or one of every week"
            )
        for day in (first + timedelta(days=number) for number in range(days)):
            if row["date"] == day or row["weekday"] == day.weekday():
                found.append((_slot(row, day, airtime), row))
    if not found:
        last = first + timedelta(days=days - 1)
        raise SourceUnusable(f"{path}: none of its {len(rows)} rows is a slot between {first} and {last}; wanted 1")
    return found


def _slot(row: _Row, day: date, airtime: Airtime) -> Slot:
    begins: time = row["start"]
    at_night = timedelta(days=begins.hour < airtime.day_begins_hour)
    clock = f"{begins:%H:%M}"
    name = (row["slot"] or f"{day} {clock}") if row["weekday"] is None else f"{day} {row['slot'] or clock}"
    return Slot(
        name=name,
        day=day,
        start=datetime.combine(day + at_night, begins),
        minutes=row["minutes"],
        advertisers=row["advertisers"],
        available=row["available"],
        kept_for=row["kept_for"],
    )


def _programme(row: _Row) -> Programme:
    told = {name: row[name] for name in PROGRAMMES if name != "programme"}
    return Programme(name=row["programme"], **told)


def _refuse_contradictions(asked: Asked, files: Files) -> None:
    nothing = np.zeros((len(asked.programmes), len(asked.slots)))
    try:
        Problem(asked.slots, asked.programmes, nothing, nothing)
    except BadRequest as error:
        raise SourceUnusable(f"{files.slots} with {files.programmes}: {error}") from error
    for name, said in asked.of_slots.items():
        if len(set(said)) > 1:
            raise SourceUnusable(
                f"{files.slots}: column {name} has {', '.join(sorted(map(str, set(said))))}; wanted 1 alone: make a "
                "timetable of each"
            )


def _with_current(asked: Asked, path: Path) -> Asked:
    rows = _rows(path, CURRENT)
    slots, programmes = {each.name for each in asked.slots}, {each.name for each in asked.programmes}
    shown: dict[str, str | None] = {}
    for row in rows:
        name = row["programme"]
        if row["slot"] in shown:
            raise SourceUnusable(f"{path}, row {row.number}: slot {row['slot']!r} is there twice; wanted once")
        if name is not None and name not in programmes:
            raise SourceUnusable(f"{path}, row {row.number}: {name!r} is none of the {len(programmes)} programmes")
        shown[row["slot"]] = name
    if not slots & set(shown):
        raise SourceUnusable(
            f"{path}: none of its {len(rows)} slots is one of the {len(slots)} asked for, which are called as "
            f"{asked.slots[0].name!r}"
        )
    current = tuple(shown.get(slot.name) for slot in asked.slots)
    return Asked(asked.slots, asked.programmes, asked.of_slots, asked.of_programmes, current)
