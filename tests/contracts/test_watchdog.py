"""Tests that are killed leave nothing running, whatever they had started and however deep."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.command_line import eventually, lives

ROOT = Path(__file__).parents[2]
REDIS = shutil.which("redis-server")
WATCHDOG = 1
SLEEP = "import time; time.sleep(600)"
# A child in a session of its own, with a child in yet another: what a worker and its flow runs are.
STARTS = """
import subprocess, sys, time
from tests import watchdog
from tests.command_line import unforeign

DEEP = "import subprocess, sys, time; " + (
    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True); time.sleep(600)"
)

def test_it():
    subprocess.Popen(COMMAND, start_new_session=True, env=unforeign(), stdout=subprocess.DEVNULL)
    print("at work", flush=True)
    time.sleep(600)
"""
UP = """
import time
from pathlib import Path
from tests import postgresql
from tests.command_line import at_work_for, eventually
from tests.serving import drifted, line_in, started

def test_it(tmp_path):
    with postgresql.running(), started(line_in(tmp_path, Path("{root}"))) as up:
        assert up.line("deploy").rc == 0
        before = set(at_work_for(up.line.home))
        up.emit(drifted(event="data.arrived"))
        eventually(lambda: set(at_work_for(up.line.home)) - before, seconds=300)
        print("at work", flush=True)
        time.sleep(600)
"""


def killed_at_work(folder: Path, test: str, last: str) -> list[psutil.Process]:
    """Run *test* and kill pytest once it says that it is at work and has *last* among what it started.

    Return all of that, however deep.
    """
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-s", "-p", "tests.conftest", "-c", ROOT / "pyproject.toml"]
    tests = subprocess.Popen(
        [*command, folder / "test_it.py", "--basetemp", folder / "tmp"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with tests:
        assert any("at work" in line for line in tests.stdout)
        eventually(lambda: last in named(psutil.Process(tests.pid).children(recursive=True)), seconds=120)
        at_work = psutil.Process(tests.pid).children(recursive=True)
        tests.kill()
    return at_work


def named(processes: list[psutil.Process]) -> str:
    """Return the command lines of *processes*; one may end while it is asked."""
    said = []
    for each in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            said.append(" ".join(each.cmdline()))
    return "\n".join(said)


def all_gone(at_work: list[psutil.Process]) -> bool:
    return not any(map(lives, at_work))


def test_what_killed_tests_had_started_ends_with_them(tmp_path):
    at_work = killed_at_work(tmp_path, STARTS.replace("COMMAND", '[sys.executable, "-c", DEEP]'), last=f"-c {SLEEP}")
    assert len(at_work) == 2 + WATCHDOG
    eventually(lambda: all_gone(at_work), seconds=120)


@pytest.mark.skipif(REDIS is None, reason="redis-server is not installed (apt-get install redis-server)")
def test_a_server_that_renames_itself_ends_too(tmp_path):
    # With no place to listen at it would end at once.
    server = f'watchdog.mortal({REDIS!r}, "--port", "0", "--unixsocket", {str(tmp_path / "s")!r}, "--save", "")'
    at_work = killed_at_work(tmp_path, STARTS.replace("COMMAND", server), last="redis-server unixsocket:")
    assert len(at_work) == 1 + WATCHDOG
    eventually(lambda: all_gone(at_work), seconds=120)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_whole_stack_with_a_run_at_work_ends_with_killed_tests(tmp_path):
    at_work = killed_at_work(tmp_path, UP.replace("{root}", str(ROOT)), last="prefect.runner")
    names = named(at_work)
    assert all(part in names for part in ("postgres", "prefect worker", "mlflow server", "prefect.runner")), names
    eventually(lambda: all_gone(at_work), seconds=240)
