"""What Prefect costs: both flows on a running server, against the same functions called bare on the same rows.

Each side runs in a process and a home of its own; imports are paid for before the clocks start, since both need them.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
import pytest

ROWS = 995
# Measured 0.8 (wall) and 1.1 to 1.2 (CPU) on two busy cores; the rest is room, for wall time most of all.
MOST_TIMES_BARE_WALL = 1.6
MOST_TIMES_BARE_CPU = 1.4
ROOT = Path(__file__).parents[2]


class Plain:
    """A task without Prefect: called, it is its function; submitted, it runs on one of as many threads."""

    def __init__(self, function: Callable[..., Any], pool: ThreadPoolExecutor) -> None:
        self._function, self._pool = function, pool

    def __call__(self, *values: Any, **named: Any) -> Any:
        return self._function(*values, **named)

    def submit(self, *values: Any, **named: Any) -> Future[Any]:
        return self._pool.submit(self._function, *values, **named)


def bared(module: ModuleType, pool: ThreadPoolExecutor) -> None:
    """Take Prefect out of a flow's module: its tasks are plain functions, its events are not sent."""
    from prefect import Task

    for name, value in list(vars(module).items()):
        if isinstance(value, Task):
            setattr(module, name, Plain(value.fn, pool))
    vars(module)["emit_event"] = lambda **_: None


def travel(side: str, source: str) -> dict[str, float]:
    """Take *source* to a champion, as flows or bare, and return what that took, child processes included."""
    from deployments.road import TO_LEARN
    from tasks.adapters import environment, home

    environment.confine(home.root(), home.workers())
    for name in TO_LEARN:
        import_module(name)
    retrain, promote = import_module("flows.retrain"), import_module("flows.promote")
    began, spent = time.perf_counter(), _cpu_seconds()
    if side == "bare":
        vars(import_module("tasks.page"))["create_markdown_artifact"] = lambda *_, **__: None
        with ThreadPoolExecutor(home.workers()) as pool:
            bared(retrain, pool)
            bared(promote, pool)
            version = retrain.retrain.fn("channels", source).version
            promotion = promote.promote.fn("channels", version)
    else:
        promotion = promote.promote("channels", retrain.retrain("channels", source).version)
    assert promotion.status == "promoted"
    return {"wall_seconds": time.perf_counter() - began, "cpu_seconds": _cpu_seconds() - spent}


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def cost(side: str, source: Path, home: Path) -> dict[str, float]:
    command = [sys.executable, __file__, side, str(source)]
    settings = os.environ | {"GREENLIGHT_HOME": str(home), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=settings, cwd=home)
    assert ended.returncode == 0, ended.stderr[-2000:]
    found: dict[str, float] = json.loads(ended.stdout.splitlines()[-1])
    return found


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_prefect_adds_little_to_the_functions_called_bare(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from deployments.server import prefect_api
    from tasks.workloads.demo.channels import generate

    source, homes = tmp_path / "channels.csv", {side: tmp_path / side for side in ("bare", "flows")}
    generate(ROWS, 7).write_csv(source)
    for folder in (*homes.values(), tmp_path / "prefect"):
        folder.mkdir()
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    monkeypatch.setenv("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    with prefect_api(tmp_path) as ready:
        ready()
        server = next(each for each in psutil.Process().children() if "uvicorn" in each.cmdline())
        before = sum(server.cpu_times()[:2])
        found = {side: cost(side, source, homes[side]) for side in homes}
        served = sum(server.cpu_times()[:2]) - before
    found["flows"]["cpu_seconds"] += served
    wall, cpu = (found["flows"][name] / found["bare"][name] for name in ("wall_seconds", "cpu_seconds"))
    with capsys.disabled():
        print(f"\n{ROWS} rows: " + "; ".join(f"{side} {json.dumps(figures)}" for side, figures in found.items()))
        print(f"flows / bare: wall {wall:.2f}, CPU {cpu:.2f}, {served:.1f} CPU s of it the server's")
    assert wall < MOST_TIMES_BARE_WALL
    assert cpu < MOST_TIMES_BARE_CPU


if __name__ == "__main__":
    print(json.dumps(travel(*sys.argv[1:])))
