"""Tuning on the whole road: killed in the middle, gone on with, kept, shown, and not done twice."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
from pathlib import Path

import polars as pl
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.fixture
def asked(sources):
    return ("run", "channels", "--source", sources["first"], "--tune-trials", "2")


def trials_in(journal: Path) -> int:
    return sum(json.loads(line)["op_code"] == 4 for line in journal.read_text().splitlines())


def test_tuned_candidates_stand_beside_the_declared_ones_and_a_killed_run_goes_on(greenlight, asked):
    assert greenlight.dying_after("tune")(*asked).rc == -signal.SIGKILL
    done = greenlight(*asked, "--json", timeout=1000)
    assert done.rc == 0, done.err[-3000:]
    cards = done.value["scorecards"]
    declared, tuned = ([card for card in cards if bool(card["study"]) == found] for found in (False, True))
    assert len(declared) == len(tuned) == 18
    for before, after in zip(declared, tuned, strict=True):
        assert (before["target"], before["algorithm"]) == (after["target"], after["algorithm"])
        assert after["study"]["declared_mae"] == before["mae"] and after["study"]["trials"] == 2
        assert after["study"]["mae"] == after["mae"] <= before["mae"]
    assert any(card["params"] not in [each["params"] for each in declared] for card in tuned)
    # What ended before the kill is not tried again: two trials each, and one more for whatever was broken off.
    journals = list((greenlight.home / "studies").glob("*.journal"))
    assert len(journals) == 18
    assert sum(map(trials_in, journals)) <= 2 * 18 + 2
    assert_kept(greenlight.home, done.value, tuned)
    again = greenlight(*asked, "--json")
    assert (again.value["status"], again.stages) == ("unchanged", [])


def assert_kept(home: Path, run, tuned) -> None:
    """MLflow has the trials and what was found; the dossier's twin says where the parameters of a winner come from."""
    with contextlib.closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as database:
        ask = "select count(*) from tags where key = 'params' and value = 'tuned'"
        assert database.execute(ask).fetchone() == (18,)
        ask = "select count(*) from metrics where key = 'best_mae'"
        assert database.execute(ask).fetchone() == (18,)
    (table,) = (home / "mlflow" / "artifacts").rglob("studies.parquet")
    trials = pl.read_parquet(table)
    assert trials.height == 36 and set(trials["trial"]) == {0, 1}
    assert {(card["target"], card["algorithm"]) for card in tuned} == set(trials.select("target", "algorithm").rows())
    (twin,) = (home / "store" / "dossiers" / "channels").glob("*.json")
    changes = json.loads(twin.read_bytes())["differences"]
    said = {change["what"]: change["after"] for change in changes if change["what"].endswith(": parameters")}
    assert set(said) == {f"{each['target']}: parameters" for each in run["evaluations"]}
    assert set(said.values()) <= {"declared", "tuned in 2 trials"}
