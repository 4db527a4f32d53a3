"""``greenlight tables`` as a stranger misuses it: each end is one sentence that says what happened and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tests.command_line import CommandLine, said_plainly
from tests.emulators import free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def line(checkout, tmp_path) -> CommandLine:
    (tmp_path / "cwd").mkdir()
    return CommandLine(checkout, tmp_path / "cwd", tmp_path / "home")


def test_a_workload_without_tables_and_a_home_without_rows_are_told_what_to_do(line):
    wrong, without, none = line.each(("tables", "vidoe_stats"), ("tables", "channels"), ("tables", "video_stats"))
    assert said_plainly(wrong, 2, "'vidoe_stats'", "video_stats")
    assert said_plainly(without, 2, "declares no tables", "greenlight export channels")
    assert none.rc == 0 and "no tables yet" in none.out and "greenlight score video_stats --input PATH" in none.out


def test_a_database_that_is_down_is_another_end_than_an_address_that_is_none(line):
    place = line.home / "store" / "tables" / "video_stats"
    place.mkdir(parents=True)
    pl.DataFrame({"video_id": "v", "begins": datetime(2026, 6, 1, tzinfo=UTC)}).write_parquet(
        place / "hourly_aggregations.parquet"
    )
    down = f"postgresql://me:hidden@127.0.0.1:{free_port()}/x"
    for address, rc, words in ((down, 7, "does not answer"), ("mysql://me:hidden@host/x", 2, "cannot be read")):
        done = line.seeing(GREENLIGHT_WAREHOUSE=address)("tables", "video_stats")
        assert said_plainly(done, rc, words) and "hidden" not in done.err + done.out
