"""A champion's vectors as a table of PostgreSQL with pgvector, for programs that ask in SQL who is like whom.

An optional sink: the truth stays in the bundle. The table is replaced as a whole in one transaction, so a reader sees
the old one or the new one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tasks.adapters.postgres import alone, transaction
from tasks.core.likeness import Alike
from tasks.errors import BadRequest

ROWS_AT_ONCE = 1_000


@dataclass(frozen=True)
class VectorTable:
    """The table, how many rows it has, and whether it held this very bundle's already."""

    table: str
    rows: int
    unchanged: bool


def write(database: str, workload: str, digest: str, alike: Alike) -> VectorTable:
    """Replace the table of *workload* with the vectors of the bundle *digest*; the same bundle again changes nothing.

    Columns: ``entity``, ``shown`` (jsonb), ``vector``, which has an HNSW index by Euclidean distance (``<->``).
    Raises Unreachable where the database does not answer, BadRequest where it has no pgvector.
    """
    table = f"greenlight_{workload}_vectors"
    with transaction(database) as cursor:
        if alone(cursor, table) == digest:
            return VectorTable(table, alike.rows.height, unchanged=True)
        _refuse_without_extension(cursor)
        _fill(cursor, table, digest, alike)
    return VectorTable(table, alike.rows.height, unchanged=False)


def _fill(cursor: Any, table: str, digest: str, alike: Alike) -> None:
    # The table's name is a declared workload's, which is an identifier; the digest is hexadecimal.
    cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
    cursor.execute(f"DROP TABLE IF EXISTS {table}_next")
    cursor.execute(
        f"CREATE TABLE {table}_next (entity text PRIMARY KEY, shown jsonb NOT NULL, "
        f"vector vector({alike.vectors.shape[1]}) NOT NULL)"
    )
    for start in range(0, alike.rows.height, ROWS_AT_ONCE):
        part = alike.rows.slice(start, ROWS_AT_ONCE)
        values = [
            (row[0], json.dumps(dict(zip(part.columns[1:], row[1:], strict=True))), str(vector.tolist()))
            for row, vector in zip(part.iter_rows(), alike.vectors[start : start + ROWS_AT_ONCE], strict=True)
        ]
        _insert(cursor, f"INSERT INTO {table}_next (entity, shown, vector) VALUES %s", values)
    cursor.execute(f"CREATE INDEX ON {table}_next USING hnsw (vector vector_l2_ops)")
    cursor.execute(f"COMMENT ON TABLE {table}_next IS %s", (digest,))
    cursor.execute(f"DROP TABLE IF EXISTS {table}")
    cursor.execute(f"ALTER TABLE {table}_next RENAME TO {table}")


def _insert(cursor: Any, statement: str, values: list[tuple[Any, ...]]) -> None:
    from psycopg2.extras import execute_values

    execute_values(cursor, statement, values, page_size=ROWS_AT_ONCE)


def _refuse_without_extension(cursor: Any) -> None:
    cursor.execute("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'")
    if not cursor.fetchone()[0]:
        raise BadRequest(
            "the PostgreSQL of GREENLIGHT_WAREHOUSE has no extension 'vector'; install pgvector there "
            "(Debian: postgresql-NN-pgvector), or leave the setting empty: `greenlight similar` needs no database"
        )
