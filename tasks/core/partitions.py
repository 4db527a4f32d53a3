"""What a day of a table is, on paper: which blobs hold its rows, in order, and what is to be known of them.

Predictions are such days, and so are what a challenger said beside them and a run's report with the rows it set aside.
Reading and writing belong to the adapters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from tasks.core.values import Blob
from tasks.errors import BadRequest

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,120}")


@dataclass(frozen=True)
class Table:
    """Rows in Parquet blobs, in order; all have the same columns."""

    parts: tuple[Blob, ...]
    rows: int


@dataclass(frozen=True)
class Partition:
    """One day: of a *kind* of tables (predictions), of a workload, of whoever is called *name* (a ring).

    ``run`` names what it was computed from; ``about`` is what its kind says of it, as plain values. It holds no time
    but its day, so that the same inputs give the same bytes.
    """

    kind: str
    workload: str
    date: str
    name: str
    run: str
    tables: Mapping[str, Table]
    about: Mapping[str, Any]

    @property
    def key(self) -> str:
        """Where its manifest lies in any store."""
        return partition_key(self.kind, self.workload, self.date, self.name)


def partition_key(kind: str, workload: str, day: str, name: str) -> str:
    """Return where the manifest of a day lies; raises BadRequest for a day or a name that is none."""
    for part in (kind, name):
        if not NAME.fullmatch(part):
            raise BadRequest(f"{part!r} cannot name a partition: small letters, digits, '.', '_' and '-' are wanted")
    return f"{kind}/{workload}/{checked_day(day)}/{name}.json"


def checked_day(text: str) -> str:
    """Return *text* if it is a day written as 2026-11-21, else raise BadRequest."""
    try:
        found = date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise BadRequest(f"{text!r} is no day; write it as 2026-11-21") from error
    if found != text:
        raise BadRequest(f"{text!r} is another spelling of {found}; write it as that")
    return found
