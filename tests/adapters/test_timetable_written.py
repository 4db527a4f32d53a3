"""A timetable as files: each reads back as the table it was, and the same plan gives the same bytes."""

from __future__ import annotations

import json

import polars as pl
import pytest

from tasks.adapters.timetable_written import write
from tasks.core.timetable.report import frames
from tests.timetable_plans import evening

ABOUT = {"champion": "broadcast 2.1.0"}


def test_every_table_reads_back_from_parquet_and_every_file_is_there(tmp_path):
    plan = evening()
    written = write(plan, tmp_path, ABOUT)
    assert sorted(each.name for each in written) == sorted(each.name for each in tmp_path.iterdir())
    for name, frame in frames(plan).items():
        assert pl.read_parquet(tmp_path / f"{name}.parquet").equals(frame)
        assert (tmp_path / f"{name}.csv").read_text().splitlines()[0] == ",".join(frame.columns)


def test_the_workbook_has_a_sheet_for_each_table(tmp_path):
    pytest.importorskip("xlsxwriter")
    zipfile = pytest.importorskip("zipfile")
    write(evening(), tmp_path, ABOUT)
    book = zipfile.ZipFile(tmp_path / "timetable.xlsx").read("xl/workbook.xml").decode()
    assert [name for name in frames(evening()) if f'name="{name}"' in book] == list(frames(evening()))


def test_the_twin_says_what_the_page_says(tmp_path):
    write(evening(), tmp_path, ABOUT)
    twin = json.loads((tmp_path / "timetable.json").read_text())
    assert twin["about"] == ABOUT and twin["honest"] is None and twin["gap"] == 0
    assert [row["programme"] for row in twin["timetable"]] == ["A", "B", "A"]
    assert twin["timetable"][0]["start"] == "2026-11-23T20:00:00"


def test_the_same_plan_gives_the_same_bytes(tmp_path):
    one, other = (write(evening(), tmp_path / name, ABOUT) for name in ("one", "other"))
    assert [each.read_bytes() for each in one] == [each.read_bytes() for each in other]
