"""Redis as the online store, against a real server on a free port that surely stops."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.adapters import feast_store
from tasks.errors import HomeDamaged, Unreachable
from tasks.workloads.channels import CHANNELS
from tasks.workloads.spec import POLARS_TYPES
from tests import watchdog
from tests.emulators import free_port

SERVER = shutil.which("redis-server")
AT = datetime(2023, 1, 1, tzinfo=UTC)


@pytest.fixture
def redis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A Redis server, named by the settings as the online store."""
    if SERVER is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    port = free_port()
    folder = tmp_path / "redis"
    folder.mkdir()
    command = watchdog.mortal(SERVER, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        next(line for line in process.stdout if "Ready to accept connections" in line)
        monkeypatch.setenv("GREENLIGHT_ONLINE", "redis")
        monkeypatch.setenv("GREENLIGHT_REDIS__CONNECTION", f"127.0.0.1:{port}")
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def accepted(folder: Path, at: datetime, uploads: list[int]) -> Path:
    known: dict[str, Any] = {
        "channel": [f"c{n}" for n in range(len(uploads))],
        "observed_at": [at] * len(uploads),
        "category": ["Music", None] * (len(uploads) // 2),
        "uploads": uploads,
    }
    series = [
        pl.Series(each.name, known.get(each.name, [None] * len(uploads)), dtype=POLARS_TYPES[each.type])
        for each in CHANNELS.columns
    ]
    numbers = pl.Series("_row", list(range(1, len(uploads) + 1)), dtype=pl.Int64)
    path = folder / f"{at:%Y%m%d}.parquet"
    pl.DataFrame([*series, numbers]).write_parquet(path)
    return path


def materialized(home: Path, rows: Path, snapshot: str) -> feast_store.MaterializedRows:
    feast_store.write_features(CHANNELS, rows, home, snapshot)
    feast_store.apply(CHANNELS, home, snapshot)
    return feast_store.materialize(CHANNELS, home, snapshot)


def test_redis_serves_the_same_features_and_keeps_the_newer(redis: str, tmp_path: Path) -> None:
    later = AT + timedelta(days=1)

    assert materialized(tmp_path, accepted(tmp_path, later, [5, 6, 7, 8]), "new") == feast_store.MaterializedRows(4, 4)
    assert materialized(tmp_path, accepted(tmp_path, AT, [1, 2, 3, 4]), "old") == feast_store.MaterializedRows(4, 4)

    found = feast_store.online_features(CHANNELS, tmp_path, ["c3", "nobody", "c0"])
    assert found["uploads_total"].to_list() == [8.0, None, 5.0]
    assert found["category"].to_list() == [None, None, "Music"]
    assert not (tmp_path / "feast" / "online.sqlite").exists()


@pytest.mark.parametrize("microsecond", [1, 250_000, 750_000, 999_999])
def test_redis_is_held_to_the_fraction_of_a_second(redis: str, tmp_path: Path, microsecond: int) -> None:
    rows = accepted(tmp_path, AT.replace(microsecond=microsecond), [5, 6])

    assert materialized(tmp_path, rows, "s1") == feast_store.MaterializedRows(2, 2)
    assert feast_store.online_features(CHANNELS, tmp_path, ["c0", "c1"])["uploads_total"].to_list() == [5.0, 6.0]


def test_a_redis_that_holds_a_row_a_microsecond_too_old_is_found_out(
    redis: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = accepted(tmp_path, AT, [5, 6])
    materialized(tmp_path, rows, "s1")
    later = accepted(tmp_path, AT + timedelta(microseconds=1), [7, 8])
    monkeypatch.setattr("tasks.adapters.feast_engine.PolarsComputeEngine._write", lambda *_given: None)

    with pytest.raises(HomeDamaged, match="0 of 2 entities online"):
        materialized(tmp_path, later, "s2")


@pytest.mark.slow  # redis-py tries ten times first
def test_a_redis_that_does_not_answer_is_said_to_be_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GREENLIGHT_ONLINE", "redis")
    monkeypatch.setenv("GREENLIGHT_REDIS__CONNECTION", "127.0.0.1:1")
    with pytest.raises(Unreachable, match="online store redis did not answer"):
        materialized(tmp_path, accepted(tmp_path, AT, [1, 2]), "s1")
