"""A team's day on one machine: ``up`` and ``deploy`` as they are typed, real servers, a real worker, real events."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from urllib.request import Request, urlopen

import psutil
import pytest

from deployments import stack
from tasks.adapters import environment
from tasks.workloads import WORKLOADS
from tests.command_line import ask_api, at_work_for, eventually, said_plainly
from tests.serving import Running, drifted, line_in, nobody_works_for, started

# Retrain, score and monitor of each; broadcast's timetable, and video_stats' gather and appraisal.
SCHEDULES = 3 * len(WORKLOADS) + 3
# What is watched for all; six triggers of each, but that data which arrives does not retrain video_stats.
AUTOMATIONS = 4 + 6 * len(WORKLOADS) - 1

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def up(checkout, tmp_path_factory) -> Iterator[Running]:
    """One ``up`` for all tests of this file, with everything deployed."""
    line = line_in(tmp_path_factory.mktemp("up"), checkout)
    with started(line) as running:
        yield running


@pytest.fixture(scope="module")
def deployed(up) -> Running:
    done = up.line("deploy", "--json")
    assert done.rc == 0, done.err
    assert {row["done"] for row in done.value} == {"created"}
    return up


def test_all_three_addresses_answer(up):
    for address in (f"{up.prefect}/dashboard", up.mlflow, f"{up.api}/health"):
        with urlopen(Request(address, headers={"Accept": "text/html"}), timeout=30) as answer:
            assert answer.status == 200
    with urlopen(f"{up.prefect}/ui-settings", timeout=30) as answer:
        assert json.load(answer)["api_url"] == "/api"


def test_everything_listens_on_loopback_only(up):
    listening = set()
    for pid in at_work_for(up.line.home):
        found = psutil.Process(pid).net_connections(kind="inet")
        listening |= {each.laddr.ip for each in found if each.status == psutil.CONN_LISTEN}
    assert listening == {"127.0.0.1"}


def test_a_second_up_on_the_same_home_says_where_the_first_one_is(up):
    said_plainly(up.line("up"), 5, "runs already on the home", up.prefect, up.mlflow)


def test_a_taken_port_is_named_and_so_is_the_way_out(checkout, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = line_in(tmp_path, checkout)("up", "--mlflow-port", str(port), "--port", "0")
    said_plainly(done, 5, f"port {port}", "is taken by another program", "--mlflow-port")


def test_the_worker_is_told_of_the_servers_and_not_of_their_databases(monkeypatch, tmp_path):
    secret = "postgresql://ann:pl4nted@db.example/all"
    for name in ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "MLFLOW_BACKEND_STORE_URI", "GREENLIGHT_MLFLOW_BACKEND"):
        monkeypatch.setenv(name, secret)
    there = stack.Addresses("http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:1/api")
    worker = stack.parts(tmp_path, there, secret)[2]
    seen = environment.for_child(worker.environment, worker.hidden)
    assert not [name for name, value in seen.items() if "pl4nted" in value]
    assert (seen["PREFECT_API_URL"], seen["GREENLIGHT_MLFLOW_URI"]) == (there.api, there.mlflow)


def test_deploy_without_a_server_says_how_to_get_one(checkout, tmp_path):
    said_plainly(line_in(tmp_path, checkout)("deploy"), 7, "no Prefect server is known", "greenlight up")


def test_deploy_from_an_installed_package_says_that_it_brings_no_deployments(checkout, tmp_path):
    installed = tmp_path / "site-packages"
    shutil.copytree(checkout, installed)
    (installed / "prefect.yaml").unlink()
    said_plainly(line_in(tmp_path, installed)("deploy"), 2, "brings no deployments", "a checkout", "--file PATH")


def known(api: str) -> dict:
    """Return what the server has of ours, without what changes by itself."""
    deployments = ask_api(api, "/deployments/filter", {})
    return {
        "deployments": sorted((each["id"], each["name"], each["tags"]) for each in deployments),
        "schedules": sorted((s["id"], s["slug"], s["active"]) for each in deployments for s in each["schedules"]),
        "automations": sorted(each["name"] for each in ask_api(api, "/automations/filter", {})),
        "pools": [each["name"] for each in ask_api(api, "/work_pools/filter", {})],
    }


@pytest.mark.slow
def test_deploying_the_same_files_again_changes_nothing(deployed):
    before = known(deployed.api)
    again = deployed.line("deploy", "--json")
    assert again.rc == 0, again.err
    assert {row["done"] for row in again.value} == {"updated"}
    assert known(deployed.api) == before
    assert len(before["schedules"]) == SCHEDULES and len(before["automations"]) == AUTOMATIONS


@pytest.mark.slow
def test_what_leaves_the_file_leaves_the_server(deployed, checkout):
    ours = (checkout / "prefect.yaml").read_text()
    without = ours[: ours.index("    schedules:\n")] + ours[ours.index("    triggers:\n") :]
    without = without[: without.index("  - name: channels\n    <<: *recover")]
    (checkout / "without.yaml").write_text(without)
    done = deployed.line("deploy", "--file", checkout / "without.yaml")
    assert done.rc == 0, done.err
    assert "removed  recover/channels" in done.out and "removed  schedule: retrain/channels: weekly" in done.out
    left = known(deployed.api)
    assert (len(left["deployments"]), len(left["schedules"]), len(left["automations"])) == (4, 1, 8)
    assert deployed.line("deploy").rc == 0
    assert len(known(deployed.api)["schedules"]) == SCHEDULES


def test_a_misspelt_key_is_refused_before_anything_is_deployed(deployed, checkout):
    before = known(deployed.api)
    wrong = checkout / "wrong.yaml"
    wrong.write_text((checkout / "prefect.yaml").read_text().replace("concurrency_limit:", "concurency_limit:"))
    said_plainly(deployed.line("deploy", "--file", wrong), 2, "concurency_limit", "Extra inputs are not permitted")
    assert known(deployed.api) == before


@pytest.mark.slow
def test_each_event_starts_exactly_one_run_of_the_right_deployment(deployed):
    deployed.emit(drifted("week-47", psi="0.4"))
    first = deployed.ended("retrain/channels", 1)
    asked = first["parameters"]
    assert asked["workload"] == "channels" and asked["source"] == "landing/channels"
    assert (asked["reason"], asked["incident"]) == ("workload.drifted", "workload.drifted:week-47")
    assert "landing/channels does not exist" in first["state"]["message"]

    # A run that could not begin answered nothing, and silences no other.
    deployed.emit(drifted("week-47"))
    assert "landing/channels does not exist" in deployed.ended("retrain/channels", 2)["state"]["message"]
    assert not (deployed.line.home / "store/incidents/channels").exists()

    deployed.emit(drifted(event="workload.recovered"))
    assert deployed.ended("recover/channels", 1)["state_type"] == "COMPLETED"
    deployed.emit(drifted("week-48", event="performance.degraded"))
    asked = deployed.ended("retrain/channels", 3)["parameters"]
    assert (asked["reason"], asked["incident"]) == ("performance.degraded", "performance.degraded:week-48")


@pytest.mark.slow
def test_new_data_starts_a_retrain_that_nothing_holds_back(deployed):
    before = len(deployed.runs("retrain/channels"))
    deployed.emit(drifted(event="data.arrived"))
    asked = deployed.ended("retrain/channels", before + 1)["parameters"]
    assert asked["reason"] == "data.arrived" and "incident" not in asked


@pytest.mark.slow
def test_a_ready_challenger_starts_its_promotion(deployed):
    deployed.emit(drifted(event="challenger.ready", version="abc", ring="dev", requested_by="alice"))
    asked = deployed.ended("promote/channels", 1)["parameters"]
    told = {"workload": "channels", "version": "abc", "ring": "dev", "requested_by": "alice"}
    assert asked == told | {"wait_seconds": 3600}


@pytest.mark.slow
def test_a_changed_champion_is_scored_in_its_own_ring(deployed):
    deployed.emit(drifted(event="champion.changed", version="abc", ring="qa"))
    run = deployed.ended("score/channels", 1)
    assert run["parameters"] == {"workload": "channels", "source": "landing/channels", "ring": "qa"}
    assert "no champion in qa" in run["state"]["message"]


@pytest.mark.slow
def test_a_silent_run_is_crashed_and_one_that_waits_for_a_person_is_not(deployed, checkout):
    hasty = checkout / "hasty.yaml"
    windows = (checkout / "deployments" / "automations.yaml").read_text()
    for window in ("150", "7200", "600"):
        windows = windows.replace(f"within: {window}", "within: 120")
    hasty.write_text(windows)
    assert deployed.line("deploy", "--automations", hasty).rc == 0
    try:
        runs = {(flow, wait): begun(deployed, flow, wait) for wait in (True, False) for flow in ("retrain", "promote")}
        for (_, wait), run in runs.items():
            if not wait:
                eventually(lambda run=run: state_of(deployed, run)[0] == "CRASHED", seconds=300)
        time.sleep(10)  # those that wait began before the others: by now it would have happened
        assert [state_of(deployed, run) for (_, wait), run in runs.items() if wait] == 2 * [("PAUSED", "Suspended")]
    finally:
        assert deployed.line("deploy").rc == 0


def begun(running: Running, flow: str, wait: bool) -> str:
    """Return a run that no worker carries: begun, one heartbeat, and suspended where it is to *wait*."""
    known = {each["name"]: each["id"] for each in ask_api(running.api, "/flows/filter", {})}
    run = ask_api(running.api, "/flow_runs/", {"flow_id": known[flow], "state": {"type": "RUNNING"}})["id"]
    related = {"prefect.resource.id": f"prefect.flow.{known[flow]}", "prefect.resource.role": "flow"}
    heartbeat = {
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run}"},
        "related": [related | {"prefect.resource.name": flow}],
    }
    running.emit(heartbeat)
    # The news of a suspension that overtakes it would be older than this sign of life.
    eventually(lambda: ask_api(running.api, "/events/filter", {"filter": beats_of(run)})["events"], seconds=240)
    if wait:
        suspended = {"state": {"type": "PAUSED", "name": "Suspended"}, "force": True}
        ask_api(running.api, f"/flow_runs/{run}/set_state", suspended)
    return run


def beats_of(run: str) -> dict:
    """Return the filter of a run's heartbeats."""
    return {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": {"id": [f"prefect.flow-run.{run}"]}}


def state_of(running: Running, run: str) -> tuple[str, str]:
    """Return a run's state, type and name."""
    found = ask_api(running.api, f"/flow_runs/{run}")
    return found["state_type"], found["state_name"]


@pytest.mark.slow
def test_a_cron_schedule_fires(deployed, checkout):
    every_minute = checkout / "minutely.yaml"
    ours = (checkout / "prefect.yaml").read_text()
    schedule = '    schedules:\n      - {cron: "* * * * *", timezone: UTC, slug: minutely}\n'
    every_minute.write_text(ours.replace("    <<: *recover\n", "    <<: *recover\n" + schedule, 1))
    assert deployed.line("deploy", "--file", every_minute).rc == 0

    def fired() -> list[dict]:
        found = ask_api(deployed.api, "/flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
        return [run for run in found if run["auto_scheduled"]]

    ran = eventually(fired, seconds=600)[0]
    assert ran["parameters"] == {"workload": "channels"}
    assert deployed.line("deploy").rc == 0


def test_ctrl_c_ends_all_of_it_even_a_run_at_work(deployed):
    """The last test of the file: the stack is gone afterwards."""
    home = deployed.line.home
    before = set(at_work_for(home))
    deployed.emit(drifted(event="data.arrived"))
    eventually(lambda: len(set(at_work_for(home)) - before) > 0, seconds=400)
    os.kill(deployed.process.pid, signal.SIGINT)
    assert deployed.process.wait(timeout=400) == 130
    assert at_work_for(home) == []
    assert not (home / "up.json").exists()
    told = (deployed.line.cwd / "up.err").read_text()
    assert "all of it is stopped" in told and "Traceback" not in told


@pytest.mark.slow
def test_nothing_outlives_an_up_that_was_killed_nor_does_a_run_hold_its_place_for_good(checkout, tmp_path):
    line = line_in(tmp_path, checkout, PREFECT_SERVER_CONCURRENCY_INITIAL_DEPLOYMENT_LEASE_DURATION="30")
    with started(line) as running:
        assert line("deploy").rc == 0
        later = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"}}}
        deployment = ask_api(running.api, "/deployments/name/promote/channels")["id"]
        run = ask_api(running.api, f"/deployments/{deployment}/create_flow_run", later)["id"]
        # As a worker does that takes a run, and dies before the run's process began.
        ask_api(running.api, f"/flow_runs/{run}/set_state", {"state": {"type": "PENDING", "name": "Submitting"}})
        assert places_taken(running, deployment) == 1
        assert len(at_work_for(line.home)) >= 4
        running.process.kill()
        nobody_works_for(line.home, seconds=240)
    with started(line) as again:
        assert line("deploy").rc == 0
        eventually(lambda: places_taken(again, deployment) == 0, seconds=400)


def places_taken(running: Running, deployment: str) -> int:
    """Return how many runs hold a place of a deployment's limit."""
    limits = ask_api(running.api, "/v2/concurrency_limits/filter", {})
    return next(limit["active_slots"] for limit in limits if limit["name"] == f"deployment:{deployment}")


@pytest.mark.slow
def test_a_part_that_dies_is_named_and_ends_the_rest(checkout, tmp_path):
    with started(line_in(tmp_path, checkout)) as running:
        home = running.line.home
        worker = next(pid for pid in at_work_for(home) if "worker" in psutil.Process(pid).cmdline())
        os.kill(worker, signal.SIGKILL)
        assert running.process.wait(timeout=240) == 7
        assert at_work_for(home) == []
        told = json.loads(running.process.stdout.read())["message"]
    assert told.startswith("the worker ended by itself (exit code -9), so everything was stopped")
