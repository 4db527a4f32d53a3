"""``greenlight tables`` killed with SIGKILL wherever it changes something: each table old or new, and all new after."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.adapters import database_tables, deliveries, tables
from tasks.adapters.landing import Landed
from tests.builders import shops
from tests.command_line import unforeign
from tests.killing import SPEC
from tests.postgresql import address, query, running
from tests.scored_days import ROWS, TRUTH, Scoring

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 6, 30, tzinfo=UTC)


@pytest.fixture
def home(tmp_path):
    """A home with one delivery and one scored day."""
    home = Scoring(tmp_path)
    home.score("2026-11-20", ROWS)
    deliver(home, "first", shops(40, seed=1))
    return home


def deliver(home, name, rows):
    path = home.folder / f"{name}.csv"
    rows.drop("_row").write_csv(path)
    backlog = deliveries.begin(home.store, "shops", "landing", 48)
    landed = Landed(path, name)
    assert deliveries.take(home.store, SPEC, landed, backlog, home.folder, now=NOW).before[landed.digest].rows_taken
    deliveries.end(home.store, "shops", "landing")


def make(home):
    tables.of_rows(home.store, SPEC, home.folder)
    tables.of_scored_days(home.store, home.signer, home.keys, SPEC, home.folder)


def go_on(home):
    """Bring what every table is behind: more rows, another day, what came true of the first."""
    deliver(home, "second", shops(90, seed=2))
    home.appraise(home.arrive(TRUTH))
    home.score("2026-11-21", shops(350, seed=3))


def instructions(home, *port):
    asked = [sys.executable, "-m", "tests.killing", str(home.folder), *map(str, port)]
    done = subprocess.run(asked, cwd=ROOT, env=unforeign(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tables_of_the_store_are_old_or_new_wherever_the_command_is_killed_and_whole_once_run_again(home):
    make(home)
    go_on(home)
    assert instructions(home) > 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_tables_of_the_database_are_old_or_new_wherever_the_command_is_killed_and_whole_once_run_again(home):
    with running() as port:
        make(home)
        query(port, "postgres", "CREATE DATABASE behind OWNER mlflow")
        url = "postgresql://" + address(port, "mlflow").replace("/mlflow", "/behind")
        database_tables.write_all(home.store, url, SPEC, home.folder)
        go_on(home)
        assert instructions(home, port) > 20
