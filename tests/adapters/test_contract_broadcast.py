"""Generated airings against their contract: both engines count the same, and what was planted is what is held back."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from expectations.broadcast import SUITE, TARGETS
from tasks.adapters.contract import check
from tasks.adapters.quarantine import split
from tasks.adapters.sources import read_source
from tasks.core.rules import stop_if_counts_differ, stop_if_table_failed
from tasks.core.splitting import split as part
from tasks.errors import DataRejected
from tasks.workloads.broadcast import BROADCAST
from tasks.workloads.demo.broadcast import generate, truth

REAL = Path(os.environ.get("GREENLIGHT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
REAL_AIRINGS = REAL / "broadcast" / "programme_slots.csv.gz"
TODAY = date(2026, 11, 21)


def held_back(source: Path, folder: Path) -> pl.DataFrame:
    """Return the quarantined rows of *source*, once both engines agree on every rule."""
    read_source(BROADCAST, source, folder / "snapshot.parquet")
    results = check(SUITE, folder / "snapshot.parquet", folder / "tmp", as_of=TODAY)
    counts = split(SUITE, folder / "snapshot.parquet", folder / "accepted.parquet", folder / "quarantined.parquet")
    stop_if_counts_differ(results, counts.broken, SUITE.workload)
    stop_if_table_failed(results, SUITE.workload)
    return pl.read_parquet(folder / "quarantined.parquet")


def test_both_engines_hold_back_what_was_planted_and_nothing_else(tmp_path):
    generate(1_200, 3).write_csv(tmp_path / "source.csv")
    planted = truth(1_200, 3).with_row_index("_row", offset=1).filter(pl.col("fault") != "")
    assert held_back(tmp_path / "source.csv", tmp_path)["_row"].to_list() == planted["_row"].to_list()


@pytest.mark.slow
@pytest.mark.skipif(not REAL_AIRINGS.exists(), reason=f"no real airings at {REAL_AIRINGS}; set GREENLIGHT_TEST_DATA")
def test_real_airings_pass_and_only_the_targets_they_have_can_be_trained(tmp_path):
    held = held_back(REAL_AIRINGS, tmp_path)
    assert set(held["_rules"].unique()) == {"programme_airs_once"}
    rows = BROADCAST.derive(pl.scan_parquet(tmp_path / "accepted.parquet")).collect()
    assert rows.height + held.height == 7_645
    refused = []
    for target in BROADCAST.targets:
        try:
            part(BROADCAST, rows, target)
        except DataRejected as rejected:
            assert f"{target.name!r} has 0 labelled rows" in str(rejected)
            refused.append(target.column)
    assert refused == [name for name in TARGETS if name in ("revenue", "engagement")]
