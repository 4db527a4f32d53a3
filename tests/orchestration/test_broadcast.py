"""Broadcast on the whole road: 24 candidates, the timetable they make, and a source without revenue that says so."""

from __future__ import annotations

import shutil
import signal
import subprocess

import polars as pl
import pytest

from tasks.workloads.broadcast import LABELS
from tasks.workloads.demo.broadcast import generate
from tests.command_line import CommandLine, at_work_for, digests, eventually, said_plainly

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

# Fewer would leave the least of the four targets in doubt about its floor.
ROWS = 3_000


@pytest.fixture(scope="module")
def let_out(checkout, api, tmp_path_factory):
    """The command line on a home where the demo's airings were learned, the demo's files, and what was printed."""
    folder = tmp_path_factory.mktemp("broadcast")
    line = CommandLine(checkout, folder, folder / "home", {"PREFECT_API_URL": api})
    written = line("demo-data", "broadcast", "--rows", str(ROWS), "--out", folder / "airings.csv")
    assert written.rc == 0 and "programmes in" in written.out
    return line, line("run", "broadcast", "--source", folder / "airings.csv", "--json", timeout=1000)


def filling(line: CommandLine, *more: str) -> tuple[str, ...]:
    """Return the words that fill the demo's week."""
    files = [f"--{what}={line.cwd}/airings-{what}.csv" for what in ("slots", "programmes", "current")]
    return ("timetable", "--from", "2026-06-29", *files, *more)


def test_generated_airings_are_learned_and_let_out(let_out):
    _, done = let_out
    assert done.rc == 0, done.err[-3000:]
    found = done.value
    assert found["status"] == "promoted"
    assert found["rows_in"] == ROWS == found["rows_accepted"] + found["rows_quarantined"]
    assert {card["status"] for card in found["scorecards"]} == {"scored"} and len(found["scorecards"]) == 24
    judged = {each["target"]: each for each in found["evaluations"]}
    assert set(judged) == set(LABELS)
    # Every target is above the floor, and ahead of the previous airing and of the slot's mean.
    assert all(each["r2"]["value"] >= 0.7 and each["skill"]["low"] > 0 for each in judged.values())
    assert all({"previous", "group mean"} <= {b["name"] for b in each["baselines"]} for each in judged.values())


def test_a_source_without_revenue_and_engagement_trains_the_others_and_says_so(greenlight, tmp_path):
    generate(800, 7).drop("revenue", "engagement").write_csv(tmp_path / "airings.csv")
    done = greenlight("run", "broadcast", "--source", tmp_path / "airings.csv", "--json", timeout=1000)
    assert done.rc == 0, done.err[-3000:]
    found = done.value
    assert {each["target"] for each in found["evaluations"]} == {"rating", "audience"}
    failed = {card["target"]: card["reason"] for card in found["scorecards"] if card["status"] == "failed"}
    assert set(failed) == {"revenue", "engagement"}
    assert all("has 0 labelled rows" in reason for reason in failed.values())


def test_a_timetable_is_published_checked_and_unchanged_the_second_time(let_out):
    line, _ = let_out
    done = line(*filling(line, "--json"))
    assert done.rc == 0, done.err[-3000:]
    found = done.value
    assert found["status"] == "published" and found["slots"] == 32 and not found["missing"]
    assert 0 <= found["gap"] < 0.005 and found["bound"] >= found["value"]
    assert "generation 1: best" in done.err
    rows = {(each["timetable"], each["goal"]): each for each in found["totals"]}
    assert rows["new", "revenue"]["value"] > rows["current", "revenue"]["value"]
    assert (
        found["honest"]["revenue"]["low"] < found["honest"]["revenue"]["held_out"] < found["honest"]["revenue"]["high"]
    )
    shown = pl.read_csv(next(file for file in found["files"] if file.endswith(".csv")))
    assert shown["programme"].null_count() == 0 and shown["programme"].value_counts()["count"].max() <= 3
    again = line(*filling(line, "--json"))
    assert again.value == found | {"status": "unchanged"}
    assert again.stages == ["predict pairs", "solve", "publish"] and again.err.count("(reused)") == 3

    restricted = pl.read_csv(line.cwd / "airings-programmes.csv").with_columns(restricted=pl.lit("yes"))
    restricted.write_csv(line.cwd / "late.csv")
    late = (
        "timetable",
        "--from",
        "2026-06-29",
        f"--slots={line.cwd}/airings-slots.csv",
        f"--programmes={line.cwd}/late.csv",
    )
    refused = line(*late)
    assert refused.rc == 2 and "Mon 18:00" in refused.err and "watershed" in refused.err
    assert "Traceback" not in refused.err
    partial = line(*late, "--partial", "--weight", "balance=0", "--top", "0")
    assert partial.rc == 0 and "empty: slot 'Mon 18:00'" in partial.out, partial.err[-3000:]
    assert said_plainly(line(*filling(line, "--ring", "prod")), 2, "has no champion in prod")


def test_a_killed_search_goes_on_where_it_was_and_finds_the_same(let_out):
    line, _ = let_out
    turned = ("--engine", "ga", "--seed", "5", "--turn", "generations=150", "--turn", "patience=150", "--top", "1")
    child = line.started(*filling(line, *turned), stdout=subprocess.DEVNULL)
    for said in child.stderr:
        if "generation 9:" in said:
            child.kill()
            break
    child.wait()
    child.stderr.close()
    assert child.returncode == -signal.SIGKILL
    eventually(lambda: not at_work_for(line.home), seconds=240)
    store = line.home / "store"
    assert list(store.glob("searches/*.json"))
    gone_on = line(*filling(line, *turned))
    assert gone_on.rc == 0, gone_on.err[-3000:]
    assert "generation 1:" not in gone_on.err and "generation 2:" not in gone_on.err
    assert "generation 150:" in gone_on.err and not list(store.glob("searches/*"))
    with_kill = digests(store / "timetables")
    for folder in (store / "stages" / "broadcast" / "solve timetable", store / "timetables"):
        shutil.rmtree(folder)
    whole = line(*filling(line, *turned))
    assert "generation 1:" in whole.err and digests(store / "timetables") == with_kill
