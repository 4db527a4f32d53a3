"""Processes that end together, on real ones."""

from __future__ import annotations

import subprocess
import sys

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
