"""A running ``greenlight up`` for tests: started as typed, asked over its own addresses, gone afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import psutil

from tests.command_line import CommandLine, ask_api, at_work_for, end, eventually


@dataclass(frozen=True)
class Running:
    """A running ``up``."""

    line: CommandLine
    process: subprocess.Popen[str]
    prefect: str
    mlflow: str
    api: str

    def emit(self, *events: dict) -> None:
        """Tell the server of *events*; told twice, where its answer was lost, each is one."""
        now = datetime.now(UTC).isoformat()
        ask_api(self.api, "/events", [{"id": str(uuid4()), "occurred": now, **event} for event in events])

    def begin(self, name: str, **parameters: str) -> str:
        """Ask for a run of a deployment, as its trigger would, and return its id."""
        deployment = ask_api(self.api, f"/deployments/name/{name}")["id"]
        asked = {"parameters": parameters, "idempotency_key": str(uuid4())}
        return str(ask_api(self.api, f"/deployments/{deployment}/create_flow_run", asked)["id"])

    def runs(self, name: str) -> list[dict]:
        """Return the runs of a deployment that no schedule asked for, oldest first."""
        found = {f"{flow['name']}": flow["id"] for flow in ask_api(self.api, "/flows/filter", {})}
        flow, deployment = name.split("/")
        which = {
            "flows": {"id": {"any_": [found[flow]]}},
            "deployments": {"name": {"any_": [deployment]}},
            "sort": "EXPECTED_START_TIME_ASC",
        }
        return [run for run in ask_api(self.api, "/flow_runs/filter", which) if not run["auto_scheduled"]]

    def ended(self, name: str, number: int) -> dict:
        """Return the newest run of a deployment once there are *number* of them and it ended."""

        def newest() -> dict | None:
            found = self.runs(name)
            assert len(found) <= number, [run["parameters"] for run in found]
            final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
            return found[-1] if len(found) == number and found[-1]["state_type"] in final else None

        return eventually(newest, seconds=600)


@contextmanager
def started(line: CommandLine) -> Iterator[Running]:
    """Start ``up`` and yield it once it says where its parts answer; it is gone afterwards, with all it started."""
    with (line.cwd / "up.err").open("w") as errors:
        process = line.started("up", "--port", "0", "--mlflow-port", "0", "--json", stderr=errors)
    try:
        yield Running(line, process, **json.loads(first_value(process, line)))
    finally:
        end(process)
        process.stdout.close()
        nobody_works_for(line.home, seconds=240)


def nobody_works_for(home: Path, *, seconds: float) -> None:
    """Wait until no process works for *home* any more; tell which do."""
    with suppress(AssertionError):
        eventually(lambda: not at_work_for(home), seconds=seconds)
    left = [psutil.Process(pid).as_dict(["pid", "ppid", "status", "cmdline"]) for pid in at_work_for(home)]
    assert not left, left


def first_value(process: subprocess.Popen[str], line: CommandLine) -> str:
    """Return the first JSON object that *process* prints."""
    told = ""
    for said in process.stdout:
        told += said
        if said.startswith("}"):
            return told
    raise AssertionError(told + (line.cwd / "up.err").read_text())


def line_in(folder: Path, checkout: Path, **settings: str) -> CommandLine:
    """Return a command line with a home of its own."""
    (folder / "cwd").mkdir(parents=True)
    return CommandLine(checkout, folder / "cwd", folder / "home", settings)


def drifted(incident: str = "", event: str = "workload.drifted", **payload: str) -> dict:
    """Return the event that a workload drifted."""
    resource = {"prefect.resource.id": "workload.channels", "prefect.resource.name": "channels"}
    return {"event": event, "resource": resource, "payload": payload | ({"incident": incident} if incident else {})}
