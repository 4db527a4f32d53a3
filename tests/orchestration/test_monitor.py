"""Batches held against what serves, on a real Prefect API: noticed, remembered once, told once it lasts, and over."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tests.command_line import ask_api, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """Batches of channels by kind: two that drifted, one that did not, and one too small to tell."""
    from tasks.workloads.channels import CHANNELS

    folder = tmp_path_factory.mktemp("batches")
    kinds = {"unit": (700, 21, "unit"), "shift": (700, 22, "shift"), "clean": (700, 23, None), "small": (60, 24, None)}
    for name, (rows, seed, drift) in kinds.items():
        CHANNELS.generate(rows, seed, drift).write_csv(folder / f"{name}.csv")
    (folder / "empty.csv").write_text("")
    return folder


@pytest.fixture(scope="module")
def home(first_run, tmp_path_factory):
    """One home for the whole story."""
    return first_run.copied_to(tmp_path_factory.mktemp("watched") / "home")


MONITOR = """
import sys
from tasks.core.digests import canonical_json
from flows.monitor import monitor
from prefect.events.worker import EventsWorker
seen = [canonical_json(monitor("channels", source, ring="dev")).decode() for source in sys.argv[1:]]
EventsWorker.drain_all(timeout=240)
print("[" + ",".join(seen) + "]")
"""


def test_a_drift_is_told_when_it_lasts_and_its_end_when_it_ends(greenlight, home, batches, api):
    shutil.copytree(home, greenlight.home)
    names = ("unit", "unit", "shift", "small", "empty", "clean")
    command = [sys.executable, "-c", MONITOR, *(str(batches / f"{name}.csv") for name in names)]
    out = subprocess.run(command, env=greenlight.environment(), cwd=greenlight.cwd, check=True, stdout=subprocess.PIPE)
    first, again, second, small, empty, last = json.loads(out.stdout.splitlines()[-1])
    assert (first["severity"], first["told"]) == ("critical", "")
    assert again == first
    assert (second["severity"], second["told"], second["number"]) == ("critical", "workload.drifted", 2)
    assert (small["severity"], small["because"]) == ("insufficient", "60 rows show little, wanted 500")
    assert empty["severity"] == "insufficient" and "0 bytes" in empty["because"]
    assert (last["severity"], last["told"], last["pooled"]) == ("none", "workload.recovered", [3])
    assert last["incident"] == second["incident"] != ""
    heard = eventually(lambda: heard_by(api, "workload.recovered"), seconds=240)
    assert [each["payload"]["incident"] for each in heard] == [last["incident"]]
    assert {each["payload"]["incident"] for each in heard_by(api, "workload.drifted")} == {second["incident"]}
    assert len(list((greenlight.home / "store/drift/channels/dev").iterdir())) == 5
    (shown,) = greenlight("status", "--json").value["watched"]
    assert (shown["ring"], shown["batch"], shown["severity"], shown["incident"]) == ("dev", 5, "none", "")
    assert (shown["critical_in_a_row"], shown["pooled"], shown["waiting"]) == (0, [3], [])
    assert "Monitored" in greenlight("status").out


def test_the_command_line_says_what_it_saw_and_what_it_cannot_see(greenlight, home, batches, tmp_path):
    shutil.copytree(home, greenlight.home)
    done = greenlight("monitor", "run", "channels", "--input", batches / "unit.csv", "--ring", "dev")
    assert done.rc == 0, done.err[-3000:]
    assert done.out.startswith("critical: channels in dev, batch 1, beside ")
    nowhere = greenlight("monitor", "run", "channels", "--input", tmp_path / "nowhere.csv", "--ring", "dev")
    assert nowhere.rc == 2 and "there is no batch at" in nowhere.err


def heard_by(api: str, event: str) -> list[dict]:
    return ask_api(api, "/events/filter", {"filter": {"event": {"name": [event]}}})["events"]
