"""A real PostgreSQL for tests that need one: Debian's, in a folder of its own, gone afterwards."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.command_line import eventually
from tests.emulators import free_port

SERVERS = ("prefect", "mlflow")
PASSWORD = "planted-password"
BINARIES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), Path("/usr/bin"))
# PostgreSQL refuses to run as root; its Debian package brings a user of its own.
AS = {"user": "postgres"} if os.geteuid() == 0 else {}


def usable() -> bool:
    """Say whether a PostgreSQL can be started here."""
    if not (BINARIES / "initdb").exists():
        return False
    return not AS or subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode == 0


@contextmanager
def running() -> Iterator[int]:
    """Yield the port of a fresh PostgreSQL, a user and an empty database for each server; skip where there is none."""
    if not usable():
        pytest.skip("PostgreSQL is not installed, or there is no user 'postgres' to run it as")
    # Not under pytest's folder, which another user may not enter.
    folder = Path(tempfile.mkdtemp(prefix="greenlight-postgres-"))
    if AS:
        shutil.chown(folder, "postgres")
    port = free_port()
    (folder / "log").touch()
    data = folder / "data"
    options = {"capture_output": True, "cwd": folder, **AS}
    subprocess.run(
        [BINARIES / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"], check=True, **options
    )
    where = ["-D", data, "-p", str(port), "-k", str(folder), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    server = subprocess.Popen([BINARIES / "postgres", *where], stderr=subprocess.DEVNULL, cwd=folder, **AS)
    try:
        eventually(lambda: query(port, "postgres", "SELECT 1") == "1", seconds=240)
        for name in SERVERS:
            query(port, "postgres", f"CREATE USER {name} SUPERUSER PASSWORD '{PASSWORD}'")
        empty(port)
        yield port
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def empty(port: int) -> None:
    """Give each server an empty database, whoever still uses the one before."""
    for name in SERVERS:
        query(port, "postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        query(port, "postgres", f"CREATE DATABASE {name} OWNER {name}")


def query(port: int, database: str, sql: str) -> str:
    """Return what PostgreSQL answers."""
    asked = ["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-d", database, "-tAc", sql]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def address(port: int, name: str) -> str:
    """Return what a driver's name and ``://`` go before: account, password, host and database."""
    return f"{name}:{PASSWORD}@127.0.0.1:{port}/{name}"
