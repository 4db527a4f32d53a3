"""Processes that end together: children die with their parent, and what they started is found and ended too.

The kernel sees to it where it is Linux; elsewhere an orderly end is all there is. Which processes, and why, is not
known here.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# One that the kernel holds on to ends later, by itself.
SWEEP_SECONDS = 30
LINUX = sys.platform == "linux"


def die_with_parent(by: int = signal.SIGKILL) -> None:
    """Have the kernel send *by* to this process when its parent ends, however it ends."""
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, by)


def guard() -> Callable[[], bool]:
    """Go on in a child; this process waits for it, passes signals on, and ends with its exit code.

    If either of the two is killed, the other ends all that was started: the child hears of it from the kernel, and
    orphans of any depth (the flow runs of a worker, say) are handed to the nearest of the two that lives.
    Returns what says, in the child, whether it is to end: it was told to, or nobody waits for it any more. A signal
    only leaves word. Of a killed process the kernel tells once for each of its threads, and one of those signals would
    interrupt the ending that another one began.
    """
    _adopt_orphans()
    waiting = os.getpid()
    child = os.fork()
    if child == 0:
        # A group of its own: Ctrl-C reaches the waiting process, which passes it on once.
        os.setpgid(0, 0)
        told: list[int] = []
        for ending in ENDINGS:
            signal.signal(ending, lambda number, _: told.append(number))
        die_with_parent(signal.SIGTERM)
        _adopt_orphans()
        return lambda: bool(told) or os.getppid() != waiting
    for ending in ENDINGS:
        signal.signal(ending, lambda *_: os.kill(child, signal.SIGTERM))
    _, status = os.waitpid(child, 0)
    sweep(os.getpid())
    os._exit(os.waitstatus_to_exitcode(status) % 256)


def descendants(parent: int) -> list[int]:
    """Return all processes below *parent*; none where the system does not tell."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            # pid (name) state ppid …, and a name may hold anything, brackets too.
            state, above = stat.read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(above), []).append(int(stat.parent.name))
    below, found = [parent], []
    while below:
        found += (more := children.get(below.pop(), []))
        below += more
    return found


def end(processes: Iterable[int], grace_seconds: float) -> None:
    """Ask *processes* to end, and after *grace_seconds* make them."""
    left = list(processes)
    _send(left, signal.SIGTERM if grace_seconds else signal.SIGKILL)
    deadline = time.monotonic() + grace_seconds
    # Who ended is not asked for again: another process may have its number by then.
    while (left := [pid for pid in left if _alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    _send(left, signal.SIGKILL)


def sweep(parent: int) -> None:
    """Kill all below *parent*, until none is left: one may start another while it is looked for."""
    deadline = time.monotonic() + SWEEP_SECONDS
    while (left := descendants(parent)) and time.monotonic() < deadline:
        end(left, grace_seconds=0)
        time.sleep(0.05)


def _send(processes: Iterable[int], what: int) -> None:
    for pid in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, what)


def _alive(pid: int) -> bool:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _adopt_orphans() -> None:
    if LINUX:
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
