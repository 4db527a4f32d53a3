"""The feature store of a home: written, registered, materialized, read back; twice, at once, and after a kill."""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.adapters import feast_answer, feast_check, feast_join, feast_sqlite, feast_store
from tasks.errors import GreenlightError, HomeDamaged, Misdeclared
from tasks.workloads.channels import CHANNELS
from tasks.workloads.content import CONTENT
from tasks.workloads.spec import POLARS_TYPES

AT = datetime(2023, 1, 1, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[2]


def accepted(folder: Path, rows: int = 6, at: datetime = AT, **columns: Any) -> Path:
    """Write *rows* accepted channel rows: channel ``c0`` … created 2013, views a thousand times the uploads."""
    numbers = list(range(1, rows + 1))
    known: dict[str, Any] = {
        "channel": [f"c{n - 1}" for n in numbers],
        "observed_at": [at] * rows,
        "created_year": [2013] * rows,
        "created_month": [1] * rows,
        "category": ["Music"] * rows,
        "country": ["India", None] * (rows // 2),
        "uploads": numbers,
        "video_views": [1000 * n * n for n in numbers],
        "subscribers": [100 * n for n in numbers],
        "subscribers_30d": [n if n % 2 else None for n in numbers],
        "population": [1_000] * rows,
        "urban_population": [250] * rows,
        **columns,
    }
    series = [
        pl.Series(each.name, known.get(each.name, [None] * rows), dtype=POLARS_TYPES[each.type])
        for each in CHANNELS.columns
    ]
    path = folder / f"accepted-{at:%Y%m%d}-{rows}.parquet"
    pl.DataFrame([*series, pl.Series("_row", numbers, dtype=pl.Int64)]).write_parquet(path)
    return path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prepared(home: Path, rows: Path, snapshot: str = "s1") -> Path:
    feast_store.write_features(CHANNELS, rows, home, snapshot)
    feast_store.apply(CHANNELS, home, snapshot)
    return rows


def test_a_training_set_holds_each_accepted_row_with_its_targets_and_features(tmp_path: Path) -> None:
    rows = prepared(tmp_path, accepted(tmp_path))

    count = feast_store.training_rows(CHANNELS, tmp_path, rows, tmp_path / "t.parquet", snapshot_digest="s1")

    found = pl.read_parquet(tmp_path / "t.parquet")
    assert count == found.height == 6
    assert found.columns == [
        *("channel", "observed_at", "_row", "subscribers", "highest_yearly_earnings", "subscribers_30d"),
        *CHANNELS.feature_names,
    ]
    assert found["_row"].to_list() == [1, 2, 3, 4, 5, 6]
    assert found["subscribers_30d"].to_list() == [1, None, 3, None, 5, None]
    assert found["views_per_upload"].to_list() == [1000.0, 2000.0, 3000.0, 4000.0, 5000.0, 6000.0]
    assert found["country"].to_list() == ["India", None] * 3
    assert found["age_years"].round(3).to_list() == [9.999] * 6


def test_a_training_set_says_when_labels_were_known_where_that_parts_rows() -> None:
    assert "known_at" in feast_store._frame_columns(CONTENT)
    assert "known_at" not in feast_store._frame_columns(CHANNELS)


def test_features_and_training_set_are_the_same_bytes_each_time_and_in_each_home(tmp_path: Path) -> None:
    written = []
    for home in (tmp_path / "one", tmp_path / "one", tmp_path / "two"):
        home.mkdir(exist_ok=True)
        rows = prepared(home, accepted(tmp_path))
        feast_store.training_rows(CHANNELS, home, rows, home / "t.parquet", snapshot_digest="s1")
        features = home / "feast" / "offline" / "channels" / "s1" / "features.parquet"
        written.append((digest(features), digest(home / "t.parquet"), feast_store.apply(CHANNELS, home, "s1")))

    assert len(set(written)) == 1


def test_the_training_set_in_parts_is_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = prepared(tmp_path, accepted(tmp_path, 500))
    feast_store.training_rows(CHANNELS, tmp_path, rows, tmp_path / "whole.parquet", snapshot_digest="s1")

    parts: list[list[pl.LazyFrame]] = []
    into = feast_answer.into
    monkeypatch.setattr(
        feast_answer, "into", lambda folder: lambda *cut: parts.append(files := into(folder)(*cut)) or files
    )
    monkeypatch.setattr(feast_store, "BUCKET_ROWS", 60)
    feast_store.training_rows(CHANNELS, tmp_path, rows, tmp_path / "parts.parquet", snapshot_digest="s1")

    assert [len(side) for side in parts] == [9, 9]
    assert digest(tmp_path / "parts.parquet") == digest(tmp_path / "whole.parquet")


def test_a_feature_planted_in_the_future_cannot_leak_into_a_training_set(tmp_path: Path) -> None:
    rows = prepared(tmp_path, accepted(tmp_path))
    path = tmp_path / "feast" / "offline" / "channels" / "s1" / "features.parquet"
    features = pl.read_parquet(path)
    planted = features.with_columns(
        observed_at=pl.col("observed_at") + timedelta(microseconds=1), views_total=pl.lit(-1.0)
    )
    pl.concat([features, planted]).write_parquet(path)

    feast_store.training_rows(CHANNELS, tmp_path, rows, tmp_path / "t.parquet", snapshot_digest="s1")

    assert pl.read_parquet(tmp_path / "t.parquet")["views_total"].to_list() == [1000.0 * n * n for n in range(1, 7)]


def test_a_run_reads_its_own_snapshot_whichever_was_applied_last(tmp_path: Path) -> None:
    first = prepared(tmp_path, accepted(tmp_path), "s1")
    prepared(tmp_path, accepted(tmp_path, uploads=[7] * 6), "s2")

    feast_store.training_rows(CHANNELS, tmp_path, first, tmp_path / "t.parquet", snapshot_digest="s1")

    assert pl.read_parquet(tmp_path / "t.parquet")["uploads_total"].to_list() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_history_gives_each_row_what_was_known_then(tmp_path: Path) -> None:
    times = [AT, AT, AT, AT + timedelta(days=9), AT + timedelta(days=9), AT + timedelta(days=9)]
    rows = prepared(tmp_path, accepted(tmp_path, channel=["a", "b", "c"] * 2, observed_at=times))

    feast_store.training_rows(CHANNELS, tmp_path, rows, tmp_path / "t.parquet", snapshot_digest="s1")

    assert pl.read_parquet(tmp_path / "t.parquet")["uploads_total"].to_list() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]


def test_of_two_accepted_rows_of_one_channel_at_one_time_the_later_row_is_the_newer(tmp_path: Path) -> None:
    rows = prepared(tmp_path, accepted(tmp_path, channel=["a", "a", "b", "c", "d", "e"]))

    assert feast_store.materialize(CHANNELS, tmp_path, "s1") == feast_store.MaterializedRows(offline=6, online=5)
    assert feast_store.training_rows(CHANNELS, tmp_path, rows, tmp_path / "t.parquet", snapshot_digest="s1") == 6
    assert pl.read_parquet(tmp_path / "t.parquet")["uploads_total"].to_list() == [2.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert feast_store.online_features(CHANNELS, tmp_path, ["a"])["uploads_total"].to_list() == [2.0]


def test_online_features_are_the_newest_whatever_order_snapshots_come_in(tmp_path: Path) -> None:
    prepared(tmp_path, accepted(tmp_path, at=AT + timedelta(days=1), uploads=[50] * 6), "new")
    feast_store.materialize(CHANNELS, tmp_path, "new")
    prepared(tmp_path, accepted(tmp_path), "old")

    assert feast_store.materialize(CHANNELS, tmp_path, "old") == feast_store.MaterializedRows(offline=6, online=6)

    found = feast_store.online_features(CHANNELS, tmp_path, ["c5", "nobody", "c0", "c5"])
    assert found.columns == ["channel", *CHANNELS.feature_names]
    assert found["uploads_total"].to_list() == [50.0, None, 50.0, 50.0]
    assert found["category"].to_list() == ["Music", None, "Music", "Music"]


def test_entities_missing_online_stop_the_run_with_both_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(tmp_path, accepted(tmp_path))
    store = feast_store.CompactSqliteOnlineStore
    whole = store.write_frame
    monkeypatch.setattr(store, "write_frame", lambda self, config, view, rows: whole(self, config, view, rows.head(4)))

    with pytest.raises(HomeDamaged, match=r"'channel_profile' has 4 of 6 entities online"):
        feast_store.materialize(CHANNELS, tmp_path, "s1")


def test_what_is_online_is_counted_in_parts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared(tmp_path, accepted(tmp_path, 300, AT + timedelta(days=1)), "newer")
    feast_store.materialize(CHANNELS, tmp_path, "newer")
    prepared(tmp_path, accepted(tmp_path, 100), "s1")
    monkeypatch.setattr(feast_check, "PART_ROWS", 30)
    monkeypatch.setattr(feast_sqlite, "KEYS_PER_FETCH", 7)

    assert feast_store.materialize(CHANNELS, tmp_path, "s1") == feast_store.MaterializedRows(offline=100, online=100)
    with sqlite3.connect(tmp_path / "feast" / "online.sqlite") as connection:
        connection.execute("delete from greenlight_channel_activity where channel in ('c3', 'c99', 'c299')")
    monkeypatch.setattr(feast_sqlite.CompactSqliteOnlineStore, "write_frame", lambda *_given: None)

    with pytest.raises(HomeDamaged, match=r"'channel_activity' has 98 of 100 entities online"):
        feast_store.materialize(CHANNELS, tmp_path, "s1")


def test_a_join_that_loses_a_row_leaves_no_training_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = prepared(tmp_path, accepted(tmp_path))
    whole = feast_join._part
    monkeypatch.setattr(feast_join, "_part", lambda *given: whole(*given).head(5))

    with pytest.raises(GreenlightError, match="5 rows for 6 entity rows"):
        feast_store.training_rows(CHANNELS, tmp_path, rows, tmp_path / "t.parquet", snapshot_digest="s1")
    assert not (tmp_path / "t.parquet").exists()


def test_features_or_definitions_that_are_gone_are_named(tmp_path: Path) -> None:
    rows = accepted(tmp_path)
    with pytest.raises(HomeDamaged, match=r"no features at .*write the snapshot's features again"):
        feast_store.materialize(CHANNELS, tmp_path, "s1")
    feast_store.write_features(CHANNELS, rows, tmp_path, "s1")
    with pytest.raises(HomeDamaged, match=r"'channels' is not in the feature registry .*apply"):
        feast_store.training_rows(CHANNELS, tmp_path, rows, tmp_path / "t.parquet", snapshot_digest="s1")


def test_a_workload_without_feast_objects_is_told_which_file_to_write(tmp_path: Path) -> None:
    with pytest.raises(Misdeclared, match=r"feature_repo/elsewhere\.py"):
        feast_store.apply(replace(CHANNELS, name="elsewhere"), tmp_path, "s1")


def test_nothing_is_written_outside_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    rows = prepared(home, accepted(tmp_path))
    feast_store.materialize(CHANNELS, home, "s1")
    feast_store.training_rows(CHANNELS, home, rows, home / "t.parquet", snapshot_digest="s1")

    assert sorted(path.name for path in home.iterdir()) == ["feast", "locks", "t.parquet"]
    assert sorted(path.name.split("-")[0] for path in (home / "feast").iterdir()) == [
        "offline",
        "online.sqlite",
        "registry.sqlite",
    ]


def spoken(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    return captured.out + captured.err


def test_feast_says_nothing_on_the_commands_own_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = prepared(tmp_path, accepted(tmp_path))
    feast_store.materialize(CHANNELS, tmp_path, "s1")
    feast_store.training_rows(CHANNELS, tmp_path, rows, tmp_path / "t.parquet", snapshot_digest="s1")

    assert spoken(capsys) == ""


def script(body: str, *arguments: Any) -> list[str]:
    head = (
        "import sys, os, signal\nfrom pathlib import Path\nfrom tasks.adapters import feast_store as fs\n"
        "from tasks.workloads.channels import CHANNELS as spec\nhome = Path(sys.argv[1])\n"
    )
    return [sys.executable, "-W", "error", "-c", head + body, *map(str, arguments)]


def run(command: list[str], **settings: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PROMETHEUS_")}
    environment = {**kept, "PYTHONPATH": str(ROOT), **settings}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_two_processes_that_apply_to_a_fresh_home_at_once_agree(tmp_path: Path) -> None:
    accepted(tmp_path)
    body = "print(*{fs.apply(spec, home, 's1') for _ in range(5)})"

    both = [run(script(body, tmp_path)) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in both]

    assert [process.returncode for process in both] == [0, 0], answers
    assert answers[0] == answers[1] == (feast_store.apply(CHANNELS, tmp_path, "s1") + "\n", "")


def test_a_run_killed_half_way_through_materializing_loses_and_doubles_nothing(tmp_path: Path) -> None:
    rows = 300
    earlier = accepted(tmp_path, rows, uploads=[1] * rows)
    prepared(tmp_path, earlier, "s1")
    feast_store.materialize(CHANNELS, tmp_path, "s1")
    prepared(tmp_path, accepted(tmp_path, rows, AT + timedelta(days=1), uploads=[2] * rows), "s2")
    body = """
from tasks.adapters.feast_engine import PolarsComputeEngine as engine
whole, done = engine._write, []
def dying(self, view, batch):
    for piece in batch.iter_slices(100):
        whole(self, view, piece)
        done.append(view.name)
        if done.count("channel_activity") == 2:
            os.kill(os.getpid(), signal.SIGKILL)
engine._write = dying
fs.materialize(spec, home, "s2")
"""
    (tmp_path / "tmp").mkdir()
    killed = run(script(body, tmp_path), TMPDIR=str(tmp_path / "tmp"))
    said = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, said
    # Nor does Feast leave there what it would have measured with.
    assert list((tmp_path / "tmp").iterdir()) == []

    # Readers meanwhile get each entity's old or new row, whole.
    everyone = [f"c{n}" for n in range(rows)]
    meanwhile = feast_store.online_features(CHANNELS, tmp_path, everyone)
    assert meanwhile["uploads_total"].sort().to_list() == [1.0] * 100 + [2.0] * 200
    assert meanwhile.filter(pl.col("uploads_per_year").is_null()).height == 0

    assert feast_store.materialize(CHANNELS, tmp_path, "s2") == feast_store.MaterializedRows(rows, rows)
    assert feast_store.online_features(CHANNELS, tmp_path, everyone)["uploads_total"].to_list() == [2.0] * rows
    assert list((tmp_path / "feast" / "offline").rglob(".newest-*")) == []
