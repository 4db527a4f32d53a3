"""Fifty identical events, two workers, a server that is killed in between: one retrain, from rows to a challenger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.command_line import CommandLine, answers, ask_api, at_work_for, end, eventually
from tests.emulators import free_port
from tests.postgresql import address

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
EVENTS = 50
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

EMIT = """
import sys
from prefect.events import emit_event
event, incident, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
for _ in range(times):
    emit_event(event=event, resource={"prefect.resource.id": "workload.channels"}, payload={"incident": incident})
"""


class Machines:
    """A Prefect server that may be killed and started again on its database, and workers."""

    def __init__(self, line: CommandLine, folder: Path, stack: ExitStack, postgres: int) -> None:
        self.port = free_port()
        self.api = f"http://127.0.0.1:{self.port}/api"
        self.line = line.seeing(PREFECT_API_URL=self.api)
        self.folder, self._stack, self._postgres = folder, stack, postgres

    def start_server(self) -> subprocess.Popen[str]:
        command = ["uvicorn", "--factory", "prefect.server.api.server:create_app", "--port", str(self.port)]
        server = self._start("server", *command, "--host", "127.0.0.1", "--log-level", "error")
        eventually(lambda: answers(server, f"{self.api}/health"), seconds=1800)
        return server

    def start_worker(self, name: str) -> None:
        self._start(name, "prefect", "worker", "start", "--pool", "local", "--type", "process", "--name", name)

    def python(self, *command: str, timeout: float = 120) -> None:
        subprocess.run([sys.executable, *command], env=self.environment(), cwd=self.folder, check=True, timeout=timeout)

    def environment(self) -> dict[str, str]:
        # On SQLite a burst of events is answered with "database is locked", and takes minutes.
        kept = {"PREFECT_SERVER_DATABASE_CONNECTION_URL": f"postgresql+asyncpg://{address(self._postgres, 'prefect')}"}
        quiet = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "PREFECT_UI_ENABLED": "0"}
        own = {"PREFECT_HOME": str(self.folder / "prefect"), "PREFECT_WORKER_QUERY_SECONDS": "1"}
        return self.line.environment() | kept | quiet | own

    def runs(self, flow: str) -> list[dict]:
        """Return the runs of a flow that no schedule asked for."""
        runs: list[dict] = []
        which = {"flows": {"name": {"any_": [flow]}}, "limit": 200}
        with suppress(OSError):
            runs = ask_api(self.api, "/flow_runs/filter", which)
        return [run for run in runs if not run["auto_scheduled"]]

    def all_ended(self, flow: str, number: int) -> bool:
        states = [run["state_type"] for run in self.runs(flow)]
        return len(states) == number and set(states) <= set(FINAL)

    def _start(self, name: str, *module: str) -> subprocess.Popen[str]:
        out = self._stack.enter_context((self.folder / f"{name}.log").open("a"))
        command = [sys.executable, "-m", *module]
        child = subprocess.Popen(
            command, env=self.environment(), cwd=self.folder, stdout=out, stderr=out, start_new_session=True, text=True
        )
        self._stack.callback(end, child)
        return child


@pytest.fixture
def machines(checkout, tmp_path, sources, postgres):
    """A server, two workers, and the rows where the deployment looks for them."""
    (tmp_path / "cwd").mkdir()
    landing = tmp_path / "checkout"
    landing.mkdir()
    for each in checkout.iterdir():
        (landing / each.name).symlink_to(each)
    (landing / "landing" / "channels").mkdir(parents=True)
    (landing / "landing" / "channels" / "rows.csv").write_bytes(sources["first"].read_bytes())
    with ExitStack() as stack:
        yield Machines(CommandLine(landing, tmp_path / "cwd", tmp_path / "home"), tmp_path, stack, postgres)
    for left in at_work_for(tmp_path / "home"):
        with suppress(ProcessLookupError):
            os.kill(left, 9)


def test_fifty_events_two_workers_and_a_killed_server_are_one_retrain_and_a_new_drift_a_second(machines):
    server = machines.start_server()
    done = machines.line("deploy")
    assert done.rc == 0, done.err
    for name in ("one", "two"):
        machines.start_worker(name)

    machines.python("-c", EMIT, "workload.drifted", "week-47", str(EVENTS // 2))
    # Events that no trigger has seen yet die with the server; those that have are runs.
    eventually(lambda: len(machines.runs("retrain")) == EVENTS // 2 and notes(machines), seconds=1800)
    end(server)
    server = machines.start_server()
    machines.python("-c", EMIT, "workload.drifted", "week-47", str(EVENTS // 2))
    eventually(lambda: machines.all_ended("retrain", EVENTS), seconds=1800)

    assert outcomes(machines)["Completed"] == 1, outcomes(machines)
    assert set(outcomes(machines)) <= {"Completed", "Swallowed", "Cancelled"}
    assert [note["kind"] for note in notes(machines)] == ["confirmed", "retrained"]
    assert len(list((machines.line.home / "store" / "bundles" / "channels").iterdir())) == 1

    machines.python("-c", EMIT, "workload.recovered", "", "1")
    eventually(lambda: machines.all_ended("recover", 1), seconds=600)
    machines.python("-c", EMIT, "workload.drifted", "week-48", "1")
    eventually(lambda: machines.all_ended("retrain", EVENTS + 1), seconds=1200)
    assert outcomes(machines)["Completed"] == 2
    kinds = [note["kind"] for note in notes(machines)]
    assert kinds == ["confirmed", "retrained", "recovered", "confirmed", "retrained"]


def outcomes(machines: Machines) -> Counter[str]:
    """Count the retrains by how they ended."""
    return Counter(run["state_name"] for run in machines.runs("retrain"))


def notes(machines: Machines) -> list[dict]:
    """Return the incident notes of channels."""
    found = sorted((machines.line.home / "store" / "incidents" / "channels" / "notes").glob("*.json"))
    return [json.loads(path.read_bytes()) for path in found]
