"""Opens the small SQLite files of enrichment, which survive a kill at any instant; what is in them is their owners'."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tasks.errors import HomeDamaged, OutOfSpace

# How long a writer waits for another one.
BUSY_SECONDS = 60.0


@contextmanager
def opened(path: Path, *tables: str) -> Iterator[sqlite3.Connection]:
    """Yield a connection to the file at *path*, made with *tables* if it is not there; each statement is kept at once.

    Raises HomeDamaged where it is no database any more, OutOfSpace where it cannot be written.
    """
    with letters(path):
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    with closing(connection):
        with letters(path):
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = normal")
            for table in tables:
                connection.execute(f"create table if not exists {table}")
        yield connection


@contextmanager
def letters(path: Path) -> Iterator[None]:
    """Turn what goes wrong with the file at *path* into an error of ours."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise OutOfSpace(f"{path} cannot be written: {error}; free some space or make the home writable") from error
    except sqlite3.DatabaseError as error:
        raise HomeDamaged(
            f"{path} is damaged ({error}); delete it: it only spares asking again for what was answered before"
        ) from error
