"""Each kind of row rule on values small enough to judge by eye, and what a table-level verdict does."""

from __future__ import annotations

import polars as pl
import pytest

from expectations.contract import (
    Rule,
    Suite,
    absent,
    at_least,
    between,
    matches,
    mostly_present,
    paired,
    present,
    row_count,
    unique,
)
from tasks.core.rules import (
    broken_rules,
    flags,
    is_unique_rule,
    of_learning,
    repeated_rows,
    row_rules,
    stop_if_counts_differ,
    stop_if_table_failed,
)
from tasks.core.values import RuleResult
from tasks.errors import DataRejected, Misdeclared


def broken(rule: Rule, **columns: list[object]) -> list[bool]:
    """Return which rows of *columns* break *rule*."""
    frame = pl.DataFrame(columns).with_row_index("_row", offset=1).with_columns(pl.col("_row").cast(pl.Int64))
    repeated = {rule.id: repeated_rows(frame.lazy(), rule)} if is_unique_rule(rule) else {}
    return frame.select(flags([rule], repeated))[rule.id].to_list()


def result(rule: str = "r", *, passed: bool = False, kind: str = "table", severity: str = "critical") -> RuleResult:
    return RuleResult(rule, kind, severity, "it matters", passed, 3, "3 of 9 rows")  # type: ignore[arg-type]


def test_only_a_rule_on_presence_is_broken_by_a_missing_value() -> None:
    assert broken(present("r", "a", "why"), a=[1, None]) == [False, True]
    assert broken(absent("r", "a", "why"), a=["x=1", None]) == [True, False]
    assert broken(between("r", "a", "why", low=1), a=[None, 0]) == [False, True]
    assert broken(at_least("r", "a", "b", "why"), a=[1, None, 1, 1], b=[None, 1, 2, 1]) == [False, False, True, False]


def test_bounds_belong_to_the_range_unless_it_says_above() -> None:
    assert broken(between("r", "a", "why", low=1, high=12), a=[0, 1, 12, 13]) == [True, False, False, True]
    assert broken(between("r", "a", "why", low=0, above=True), a=[-0.5, 0.0, 0.5]) == [True, True, False]


def test_infinity_and_nan_are_above_every_upper_bound() -> None:
    values: list[object] = [float("inf"), float("nan"), float("-inf"), 1.0]
    assert broken(between("r", "a", "why", low=0, high=1e13), a=values) == [True, True, True, False]


def test_a_blank_text_is_not_a_text() -> None:
    assert broken(matches("r", "a", r"[^ \t\r\n]", "why"), a=["", "  ", " a ", None]) == [True, True, False, False]


def test_a_code_is_two_capitals_and_nothing_else() -> None:
    values: list[object] = ["US", "us", "USA", "U", "", "US\n"]
    assert broken(matches("r", "a", "^[A-Z]{2}$", "why"), a=values) == [False, True, True, True, True, True]


def test_a_pair_is_judged_where_both_halves_are_there() -> None:
    rule = paired("r", "a", "b", (("India", "IN"), ("Chad", "TD")), "why")
    a: list[object] = ["India", "India", "Chad", None, "India", "Atlantis"]
    assert broken(rule, a=a, b=["IN", "TD", "TD", "TD", None, "AT"]) == [False, True, False, False, False, True]


def test_rows_that_share_a_key_are_all_held_back() -> None:
    rule = unique("r", ("a", "b"), "why")
    a: list[object] = ["x", "x", "y", "x", None, None]
    assert broken(rule, a=a, b=[1, 1, 1, 2, 1, 1]) == [True, True, False, False, False, False]


def test_rows_that_share_keys_are_the_same_in_however_many_turns_they_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rule, a = unique("r", ("a", "b"), "why"), [*range(50), *range(25, 60), *range(40, 50)]
    at_once = broken(rule, a=list(a), b=[1] * len(a))
    assert at_once == [25 <= value < 50 for value in a]
    monkeypatch.setattr("tasks.core.rules.SUSPECTS_MOST", 7)
    assert broken(rule, a=list(a), b=[1] * len(a)) == at_once


def test_a_row_says_every_rule_it_broke_in_declared_order() -> None:
    rules = [present("first", "a", "why"), between("second", "b", "why", low=0), present("third", "b", "why")]
    frame = pl.DataFrame({"a": [None, None, 1], "b": [-1, None, 1]}, schema={"a": pl.Int64, "b": pl.Int64})
    assert frame.select(flags(rules, {})).select(broken_rules(rules))["_rules"].to_list() == [
        "first,second",
        "first,third",
        "",
    ]


def test_a_row_rule_polars_cannot_read_is_refused_by_name() -> None:
    strange = Rule("odd", "expect_column_values_to_be_nice", {"column": "a"}, "row", "critical", "why")
    with pytest.raises(Misdeclared, match=r"odd is of type expect_column_values_to_be_nice"):
        row_rules(Suite("channels", (strange,)))


def test_a_rule_declared_twice_is_refused() -> None:
    rule = present("same", "a", "why")
    with pytest.raises(Misdeclared, match="declared twice: same"):
        row_rules(Suite("channels", (rule, rule)))


def test_table_rules_are_no_row_rules() -> None:
    suite = Suite("channels", (row_count("n", 1, "why"), mostly_present("a", 0.5, "why"), present("p", "a", "why")))
    assert [rule.id for rule in row_rules(suite)] == ["p"]


def test_a_failed_critical_table_rule_stops_the_run_and_says_all_of_them() -> None:
    results = [result("few_rows"), result("no_views"), result("fine", passed=True)]
    with pytest.raises(DataRejected, match=r"2 critical rules.*few_rows \(3 of 9 rows\): it matters; no_views"):
        stop_if_table_failed(results, "channels")


def test_a_warning_and_a_bad_row_do_not_stop_the_run() -> None:
    stop_if_table_failed([result(severity="warning"), result(kind="row"), result(passed=True)], "channels")


def test_two_engines_that_count_differently_are_not_believed() -> None:
    stop_if_counts_differ([result(kind="row"), result("t")], {"r": 3}, "channels")
    with pytest.raises(Misdeclared, match="broken by 3 rows in the contract's verdict and by 2 in the split"):
        stop_if_counts_differ([result(kind="row")], {"r": 2}, "channels")


def test_what_is_only_scored_may_have_few_rows_and_no_labels_but_lacks_nothing_else():
    rules = (
        row_count("enough_rows", 100, "few teach nothing"),
        mostly_present("sales", 0.5, "a label", "critical"),
        mostly_present("visitors", 0.5, "an input", "critical"),
        present("sales_present", "sales", "a row's label", "warning"),
    )
    assert of_learning(Suite("shops", rules), {"sales"}) == {"enough_rows", "sales_mostly_present"}
