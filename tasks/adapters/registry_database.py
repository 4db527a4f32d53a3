"""The SQLite file of MLflow in a home that names no server: made whole, and moved with the home."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any

from tasks.adapters.leftovers import own_folder

FIRST_EXPERIMENT = "0"
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


def make_database(folder: Path) -> None:
    """Make the database whole or not at all: MLflow's own first start, killed midway, leaves tables it cannot mend."""
    path = folder / "mlflow.db"
    if path.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from sqlalchemy import Engine, event

    build: Any = SqlAlchemyStore  # MLflow does not type it
    with own_folder(folder) as unfinished:
        event.listen(Engine, "connect", _hurry)
        try:
            store = build(f"sqlite:///{unfinished / 'mlflow.db'}", (folder / "artifacts").as_uri())
            store.engine.dispose()
        finally:
            event.remove(Engine, "connect", _hurry)
        with (unfinished / "mlflow.db").open("rb+") as made:
            os.fsync(made.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(unfinished / "mlflow.db", path)


def follow(folder: Path) -> None:
    """Have the database name files where they are now: MLflow keeps whole addresses, and a home may have been moved."""
    here = folder.parent.as_uri() + "/"
    kept_at = (folder / "artifacts" / FIRST_EXPERIMENT).as_uri().removeprefix(here)
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db", timeout=60)) as opened, opened:
        asked = "SELECT artifact_location FROM experiments WHERE experiment_id = ?"
        (kept,) = opened.execute(asked, (FIRST_EXPERIMENT,)).fetchone() or (here + kept_at,)
        before = kept.removesuffix(kept_at)
        if before in (here, kept):
            return
        for table, column in ADDRESSES:
            moved = f"UPDATE {table} SET {column} = :here || substr({column}, length(:before) + 1)"
            within = f"substr({column}, 1, length(:before)) = :before"
            opened.execute(f"{moved} WHERE {within}", {"here": here, "before": before})


def _hurry(connection: Any, _: Any) -> None:
    """Let SQLite not wait for the disk: hundreds of migrations make a file that is nobody's until it is synced."""
    connection.execute("PRAGMA synchronous=OFF")
