"""How raw cells become typed columns, on cells short enough to check by eye."""

from __future__ import annotations

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.core.reading import Typed, match_columns, normalised, typed
from tasks.errors import SourceUnusable
from tasks.workloads.spec import Column, ColumnType

COLUMNS = (
    Column("channel", "text", "name", aliases=("youtuber",), required=True),
    Column("uploads", "int", "videos", required=True),
    Column("video_views", "int", "views"),
)


def read(kind: ColumnType, *cells: object, unit: str = "", sentinels: tuple[float | str, ...] = ()) -> Typed:
    """Read *cells* as one column called x."""
    raw = pl.DataFrame({"x": list(cells)}).with_columns(pl.lit(False).alias("_short"), pl.lit(False).alias("_extra"))
    return typed(raw, [Column("x", kind, "x", unit=unit, sentinels=sentinels)])


def values(kind: ColumnType, *cells: object, unit: str = "") -> list[object]:
    return read(kind, *cells, unit=unit).frame["x"].to_list()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("video views", "video_views"),
        ("Gross tertiary education enrollment (%)", "gross_tertiary_education_enrollment"),
        ("  Urban_population ", "urban_population"),
        ("Ｃｏｕｎｔｒｙ", "country"),
    ],
)
def test_a_header_becomes_snake_case(name, wanted):
    assert normalised(name) == wanted


def test_a_column_is_found_by_name_or_alias_whatever_its_spelling():
    matched = match_columns(["Uploads", "VideoViews", "YouTuber", "rank"], COLUMNS, "x.csv")
    assert dict(matched.positions) == {"uploads": 0, "video_views": 1, "channel": 2}
    assert matched.unknown == ("rank",)
    assert matched.absent == ()


def test_an_optional_column_may_be_absent():
    assert match_columns(["channel", "uploads"], COLUMNS, "x.csv").absent == ("video_views",)


def test_a_missing_required_column_is_refused_with_the_columns_found_and_close_ones():
    with pytest.raises(
        SourceUnusable, match=r"1 required columns are missing: 'uploads'.*'upload_count'.*found \(2\)"
    ) as caught:
        match_columns(["channel", "upload count"], COLUMNS, "x.csv")
    assert "did you mean" in str(caught.value)
    assert "Rename the columns" in str(caught.value)


def test_two_headers_with_one_meaning_are_refused():
    with pytest.raises(SourceUnusable, match="2 columns mean the same thing: 'Youtuber', 'channel'"):
        match_columns(["Youtuber", "uploads", "channel"], COLUMNS, "x.csv")


def test_two_unknown_headers_of_one_spelling_are_refused_but_nameless_ones_are_not():
    with pytest.raises(SourceUnusable, match="'a b', 'A_B'"):
        match_columns(["channel", "uploads", "a b", "A_B"], COLUMNS, "x.csv")
    assert match_columns(["channel", "uploads", "", ""], COLUMNS, "x.csv").unknown == ("", "")


@pytest.mark.parametrize("spelling", ["", "nan", "NaN", "NA", "N/A", "null", "none", "-", "--", "—", "  nan  ", " "])
@pytest.mark.parametrize("kind", ["float", "int", "text", "category", "month", "datetime"])
def test_every_spelling_of_missing_is_missing_in_every_type(kind, spelling):
    found = read(kind, spelling, None)
    assert found.frame["x"].to_list() == [None, None]
    assert found.frame["_unparsed"].to_list() == [None, None]


def test_namibia_is_no_missing_country():
    assert values("category", "NA", "US", unit="ISO 3166-1 alpha-2") == ["NA", "US"]


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [
        ("12", 12),
        ("12.0", 12),
        ("2.28E+11", 228_000_000_000),
        ("1,234,567", 1_234_567),
        ("1 234 567", 1_234_567),
        ("1\u00a0234", 1234),
        ("1_234", 1234),
        ("1.234.567", 1_234_567),
        ("-1,234", -1234),
        (" $1,234 ", 1234),
        ("1,234.00", 1234),
        ("9007199254740993", 9_007_199_254_740_993),
    ],
)
def test_a_whole_number_is_read_however_it_is_written(cell, wanted):
    assert values("int", cell) == [wanted]


@pytest.mark.parametrize(
    "cell",
    ["12.5", "45%", "inf", "-Infinity", "1,23", "12,3456", "1_2345", "abc", "1e", "0x10", "1.2M", "1e300", "4 5 6"],
)
def test_what_is_no_whole_number_is_null_and_kept_as_text(cell):
    found = read("int", cell, "7")
    assert found.frame["x"].to_list() == [None, 7]
    assert found.frame["_unparsed"].to_list() == [f"x={cell}", None]
    assert dict(found.unparsed) == {"x": 1}


def test_a_percent_sign_belongs_to_a_column_of_percents_only():
    assert values("float", "45%", "28.1", unit="%") == [45.0, 28.1]
    assert read("float", "45%").frame["_unparsed"].to_list() == ["x=45%"]


def test_a_fraction_may_have_thousands_separators_and_a_currency_sign():
    assert values("float", "€1,234.56", "1.234", ".5", "-2e-3") == [1234.56, 1.234, 0.5, -0.002]


