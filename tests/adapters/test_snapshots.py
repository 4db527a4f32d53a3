"""Taking a snapshot of a source that may not hold still."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import snapshots
from tasks.adapters.blobs import blob_path
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.sources import digest_source
from tasks.core.run import Run
from tasks.errors import BadRequest, SourceUnusable
from tasks.workloads.channels import CHANNELS
from tasks.workloads.video_stats import VIDEO_STATS


def test_a_source_that_changed_since_it_was_named_is_not_kept_under_the_old_name(tmp_path: Path) -> None:
    source = tmp_path / "channels.csv"
    CHANNELS.generate(20, 1).write_csv(source)
    run = Run("channels", str(source), digest_source(source), "key", "code", "policy", "2026-11-21")
    store = DirectoryStore(tmp_path / "store")
    assert snapshots.take(store, CHANNELS, source, run, tmp_path).row_count == 20
    CHANNELS.generate(20, 2).write_csv(source)
    with pytest.raises(SourceUnusable, match="changed while it was read"):
        snapshots.take(store, CHANNELS, source, run, tmp_path)


def test_the_same_bytes_under_another_name_are_the_same_snapshot(tmp_path: Path) -> None:
    header, row = "Youtuber,subscribers,mood,uploads,Country,created_year", "1,fine,10,India,2010"
    content = f"{header}\nPeña,{row}\nA\0nn,{row}\n".encode("cp1252") + f'"Bob,{row}\n'.encode()
    taken = []
    for name in ("first.csv", "second.txt"):
        source = tmp_path / name
        source.write_bytes(content)
        run = Run("channels", str(source), digest_source(source), "key", "code", "policy", "2026-11-21")
        taken.append(snapshots.take(DirectoryStore(tmp_path / "store"), CHANNELS, source, run, tmp_path))
    codes = [finding.code for finding in taken[0].findings]
    assert codes[:5] == ["columns_unknown", "columns_absent", "encoding", "nul_bytes", "broken_quotes"]
    assert taken[0] == taken[1]
    assert len(list((tmp_path / "store" / "snapshots" / "channels").iterdir())) == 1


def test_the_files_of_a_folder_are_told_apart_by_their_place_in_it(tmp_path: Path) -> None:
    told = []
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "2026").mkdir(parents=True)
        CHANNELS.generate(20, 1).with_columns(mood=pl.lit("fine")).write_csv(folder / "2026" / "rows.csv")
        (folder / "notes.md").write_text("not read")
        run = Run("channels", str(folder), digest_source(folder), "key", "code", "policy", "2026-11-21")
        told.append(snapshots.take(DirectoryStore(tmp_path / "store"), CHANNELS, folder, run, tmp_path))
    assert told[0] == told[1]
    assert told[0].findings[1].message.startswith("2026/rows.csv: columns not declared")
    (tmp_path / "two" / "more.md").write_text("not read either, and said so")
    assert digest_source(tmp_path / "two") != told[0].source_digest


def test_a_window_keeps_the_newest_days_and_says_how_many_rows_lie_before(tmp_path: Path) -> None:
    days = [1, 8, 9, 15, 19]
    moments = [f"2026-06-{day:02d} 12:00:00" for day in days]
    source = tmp_path / "looks.csv"
    # The last row only asks for a moment: what is newest is the newest row somebody saw.
    pl.DataFrame({"id": ["v"] * 5, "snapshot_utc": moments, "view_count": [1, 2, 3, 4, None]}).write_csv(source)
    run = Run("video_stats", str(source), digest_source(source), "key", "code", "policy", "2026-11-21", window_days=7)
    store = DirectoryStore(tmp_path / "store")
    taken = snapshots.take(store, VIDEO_STATS, source, run, tmp_path)
    kept = pl.read_parquet(blob_path(store, taken.rows))
    assert kept["observed_at"].dt.day().to_list() == [8, 9, 15, 19] and kept["_row"].to_list() == [2, 3, 4, 5]
    assert taken.row_count == 4 and (taken.findings[-1].code, taken.findings[-1].count) == ("before_window", 1)


@pytest.mark.parametrize("text", ["2026-11-21", "2026-11-21T00:00:00+00:00"])
def test_a_moment_without_a_zone_is_utc(text: str) -> None:
    moment = snapshots.moment(text)
    assert moment is not None and moment.isoformat() == "2026-11-21T00:00:00+00:00"


def test_what_is_no_date_is_refused_with_how_to_write_one() -> None:
    with pytest.raises(BadRequest, match="'soon' is no date; write it as 2026-11-21"):
        snapshots.moment("soon")
