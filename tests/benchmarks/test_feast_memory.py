"""Ten million rows through each step of the feature store, each in a process of its own, under 1 GB of memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import feast_store
from tasks.adapters.parquet import ROW_GROUP_ROWS, write_batches
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import POLARS_TYPES

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]

ROOT = Path(__file__).parents[2]
ROWS = 10_000_000
PEAK_MB_MOST = 1_000
FIRST = {"write_features": "feast_store.write_features(CHANNELS, accepted, home, 's1')"}
# Neither needs the other, so they share the two cores.
THEN = {
    "materialize": "feast_store.materialize(CHANNELS, home, 's1')",
    "training_rows": "feast_store.training_rows(CHANNELS, home, accepted, home / 't.parquet', snapshot_digest='s1')",
}


def rows_from(start: int, rows: int) -> pl.DataFrame:
    """Return accepted channel rows, all columns present: channel names unique, numbers scattered."""
    number = pl.int_range(start, min(start + ROW_GROUP_ROWS, rows), dtype=pl.Int64)
    scattered = (number * 7_919) % 1_000_003 + 1
    kinds = {
        pl.String: pl.format("label {}", scattered % 40),
        pl.Int64: scattered,
        pl.Float64: scattered / 7,
    }
    known = {
        "channel": pl.format("channel {}", number),
        "observed_at": pl.lit(datetime(2023, 1, 1, tzinfo=UTC)) + pl.duration(seconds=scattered % 86_400),
        "created_year": 2006 + scattered % 15,
        "created_month": 1 + scattered % 12,
    }
    columns = [
        known.get(each.name, kinds.get(POLARS_TYPES[each.type], pl.lit(None)))
        .cast(POLARS_TYPES[each.type])
        .alias(each.name)
        for each in CHANNELS.columns
    ]
    return pl.select(*columns, (number + 1).alias("_row"))


def started(call: str, accepted: Path, home: Path, said: Path) -> subprocess.Popen[bytes]:
    """Take one step in a process of its own, which says its CPU seconds and its peak resident memory in MB."""
    script = f"""
import resource, sys
from pathlib import Path
accepted, home = map(Path, sys.argv[1:])
from tasks.adapters import environment
environment.confine(home, 2)
from tasks.adapters import feast_store
from tasks.adapters.memory import peak_mib
from tasks.workloads.channels import CHANNELS
{call}
used = resource.getrusage(resource.RUSAGE_SELF)
print(used.ru_utime + used.ru_stime, peak_mib() * 1.048576)
"""
    command = [sys.executable, "-c", script, str(accepted), str(home)]
    with said.open("w") as to:
        return subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=to, stderr=subprocess.STDOUT)


def taken(steps: Mapping[str, str], accepted: Path, home: Path) -> dict[str, tuple[float, float]]:
    """Take steps side by side; return the CPU seconds and the peak memory in MB of each."""
    used = {}
    said = {step: accepted.with_name(f"{step}.txt") for step in steps}
    with ExitStack() as running:
        processes = {step: started(call, accepted, home, said[step]) for step, call in steps.items()}
        for process in processes.values():
            running.enter_context(process)
            running.callback(process.kill)
        for step, process in processes.items():
            assert process.wait() == 0, said[step].read_text()
            seconds, peak = said[step].read_text().split()[-2:]
            used[step] = float(seconds), float(peak)
    return used


def test_ten_million_rows_stay_under_a_gigabyte(tmp_path: Path) -> None:
    accepted = tmp_path / "accepted.parquet"
    batches = (rows_from(start, ROWS) for start in range(0, ROWS, ROW_GROUP_ROWS))
    write_batches(batches, rows_from(0, 1).schema, accepted)

    used = taken(FIRST, accepted, tmp_path / "home")
    feast_store.apply(CHANNELS, tmp_path / "home", "s1")
    used |= taken(THEN, accepted, tmp_path / "home")

    print(f"CPU seconds and peak memory in MB at {ROWS:,} rows: {used}")
    assert max(peak for _, peak in used.values()) < PEAK_MB_MOST, used
