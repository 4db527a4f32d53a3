"""Candidates on a real Dask cluster of two processes: the same scorecards, and a dead worker costs what it was at."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.command_line import CommandLine, at_work_for, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

KILLERS = """
import json, os, signal

from prefect import flow, task

from tasks.core.values import Scorecard
from tasks.fan_out import FAN_OUT
from tasks.matrix import answered
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import Candidate

TARGET = CHANNELS.targets[0]
NAMES = ("elastic_net", "mlp", "random_forest", "xgboost", "catboost")


@task
def train(candidate):
    if candidate.algorithm == "mlp":  # what the kernel does to a process that takes more memory than there is
        os.kill(os.getpid(), signal.SIGKILL)
    return Scorecard(TARGET.name, candidate.algorithm, {}, "scored", skill=0.1)


@flow(task_runner=FAN_OUT)
def matrix():
    candidates = [Candidate(name) for name in NAMES]
    cards = [train.submit(candidate) for candidate in candidates]
    return [answered(card, TARGET, candidate) for card, candidate in zip(cards, candidates)]


if __name__ == "__main__":
    from deployments.meanwhile import at_prefect
    with at_prefect(["killers"]):
        from killers import matrix  # by its name, as workers find it
        cards = matrix()
    print(json.dumps([[card.algorithm, card.status, card.reason] for card in cards]))
"""


def workers_of(pid: int) -> list[psutil.Process]:
    """Return Dask's worker processes below *pid*."""
    return [each for each in psutil.Process(pid).children() if "spawn_main" in " ".join(each.cmdline())]


def lines_of(journal: Iterator[Path]) -> list[dict[str, object]]:
    """Return what the journal says of training, whole lines only."""
    said = "".join(path.read_text() for path in journal)
    lines = [json.loads(line) for line in said.splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in lines if line["stage"].startswith("train ")]


def test_two_processes_say_what_threads_say_and_a_killed_one_costs_its_own_candidate(greenlight, sources, first_run):
    on_dask = greenlight.seeing(GREENLIGHT_RUNNER="dask", GREENLIGHT_WORKERS="2")

    def trained() -> list[dict[str, object]]:
        return lines_of((greenlight.home / "runs" / "channels").glob("*.jsonl"))

    with on_dask.started("run", "channels", "--source", sources["first"], "--json") as child:
        eventually(lambda: len(trained()) >= 4, seconds=1000)
        victim = workers_of(child.pid)[0]
        before = {line["stage"] for line in trained()}
        victim.send_signal(signal.SIGKILL)
        out, err = child.communicate(timeout=1000)
    assert child.returncode == 0, err[-3000:]
    found, wanted = json.loads(out), first_run.done.value
    assert found["scorecards"] == wanted["scorecards"]
    assert found["promotion"]["version"] == wanted["promotion"]["version"]
    # Whatever had been trained was trained once; only what the dead one was at was begun again.
    computed = Counter(line["stage"] for line in trained() if not line["reused"])
    assert len(computed) == len(found["scorecards"]) and set(computed.values()) == {1}
    assert before < set(computed)
    assert "distributed" not in err
    assert at_work_for(greenlight.home) == []


def test_a_candidate_that_kills_its_worker_twice_is_a_failed_scorecard(greenlight: CommandLine):
    (greenlight.cwd / "killers.py").write_text(KILLERS)
    settings = {"GREENLIGHT_RUNNER": "dask", "GREENLIGHT_WORKERS": "2", "PREFECT_LOGGING_LEVEL": "CRITICAL"}
    path = f"{greenlight.cwd}{os.pathsep}{greenlight.checkout}"
    done = subprocess.run(
        [sys.executable, "killers.py"],
        cwd=greenlight.cwd,
        env=greenlight.environment() | settings | {"PYTHONPATH": path, "DASK_LOGGING__DISTRIBUTED": "critical"},
        capture_output=True,
        text=True,
        timeout=1000,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    cards = {name: (status, reason) for name, status, reason in json.loads(done.stdout.splitlines()[-1])}
    assert cards.pop("mlp") == (
        "failed",
        "killed its worker 2 times: out of memory? Give each worker more memory (fewer of them, GREENLIGHT_WORKERS),"
        " or declare what it trains smaller",
    )
    assert set(cards) == {"elastic_net", "random_forest", "xgboost", "catboost"}
    assert set(cards.values()) == {("scored", "")}
    assert at_work_for(greenlight.home) == []


def test_a_cluster_that_does_not_answer_is_told_in_one_sentence(greenlight, sources):
    nowhere = greenlight.seeing(GREENLIGHT_RUNNER="dask", GREENLIGHT_DASK_ADDRESS="tcp://127.0.0.1:9")
    done = nowhere("run", "channels", "--source", sources["first"])
    assert done.rc == 7, done.err[-3000:]
    assert "no worker of the Dask cluster at tcp://127.0.0.1:9 answered" in done.err
    assert "set GREENLIGHT_RUNNER to threads" in done.err and "Traceback" not in done.err
