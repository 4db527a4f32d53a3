"""The run's journal: one line per stage and what it cost, appended as stages end, in the home's runs folder.

It is a diary for people and for the page; nothing is decided by it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

from tasks.core.run import StageTime


def _path(root: Path, workload: str, key: str) -> Path:
    return root / "runs" / workload / f"{key}.jsonl"


def append(root: Path, workload: str, key: str, took: StageTime) -> None:
    """Append *took* in one write, so that stages side by side never share a line."""
    path = _path(root, workload, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(asdict(took), ensure_ascii=False) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read(root: Path, workload: str, key: str) -> tuple[StageTime, ...]:
    """Return each stage's newest time, in the order the stages first ended; a torn last line is passed over."""
    path = _path(root, workload, key)
    times: dict[str, StageTime] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            took = StageTime(**json.loads(line))
        except (ValueError, TypeError):
            continue
        if took.stage not in times or not took.reused:
            times[took.stage] = took
    return tuple(times.values())
