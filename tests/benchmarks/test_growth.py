"""How each stage grows with the rows: CPU seconds per million and peak memory, at 10 000, 100 000 and a million rows.

Every size runs in a process of its own. A stage is held against itself at a tenth of the rows, never against a clock.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import pytest

from tasks.adapters.memory import peak_mib

ROOT = Path(__file__).parents[2]
SIZES = (10_000, 100_000, 1_000_000)
DATA = (
    "ingest",
    "check contract",
    "split",
    "write features",
    "materialize",
    "training rows",
    "find leaks",
    "archetypes",
    "influence",
    "profile",
)
# Candidates are chosen among on at most 20 000 rows, so they stop growing there, and a million rows teach nothing more.
ROWS_TRAINED_MOST = 100_000
MOST_GROWTH_EXPONENT = 1.2
# Below this a stage's cost is that of starting it, and a tenth of nothing says nothing.
FIXED_CPU_SECONDS = 0.5
PEAK_MIB_MOST = 3_000


@dataclass(frozen=True)
class Cost:
    """What one stage took at one size; the peak is the process's, up to the stage's end."""

    stage: str
    rows: int
    cpu_seconds: float
    peak_mib: float


class Meter:
    """Keeps what each stage took."""

    def __init__(self, rows: int) -> None:
        self.rows, self.costs = rows, list[Cost]()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        self.costs.append(Cost(name, self.rows, time.process_time() - began, peak_mib()))


def measure(rows: int, home: Path) -> list[Cost]:
    """Take generated rows through every stage's own functions; libraries are imported before a clock starts."""
    from tasks.adapters import environment

    environment.confine(home, 2)
    meter = Meter(rows)
    accepted = _contracted(meter, home)
    training = _featured(meter, accepted, home)
    _portrayed(meter, accepted, training)
    if rows <= ROWS_TRAINED_MOST:
        _trained(meter, training)
    return meter.costs


def _contracted(meter: Meter, home: Path) -> Path:
    from expectations.channels import SUITE
    from tasks.adapters import contract, quarantine, sources
    from tasks.workloads.channels import CHANNELS
    from tasks.workloads.demo.channels import generate

    source, snapshot, accepted = home / "source.csv", home / "snapshot.parquet", home / "accepted.parquet"
    generate(meter.rows, 1).write_csv(source)
    contract._patched()
    with meter.stage("ingest"):
        sources.read_source(CHANNELS, source, snapshot, observed_at=None)
    with meter.stage("check contract"):
        contract.check(SUITE, snapshot, home, as_of=date(2024, 6, 1))
    with meter.stage("split"):
        quarantine.split(SUITE, snapshot, accepted, home / "quarantined.parquet")
    return accepted


def _featured(meter: Meter, accepted: Path, home: Path) -> Path:
    from tasks.adapters import feast_store
    from tasks.workloads.channels import CHANNELS

    digest, training = "0" * 64, home / "training.parquet"
    with meter.stage("write features"):
        feast_store.write_features(CHANNELS, accepted, home, digest)
    with meter.stage("materialize"):
        feast_store.apply(CHANNELS, home, digest)
        feast_store.materialize(CHANNELS, home, digest)
    with meter.stage("training rows"):
        feast_store.training_rows(CHANNELS, home, accepted, training, snapshot_digest=digest)
    return training


def _portrayed(meter: Meter, accepted: Path, training: Path) -> None:
    import polars as pl

    from tasks.core.archetypes import find_archetypes
    from tasks.core.influence import measure_influence
    from tasks.core.leakage import find_leaks
    from tasks.core.profile import build_profile
    from tasks.workloads.channels import CHANNELS

    rows = pl.read_parquet(training)
    with meter.stage("find leaks"):
        assert find_leaks(CHANNELS, rows) == ()
    assert CHANNELS.archetypes and CHANNELS.influence
    with meter.stage("archetypes"):
        find_archetypes(rows, CHANNELS.archetypes, 7)
    with meter.stage("influence"):
        table = pl.read_parquet(accepted)
        for by in CHANNELS.influence.by:
            measure_influence(table, by, CHANNELS.influence.amounts, entity=CHANNELS.entity)
    with meter.stage("profile"):
        build_profile(rows, CHANNELS, {})


def _trained(meter: Meter, training: Path) -> None:
    import polars as pl

    from tasks.core.training import score_candidate
    from tasks.workloads.channels import CHANNELS

    rows = pl.read_parquet(training)
    for candidate in CHANNELS.candidates:
        score_candidate(CHANNELS, rows.head(500), CHANNELS.targets[0], candidate)  # imports its library
        with meter.stage(f"train {candidate.algorithm}"):
            found = score_candidate(CHANNELS, rows, CHANNELS.targets[0], candidate).scorecard
        assert found.status == "scored", found.reason


def measured(rows: int, home: Path) -> dict[str, Cost]:
    home.mkdir()
    settings = os.environ | {"PYTHONPATH": str(ROOT), "GREENLIGHT_HOME": str(home)}
    command = [sys.executable, __file__, str(rows), str(home)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, env=settings, cwd=home)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return {cost["stage"]: Cost(**cost) for cost in json.loads(ended.stdout.splitlines()[-1])}


def table(found: dict[int, dict[str, Cost]], told: Callable[[Cost], str]) -> Iterator[str]:
    for name in found[min(found)]:
        cells = [told(found[rows][name]) if name in found[rows] else "" for rows in found]
        yield f"| {name} | " + " | ".join(cells) + " |"


def growth_exponent(smaller: Cost, larger: Cost) -> float:
    """Return b of cost = a × rowsᵇ; costs below the fixed one count as it."""
    ratio = max(larger.cpu_seconds, FIXED_CPU_SECONDS) / max(smaller.cpu_seconds, FIXED_CPU_SECONDS)
    return math.log(ratio) / math.log(larger.rows / smaller.rows)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_stage_costs_at_most_a_little_more_than_its_share_of_ten_times_the_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {rows: measured(rows, tmp_path / str(rows)) for rows in SIZES}
    with capsys.disabled():
        print("\n| CPU s | " + " | ".join(f"{rows:,} rows" for rows in SIZES) + " |")
        print("\n".join(table(found, lambda cost: f"{cost.cpu_seconds:.2f}")))
        print("| peak MiB | " + " | ".join(f"{list(found[rows].values())[-1].peak_mib:,.0f}" for rows in SIZES) + " |")
    steps = [(name, found[few][name], found[many][name]) for few, many in pairwise(SIZES) for name in DATA]
    grown = {f"{name} at {larger.rows:,}": growth_exponent(smaller, larger) for name, smaller, larger in steps}
    assert {name: exponent for name, exponent in grown.items() if exponent > MOST_GROWTH_EXPONENT} == {}
    assert max(cost.peak_mib for cost in found[SIZES[-1]].values()) < PEAK_MIB_MOST


if __name__ == "__main__":
    print(json.dumps([asdict(cost) for cost in measure(int(sys.argv[1]), Path(sys.argv[2]))]))
