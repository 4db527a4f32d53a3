"""Where breakers are kept between runs: a provider that is down is not found out anew by every process."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.adapters.enrichment.database import letters, opened
from tasks.core.enrichment.breaker import CLOSED, Breaker

TABLE = "breakers (provider text primary key, failures integer not null, opened_at real) without rowid"


class Breakers:
    """The breaker of each provider, by name."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection

    def get(self, provider: str) -> Breaker:
        """Return the provider's breaker; one never seen is closed."""
        asked = "select failures, opened_at from breakers where provider = ?"
        with letters(self._path):
            row = self._connection.execute(asked, (provider,)).fetchone()
        return Breaker(*row) if row else CLOSED

    def put(self, provider: str, breaker: Breaker) -> None:
        """Keep the provider's breaker."""
        row = (provider, breaker.failures, breaker.opened_at)
        with letters(self._path):
            self._connection.execute("insert or replace into breakers values (?, ?, ?)", row)


@contextmanager
def open_breakers(path: Path) -> Iterator[Breakers]:
    """Yield the breakers in the file *path*."""
    with opened(path, TABLE) as connection:
        yield Breakers(path, connection)
