"""Rows handed to other tools: verified first, told truly in each form, never over a file nobody gave up."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime

import polars as pl
import pytest

from tasks.adapters import export_files, exports, frames, predictions
from tasks.adapters.blobs import blob_path
from tasks.adapters.export_files import SHEET_ROWS, cells, refuse_too_many, write
from tasks.adapters.predictions import SCORED, Day
from tasks.core.partitions import Table
from tasks.core.scoring import Scored, Skew
from tasks.errors import BadRequest, HomeDamaged, LedgerBroken
from tests.released import Released

ROWS = pl.DataFrame(
    {
        "name": ["=1+1", "plain", "two\nlines", None],
        "seen": [datetime(2026, 11, 20, tzinfo=UTC)] * 4,
        "sales": [-1.5, float("nan"), 2.0, None],
    }
)


@pytest.fixture
def home(tmp_path):
    return Released(tmp_path / "home")


def publish(home, day, sales, ring="prod"):
    frame = pl.DataFrame({"shop": [f"shop {number}" for number in range(len(sales))], "sales": sales})
    about = Scored(
        "shops", ring, day, "r", "v1", "b", 1, "s", ("sales",), len(sales), len(sales), 0, (), Skew(0, 0, ()), ()
    )
    (home.home / "scratch").mkdir(exist_ok=True)
    part = frames.keep(home.store, frame, home.home / "scratch", day)
    predictions.publish(
        home.store, home.signer, Day(about, {SCORED: Table((part,), len(sales))}), source=home.store, replaces=""
    )
    return part


def days(home, *asked, ring="prod"):
    return exports.days(home.store, home.trust, "shops", ring, *asked).collect()


def test_a_range_of_days_comes_in_order_and_each_row_says_its_day(home):
    for day, sales in (("2026-11-18", [1.0]), ("2026-11-19", [2.0, 3.0]), ("2026-11-20", [4.0])):
        publish(home, day, sales)
    publish(home, "2026-11-19", [9.0], ring="dev")
    found = days(home, "2026-11-18", "2026-11-19")
    assert found.select("date", "ring", "sales").rows() == [
        ("2026-11-18", "prod", 1.0),
        ("2026-11-19", "prod", 2.0),
        ("2026-11-19", "prod", 3.0),
    ]
    assert days(home)["date"].to_list() == ["2026-11-20"], "the newest where none is named"
    assert days(home, "2026-11-19")["date"].unique().sort().to_list() == ["2026-11-19", "2026-11-20"]
    with pytest.raises(BadRequest, match=r"from 2026-12-01 to the last is published .*there are 3, from 2026-11-18 to"):
        days(home, "2026-12-01")


def test_a_flipped_byte_is_found_before_anything_is_written(home):
    publish(home, "2026-11-18", [1.0])
    path = blob_path(home.store, publish(home, "2026-11-19", [2.0, 3.0]))
    content = bytearray(path.read_bytes())
    content[9] ^= 1
    path.chmod(0o600), path.write_bytes(content)
    with pytest.raises(HomeDamaged):
        days(home, "2026-11-18", "2026-11-19")


def test_the_history_is_the_whole_verified_chain(home):
    first, second = home.promote("first"), home.promote("second", "dev")
    found = exports.ledger(home.store, home.keys, "shops").collect()
    assert found.select("number", "kind", "version", "serves").rows() == [
        (1, "promotion", first, "sales"),
        (2, "promotion", second, "sales"),
    ]
    assert exports.ledger(home.store, home.keys, "shops", "dev").collect()["number"].to_list() == [2]
    with pytest.raises(BadRequest, match=r"no entry of qa .*no file was written"):
        exports.ledger(home.store, home.keys, "shops", "qa")
    home.store.put("ledger/shops/000001.json", b"{}")
    with pytest.raises(LedgerBroken):
        exports.ledger(home.store, home.keys, "shops")


def test_where_nothing_was_published_there_are_no_metrics_and_that_is_said(home):
    with pytest.raises(BadRequest, match=r"no version of shops .*no file was written"):
        exports.metrics(home.store, home.trust, "shops")


def test_text_that_a_spreadsheet_would_run_is_text_and_numbers_stay_numbers(tmp_path):
    to = tmp_path / "rows.csv"
    assert write(ROWS.lazy(), "csv", to, force=False).rows == 4
    with to.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["name"] for row in found] == ["'=1+1", "plain", "two\nlines", ""]
    assert [row["sales"] for row in found] == ["-1.5", "NaN", "2.0", ""]


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_every_sign_that_begins_a_formula_is_disarmed(text):
    frame = pl.DataFrame({"name": [text, f"a{text}"]})
    assert frame.select(export_files.harmless(frame.schema))["name"].to_list() == [f"'{text}", f"a{text}"]


def test_json_is_one_array_and_what_is_no_number_is_missing(tmp_path):
    write(ROWS.lazy(), "json", tmp_path / "rows.json", force=False)
    found = json.loads((tmp_path / "rows.json").read_text("utf-8"))
    assert [row["name"] for row in found] == ROWS["name"].to_list()
    assert [row["sales"] for row in found] == [-1.5, None, 2.0, None]
    assert datetime.fromisoformat(found[0]["seen"]) == ROWS["seen"][0]


def test_parquet_gives_the_very_rows_and_the_same_bytes_twice(tmp_path):
    for name in ("a", "b"):
        write(ROWS.lazy(), "parquet", tmp_path / name, force=False)
    assert pl.read_parquet(tmp_path / "a").equals(ROWS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_many_batches_become_one_file(tmp_path, monkeypatch, form):
    monkeypatch.setattr(export_files, "ROW_GROUP_ROWS", 7)
    many = pl.DataFrame({"n": range(50)})
    assert write(many.lazy(), form, tmp_path / "rows", force=False).rows == 50
    read = {"csv": pl.read_csv, "json": pl.read_json, "parquet": pl.read_parquet}[form]
    assert read(tmp_path / "rows")["n"].to_list() == list(range(50))


def test_a_file_that_is_there_stays_unless_it_is_given_up(tmp_path):
    to = tmp_path / "rows.csv"
    to.write_text("mine")
    with pytest.raises(BadRequest, match="add --force"):
        write(ROWS.lazy(), "csv", to, force=False)
    assert to.read_text() == "mine"
    with pytest.raises(BadRequest, match="is a folder"):
        write(ROWS.lazy(), "csv", tmp_path, force=True)
    write(ROWS.lazy(), "csv", to, force=True)
    assert to.read_text().startswith("name,seen,sales")
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_file_that_somebody_else_made_meanwhile_stays(tmp_path):
    to = tmp_path / "rows.csv"

    def late(batch):
        to.write_text("theirs")
        return batch

    with pytest.raises(BadRequest, match="is there already"):
        write(ROWS.lazy().map_batches(late, schema=ROWS.schema), "csv", to, force=False)
    assert to.read_text() == "theirs"
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]


def test_a_sheet_refuses_more_rows_than_it_takes():
    refuse_too_many(SHEET_ROWS)
    with pytest.raises(BadRequest, match="1,048,576 rows or more, a sheet of XLSX takes 1,048,575"):
        refuse_too_many(SHEET_ROWS + 1)


def test_a_cell_says_what_a_double_cannot():
    moment = datetime(2026, 11, 20, tzinfo=UTC)
    given = (None, True, 3, 2**53 + 1, 1.5, float("inf"), "=1+1", moment)
    wanted = [None, True, 3, "9007199254740993", 1.5, None, "=1+1", "2026-11-20T00:00:00+00:00"]
    assert list(cells(given)) == wanted
    with pytest.raises(BadRequest, match="32,768 characters"):
        list(cells(["x" * 32_768]))


def test_a_sheet_holds_formulas_as_text_and_is_the_same_bytes_twice(tmp_path):
    from zipfile import ZipFile

    for name in ("a", "b"):
        assert write(ROWS.lazy(), "xlsx", tmp_path / name, force=False).rows == 4
    sheet = ZipFile(tmp_path / "a").read("xl/worksheets/sheet1.xml").decode()
    assert "<t>=1+1</t>" in sheet and "<f>" not in sheet and "<v>-1.5</v>" in sheet
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_without_the_library_of_sheets_the_extra_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "xlsxwriter", None)
    with pytest.raises(BadRequest, match=r"pip install 'greenlight\[xlsx\]'"):
        write(ROWS.lazy(), "xlsx", tmp_path / "rows.xlsx", force=False)
    assert not list(tmp_path.iterdir())
