"""One run per workload at a time on this home: a lock that the operating system frees when its holder dies.

It spares two runs the same work. It does not guard the ledger: that is the conditional create's part.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tasks.errors import OutOfSpace, RunInProgress

POLL_SECONDS = 0.05
# Whoever only asks who holds the lock has it for an instant; that is no reason to give up.
LEAST_SECONDS = 0.2


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    pid: int
    since: str
    run: str


@contextlib.contextmanager
def workload_lock(locks: Path, workload: str, run: str, wait_seconds: float = 0.0) -> Iterator[None]:
    """Hold the workload's lock in the folder *locks* meanwhile; raises RunInProgress if another run keeps it.

    It is freed when the process ends, however it ends; *wait_seconds* is how long to wait for another run first.
    """
    path = locks / f"{workload}.lock"
    with _opened(path) as file:
        _take(file, path, workload, wait_seconds)
        _write(file, Holder(os.getpid(), datetime.now(UTC).isoformat(timespec="seconds"), run))
        try:
            yield
        finally:
            file.truncate(0)


def holder_of(locks: Path, workload: str) -> Holder | None:
    """Return who holds the workload's lock, None if nobody does."""
    path = locks / f"{workload}.lock"
    if not path.exists():
        return None
    with _opened(path) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(path)
    return None


def _take(file: IO[str], path: Path, workload: str, wait_seconds: float) -> None:
    deadline = time.monotonic() + max(wait_seconds, LEAST_SECONDS)
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise _busy(workload, _read(path), wait_seconds) from error
        time.sleep(POLL_SECONDS)


def _busy(workload: str, holder: Holder | None, waited_seconds: float) -> RunInProgress:
    who = f"process {holder.pid} since {holder.since} (run {holder.run})" if holder else "a process that just began"
    return RunInProgress(
        f"another run of {workload} is under way: {who}, after waiting {waited_seconds:g} s; "
        "wait for it to end, or end that process: the lock is freed with it"
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Opened to append, because opening to write would wipe the holder's note before the lock is ours.
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise OutOfSpace(
            f"the lock {path} cannot be written: {error.strerror}; make the home writable for this user, "
            "or set GREENLIGHT_HOME to another folder"
        ) from error
    with file:
        yield file


def _write(file: IO[str], holder: Holder) -> None:
    file.truncate(0)
    file.write(json.dumps(asdict(holder)))
    file.flush()


def _read(path: Path) -> Holder | None:
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Holder(**json.loads(path.read_text("utf-8")))
    return None
