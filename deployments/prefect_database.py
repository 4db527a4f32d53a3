"""Makes the temporary server's new database at once, out of the tables that Prefect's own migrations end in.

A hundred migrations, one after the other, are seconds of a first run. Only the version of Prefect that the tables were
recorded from gets them; any other, and any database that is there already, is left to Prefect itself. The recording:
``python -m deployments.prefect_database MIGRATED.db > deployments/prefect_schema.sql``.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import uuid
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path

RECORDED = Path(__file__).with_name("prefect_schema.sql")


def make_database(folder: Path) -> bool:
    """Make ``prefect.db`` in *folder*, whole or not at all; say whether it was made here."""
    path = folder / "prefect.db"
    # SQLite would play what a lost database left beside it into the new one.
    occupied = any(path.with_name(path.name + suffix).exists() for suffix in ("", "-wal", "-shm", "-journal"))
    schema = RECORDED.read_text()
    if occupied or schema.split("\n", 1)[0] != _title():
        return False
    unfinished = folder / f".new-{uuid.uuid4().hex}"
    try:
        unfinished.write_bytes(_built(schema))
        with unfinished.open("rb+") as made:
            os.fsync(made.fileno())
        with suppress(FileExistsError):
            os.link(unfinished, path)
    except OSError:
        return False  # No room, or no links: Prefect's own way, and what it says, are as good as ever.
    finally:
        unfinished.unlink(missing_ok=True)
    return True


def record(database: Path) -> str:
    """Return the tables of a database that Prefect migrated, one object a line, and the revision it ended in."""
    with closing(sqlite3.connect(database)) as migrated:
        made = migrated.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid").fetchall()
        (revision,) = migrated.execute("SELECT version_num FROM alembic_version").fetchone()
    objects = [" ".join(sql.split()) + ";" for (sql,) in made]
    stamp = f"INSERT INTO alembic_version (version_num) VALUES ('{revision}');"
    return "\n".join([_title(), *objects, stamp]) + "\n"


def _title() -> str:
    return f"-- Prefect {version('prefect')}"


def _built(schema: str) -> bytes:
    with closing(sqlite3.connect(":memory:")) as built:
        built.executescript(f"BEGIN;\n{schema}COMMIT;")
        return bytes(built.serialize())


if __name__ == "__main__":
    sys.stdout.write(record(Path(sys.argv[1])))
