"""Rows cut by their key: nothing lost, one key one part, in the keys' order, and read from the source once."""

from __future__ import annotations

import resource
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import feast_store  # noqa: F401  (makes `import feast` cheap)
from tasks.adapters.feast_parts import Cut, by_hash, by_range, filtered, height, into, part_count
from tasks.errors import OutOfSpace

COMPOSITE = pl.DataFrame(
    {"shop": ["b", "a", "a", "ä", None, "b"], "till": [1, 10, 9, -1, 3, None], "row": [0, 1, 2, 3, 4, 5]}
)


def cut_of(kind: str, folder: Path) -> Cut:
    return filtered if kind == "filters" else into(folder)


def scattered(rows: int) -> pl.DataFrame:
    """Two rows of each key, far apart."""
    numbers = pl.int_range(rows, eager=True)
    return pl.DataFrame({"key": (numbers * 7) % (rows // 2), "row": numbers})


@pytest.mark.parametrize("kind", ["filters", "files"])
def test_parts_by_range_are_in_the_order_of_their_keys_and_about_equal(tmp_path: Path, kind: str) -> None:
    rows = scattered(2_000).lazy()

    parts = [part.collect() for part in cut_of(kind, tmp_path)(rows, by_range(rows, ["key"], 4), 4)]

    assert [part["key"].min() for part in parts] == [0, 250, 500, 750]
    assert [part.height for part in parts] == [500] * 4
    assert all(part["row"].is_sorted() for part in parts)


def test_a_sample_of_the_rows_is_enough_to_cut_them_about_equally(tmp_path: Path) -> None:
    rows = scattered(100_000).lazy()

    parts = into(tmp_path)(rows, by_range(rows, ["key"], 4), 4)

    heights = [height(part) for part in parts]
    assert sum(heights) == 100_000
    assert all(20_000 < each < 30_000 for each in heights), heights


@pytest.mark.parametrize("keys", [["shop"], ["shop", "till"], ["till"]])
@pytest.mark.parametrize("kind", ["filters", "files"])
def test_text_numbers_pairs_and_gaps_are_cut_in_sqlites_order(tmp_path: Path, kind: str, keys: list[str]) -> None:
    rows = COMPOSITE.lazy()

    parts = [part.collect() for part in cut_of(kind, tmp_path)(rows, by_range(rows, keys, 3), 3)]

    ordered = pl.concat(part.drop_nulls(keys).sort(keys) for part in parts)
    assert sorted(pl.concat(parts)["row"]) == COMPOSITE["row"].to_list()
    assert ordered.select(keys).equals(COMPOSITE.drop_nulls(keys).sort(keys).select(keys))
    assert all(any(part.height for part in parts[number:]) for number in range(3))


def test_rows_without_any_key_are_cut_too(tmp_path: Path) -> None:
    rows = pl.LazyFrame({"key": [None, None]}, schema={"key": pl.String})

    parts = into(tmp_path)(rows, by_range(rows, ["key"], 2), 2)

    assert [height(part) for part in parts] == [2, 0]


def test_files_and_filters_hold_the_same_rows(tmp_path: Path) -> None:
    rows = scattered(1_000).lazy()
    part = by_hash([pl.col("key")], 7)

    for file, lazy in zip(into(tmp_path)(rows, part, 7), filtered(rows, part, 7), strict=True):
        assert file.collect().equals(lazy.collect())


def test_rows_are_read_once_however_many_the_parts(tmp_path: Path) -> None:
    seen: list[int] = []

    def counted(batch: pl.DataFrame) -> pl.DataFrame:
        seen.append(batch.height)
        return batch

    rows = scattered(1_000).lazy().map_batches(counted, streamable=True)
    into(tmp_path)(rows, by_hash([pl.col("key")], 9), 9)

    assert sum(seen) == 1_000


@pytest.mark.parametrize(("rows", "parts"), [(0, 1), (1, 1), (10, 1), (11, 2), (21, 3), (10_000, 500)])
def test_there_is_always_a_part_and_never_more_than_files_may_be_open(rows: int, parts: int) -> None:
    assert part_count(rows, 10) == parts


def test_a_disk_that_fills_while_rows_are_cut_is_said_in_our_words(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    rows = scattered(20_000).lazy()
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, hard))
    try:
        with pytest.raises(OutOfSpace, match="could not be cut into 2 parts"):
            into(tmp_path)(rows, by_hash([pl.col("key")], 2), 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
