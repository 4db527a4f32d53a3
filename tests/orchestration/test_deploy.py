"""The deployments on a real server: registered as prefect.yaml says, and carried out by a worker."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

from tasks.workloads import WORKLOADS
from tests.command_line import ask_api, at_work_for, end, eventually, unforeign

# The first test of all waits for a server and a whole run.
# In the default suite ``deploy`` is proven by its reading (test_declared) and by ``greenlight deploy`` (test_up).
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def prefect(checkout, api, tmp_path_factory):
    """Prefect's own command line, told where we are, on the tests' server."""
    folder = tmp_path_factory.mktemp("worker")
    for name in ("tmp", "user"):
        (folder / name).mkdir()
    environment = unforeign() | {
        "PREFECT_API_URL": api,
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "DO_NOT_TRACK": "1",
        "PYTHONPATH": str(checkout),
        "GREENLIGHT_CHECKOUT": str(checkout),
        "GREENLIGHT_HOME": str(folder / "home"),
        "HOME": str(folder / "user"),
        "TMPDIR": str(folder / "tmp"),
    }

    def start(*asked: str, **channels) -> subprocess.Popen:
        command = [sys.executable, "-m", "prefect", *asked]
        return subprocess.Popen(command, cwd=checkout, env=environment, start_new_session=True, text=True, **channels)

    start.home, start.user = folder / "home", folder / "user"
    return start


@pytest.fixture(scope="module")
def deployed(prefect, api):
    """Everything in prefect.yaml, deployed."""
    for asked in (
        ("work-pool", "create", "local", "--type", "process", "--overwrite"),
        ("--no-prompt", "deploy", "--all"),
    ):
        with prefect(*asked, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
            said, _ = child.communicate(timeout=900)
        assert child.returncode == 0, said
    flows = {flow["id"]: flow["name"] for flow in ask_api(api, "/flows/filter", {})}
    found = ask_api(api, "/deployments/filter", {})
    return {f"{flows[each['flow_id']]}/{each['name']}": each for each in found}


def test_every_flow_of_every_workload_is_deployed(deployed):
    flows = ("retrain", "promote", "score", "rollback", "recover", "monitor", "appraise")
    airings = {f"timetable/{name}" for name, spec in WORKLOADS.items() if spec.airtime}
    gathered = {f"gather/{name}" for name, spec in WORKLOADS.items() if spec.tables}
    assert set(deployed) == {f"{flow}/{workload}" for flow in flows for workload in WORKLOADS} | airings | gathered
    assert [each["schedule"]["cron"] for each in deployed["retrain/channels"]["schedules"]] == ["0 4 * * 1"]
    assert deployed["promote/channels"]["schedules"] == []
    assert {each["work_pool_name"] for each in deployed.values()} == {"local"}
    strategies = {name: each["concurrency_options"]["collision_strategy"] for name, each in deployed.items()}
    assert strategies["retrain/channels"] == "CANCEL_NEW" and strategies["promote/channels"] == "ENQUEUE"


def test_a_ready_challenger_is_what_starts_a_promotion(deployed, api):
    automations = ask_api(api, "/automations/filter", {})
    triggers = {each["name"]: each["trigger"] for each in automations}
    ready = triggers["promote-channels-when-challenger-is-ready"]
    assert ready["expect"] == ["challenger.ready"]
    assert ready["match"] == {"prefect.resource.id": "workload.channels"}


def test_a_new_champion_scores_in_its_own_ring(deployed, api):
    (changed,) = [
        each
        for each in ask_api(api, "/automations/filter", {})
        if each["name"] == "score-channels-when-its-champion-changes"
    ]
    assert changed["trigger"]["expect"] == ["champion.changed"]
    assert changed["trigger"]["match"] == {"prefect.resource.id": "workload.channels"}
    (action,) = changed["actions"]
    assert action["deployment_id"] == deployed["score/channels"]["id"]
    assert action["parameters"] == {"ring": "{{ event.payload.ring }}"}


def test_parameters_of_another_type_are_refused(deployed, api):
    asked = {"parameters": {"workload": "channels", "source": 5}, "enforce_parameter_schema": True}
    with pytest.raises(OSError, match=r"409|422"):
        ask_api(api, f"/deployments/{deployed['retrain/channels']['id']}/create_flow_run", asked)


@pytest.fixture
def worker(prefect, tmp_path):
    """A worker of the pool, gone afterwards with all it started."""
    log = tmp_path / "worker.log"
    with log.open("w") as out:
        child = prefect("worker", "start", "--pool", "local", "--type", "process", stdout=out, stderr=out)
        try:
            yield log
        finally:
            end(child)
            # Flow runs are sessions of their own, which outlive their worker.
            for left in at_work_for(prefect.home):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(left, signal.SIGKILL)


@pytest.mark.timeout(3600)
def test_a_worker_retrains_and_the_events_lead_through_the_rings_to_a_person(deployed, worker, prefect, api, sources):
    source = {"workload": "channels", "source": str(sources["first"])}
    run = _start(api, deployed["retrain/channels"], source | {"reason": "worker"})
    eventually(lambda: _states(api, {"id": {"any_": [run]}}, worker) == {"dev": ["COMPLETED"]}, seconds=2000)
    promotions = {"deployment_id": {"any_": [deployed["promote/channels"]["id"]]}}
    unsoaked = {"dev": ["COMPLETED"], "qa": ["COMPLETED"], "preprod": ["COMPLETED"]}
    eventually(lambda: _states(api, promotions, worker) == unsoaked, seconds=2000)
    store = prefect.home / "store"
    assert [path.name for path in sorted((store / "ledger" / "channels").iterdir())] == ["000001.json", "000002.json"]

    _start(api, deployed["score/channels"], source | {"ring": "qa"})
    soaked = unsoaked | {"preprod": ["COMPLETED"] * 2, "prod": ["PAUSED"]}
    eventually(lambda: _states(api, promotions, worker) == soaked, seconds=2000)
    entries = sorted((store / "ledger" / "channels").iterdir())
    assert [path.name for path in entries] == ["000001.json", "000002.json", "000003.json"]
    for entry, ring in zip(entries, ("dev", "qa", "preprod"), strict=True):
        assert (store / "champions" / "channels" / f"{ring}.json").read_bytes() == entry.read_bytes()
    # No command line of ours started these flows, and their libraries stayed at home all the same.
    assert [path for path in prefect.user.rglob("*") if path.is_file()] == []


def _start(api: str, deployment: dict, parameters: dict) -> str:
    asked = {"parameters": parameters, "idempotency_key": deployment["id"]}
    return ask_api(api, f"/deployments/{deployment['id']}/create_flow_run", asked)["id"]


def _states(api: str, which: dict, log: Path) -> dict[str, list[str]]:
    """Return how the runs stand, by their ring."""
    runs = ask_api(api, "/flow_runs/filter", {"flow_runs": which})
    states: dict[str, list[str]] = {}
    for run in runs:
        states.setdefault(run["parameters"].get("ring", "dev"), []).append(run["state_type"])
    assert not {"FAILED", "CRASHED", "CANCELLED"} & set(chain(*states.values())), log.read_text()[-3000:]
    return states
