"""The tables of the store in PostgreSQL, for programs that ask in SQL: the same rows, brought up to date by their key.

An optional sink: the truth stays in the records, and the Parquet beside them. Each table is one transaction, so a
reader, or whoever comes after a kill, sees its old rows or its new ones. Only months that changed are written: what is
older costs a look.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tasks.adapters.postgres import alone, transaction
from tasks.adapters.store import Store
from tasks.adapters.tables import keys_by_table, table_key
from tasks.errors import HomeDamaged
from tasks.workloads.spec import Workload

ROWS_AT_ONCE = 50_000
MONTH = "_month"
# What a column is in PostgreSQL, under the name PostgreSQL gives it back.
TYPES: Mapping[Any, str] = {
    pl.String: "text",
    pl.Float64: "double precision",
    pl.Int8: "smallint",
    pl.Int64: "bigint",
    pl.UInt32: "bigint",
    pl.Boolean: "boolean",
    pl.Date: "date",
    pl.Datetime: "timestamp with time zone",
}
COLUMNS = (
    "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
    "WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)


@dataclass(frozen=True)
class Written:
    """A table of the database, how many rows it has, and whether it held these very rows already."""

    table: str
    rows: int
    unchanged: bool


def write_all(store: Store, database: str, spec: Workload, folder: Path) -> tuple[Written, ...]:
    """Bring the database up to every table of the workload that is in the store; *folder* is scratch.

    Raises Unreachable where the database does not answer, BadRequest where it refuses.
    """
    found = set(store.list(f"tables/{spec.name}/"))
    keys = {name: key for name, key in keys_by_table(spec).items() if table_key(spec.name, name) in found}
    return tuple(_written(store, database, spec.name, name, key, folder) for name, key in keys.items())


def table_name(workload: str, name: str) -> str:
    """Return what a table is called in the database."""
    return f"greenlight_{workload}_{name.removeprefix(f'{workload}_')}"


def write(database: str, table: str, key: tuple[str, ...], path: Path) -> Written:
    """Make *table* hold the rows of the Parquet file, whose rows *key* names; the same rows again change nothing.

    Rows of months that changed are inserted or updated by their key, and those that are no longer there are deleted; a
    table with other columns is made anew. Which rows it holds, by month, is its comment.
    """
    schema = pl.read_parquet_schema(path)
    columns = {name: TYPES[kind.base_type()] for name, kind in schema.items()}
    by = next((name for name in key if schema[name].is_temporal()), "")
    rows = pl.scan_parquet(path).with_columns(_month(by))
    height, wanted = int(rows.select(pl.len()).collect().item()), _digests(rows)
    with transaction(database) as cursor:
        held = _held(alone(cursor, table))
        if not _ensure(cursor, table, columns, key):
            held = {}
        stale = sorted(month for month in {*wanted, *held} if wanted.get(month) != held.get(month))
        if stale:
            # The names are those of declared workloads and their columns.
            cursor.execute(f"CREATE TEMPORARY TABLE arriving (LIKE {table}) ON COMMIT DROP")
            for month in stale:
                _copy(cursor, _of_month(rows, month))
            _merge(cursor, table, list(columns), key, by, stale)
            cursor.execute(f"COMMENT ON TABLE {table} IS %s", (json.dumps(wanted),))
    return Written(table, height, unchanged=not stale)


def _month(by: str) -> pl.Expr:
    month = pl.col(by).dt.strftime("%Y-%m").fill_null("") if by else pl.lit("")
    return month.alias(MONTH)


def _of_month(rows: pl.LazyFrame, month: str) -> pl.DataFrame:
    return rows.filter(pl.col(MONTH) == month).drop(MONTH).collect()


def _digests(rows: pl.LazyFrame) -> dict[str, str]:
    """Return what names the rows of each month; another version of Polars may name them otherwise, and writes anew."""
    months = rows.select(pl.col(MONTH).unique().sort()).collect()[MONTH]
    hashes = ((month, _of_month(rows, month).hash_rows().to_numpy().tobytes()) for month in months)
    return {month: hashlib.sha256(hashed).hexdigest() for month, hashed in hashes}


def _held(comment: str) -> dict[str, str]:
    with suppress(ValueError):
        found = json.loads(comment)
        return found if isinstance(found, dict) else {}
    return {}


def _written(store: Store, database: str, workload: str, name: str, key: tuple[str, ...], folder: Path) -> Written:
    # A copy: another run may replace the table meanwhile, and rows of two are none.
    path = folder / f"{name}.copy.parquet"
    with store.open(table_key(workload, name)) as source, path.open("wb") as out:
        shutil.copyfileobj(source, out)
    try:
        return write(database, table_name(workload, name), key, path)
    except pl.exceptions.ComputeError as error:
        raise HomeDamaged(f"{table_key(workload, name)} cannot be read: greenlight tables {workload}") from error


def _ensure(cursor: Any, table: str, columns: Mapping[str, str], key: tuple[str, ...]) -> bool:
    """Make the table where there is none with these columns, and say whether there was one."""
    cursor.execute(COLUMNS, (table,))
    if cursor.fetchall() == list(columns.items()):
        return True
    cursor.execute(f"DROP TABLE IF EXISTS {table}")
    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    cursor.execute(f"CREATE TABLE {table} ({declared}, PRIMARY KEY ({_quoted(key)}))")
    return False


def _copy(cursor: Any, rows: pl.DataFrame) -> None:
    # PostgreSQL has no text with a NUL in it. A missing value is nothing at all here, an empty text is "".
    texts = pl.col(pl.String).str.replace_all("\0", "", literal=True)
    for part in rows.iter_slices(ROWS_AT_ONCE):
        written = io.BytesIO()
        part.with_columns(texts).write_csv(written, include_header=False)
        written.seek(0)
        cursor.copy_expert("COPY arriving FROM STDIN WITH (FORMAT csv)", written)


def _merge(cursor: Any, table: str, columns: list[str], key: tuple[str, ...], by: str, months: list[str]) -> None:
    others = [name for name in columns if name not in key]
    said = ", ".join(f'"{name}" = excluded."{name}"' for name in others)
    old, new = (", ".join(f'{side}."{name}"' for name in others) for side in ("old", "excluded"))
    cursor.execute(
        f"INSERT INTO {table} AS old SELECT * FROM arriving ON CONFLICT ({_quoted(key)}) DO UPDATE SET {said} "
        f"WHERE ({old}) IS DISTINCT FROM ({new})"
    )
    same = " AND ".join(f'arriving."{name}" = old."{name}"' for name in key)
    # A month is one of UTC, wherever the database is.
    cursor.execute("SET LOCAL timezone = 'UTC'")
    month = f"to_char(old.\"{by}\", 'YYYY-MM')" if by else "''"
    cursor.execute(
        f"DELETE FROM {table} AS old WHERE {month} = ANY(%s) AND NOT EXISTS (SELECT FROM arriving WHERE {same})",
        (months,),
    )


def _quoted(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)
