"""Processes that end together, on real ones."""

from __future__ import annotations

import contextlib
import os
import signal
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


ENDING = """
import os, sys, threading, time
from deployments import processes
for _ in range(8):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
to_end = processes.guard()
{heard}
print(os.getpid(), flush=True)
while not to_end():
    time.sleep(0.01)
time.sleep(0.5)
print("ended in order", flush=True)
"""
DEAF = "import signal; [signal.signal(ending, signal.SIG_IGN) for ending in processes.ENDINGS]"


@pytest.mark.parametrize("heard", ["", DEAF], ids=["hears signals", "hears none"])
def test_a_child_ends_in_order_when_who_waits_for_it_is_killed_with_all_its_threads(heard: str):
    command = [sys.executable, "-c", ENDING.format(heard=heard)]
    with subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True) as waiting:
        child = int(waiting.stdout.readline())
        assert child != waiting.pid
        waiting.kill()
        for _ in range(50 * (not heard)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)
        assert waiting.stdout.readline() == "ended in order\n"
