"""Every kind of source becomes the same Parquet rows, and what cannot be read says so and what to do."""

from __future__ import annotations

import csv
import errno
import gzip
import hashlib
import io
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.adapters import encoding
from tasks.adapters.sources import SourceRead, digest_source, glance, read_source
from tasks.errors import OutOfSpace, SourceUnusable
from tasks.workloads.channels import CHANNELS
from tasks.workloads.demo.channels import generate, truth
from tasks.workloads.spec import POLARS_TYPES

HEADER = "Youtuber,subscribers,video views,uploads,Country,created_year\n"
ROWS = "Ann,100,2000,10,India,2010\nBob,200,3000,20,Peru,2012\n"
REPOSITORY = Path(__file__).parents[2]
REAL = Path(os.environ.get("GREENLIGHT_TEST_DATA", REPOSITORY.parent / "shared" / "data"))
REAL_CHANNELS = REAL / "channels" / "Global YouTube Statistics.csv"


def read(source: Path, observed_at: datetime | None = None) -> tuple[SourceRead, pl.DataFrame]:
    """Read *source* into a file beside it."""
    to = source.parent / "snapshot" / f"{source.name}.parquet"
    found = read_source(CHANNELS, source, to, observed_at=observed_at)
    assert [path.name for path in to.parent.iterdir() if path.name.startswith(to.name)] == [to.name]
    return found, pl.read_parquet(to)


def read_text(tmp_path: Path, content: str | bytes, name: str = "x.csv") -> tuple[SourceRead, pl.DataFrame]:
    source = tmp_path / name
    source.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read(source)


def codes(found: SourceRead) -> dict[str, int]:
    return {finding.code: finding.count for finding in found.findings}


def told(found: SourceRead, code: str) -> str:
    return next(finding.message for finding in found.findings if finding.code == code)


def left_open(line: str) -> bool:
    """Tell whether a CSV reader would look for the end of the last cell on the next line."""
    try:
        list(csv.reader([line], strict=True))
    except csv.Error as error:
        return "unexpected end" in str(error)
    return False


def channels(frame: pl.DataFrame) -> list[str]:
    return frame["channel"].to_list()


def test_a_small_file_becomes_typed_rows_in_order(tmp_path):
    found, frame = read_text(tmp_path, HEADER + ROWS)
    assert found.rows == 2
    wanted = {column.name: POLARS_TYPES[column.type] for column in CHANNELS.columns}
    assert frame.schema == pl.Schema({**wanted, "_row": pl.Int64, "_unparsed": pl.String})
    assert frame.select("channel", "subscribers", "video_views", "uploads", "country", "_row", "_unparsed").rows() == [
        ("Ann", 100, 2000, 10, "India", 1, None),
        ("Bob", 200, 3000, 20, "Peru", 2, None),
    ]
    assert found.schema["observed_at"] == "Datetime(time_unit='us', time_zone='UTC')"


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_separator_is_found(tmp_path, separator):
    _, frame = read_text(tmp_path, (HEADER + ROWS).replace(",", separator))
    assert channels(frame) == ["Ann", "Bob"]


def test_a_semicolon_file_with_commas_in_its_cells_is_cut_at_semicolons(tmp_path):
    _, frame = read_text(tmp_path, HEADER.replace(",", ";") + '"Ann, again";1,234;2,000;10;India;2010\n')
    assert frame.select("channel", "subscribers").row(0) == ("Ann, again", 1234)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_any_line_ending_will_do(tmp_path, ending):
    _, frame = read_text(tmp_path, (HEADER + ROWS).replace("\n", ending))
    assert frame.select("channel", "created_year").rows() == [("Ann", 2010), ("Bob", 2012)]


def test_blank_lines_are_no_rows_and_rows_of_empty_cells_are(tmp_path):
    found, frame = read_text(tmp_path, "\n\n" + HEADER + "\n" + ROWS + ",,,,,\n   \n\r\n\n")
    assert found.rows == 3
    assert channels(frame) == ["Ann", "Bob", None]


def test_a_file_without_a_last_line_feed_keeps_its_last_row(tmp_path):
    assert channels(read_text(tmp_path, (HEADER + ROWS).rstrip())[1]) == ["Ann", "Bob"]


def test_a_line_that_is_too_long_is_flagged_and_kept(tmp_path):
    found, frame = read_text(tmp_path, HEADER + "Ann,100,2000,10,India,2010,7,8\n" + ROWS)
    assert frame["_unparsed"].to_list() == ["extra fields", None, None]
    assert codes(found)["extra_fields"] == 1


