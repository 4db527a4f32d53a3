"""Times every stage, says so in the log, and keeps it in the run's journal. Says nothing about what a stage does."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from tasks.adapters import journal
from tasks.adapters.home import root
from tasks.adapters.memory import peak_mib
from tasks.core.run import StageTime

logger = logging.getLogger(__name__)


class Request(Protocol):
    """Whatever has stages: ``key`` names its journal."""

    @property
    def workload(self) -> str:
        """Return the workload it is about."""

    @property
    def key(self) -> str:
        """Return what it is called among the workload's runs."""


@dataclass
class Stage:
    """What a stage tells of itself while it runs."""

    rows: int = 0
    reused: bool = False
    note: str = ""


@contextmanager
def stage(asked: Request, name: str, *, side_by_side: bool = False) -> Iterator[Stage]:
    """Time the block as stage *name* of what was *asked*; *side_by_side*: count this thread's CPU only."""
    cpu_clock = time.thread_time if side_by_side else time.process_time
    wall, cpu = time.perf_counter(), cpu_clock()
    told = Stage()
    yield told
    spent = time.perf_counter() - wall, cpu_clock() - cpu
    took = StageTime(name, *spent, told.rows, told.reused, told.note, peak_mib())
    journal.append(root(), asked.workload, asked.key, took)
    logger.info("%s: %s", name, told.note or f"{told.rows} rows", extra={"stage": took})