@pytest.mark.parametrize(
    ("cell", "wanted"),
    [("Jan", 1), ("january", 1), ("SEPT", 9), ("Sep", 9), ("12", 12), ("03", 3), ("3.0", 3), ("13", None)],
)
def test_a_month_is_a_word_or_a_number(cell, wanted):
    assert values("month", cell) == [wanted]


def test_a_month_that_is_none_is_kept_as_text():
    assert read("month", "Brumaire").frame["_unparsed"].to_list() == ["x=Brumaire"]


@pytest.mark.parametrize(
    "cell",
    [
        "2026-03-01",
        "2026-03-01 00:00",
        "2026-03-01T00:00:00",
        "2026-03-01T00:00:00Z",
        "2026-03-01 00:00:00.000000",
        "2026-03-01T02:00:00+02:00",
        "2026-03-01 00:00:00 UTC",
    ],
)
def test_a_moment_is_read_as_utc(cell):
    assert values("datetime", cell) == [datetime(2026, 3, 1, tzinfo=UTC)]


def test_a_day_that_does_not_exist_is_kept_as_text():
    assert read("datetime", "2026-02-30").frame["_unparsed"].to_list() == ["x=2026-02-30"]


def test_dates_of_a_typed_source_stay_what_they_are():
    assert values("datetime", date(2026, 3, 1)) == [datetime(2026, 3, 1, tzinfo=UTC)]
    assert values("datetime", datetime(2026, 3, 1)) == [datetime(2026, 3, 1, tzinfo=UTC)]
    assert values("datetime", datetime(2026, 3, 1, tzinfo=UTC)) == [datetime(2026, 3, 1, tzinfo=UTC)]


def test_numbers_of_a_typed_source_are_read_like_text():
    assert values("int", 1.0, float("nan"), None) == [1, None, None]
    assert values("int", 2**53 + 1) == [2**53 + 1]
    assert read("int", 1.5, float("inf")).frame["_unparsed"].to_list() == ["x=1.5", "x=inf"]
    assert values("text", 17) == ["17"]


def test_a_sentinel_is_missing_and_counted():
    found = read("int", "4057944", "12", "4,057,944", sentinels=(4_057_944.0,))
    assert found.frame["x"].to_list() == [None, 12, None]
    assert dict(found.sentinels) == {"x": 2}
    assert read("text", "unknown", "b", sentinels=("unknown",)).frame["x"].to_list() == [None, "b"]


def test_a_row_that_is_too_short_says_so_behind_its_unread_cells():
    raw = pl.DataFrame({"channel": ["a"], "uploads": ["x"], "video_views": [None], "_short": [True], "_extra": [False]})
    found = typed(raw, COLUMNS)
    assert (found.frame["_unparsed"].to_list(), found.rows_short) == (["uploads=x,missing fields"], 1)


def test_a_row_names_each_of_its_unread_cells_and_its_extra_fields():
    raw = pl.DataFrame({"channel": ["a"], "uploads": ["x"], "video_views": ["y"], "_short": [False], "_extra": [True]})
    assert typed(raw, COLUMNS).frame["_unparsed"].to_list() == ["uploads=x,video_views=y,extra fields"]


def test_destroyed_letters_are_counted_by_cell_and_row_and_a_czech_word_is_none():
    raw = pl.DataFrame(
        {"a": ["ýýý Diana", "Nový", "x"], "b": ["\ufffd", "ï¿½", "x"], "_short": [False] * 3, "_extra": [False] * 3}
    )
    found = typed(raw, [Column("a", "text", "a"), Column("b", "category", "b")])
    assert dict(found.lost) == {"a": 1, "b": 2}
    assert found.rows_lost == 2


def test_a_day_takes_the_time_of_its_clock_and_a_moment_keeps_its_own():
    raw = pl.DataFrame(
        {
            "at": ["2026-05-01", "2026-05-01", "2026-05-01 19:15", "2026-05-01", None],
            "clock": ["20:30", "8:05:00", "20:30", "25:10", "20:30"],
            "_short": [False] * 5,
            "_extra": [False] * 5,
        }
    )
    found = typed(raw, [Column("at", "datetime", "start", clock="clock"), Column("clock", "text", "time of day")])
    said = found.frame["at"].dt.strftime("%d %H:%M").to_list()
    assert said == ["01 20:30", "01 08:05", "01 19:15", "01 00:00", None]
    assert found.frame["clock"].to_list() == ["20:30", "8:05:00", "20:30", "25:10", "20:30"]


@settings(max_examples=60)
@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=5), st.sampled_from([",", " ", "_", "'", ""]))
def test_grouping_digits_never_changes_the_number(numbers, separator):
    written = [f"{number:,}".replace(",", separator) for number in numbers]
    assert values("int", *written) == numbers


@settings(max_examples=100)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=6))
def test_whatever_is_written_a_number_cell_is_read_or_missing_or_kept(cells):
    found = read("float", *cells).frame
    for cell, value, kept in zip(cells, found["x"], found["_unparsed"], strict=True):
        assert kept is None or value is None, cell