def test_a_line_that_is_too_short_is_a_row_with_missing_cells_and_says_so(tmp_path):
    found, frame = read_text(tmp_path, HEADER + "Ann,100\n" + ROWS)
    assert frame.select("channel", "subscribers", "uploads").row(0) == ("Ann", 100, None)
    assert frame["_unparsed"].to_list() == ["missing fields", None, None]
    assert codes(found)["missing_fields"] == 1


def test_a_row_whose_last_cells_are_empty_is_not_too_short(tmp_path):
    found, frame = read_text(tmp_path, HEADER + "Ann,100,2000,10,,\n" + ROWS + "Cid,100,2000,10,,")
    assert frame["_unparsed"].null_count() == 4
    assert "missing_fields" not in codes(found)


def test_separators_and_line_feeds_within_quotes_are_no_cells(tmp_path):
    found, frame = read_text(tmp_path, HEADER + '"Ann, the\n""one"",",100,2000\n' + '"a,b\nc",1,2,3,,\n' + ROWS)
    assert frame["_unparsed"].to_list() == ["missing fields", None, None, None]
    assert codes(found)["missing_fields"] == 1


def test_a_header_that_ends_in_a_separator_makes_no_row_too_short(tmp_path):
    _, frame = read_text(tmp_path, HEADER.replace("\n", ",\n") + ROWS + "Cid,1,2,3\n")
    assert frame["_unparsed"].to_list() == [None, None, "missing fields"]


def test_a_cell_that_is_no_number_is_null_and_kept_as_text(tmp_path):
    found, frame = read_text(tmp_path, HEADER + "Ann,many,2000,1e,India,2010\n" + ROWS)
    assert frame["_unparsed"].to_list() == ["subscribers=many,uploads=1e", None, None]
    assert codes(found)["unparsed"] == 2


def test_quotes_may_hold_separators_quotes_and_line_feeds(tmp_path):
    cell = '"Ann, ""the"" one\nand only"'
    _, frame = read_text(tmp_path, HEADER + f"{cell},100,2000,10,India,2010\r\n" + ROWS)
    assert channels(frame) == ['Ann, "the" one\nand only', "Ann", "Bob"]


@pytest.mark.parametrize(
    ("cell", "wanted"), [('5" disk', '5" disk'), ('"Ann" B', '"Ann" B'), ('"Ann', '"Ann'), ('An"n"', 'An"n"')]
)
def test_a_stray_quote_costs_no_row(tmp_path, cell, wanted):
    found, frame = read_text(tmp_path, HEADER + f"{cell},100,2000,10,India,2010\n" + ROWS)
    assert found.rows == 3
    assert channels(frame) == [wanted, "Ann", "Bob"]
    assert frame["subscribers"].to_list() == [100, 100, 200]


def test_a_quote_that_never_closes_at_the_end_of_the_file_costs_no_row(tmp_path):
    found, frame = read_text(tmp_path, HEADER + ROWS + '"Cid,300,4000,30,India,2010\nDan,400,5000,40,Peru,2011')
    assert channels(frame) == ["Ann", "Bob", '"Cid', "Dan"]
    assert codes(found)["broken_quotes"] == 1


def test_nul_bytes_are_taken_out_and_said(tmp_path):
    found, frame = read_text(
        tmp_path, (HEADER + ROWS + "C" * 200 + ",1,1,1,Peru,2010\n").encode().replace(b"Bob", b"B\0ob")
    )
    assert channels(frame)[:2] == ["Ann", "Bob"]
    assert codes(found)["nul_bytes"] == 1


@pytest.mark.parametrize("name", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "latin-1"])
def test_the_usual_encodings_are_read(tmp_path, name):
    found, frame = read_text(tmp_path, (HEADER + "Peña,100,2000,10,México,2010\n" + ROWS).encode(name))
    assert frame.select("channel", "country").row(0) == ("Peña", "México")
    assert ("encoding" in codes(found)) == (not name.startswith("utf-8"))


