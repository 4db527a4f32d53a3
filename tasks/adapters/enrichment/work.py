"""The work in hand of one file: its rows, what came of each so far, what was spent; so a kill loses one row at most.

One folder per source, column, keys and analyser; it is gone once the file is written, or 30 days after it was given up.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.adapters.enrichment.database import letters, opened
from tasks.adapters.lock import workload_lock
from tasks.adapters.parquet import Rows, replacing
from tasks.adapters.sources import frames_of
from tasks.core.enrichment.budget import Tokens
from tasks.core.enrichment.rows import Analysed
from tasks.core.reading import ROW, Table
from tasks.errors import HomeDamaged, SourceUnusable

BATCH_ROWS = 10_000
GIVEN_UP_SECONDS = 30 * 86_400
LOCK = "enrich-"
DONE = "done (row integer primary key, what text not null, settled integer not null)"
SPENT = "spent (id integer primary key, input integer, output integer, cost integer, settled integer)"


class Work:
    """What is to be done of one file, and what is done; every write is kept at once."""

    def __init__(self, folder: Path, connection: sqlite3.Connection) -> None:
        self.folder, self._path, self._connection = folder, _database(folder), connection

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield the rows of the source in order, numbered from 1."""
        try:
            with pq.ParquetFile(_rows(self.folder)) as file:
                for batch in file.iter_batches(batch_size=BATCH_ROWS):
                    yield pl.DataFrame(pa.Table.from_batches([batch]))
        except (OSError, pa.ArrowException) as error:
            raise HomeDamaged(f"{self.folder} is damaged ({error}); delete it and run again") from error

    def done(self, first: int, last: int) -> Mapping[int, Analysed]:
        """Return what came of the rows from *first* to *last*, as far as they are done."""
        asked = "select row, what from done where row between ? and ? order by row"
        with letters(self._path):
            found = self._connection.execute(asked, (first, last)).fetchall()
        return {row: Analysed(**json.loads(what)) for row, what in found}

    def keep(self, rows: Sequence[tuple[int, Analysed]]) -> None:
        """Keep what came of *rows*, all of them or none."""
        told = [(row, json.dumps(asdict(what)), what.settled) for row, what in rows]
        with letters(self._path):
            self._connection.execute("begin immediate")
            self._connection.executemany("insert or replace into done values (?, ?, ?)", told)
            self._connection.execute("commit")

    def forget_unsettled(self) -> None:
        """Forget rows that nobody answered to: they are asked again."""
        with letters(self._path):
            self._connection.execute("delete from done where not settled")

    def reserve(self, tokens: Tokens, cost: int) -> int:
        """Note what a request may take before it is sent; returns the reservation's number."""
        row = (tokens.input, tokens.output, cost)
        with letters(self._path):
            return self._connection.execute("insert into spent values (null, ?, ?, ?, 0)", row).lastrowid or 0

    def settle(self, reservation: int, tokens: Tokens, cost: int) -> None:
        """Note what a request took; one that was never settled counts as what was reserved for it."""
        row = (tokens.input, tokens.output, cost, reservation)
        with letters(self._path):
            self._connection.execute("update spent set input = ?, output = ?, cost = ?, settled = 1 where id = ?", row)

    def spent(self) -> tuple[int, Tokens, int]:
        """Return how many requests were sent, what they took or may take, and what they cost."""
        sums = "select count(*), coalesce(sum(input), 0), coalesce(sum(output), 0), coalesce(sum(cost), 0) from spent"
        with letters(self._path):
            requests, sent, answered, cost = self._connection.execute(sums).fetchone()
        return requests, Tokens(sent, answered), cost


@contextmanager
def work_on(home: Path, name: str, table: Table, source: Path) -> Iterator[Work]:
    """Yield the work called *name*, taken up where a killed run left it; the caller ends it with `finish`.

    Raises SourceUnusable, OutOfSpace, and RunInProgress where another process is at it.
    """
    folder, locks = home / "enrichment" / "work" / name, home / "locks"
    with workload_lock(locks, f"{LOCK}{name}", str(source)):
        _sweep([*folder.parent.glob("*"), *locks.glob(f"{LOCK}*")])
        if not _rows(folder).exists():
            _begin(table, source, folder)
        with opened(_database(folder), DONE, SPENT) as connection:
            yield Work(folder, connection)


def finish(work: Work) -> None:
    """Remove what was kept of a file that is written."""
    shutil.rmtree(work.folder, ignore_errors=True)


def _sweep(paths: Sequence[Path]) -> None:
    """Remove what was given up: a source that changed is never taken up again, and its texts are not ours to keep."""
    for path in paths:
        with suppress(FileNotFoundError):
            if time.time() - max(each.stat().st_mtime for each in (path, *path.glob("*"))) < GIVEN_UP_SECONDS:
                continue
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _begin(table: Table, source: Path, folder: Path) -> None:
    try:
        _copy(table, source, _rows(folder))
    except SourceUnusable:
        folder.rmdir()
        raise


def _copy(table: Table, source: Path, to: Path) -> None:
    names = [column.name for column in table.columns]
    to.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with replacing(to) as part, Rows(part, pl.Schema({ROW: pl.Int64, **dict.fromkeys(names, pl.String)})) as rows:
        for frame in frames_of(table, source):
            rows.add(frame.select(names).with_row_index(ROW, rows.count + 1).cast({ROW: pl.Int64}))
        if not rows.count:
            raise SourceUnusable(f"{source} has a header and no rows; give a source with data in it")


def _rows(folder: Path) -> Path:
    return folder / "rows.parquet"


def _database(folder: Path) -> Path:
    return folder / "done.sqlite"
