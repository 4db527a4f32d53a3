"""The temporary server's database, made at once, is the one Prefect's own migrations make."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from deployments import prefect_database, server
from deployments.prefect_database import RECORDED, make_database

MIGRATE = "import asyncio; from prefect.server.database import provide_database_interface as db; " + (
    "asyncio.run(db().create_db())"
)


# Prefect's own migrations take a minute, and much more where others work.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that Prefect brought to its newest revision, as its server does on each start."""
    folder = tmp_path_factory.mktemp("migrated")
    quiet = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    subprocess.run([sys.executable, "-c", MIGRATE], env=os.environ | quiet, check=True, timeout=1000)
    return folder / "prefect.db"


def objects(database: Path) -> set[tuple[object, ...]]:
    """Return every table, index, view and trigger, with its clauses, every table's columns in order, and the revision.

    Prefect's migrations copy a table's constraints in the order of a set, so each process writes them in another.
    """
    with sqlite3.connect(database) as connection:
        found = connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master").fetchall()
        revision = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        tables = [name for kind, name, _, _ in found if kind == "table"]
        columns = [(name, *map(spaced, connection.execute(f"PRAGMA table_xinfo({name})"))) for name in tables]
    return {(*each[:3], clauses(each[3])) for each in found} | {*columns, *revision}


def spaced(row: tuple[object, ...]) -> tuple[str, ...]:
    """Return the row's values as text, however many blanks and lines part their words."""
    return tuple(" ".join(str(value).split()) for value in row)


def clauses(declared: str) -> tuple[str, ...]:
    """Return what stands between the outermost commas, in alphabetical order."""
    depth, parts = 0, [""]
    for letter in " ".join(declared.split()):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += letter
    first, *others = parts
    head, _, first = first.partition("(")
    return (head, *sorted(part.strip().removesuffix(" )") for part in (first, *others)))


@pytest.mark.slow
def test_the_recorded_tables_are_those_of_prefects_own_migrations(migrated: Path, tmp_path: Path) -> None:
    assert make_database(tmp_path)
    assert objects(tmp_path / "prefect.db") == objects(migrated), (
        f"record them again: python -m deployments.prefect_database {migrated} > {RECORDED}"
    )


@pytest.mark.slow
def test_prefects_migrations_leave_no_rows_that_a_recording_could_miss(migrated: Path) -> None:
    with sqlite3.connect(migrated) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        filled = {name for name in tables if connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchall()}
    assert filled == {"alembic_version"}


def test_another_version_of_prefect_makes_its_own_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefect_database, "version", lambda _: "3.9.0")
    assert not make_database(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", ["prefect.db", "prefect.db-wal", "prefect.db-shm", "prefect.db-journal"])
def test_what_is_there_is_left_to_prefect(tmp_path: Path, left: str) -> None:
    (tmp_path / left).write_bytes(b"somebody's")
    assert not make_database(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [left]
    assert (tmp_path / left).read_bytes() == b"somebody's"


def test_a_database_of_their_own_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    monkeypatch.setenv("PREFECT_SERVER_DATABASE_CONNECTION_URL", f"sqlite+aiosqlite:///{tmp_path}/theirs.db")
    (tmp_path / "prefect").mkdir()
    with server.prefect_api(tmp_path):
        assert [path.name for path in (tmp_path / "prefect").iterdir()] == ["server.log"]


def test_no_room_leaves_nothing_and_leaves_it_to_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prefect_database.os, "fsync", refuse)
    assert not make_database(tmp_path)
    assert list(tmp_path.iterdir()) == []
