"""The whole command on a batch and on one ten times as large: what it holds of memory hardly grows."""

from __future__ import annotations

import polars as pl
import pytest

from tasks.adapters import predictions
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.predictions import QUARANTINED, SCORED
from tasks.adapters.signing import trusted_keys
from tests.large_batches import channels, cost_of

# The first test of all waits for a server and a whole run.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FEW, MANY = 50_000, 500_000
DAYS = {FEW: "2026-11-19", MANY: "2026-11-20"}
# Measured 233: row groups and parts of a fixed size fill up. A row as it was read takes 263 bytes, so a stage that
# began to hold the batch whole would add 118 more.
MORE_MB_MOST = 320


def test_ten_times_the_rows_are_scored_in_hardly_more_memory_and_every_one_is_accounted_for(
    first_run, greenlight, tmp_path
):
    first_run.copied_to(greenlight.home)
    found = {}
    for rows, day in DAYS.items():
        source = channels(tmp_path / f"of-{rows}", rows, FEW)
        asked = ("score", "channels", "--input", source, "--ring", "dev", "--date", day)
        found[rows] = cost_of(greenlight, tmp_path / f"{rows}.json", *asked, timeout=600)
    store, trust = DirectoryStore(greenlight.home / "store"), trusted_keys(greenlight.home / "keys")
    for rows, date in DAYS.items():
        day = predictions.read(store, trust, "channels", "dev", date)
        scored, aside = (predictions.rows(store, day, name).collect() for name in (SCORED, QUARANTINED))
        assert day.about.rows_in == scored.height + aside.height == rows
        assert scored.height == day.about.rows_scored > 0.9 * rows
        assert scored["run_id"].unique().to_list() == [day.about.run]
        assert pl.concat([scored["channel"], aside["channel"]]).n_unique() > 0.99 * rows
    assert found[MANY].peak_mb - found[FEW].peak_mb < MORE_MB_MOST, found
