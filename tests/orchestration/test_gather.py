"""The micro-batch flow on a real Prefect API: what landed is laid out once, and told once."""

from __future__ import annotations

import json
import subprocess
import sys

import polars as pl
import pytest

from tasks.workloads.video_stats import VIDEO_STATS
from tests.command_line import ask_api, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GATHER = """
import sys
from tasks.core.digests import canonical_json
from flows.gather import gather
from prefect.events.worker import EventsWorker
done = [canonical_json(gather("video_stats", sys.argv[1], sys.argv[2])).decode() for _ in range(2)]
EventsWorker.drain_all(timeout=240)
print("[" + ",".join(done) + "]")
"""


def test_what_landed_is_laid_out_once_and_told_once(greenlight, api, tmp_path):
    landing, arrived = tmp_path / "landing", tmp_path / "arrived"
    landing.mkdir()
    rows = VIDEO_STATS.generate(200, 5)
    rows[:120].write_csv(landing / "1.csv")
    rows[100:].write_csv(landing / "2.csv")
    command = [sys.executable, "-c", GATHER, str(landing), str(arrived)]
    out = subprocess.run(command, env=greenlight.environment(), cwd=greenlight.cwd, check=True, stdout=subprocess.PIPE)
    (first, second), again = json.loads(out.stdout.splitlines()[-1])
    assert again == []
    assert first["rows_in"] == 120 and second["rows_in"] == 100 and second["known"] > 10
    laid_out = pl.scan_parquet(arrived / "*.parquet").select(pl.len()).collect().item()
    assert laid_out == first["rows_taken"] + second["rows_taken"] <= 200
    tables = greenlight.home / "store" / "tables" / "video_stats"
    assert sorted(each.stem for each in tables.iterdir()) == sorted(VIDEO_STATS.tables)
    wanted = {each["digest"] for each in (first, second)}
    eventually(lambda: heard(api) >= wanted, seconds=240)
    # What was sent is not told again.
    assert not list((greenlight.home / "store" / "untold").rglob("*.json"))


def heard(api: str) -> set[str]:
    asked = {"filter": {"event": {"name": ["data.arrived"]}, "resource": {"id": ["workload.video_stats"]}}}
    return {each["payload"]["digest"] for each in ask_api(api, "/events/filter", asked)["events"]}
