"""What the whole command costs on ten million rows, from Parquet files to a published day, with a server of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.adapters import predictions
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import trusted_keys
from tests.command_line import CommandLine
from tests.large_batches import channels, cost_of

ROOT = Path(__file__).parents[2]
ROWS, BLOCK_ROWS = 10_000_000, 100_000
PEAK_MB_MOST = 2_000


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_ten_million_rows_become_a_published_day_in_two_gigabytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = CommandLine(ROOT, tmp_path, tmp_path / "home")
    assert line("demo-data", "channels", "--rows", "300", "--seed", "7", "--out", tmp_path / "few.csv").rc == 0
    assert line("run", "channels", "--source", tmp_path / "few.csv", timeout=1_800).rc == 0

    source = channels(tmp_path / "many", ROWS, BLOCK_ROWS)
    asked = ("score", "channels", "--input", source, "--ring", "dev")
    cost = cost_of(line, tmp_path / "cost.json", *asked, timeout=5_400)
    store, trust = DirectoryStore(line.home / "store"), trusted_keys(line.home / "keys")
    day = predictions.read(store, trust, "channels", "dev").about
    with capsys.disabled():
        print(f"\n{ROWS:,} rows, scored {day.rows_scored:,} + quarantined {day.rows_quarantined:,}: {cost}")
    assert day.rows_in == day.rows_scored + day.rows_quarantined == ROWS
    assert cost.peak_mb < PEAK_MB_MOST