def test_utf16_is_read_whichever_byte_comes_first(tmp_path):
    for mark, name in ((b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        assert channels(read_text(tmp_path, mark + (HEADER + ROWS).encode(name))[1]) == ["Ann", "Bob"]


def test_one_line_in_another_encoding_does_not_spoil_the_others(tmp_path):
    content = HEADER.encode() + "Peña,1,2,3,India,2010\n".encode() + "Peña,1,2,3,India,2010\n".encode("cp1252")
    found, frame = read_text(tmp_path, content)
    assert channels(frame) == ["Peña", "Peña"]
    assert codes(found)["encoding"] == 1


def test_text_encoded_twice_is_repaired_and_lost_letters_are_said(tmp_path):
    twice = "Peña España".encode().decode("cp1252")
    found, frame = read_text(
        tmp_path, HEADER + f"{twice},1,2,3,India,2010\n\ufffd\ufffd x,1,2,3,India,2010\nNový,1,2,3,,\n"
    )
    assert channels(frame) == ["Peña España", "\ufffd\ufffd x", "Nový"]
    assert (codes(found)["letters_repaired"], codes(found)["letters_lost"]) == (1, 1)


def test_unknown_and_absent_columns_are_said(tmp_path):
    found, frame = read_text(tmp_path, HEADER.replace("\n", ",mood\n") + "Ann,100,2000,10,India,2010,fine\n")
    assert "mood" not in frame.columns
    messages = {finding.code: finding.message for finding in found.findings}
    assert "'mood'" in messages["columns_unknown"]
    assert "title" in messages["columns_absent"]
    assert "observed_at" not in messages["columns_absent"]
    assert frame["title"].to_list() == [None]


def test_what_is_made_of_other_columns_is_not_told_as_missing(tmp_path):
    columns = [replace(each, made=lambda: pl.lit(None)) if each.name == "title" else each for each in CHANNELS.columns]
    (tmp_path / "x.csv").write_text("channel,observed_at,subscribers,uploads,country\na,2024-05-01,1,1,Peru\n")
    found = read_source(replace(CHANNELS, columns=tuple(columns)), tmp_path / "x.csv", tmp_path / "x.parquet")
    missing = told(found, "columns_absent").partition("all missing: ")[2].split(", ")
    assert "category" in missing and "title" not in missing


def test_undated_rows_are_dated_to_the_year_after_the_newest(tmp_path):
    found, frame = read_text(tmp_path, HEADER + ROWS + "Cid,1,2,3,Peru,20201\n")
    assert frame["observed_at"].unique().to_list() == [datetime(2013, 1, 1, tzinfo=UTC)]
    assert "created_year (2012)" in told(found, "event_time")


def test_undated_rows_take_the_moment_given(tmp_path):
    source = tmp_path / "x.csv"
    source.write_text(HEADER + ROWS)
    _, frame = read(source, datetime(2024, 5, 6))
    assert frame["observed_at"].unique().to_list() == [datetime(2024, 5, 6, tzinfo=UTC)]


def test_a_source_that_dates_its_rows_is_believed_and_its_newest_date_fills_the_gaps(tmp_path):
    content = (
        "observed_at,channel,subscribers,uploads,country\n2024-01-02,Ann,1,1,Peru\n,Bob,1,1,Peru\n2023-01-02,Cid,1,1,\n"
    )
    source = tmp_path / "x.csv"
    source.write_text(content)
    found, frame = read(source, datetime(2030, 1, 1, tzinfo=UTC))
    assert frame["observed_at"].dt.year().to_list() == [2024, 2024, 2023]
    assert "1 of 3 rows" in told(found, "event_time")


def test_an_event_time_that_is_required_is_never_filled_in(tmp_path):
    columns = tuple(replace(each, required=each.name == "observed_at") for each in CHANNELS.columns)
    (tmp_path / "x.csv").write_text("channel,observed_at\na,2024-05-01\nb,\n")
    found = read_source(replace(CHANNELS, columns=columns), tmp_path / "x.csv", tmp_path / "x.parquet")
    assert pl.read_parquet(tmp_path / "x.parquet")["observed_at"].to_list() == [datetime(2024, 5, 1, tzinfo=UTC), None]
    assert "1 of 2 rows have no observed_at, and nothing stands in for it" in told(found, "event_time")


def test_a_source_without_any_date_is_refused_and_asked_for_one(tmp_path):
    with pytest.raises(SourceUnusable, match="give --observed-at"):
        read_text(tmp_path, "channel,subscribers,uploads,country\nAnn,1,1,Peru\n")


def test_gzip_and_parquet_give_the_same_rows_as_the_csv(tmp_path):
    plain = tmp_path / "plain.csv"
    generate(500, 3).write_csv(plain)
    (tmp_path / "packed.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    pl.read_csv(plain, infer_schema=False).write_parquet(tmp_path / "text.parquet")
    pl.read_csv(plain, null_values="nan", infer_schema_length=None).write_parquet(tmp_path / "typed.parquet")
    _, wanted = read(plain)
    for name in ("packed.csv.gz", "text.parquet", "typed.parquet"):
        assert read(tmp_path / name)[1].equals(wanted), name


def test_a_folder_is_read_by_name_whatever_the_order_of_columns(tmp_path):
    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "b.csv").write_text(HEADER + ROWS)
    (folder / "a.csv.gz").write_bytes(gzip.compress(b"Country\tuploads\tsubscribers\tYoutuber\nPeru\t1\t2\tZoe\n"))
    (folder / "deep" / "c.csv").write_text(HEADER + "Cid,1,2,3,Peru,2011\n")
    pl.DataFrame({"channel": ["Dan"], "subscribers": [5], "uploads": [6.0], "country": ["Peru"]}).write_parquet(
        folder / "d.parquet"
    )
    (folder / ".hidden.csv").write_text("not,read\n1,2\n")
    (folder / "notes.md").write_text("not read")
    found, frame = read(folder)
    assert channels(frame) == ["Zoe", "Ann", "Bob", "Dan", "Cid"] or channels(frame) == [
        "Zoe",
        "Ann",
        "Bob",
        "Cid",
        "Dan",
    ]
    assert frame["_row"].to_list() == [1, 2, 3, 4, 5]
    assert codes(found)["files_ignored"] == 1


def test_a_folder_without_data_is_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(SourceUnusable, match=r"holds nothing and no \.csv"):
        read(tmp_path / "folder")
    (tmp_path / "folder" / "notes.md").write_text("x")
    with pytest.raises(SourceUnusable, match=r"1 other or empty files \(notes.md\)"):
        read(tmp_path / "folder")


UNUSABLE = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \n\n", "nothing but blank lines"),
    "header_only": (HEADER.encode(), "a header and no rows"),
    "html": (b"<!doctype html><html></html>", "HTML"),
    "json": (b'{"channel": 1}', "is JSON"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG"),
    "excel": (b"PK\x03\x04" + bytes(100), "Excel"),
    "binary": (bytes(range(256)) * 20, "a binary file"),
    "prose": (b"It was a dark night.\nNothing happened.\n", "4 required columns are missing"),
    "parquet": (b"PAR1" + b"x" * 200, "damaged Parquet"),
    "truncated": (gzip.compress((HEADER + ROWS * 5000).encode())[:200], "breaks off"),
    "garbled": (b"\x1f\x8b" + b"x" * 100, "gzip file"),
    "required": (b"channel,subscribers,uploads\na,1,2\n", "1 required columns are missing: 'country'"),
    "twice": (b"channel,channel,subscribers,uploads,country\na,b,1,2,Peru\n", "mean the same thing"),
}


@pytest.mark.parametrize("kind", sorted(UNUSABLE))
def test_what_is_no_table_is_refused_and_nothing_is_left_behind(tmp_path, kind):
    content, message = UNUSABLE[kind]
    with pytest.raises(SourceUnusable, match=message):
        read_text(tmp_path, content)
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["x.csv"]


@pytest.mark.parametrize("kind", sorted(UNUSABLE))
def test_a_glance_shows_what_is_no_table(tmp_path, kind):
    content, message = UNUSABLE[kind]
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(SourceUnusable, match=message):
        glance(CHANNELS, tmp_path / "x.csv")


def test_a_glance_goes_no_further_than_the_first_rows(tmp_path):
    (tmp_path / "a.csv").write_text(HEADER)
    (tmp_path / "b.csv").write_text(HEADER + ROWS)
    (tmp_path / "c.parquet").write_bytes(b"PAR1" + bytes(200))
    glance(CHANNELS, tmp_path)


def test_a_missing_path_is_refused(tmp_path):
    with pytest.raises(SourceUnusable, match="does not exist"):
        read(tmp_path / "none.csv")
    with pytest.raises(SourceUnusable, match="does not exist"):
        digest_source(tmp_path / "none.csv")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_refused(tmp_path):
    source = tmp_path / "x.csv"
    source.write_text(HEADER + ROWS)
    source.chmod(0)
    with pytest.raises(SourceUnusable, match="may not be read"):
        read(source)


def test_a_column_of_lists_is_refused(tmp_path):
    frame = pl.DataFrame({"channel": [["a"]], "subscribers": [1], "uploads": [1], "country": ["Peru"]})
    frame.write_parquet(tmp_path / "x.parquet")
    with pytest.raises(SourceUnusable, match="flatten"):
        read(tmp_path / "x.parquet")


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """Make the system refuse larger files, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path):
    source, to = tmp_path / "x.csv", tmp_path / "home" / "x.parquet"
    generate(5_000, 1).write_csv(source)
    with no_file_larger_than(100_000), pytest.raises(OutOfSpace, match="free some space") as caught:
        read_source(CHANNELS, source, to)
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.EFBIG
    assert list(to.parent.iterdir()) == []


def test_a_home_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "home").write_text("a file where a folder should be")
    source = tmp_path / "x.csv"
    source.write_text(HEADER + ROWS)
    with pytest.raises(OutOfSpace, match="cannot be written"):
        read_source(CHANNELS, source, tmp_path / "home" / "x.parquet")


def test_a_refused_source_leaves_the_snapshot_that_was_there(tmp_path):
    source, to = tmp_path / "x.csv", tmp_path / "x.parquet"
    source.write_text(HEADER + ROWS)
    read_source(CHANNELS, source, to)
    before = to.read_bytes()
    source.write_text(HEADER)
    with pytest.raises(SourceUnusable):
        read_source(CHANNELS, source, to)
    assert to.read_bytes() == before


def test_what_a_killed_run_left_is_swept_up_by_the_next(tmp_path):
    source, home = tmp_path / "x.csv", tmp_path / "home"
    source.write_text(HEADER + ROWS)
    home.mkdir()
    for leftover in ("x.parquet.partial", "x.parquet.spool"):
        (home / leftover).write_bytes(b"half a file")
    read_source(CHANNELS, source, home / "x.parquet")
    assert [path.name for path in home.iterdir()] == ["x.parquet"]


def test_the_same_source_gives_the_same_bytes_whatever_the_block_size(tmp_path, monkeypatch):
    source = tmp_path / "x.csv"
    generate(3_000, 2).write_csv(source, quote_style="always")
    digests = set()
    for size in (1 << 24, 50_000, 7_001):
        monkeypatch.setattr(encoding, "BLOCK_BYTES", size)
        read_source(CHANNELS, source, tmp_path / "to.parquet")
        digests.add(hashlib.sha256((tmp_path / "to.parquet").read_bytes()).hexdigest())
    assert len(digests) == 1


def test_the_number_of_threads_changes_no_byte(tmp_path):
    source = tmp_path / "x.csv"
    generate(20_000, 2).write_csv(source)
    script = (
        "import sys; from pathlib import Path; from tasks.adapters.sources import read_source; "
        "from tasks.workloads.channels import CHANNELS; read_source(CHANNELS, Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    written = []
    for threads in ("1", "4"):
        to = tmp_path / f"{threads}.parquet"
        environment = {**os.environ, "POLARS_MAX_THREADS": threads}
        subprocess.run([sys.executable, "-c", script, source, to], cwd=REPOSITORY, env=environment, check=True)
        written.append(to.read_bytes())
    assert written[0] == written[1]


def test_the_digest_of_a_folder_follows_names_and_bytes_of_what_is_read(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.csv").write_text(HEADER + ROWS)
    first = digest_source(folder)
    (folder / ".DS_Store").write_text("x")
    assert digest_source(folder) == first
    (folder / "a.csv").rename(folder / "b.csv")
    assert digest_source(folder) != first
    assert digest_source(folder / "b.csv") == hashlib.sha256((HEADER + ROWS).encode()).hexdigest()


CELL = st.text(st.sampled_from('ab1 ,;"\n\réý\ufffd'), max_size=8)


@settings(max_examples=30)
@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=12), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_whatever_a_csv_writer_writes_is_read_back_row_for_row(tmp_path, monkeypatch, cells, quoting):
    # The header must fit the first block; records need not.
    monkeypatch.setattr(encoding, "BLOCK_BYTES", 100)
    out = io.StringIO()
    writer = csv.writer(out, quoting=quoting)
    writer.writerow(["channel", "title", "subscribers", "uploads", "country", "created_year"])
    writer.writerows([f"n{number}{name}", title, number, 1, "Peru", 2010] for number, (name, title) in enumerate(cells))
    source, to = tmp_path / "x.csv", tmp_path / "x.parquet"
    source.write_bytes(out.getvalue().encode())
    assert read_source(CHANNELS, source, to).rows == len(cells)
    frame = pl.read_parquet(to)
    assert frame["subscribers"].to_list() == list(range(len(cells)))
    assert frame["_unparsed"].null_count() == len(cells)
    wanted = [f"n{number}{name}".strip() for number, (name, _) in enumerate(cells)]
    assert channels(frame) == wanted


@settings(max_examples=25)
@given(st.lists(st.text(st.sampled_from('ab1,"ý'), min_size=1, max_size=12), min_size=1, max_size=12))
def test_however_its_quotes_are_broken_no_line_is_lost(tmp_path, lines):
    source, to = tmp_path / "x.csv", tmp_path / "x.parquet"
    # A cell left open may rightly end on the next line; every other line stands alone.
    alone = [line for line in lines if not left_open(line)]
    source.write_text(
        "channel,subscribers,uploads,country,created_year\nA,1,1,Peru,2010\n" + "".join(f"{x}\n" for x in alone)
    )
    assert read_source(CHANNELS, source, to).rows == 1 + len(alone)


@settings(max_examples=25)
@given(st.lists(st.lists(st.sampled_from(["", "1", "x"]), min_size=1, max_size=13), min_size=1, max_size=12))
def test_lines_of_any_length_are_rows_and_those_of_another_length_are_flagged(tmp_path, monkeypatch, lines):
    monkeypatch.setattr(encoding, "BLOCK_BYTES", 64)
    header = ["channel", "title", "subscribers", "uploads", "country"]
    source, to = tmp_path / "x.csv", tmp_path / "x.parquet"
    source.write_text("".join(f"{','.join(cells)}\n" for cells in [header, ["A"], *lines]))
    assert read_source(CHANNELS, source, to, observed_at=datetime(2024, 1, 1)).rows == 1 + sum(x != [""] for x in lines)
    said = pl.read_parquet(to)["_unparsed"].fill_null("")
    assert said.str.ends_with("extra fields").to_list()[1:] == [any(cells[5:]) for cells in lines if cells != [""]]
    short = [len(cells) < 5 for cells in [["A"], *lines] if cells != [""]]
    assert said.str.ends_with("missing fields").to_list() == short


def test_what_the_generator_planted_survives_the_round_trip(tmp_path):
    source = tmp_path / "x.csv"
    frame, planted = generate(2_000, 7), truth(2_000, 7)["fault"]
    frame.write_csv(source)
    found, rows = read(source)
    assert found.rows == 2_000
    assert (rows["_unparsed"].is_not_null() == (planted == "unparseable_number")).all()
    assert ((rows["uploads"] < 0).fill_null(False) == (planted == "negative_uploads")).all()
    assert ((rows["created_year"] < 2005).fill_null(False) == (planted == "created_too_early")).all()
    assert (rows["channel"].is_duplicated() == (planted == "duplicate_channel")).all()
    too_recent = (rows["views_30d"] > rows["video_views"]).fill_null(False)
    assert (too_recent == (planted == "recent_above_total")).all()
    assert rows["video_views_rank"].max() <= 2_000
    assert 0.25 < rows["subscribers_30d"].null_count() / 2_000 < 0.35


@pytest.mark.skipif(not REAL_CHANNELS.exists(), reason="the public channels list is not here")
def test_the_public_list_keeps_its_995_rows_and_says_what_is_wrong_with_it(tmp_path):
    to = tmp_path / "x.parquet"
    found = read_source(CHANNELS, REAL_CHANNELS, to)
    frame = pl.read_parquet(to)
    assert found.rows == frame.height == 995
    assert codes(found) == {"encoding": 69, "letters_lost": 197, "sentinels": 115, "event_time": 995}
    assert frame["_unparsed"].null_count() == 995
    assert frame["observed_at"].unique().to_list() == [datetime(2023, 1, 1, tzinfo=UTC)]
    missing = {name: frame[name].null_count() for name in ("category", "country", "subscribers_30d", "created_year")}
    assert missing == {"category": 46, "country": 122, "subscribers_30d": 337, "created_year": 5}
    assert frame["video_views"].max() == 228_000_000_000
    assert frame["channel"].n_unique() == 995
