"""Rehearses bundles: a clean process verifies each, loads every model, and must say again what its golden sample says.

Run as a module it is that clean process, started without what the environment adds to Python: it imports what models
need and nothing of the run that asked, reads one request from standard input, and prints one Rehearsal as JSON for
every version it is asked for.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from tasks.adapters import environment
from tasks.core.gates import Rehearsal
from tasks.core.golden import TOLERANCE, largest_difference, tolerance_of
from tasks.errors import GreenlightError

TIMEOUT_SECONDS = 600
MODULE = "tasks.adapters.rehearsal"

_prepared: deque[subprocess.Popen[str]] = deque()


def prepare() -> None:
    """Start a clean process ahead of its request: its imports take seconds, and a run has idle moments before it."""
    _prepared.append(_start())


def dismiss() -> None:
    """End the processes that were prepared and never asked."""
    while _prepared:
        process = _prepared.popleft()
        process.kill()
        process.communicate()


def rehearse(store_uri: str, keys: Path, workload: str, *versions: str) -> tuple[Rehearsal, ...]:
    """Return what a clean process found of each version; where it dies or says nothing the rehearsal has failed.

    One process takes them one after the other: its imports cost seconds, a bundle tenths. One that dies on a version
    takes no other along, those left are rehearsed in the next.
    """
    done: list[Rehearsal] = []
    while left := versions[len(done) :]:
        found, said = _asked([store_uri, str(keys), workload, *left])
        done += found
        if len(found) < len(left):
            done.append(_failed(left[len(found)], said))
    return tuple(done)


def _asked(request: list[str]) -> tuple[list[Rehearsal], str]:
    """Return what one process printed before it ended, and its last words."""
    process = _prepared.popleft() if _prepared else _start()
    try:
        answer, said = process.communicate(json.dumps(request), TIMEOUT_SECONDS)
        return [Rehearsal(**json.loads(line)) for line in answer.splitlines()], said.strip()[-300:]
    except subprocess.TimeoutExpired as error:
        process.kill()
        process.communicate()
        return [], str(error)
    except (OSError, ValueError, TypeError) as error:
        return [], str(error)


def _failed(version: str, reason: str) -> Rehearsal:
    return Rehearsal(version, False, 0, float("inf"), TOLERANCE, f"the clean process failed: {reason}")


def _start() -> subprocess.Popen[str]:
    pipe, sources = subprocess.PIPE, Path(__file__).parents[2]
    # Isolated, Python sees neither PYTHON* variables nor the user's packages; our own sources are all that is added.
    begin = (
        f"import sys, runpy; sys.path.insert(0, {str(sources)!r}); runpy.run_module({MODULE!r}, run_name='__main__')"
    )
    command = [sys.executable, "-I", "-c", begin]
    return subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=sources, env=environment.clean()
    )


def _perform(store_uri: str, keys: str, workload: str, version: str) -> Rehearsal:
    began = time.perf_counter()
    try:
        found = _scored(store_uri, Path(keys), workload, version)
    except GreenlightError as error:
        found = _failed(version, str(error))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(found, seconds=round(time.perf_counter() - began, 3), at=at)


def _scored(store_uri: str, keys: Path, workload: str, version: str) -> Rehearsal:
    from tasks.adapters import contents
    from tasks.adapters.cached import near
    from tasks.adapters.store import open_store

    store = near(open_store(store_uri), keys.parent)
    bundle = contents.open_verified(store, keys, workload, version)
    rows, worst, tolerance = 0, 0.0, TOLERANCE
    for target in bundle.manifest.targets:
        golden, model = contents.golden_of(bundle, target), contents.model_of(bundle, target)
        found, let = largest_difference(golden, model), tolerance_of(model)
        if found / let >= worst / tolerance:
            worst, tolerance = found, let
        rows += len(golden["inputs"])
    return Rehearsal(version, True, rows, worst, tolerance, other_versions=contents.other_libraries(bundle))


if __name__ == "__main__":
    # Prepared beside a run that trains: it takes what the run leaves.
    os.nice(10)
    # What a model needs beyond this is imported with the first that needs it: most bundles need one library of five.
    import_module("tasks.adapters.contents")
    request = sys.stdin.read()
    if request:
        store_uri, keys, workload, *versions = json.loads(request)
        for version in versions:
            print(json.dumps(asdict(_perform(store_uri, keys, workload, version))), flush=True)
