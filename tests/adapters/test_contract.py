"""Great Expectations' verdict and Polars' split are one contract: same counts, same rows, no rule lost on the way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations.channels import COLUMNS, SUITE
from expectations.contract import AsOf, Rule, Suite, between, matches, mostly_present, newest, present, row_count
from tasks.adapters import contract
from tasks.adapters.contract import check, validate
from tasks.adapters.quarantine import SplitCounts, split
from tasks.adapters.sources import read_source
from tasks.core.rules import (
    flags,
    is_unique_rule,
    repeated_rows,
    row_rules,
    stop_if_counts_differ,
    stop_if_table_failed,
)
from tasks.core.values import RuleResult
from tasks.errors import DataRejected, Misdeclared
from tasks.workloads.channels import CHANNELS
from tasks.workloads.demo.channels import generate, truth

TYPES: dict[str, Any] = {"float": pl.Float64, "int": pl.Int64, "text": pl.String, "datetime": pl.Datetime("us", "UTC")}
SCHEMA = {name: TYPES[type] for name, type in COLUMNS.items()}
REAL = Path(os.environ.get("GREENLIGHT_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
REAL_CHANNELS = REAL / "channels" / "Global YouTube Statistics.csv"
TODAY = date(2026, 11, 21)
SEEN = datetime(2026, 11, 1, tzinfo=UTC)

SOUND: dict[str, Any] = {
    "observed_at": SEEN,
    "rank": 1,
    "title": "Title",
    "subscribers": 20_000_000,
    "video_views": 9_000_000_000,
    "category": "Music",
    "channel_type": "Music",
    "uploads": 700,
    "country": "India",
    "abbreviation": "IN",
    "video_views_rank": 10,
    "country_rank": 2,
    "channel_type_rank": 3,
    "views_30d": 100_000_000,
    "lowest_monthly_earnings": 25_000.0,
    "highest_monthly_earnings": 400_000.0,
    "lowest_yearly_earnings": 300_000.0,
    "highest_yearly_earnings": 4_800_000.0,
    "subscribers_30d": 100_000,
    "created_year": 2012,
    "created_month": 3,
    "created_date": 9,
    "tertiary_enrolment": 28.1,
    "population": 1_366_417_754,
    "unemployment_rate": 5.36,
    "urban_population": 471_031_528,
    "latitude": 20.59,
    "longitude": 78.96,
    "_unparsed": None,
}

# One row per row rule, and what it says wrongly; the rules it breaks are those named.
PLANTED: dict[str, tuple[dict[str, Any], ...]] = {
    "every_cell_read": ({"_unparsed": "rank=first"},),
    "channel_present": ({"channel": None},),
    "channel_not_blank": ({"channel": " \t"},),
    "observed_at_present": ({"observed_at": None},),
    "channel_seen_once": ({"channel": "twin"}, {"channel": "twin"}),
    "subscribers_present": ({"subscribers": None},),
    "subscribers_positive": ({"subscribers": 0, "subscribers_30d": 0},),
    "uploads_present": ({"uploads": None},),
    "uploads_not_negative,uploads_known": ({"uploads": -1},),
    "uploads_known": ({"uploads": 0},),
    "channel_viewed,views_cover_subscribers": ({"video_views": 0, "views_30d": 0},),
    "views_30d_not_negative": ({"views_30d": -1},),
    "subscribers_30d_not_negative": ({"subscribers_30d": -1},),
    "rank_positive": ({"rank": 0},),
    "video_views_rank_positive": ({"video_views_rank": 0},),
    "country_rank_positive": ({"country_rank": 0},),
    "channel_type_rank_positive": ({"channel_type_rank": 0},),
    "views_cover_subscribers": ({"video_views": 19_999_999, "views_30d": 1},),
    "views_cover_views_30d": ({"views_30d": 9_000_000_001},),
    "subscribers_cover_gain": ({"subscribers_30d": 20_000_001},),
    "lowest_monthly_earnings_plausible": ({"lowest_monthly_earnings": -1.0},),
    "highest_monthly_earnings_plausible,highest_year_covers_month": ({"highest_monthly_earnings": float("inf")},),
    "lowest_yearly_earnings_plausible,lowest_year_covers_month": ({"lowest_yearly_earnings": -0.01},),
    "highest_yearly_earnings_plausible": ({"highest_yearly_earnings": float("inf")},),
    "monthly_range": ({"highest_monthly_earnings": 24_999.0},),
    "yearly_range": ({"highest_yearly_earnings": 400_000.0, "lowest_yearly_earnings": 400_001.0},),
    "lowest_year_covers_month": ({"lowest_yearly_earnings": 24_999.0},),
    "highest_year_covers_month": ({"highest_yearly_earnings": 399_999.0},),
    "created_year_possible": ({"created_year": 1970}, {"created_year": 2004}, {"created_year": 2101}),
    "created_month_possible": ({"created_month": 0}, {"created_month": 13}),
    "created_date_possible": ({"created_date": 32},),
    "country_not_blank,country_matches_code": ({"country": ""},),
    "abbreviation_is_a_code,country_matches_code": ({"abbreviation": "in"}, {"abbreviation": "IN\n"}),
    "country_matches_code": ({"abbreviation": "US"}, {"country": "Atlantis"}),
    "tertiary_enrolment_possible": ({"tertiary_enrolment": 150.1},),
    "unemployment_rate_possible": ({"unemployment_rate": -0.1},),
    "population_positive,people_cover_city_people": ({"population": 0},),
    "urban_population_not_negative": ({"urban_population": -1},),
    "people_cover_city_people": ({"urban_population": 1_366_417_755},),
    "latitude_possible": ({"latitude": 90.1},),
    "longitude_possible": ({"longitude": -180.1},),
}


def channels(*changes: Mapping[str, Any], sound: int = 100) -> pl.DataFrame:
    """Return *sound* rows nothing is wrong with, then one row per entry of *changes*."""
    rows = [
        SOUND | {"channel": f"channel {number}", "_row": number} | dict(change)
        for number, change in enumerate([*({} for _ in range(sound)), *changes], start=1)
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return tmp_path / "snapshot.parquet"


def judged(frame: pl.DataFrame, snapshot: Path, suite: Suite = SUITE) -> dict[str, RuleResult]:
    frame.write_parquet(snapshot)
    return {result.rule: result for result in check(suite, snapshot, snapshot.parent / "tmp", as_of=TODAY)}


def parted(frame: pl.DataFrame, snapshot: Path, suite: Suite = SUITE) -> tuple[SplitCounts, pl.DataFrame, pl.DataFrame]:
    frame.write_parquet(snapshot)
    accepted, quarantined = snapshot.with_name("accepted.parquet"), snapshot.with_name("quarantined.parquet")
    counts = split(suite, snapshot, accepted, quarantined)
    return counts, pl.read_parquet(accepted), pl.read_parquet(quarantined)


def rows_by_great_expectations(snapshot: Path, suite: Suite) -> dict[str, set[int]]:
    """Return, for each row rule, the ``_row`` numbers that Great Expectations says break it."""
    whole = {
        "result_format": "COMPLETE",
        "unexpected_index_column_names": ["_row"],
        "partial_unexpected_count": 1_000_000,
        "return_unexpected_index_query": False,
        # Uniqueness lists no index on SQL, only whole rows.
        "include_unexpected_rows": True,
    }
    found = validate(suite, snapshot, snapshot.parent / "tmp", as_of=TODAY, result_format=whole)
    return {id: _row_numbers(each.result) for id, each in found.items()}


def _row_numbers(result: Mapping[str, Any]) -> set[int]:
    listed = result.get("unexpected_index_list") or result.get("unexpected_rows") or ()
    assert len(listed) == result["unexpected_count"]
    return {each["_row"] for each in listed}


def rows_by_polars(snapshot: Path, suite: Suite) -> dict[str, set[int]]:
    """Return, for each row rule, the ``_row`` numbers that its Polars mask names."""
    rules, lazy = row_rules(suite), pl.scan_parquet(snapshot)
    repeated = {rule.id: repeated_rows(lazy, rule) for rule in rules if is_unique_rule(rule)}
    masks = lazy.select("_row", *flags(rules, repeated)).collect()
    return {rule.id: set(masks.filter(rule.id)["_row"].to_list()) for rule in rules}


ROW_SUITE = Suite("channels", row_rules(SUITE))
ALL_PLANTED = [change for changes in PLANTED.values() for change in changes]


def test_sound_rows_pass_every_rule_and_all_are_accepted(snapshot: Path) -> None:
    results = judged(channels(), snapshot)
    assert [result.rule for result in results.values() if not result.passed] == []
    assert list(results) == [rule.id for rule in SUITE.rules]
    counts, accepted, quarantined = parted(channels(), snapshot)
    assert (counts.rows_in, counts.accepted, counts.quarantined) == (100, 100, 0)
    assert accepted.equals(channels())
    assert quarantined.columns == [*COLUMNS, "_rules"]


def test_every_row_rule_is_planted_and_each_planted_row_breaks_just_what_it_should(snapshot: Path) -> None:
    frame = channels(*ALL_PLANTED)
    _, _, quarantined = parted(frame, snapshot)
    found = rows_by_polars(snapshot, ROW_SUITE)
    wanted: dict[str, set[int]] = {rule.id: set() for rule in row_rules(SUITE)}
    row = 100
    for names, changes in PLANTED.items():
        for _ in changes:
            row += 1
            for name in names.split(","):
                wanted[name].add(row)
    assert found == wanted
    assert all(found.values())
    critical = {rule.id for rule in row_rules(SUITE) if rule.severity == "critical"}
    assert set(quarantined["_row"]) == set().union(*(found[id] for id in critical))
    said = dict(quarantined.select("_row", "_rules").iter_rows())
    assert all(said[row] == ",".join(id for id, rows in found.items() if row in rows) for row in said)


def test_great_expectations_and_polars_name_the_same_rows_for_every_rule(snapshot: Path) -> None:
    channels(*ALL_PLANTED).write_parquet(snapshot)
    assert rows_by_great_expectations(snapshot, ROW_SUITE) == rows_by_polars(snapshot, ROW_SUITE)


def values_near(name: str) -> st.SearchStrategy[Any]:
    """Values at and around the bounds of the rules, and missing ones."""
    numbers = st.sampled_from([-1, 0, 1, 2, 12, 13, 31, 32, 100, 101, 2004, 2005, 2100, 2101, 2**53 + 1, 2**62])
    texts = st.sampled_from(
        ["", " ", "\t\n", "India", "IN", "US", "in", "IN\n", "Türkiye", "TR", "\u00a0", "a\x1fb", "'"]
    )
    reals = st.sampled_from([-180.1, -180.0, -90.0, -0.0, 0.0, 0.1, 90.0, 100.0, 150.0, 150.1, 1e13, 1.1e13, 5e-324])
    of = {
        "int": numbers,
        "text": texts,
        "float": reals,
        "datetime": st.sampled_from([SEEN, datetime(2020, 1, 1, tzinfo=UTC)]),
    }
    return st.none() | of[COLUMNS[name]]


ROWS = st.lists(
    st.fixed_dictionaries({name: values_near(name) for name in COLUMNS if name != "_row"}), min_size=40, max_size=80
)


@given(rows=ROWS)
@settings(max_examples=4, suppress_health_check=list(HealthCheck))
def test_the_two_engines_agree_on_whatever_rows_come(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    snapshot = tmp_path_factory.mktemp("rows") / "snapshot.parquet"
    frame = pl.DataFrame([row | {"_row": number} for number, row in enumerate(rows, start=1)], schema=SCHEMA)
    frame.write_parquet(snapshot)
    assert rows_by_great_expectations(snapshot, ROW_SUITE) == rows_by_polars(snapshot, ROW_SUITE)


def test_verdict_and_split_count_the_same_and_rows_in_are_rows_out(snapshot: Path) -> None:
    frame = channels(*ALL_PLANTED)
    results = judged(frame, snapshot)
    counts, accepted, quarantined = parted(frame, snapshot)
    stop_if_counts_differ(results.values(), counts.broken, "channels")
    assert counts.rows_in == frame.height == accepted.height + quarantined.height
    assert sorted([*accepted["_row"], *quarantined["_row"]]) == frame["_row"].to_list()
    assert accepted["_row"].is_sorted()


def test_a_nan_that_slipped_into_a_snapshot_is_not_judged_in_two_ways_in_silence(snapshot: Path) -> None:
    # DuckDB trusts the Parquet statistics, which leave NaN out, and so counts none; the reader writes none either.
    suite = Suite("channels", (between("plausible", "latitude", "why", low=-90, high=90),))
    frame = channels({"latitude": float("nan")})
    results = judged(frame, snapshot, suite)
    counts, _, _ = parted(frame, snapshot, suite)
    with pytest.raises(Misdeclared, match="broken by 0 rows in the contract's verdict and by 1 in the split"):
        stop_if_counts_differ(results.values(), counts.broken, "channels")


def test_every_fault_the_generator_planted_is_quarantined_and_nothing_else(tmp_path: Path) -> None:
    source, snapshot = tmp_path / "channels.csv", tmp_path / "snapshot.parquet"
    generate(2_000, 3).write_csv(source)
    read_source(CHANNELS, source, snapshot, observed_at=None)
    split(SUITE, snapshot, tmp_path / "accepted.parquet", tmp_path / "quarantined.parquet")
    faults = truth(2_000, 3).with_row_index("_row", offset=1).filter(pl.col("fault") != "")
    assert faults.height > 40
    assert pl.read_parquet(tmp_path / "quarantined.parquet")["_row"].to_list() == faults["_row"].to_list()


@pytest.mark.skipif(not REAL_CHANNELS.exists(), reason="the real channels are not on this machine")
def test_the_real_list_loses_its_pseudo_channels_and_contradictions_only(tmp_path: Path) -> None:
    snapshot = tmp_path / "snapshot.parquet"
    read_source(CHANNELS, REAL_CHANNELS, snapshot, observed_at=None)
    counts, _, quarantined = parted(pl.read_parquet(snapshot), snapshot)
    assert (counts.rows_in, counts.accepted, counts.quarantined) == (995, 981, 14)
    assert {rule: count for rule, count in counts.broken.items() if count} == {
        "uploads_known": 43,
        "channel_viewed": 8,
        "views_cover_subscribers": 11,
        "views_cover_views_30d": 7,
        "created_year_possible": 1,
    }
    assert {"Music", "Gaming", "Sports", "Happy Lives", "YouTube"} <= set(quarantined["channel"])


def test_a_row_with_only_a_warning_is_accepted(snapshot: Path) -> None:
    counts, _, quarantined = parted(channels({"uploads": 0}), snapshot)
    assert counts.broken["uploads_known"] == 1
    assert quarantined.is_empty()


def test_the_same_snapshot_is_split_into_the_same_bytes(snapshot: Path) -> None:
    parted(channels(*ALL_PLANTED), snapshot)
    first = [snapshot.with_name(f"{name}.parquet").read_bytes() for name in ("accepted", "quarantined")]
    parted(channels(*ALL_PLANTED), snapshot)
    assert first == [snapshot.with_name(f"{name}.parquet").read_bytes() for name in ("accepted", "quarantined")]


def test_a_contract_without_rules_on_rows_accepts_them_all(snapshot: Path) -> None:
    suite = Suite("channels", tuple(rule for rule in SUITE.rules if rule.kind == "table"))
    counts, accepted, quarantined = parted(channels({"uploads": -1}), snapshot, suite)
    assert (counts.rows_in, counts.accepted, counts.quarantined, counts.broken) == (101, 101, 0, {})
    assert accepted.height == 101 and quarantined.columns == [*COLUMNS, "_rules"]


def test_a_column_without_values_fails_though_every_map_rule_passes_on_it(snapshot: Path) -> None:
    frame = channels().with_columns(subscribers=pl.lit(None, pl.Int64))
    results = judged(frame, snapshot)
    assert results["subscribers_positive"].passed
    assert not results["subscribers_mostly_present"].passed
    with pytest.raises(DataRejected, match=r"subscribers_mostly_present \(100 of 100 rows\)"):
        stop_if_table_failed(results.values(), "channels")


def test_no_rows_are_a_failed_table_and_no_error(snapshot: Path) -> None:
    results = judged(channels(sound=0), snapshot)
    assert not results["enough_rows"].passed
    with pytest.raises(DataRejected, match=r"enough_rows \(0\)"):
        stop_if_table_failed(results.values(), "channels")
    counts, accepted, quarantined = parted(channels(sound=0), snapshot)
    assert (counts.rows_in, accepted.height, quarantined.height) == (0, 0, 0)


def test_99_rows_are_too_few_and_100_are_enough(snapshot: Path) -> None:
    suite = Suite("channels", tuple(rule for rule in SUITE.rules if rule.id == "enough_rows"))
    assert not judged(channels(sound=99), snapshot, suite)["enough_rows"].passed
    assert judged(channels(sound=100), snapshot, suite)["enough_rows"].passed


@pytest.mark.parametrize(
    ("newest_seen", "failed"),
    [
        (datetime(2025, 10, 17, tzinfo=UTC), []),
        (datetime(2025, 10, 16, tzinfo=UTC), ["not_stale"]),
        (datetime(2026, 11, 22, tzinfo=UTC), []),
        (datetime(2026, 11, 22, 0, 1, tzinfo=UTC), ["not_from_the_future"]),
    ],
)
def test_freshness_is_judged_on_the_day_it_is_told(snapshot: Path, newest_seen: datetime, failed: list[str]) -> None:
    suite = Suite("channels", tuple(rule for rule in SUITE.rules if isinstance_of_freshness(rule)))
    frame = channels().with_columns(observed_at=pl.lit(newest_seen, TYPES["datetime"]))
    results = judged(frame, snapshot, suite)
    assert [result.rule for result in results.values() if not result.passed] == failed


def isinstance_of_freshness(rule: Rule) -> bool:
    return any(isinstance(value, AsOf) for value in rule.kwargs.values())


@pytest.mark.parametrize(
    ("column", "wrong"),
    [("rank", pl.Int32), ("rank", pl.Float64), ("latitude", pl.Int64), ("title", pl.Int64), ("observed_at", pl.Date)],
)
def test_a_column_of_another_type_fails(snapshot: Path, column: str, wrong: Any) -> None:
    name = f"{column}_is_{COLUMNS[column]}"
    suite = Suite("channels", tuple(rule for rule in SUITE.rules if rule.id == name))
    frame = channels().with_columns(pl.lit(None, wrong).alias(column))
    assert not judged(frame, snapshot, suite)[name].passed


def test_a_missing_column_is_named(snapshot: Path) -> None:
    suite = Suite("channels", tuple(rule for rule in SUITE.rules if rule.id == "columns_exist"))
    result = judged(channels().drop("rank"), snapshot, suite)["columns_exist"]
    assert not result.passed
    assert result.observed == "missing: rank"


def test_a_rule_that_cannot_be_evaluated_is_neither_passed_nor_bad_data(snapshot: Path) -> None:
    suite = Suite("channels", (present("here", "rank", "why"), between("nowhere", "no_such", "why", low=1)))
    with pytest.raises(Misdeclared, match=r"1 of 2 rules could not be evaluated.*nowhere: .*no_such"):
        judged(channels(), snapshot, suite)


def test_a_rule_on_the_wrong_type_is_broken_not_failed(snapshot: Path) -> None:
    suite = Suite("channels", (matches("odd", "subscribers", "x", "why"),))
    with pytest.raises(Misdeclared, match="1 of 1 rules could not be evaluated"):
        judged(channels(), snapshot, suite)


def test_an_unknown_type_of_rule_is_refused_and_not_left_out(snapshot: Path) -> None:
    strange = Rule("odd", "expect_table_to_be_nice", {}, "table", "critical", "why")
    with pytest.raises(Misdeclared, match="rule odd of type expect_table_to_be_nice is refused"):
        judged(channels(), snapshot, Suite("channels", (row_count("n", 1, "why"), strange)))


def test_a_severity_great_expectations_does_not_know_is_refused(snapshot: Path) -> None:
    grave = Rule("odd", "expect_table_row_count_to_be_between", {"min_value": 1}, "table", "grave", "why")  # type: ignore[arg-type]
    with pytest.raises(Misdeclared, match="rule odd"):
        judged(channels(), snapshot, Suite("channels", (grave,)))


def test_a_rule_left_out_of_the_report_is_missed() -> None:
    suite = Suite("channels", (row_count("n", 1, "why"), mostly_present("rank", 0.5, "why")))
    with pytest.raises(Misdeclared, match="judged 0 of 2 rules and left out n, rank_mostly_present"):
        contract._check_whole(suite, {})


@pytest.mark.parametrize("name", ["_PERSISTED_CONNECTION_DIALECTS", "get_dialect_regex_expression"])
def test_a_great_expectations_whose_private_names_moved_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with contract._kept_quiet():
        contract._patched()
    module = contract._ENGINE if name.isupper() else f"{contract._METRICS}.util"
    monkeypatch.delattr(f"{module}.{name}")
    with pytest.raises(Misdeclared, match=f"{name}, which must be patched for DuckDB; install the version"):
        contract._patched()


def test_patching_twice_changes_nothing_more() -> None:
    with contract._kept_quiet():
        contract._patched()
        engine = sys.modules[contract._ENGINE]
        before = engine._PERSISTED_CONNECTION_DIALECTS
        contract._patched()
    assert engine._PERSISTED_CONNECTION_DIALECTS is before


def test_a_check_leaves_nothing_behind_and_writes_nowhere_else(snapshot: Path, tmp_path: Path) -> None:
    channels().write_parquet(snapshot)
    home, here, tmp = tmp_path / "home", tmp_path / "here", tmp_path / "tmp"
    home.mkdir()
    here.mkdir()
    code = (
        "import sys; from datetime import date; from pathlib import Path; from expectations.channels import SUITE;"
        "from tasks.adapters.contract import check;"
        "check(SUITE, Path(sys.argv[1]), Path(sys.argv[2]), as_of=date(2026, 11, 21))"
    )
    environment = os.environ | {"HOME": str(home), "TMPDIR": str(here), "PYTHONPATH": os.getcwd()}
    subprocess.run([sys.executable, "-c", code, str(snapshot), str(tmp)], check=True, cwd=here, env=environment)
    assert [list(folder.iterdir()) for folder in (home, here, tmp)] == [[], [], []]


def test_a_path_with_a_quote_is_a_path(tmp_path: Path) -> None:
    odd = tmp_path / "it's"
    odd.mkdir()
    suite = Suite("channels", (row_count("n", 1, "why"),))
    assert judged(channels(), odd / "snapshot.parquet", suite)["n"].passed


def test_a_split_that_does_not_fit_says_so_and_leaves_nothing(snapshot: Path) -> None:
    channels().write_parquet(snapshot)
    code = (
        "import resource, signal, sys; from pathlib import Path; from expectations.channels import SUITE;"
        "from tasks.adapters.quarantine import split; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096));"
        "split(SUITE, *[Path(argument) for argument in sys.argv[1:]])"
    )
    names = (snapshot, snapshot.with_name("accepted.parquet"), snapshot.with_name("quarantined.parquet"))
    command = [sys.executable, "-c", code, *map(str, names)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "OutOfSpace: cannot write" in ended.stderr
    assert [path.name for path in snapshot.parent.iterdir()] == ["snapshot.parquet"]


def test_the_newest_rule_takes_days_as_plain_data() -> None:
    rule = newest("fresh", "observed_at", "why", earliest=AsOf(-1))
    assert contract._argument("min_value", rule.kwargs["min_value"], TODAY) == datetime(2026, 11, 20, tzinfo=UTC)
