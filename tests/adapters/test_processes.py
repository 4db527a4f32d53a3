"""Processes that end together, on real ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from deployments import processes


def test_one_that_was_started_while_others_were_looked_for_is_ended_too(monkeypatch: pytest.MonkeyPatch):
    sleeping = [sys.executable, "-c", "import time; time.sleep(600)"]
    seen, missed = (subprocess.Popen(sleeping) for _ in range(2))
    found = iter([[seen.pid], [missed.pid], []])
    monkeypatch.setattr(processes, "descendants", lambda parent: next(found))
    try:
        processes.sweep(0)
        assert list(found) == []
        for child in (seen, missed):
            child.wait(timeout=60)
    finally:
        for child in (seen, missed):
            child.kill()


# A child that hears no signal, as one that comes at the wrong instant is not heard.
DEAF = """
import os, sys, time
from deployments import processes
abandoned = processes.guard()
processes.deaf()
print(os.getpid(), flush=True)
while not abandoned():
    time.sleep(0.05)
print("abandoned", flush=True)
"""


def test_a_child_that_heard_no_signal_still_learns_that_nobody_waits_for_it():
    command = [sys.executable, "-c", DEAF]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as waiting:
        assert int(waiting.stdout.readline()) != waiting.pid
        waiting.kill()
        assert waiting.stdout.readline() == "abandoned\n"
