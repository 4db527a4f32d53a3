"""Ends what tests started when the tests themselves are killed: servers, workers, and runs in sessions of their own.

The kernel's own signal to orphans reaches children only, and a worker's flow runs are nobody's children by then. So a
process beside the tests waits for their end, and finds what is left by a mark that children inherit.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

import psutil

MARK = "TESTED_BY"
_started: list[subprocess.Popen[bytes]] = []


def start() -> None:
    """Watch over this process; what it starts from now on does not outlive it."""
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    os.environ[MARK] = f"{os.getpid()}-{time.time_ns()}"
    # Its standard input ends when this process does, however that ends.
    command = [sys.executable, __file__, os.environ[MARK]]
    _started.append(subprocess.Popen(command, stdin=subprocess.PIPE, env=unmarked, start_new_session=True))


def stop() -> None:
    """End what is left, and the watch."""
    _started.pop().communicate()


def mortal(*command: str) -> list[str]:
    """Return *command*, to end with its parent: for a server that shows its title where its environment was."""
    return [*(["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []), *command]


def marked(mark: str) -> list[int]:
    """Return the living processes that bear *mark*."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def end(mark: str) -> None:
    """Kill whatever bears *mark*, until nothing does."""
    while left := marked(mark):
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


if __name__ == "__main__":
    sys.stdin.read()
    end(sys.argv[1])
