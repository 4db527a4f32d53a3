"""Batches of any size at the cost of writing them, and what a command that is given one holds of memory."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tasks.workloads.channels import CHANNELS
from tests.command_line import CommandLine

# One process between ours and the command's: a process begins with the peak of the one that started it.
MEASURED = """
import json, resource, subprocess, sys
ended = subprocess.run(sys.argv[2:], check=False).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
with open(sys.argv[1], "w") as told:
    json.dump([used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6], told)
sys.exit(ended)
"""


@dataclass(frozen=True)
class Cost:
    """CPU seconds of a command and its children together, and the largest resident set among them in MB."""

    cpu_seconds: float
    peak_mb: float


def cost_of(line: CommandLine, told: Path, *asked: str | Path, timeout: float) -> Cost:
    """Run a command that must succeed and return what it took, kept in the file *told* meanwhile."""
    done = line(*asked, before=(sys.executable, "-c", MEASURED, str(told)), timeout=timeout)
    assert done.rc == 0, done.err[-3000:]
    return Cost(*json.loads(told.read_text()))


def channels(folder: Path, rows: int, block_rows: int) -> Path:
    """Write *rows* generated channels, faults included, as Parquet files: one block again and again, names apart."""
    folder.mkdir()
    block = CHANNELS.generate(block_rows, 8)
    for number in range(rows // block_rows):
        named = pl.format("{} {}", pl.lit(number), "Youtuber").alias("Youtuber")
        block.with_columns(named).write_parquet(folder / f"{number:03}.parquet")
    return folder
