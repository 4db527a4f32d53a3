"""The same rows are the same bytes, and a file is there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from tasks.adapters.parquet import ROW_GROUP_ROWS, replacing, write_batches, write_parquet
from tasks.errors import OutOfSpace


def rows(count: int) -> pl.DataFrame:
    number = pl.int_range(count, eager=True)
    return pl.DataFrame({"number": number}).with_columns(
        word=pl.when(pl.col("number") % 7 != 0).then(pl.format("word {}", pl.col("number") % 977)),
        seen=pl.datetime(2026, 1, 1, time_zone="UTC"),
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    frame = rows(1_000)
    assert write_parquet(frame.lazy(), tmp_path / "rows.parquet") == 1_000
    assert pl.read_parquet(tmp_path / "rows.parquet").equals(frame)
    assert pl.read_parquet_schema(tmp_path / "rows.parquet") == frame.schema


def test_row_groups_have_a_fixed_size_whatever_the_batches(tmp_path: Path) -> None:
    frame = rows(300_000)
    sizes = (1_000, 99_999, 300_000)
    digests = set()
    for size in sizes:
        batches = [frame.slice(start, size) for start in range(0, frame.height, size)]
        to = tmp_path / f"{size}.parquet"
        assert write_batches(batches, frame.schema, to) == 300_000
        digests.add(hashlib.sha256(to.read_bytes()).hexdigest())
    assert len(digests) == 1
    groups = pq.ParquetFile(tmp_path / "1000.parquet").metadata
    assert [groups.row_group(index).num_rows for index in range(3)] == [ROW_GROUP_ROWS, ROW_GROUP_ROWS, 37_856]


def test_the_number_of_threads_does_not_change_a_byte(tmp_path: Path) -> None:
    source = tmp_path / "source.parquet"
    rows(300_000).write_parquet(source, row_group_size=7_777)
    code = (
        "import sys, polars as pl; from pathlib import Path; from tasks.adapters.parquet import write_parquet;"
        "write_parquet(pl.scan_parquet(sys.argv[1]).filter(pl.col('number') % 3 > 0), Path(sys.argv[2]))"
    )
    for threads in ("1", "4"):
        command = [sys.executable, "-c", code, str(source), str(tmp_path / f"{threads}.parquet")]
        subprocess.run(command, check=True, env={**os.environ, "POLARS_MAX_THREADS": threads})
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "4.parquet").read_bytes()


def test_no_rows_are_a_file_with_a_schema(tmp_path: Path) -> None:
    assert write_parquet(rows(5).lazy().filter(False), tmp_path / "none.parquet") == 0
    assert pl.read_parquet(tmp_path / "none.parquet").schema == rows(1).schema


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), replacing(tmp_path / "rows.parquet") as part:
        part.write_bytes(b"half")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OutOfSpace, match="free some space"), replacing(tmp_path / "rows.parquet"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []
