"""The words a contract is written in: plain, frozen data that any engine can read.

A rule names a Great Expectations type and its arguments; nothing here imports Great Expectations, or anything else.
How a rule is evaluated does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["row", "table"]
Severity = Literal["critical", "warning", "info"]
Type = Literal["float", "int", "text", "datetime"]


@dataclass(frozen=True)
class AsOf:
    """A moment as many days after (or, negative, before) the day the snapshot is judged on; for table rules only."""

    days: int


@dataclass(frozen=True)
class Rule:
    """One expectation, with what it says about a row or about the table, how bad a breach is, and why it exists.

    A row that breaks a critical row rule is quarantined; one that breaks a warning is only counted. A critical table
    rule that fails stops the run.
    """

    id: str
    expectation: str
    kwargs: Mapping[str, Any]
    kind: Kind
    severity: Severity
    reason: str


@dataclass(frozen=True)
class Suite:
    """The contract of one workload, in the order in which its rules are reported."""

    workload: str
    rules: tuple[Rule, ...]


def _row(id: str, expectation: str, reason: str, severity: Severity, **kwargs: Any) -> Rule:
    return Rule(id, f"expect_{expectation}", MappingProxyType(kwargs), "row", severity, reason)


def _table(id: str, expectation: str, reason: str, severity: Severity, **kwargs: Any) -> Rule:
    return Rule(id, f"expect_{expectation}", MappingProxyType(kwargs), "table", severity, reason)


def present(id: str, column: str, reason: str, severity: Severity = "critical") -> Rule:
    """Say that every row has a value in *column*."""
    return _row(id, "column_values_to_not_be_null", reason, severity, column=column)


def absent(id: str, column: str, reason: str, severity: Severity = "critical") -> Rule:
    """Say that no row has a value in *column*."""
    return _row(id, "column_values_to_be_null", reason, severity, column=column)


def between(
    id: str,
    column: str,
    reason: str,
    *,
    low: float | None = None,
    high: float | None = None,
    above: bool = False,
    severity: Severity = "critical",
) -> Rule:
    """Say that a value, where there is one, lies in [low, high], or in (low, high] when it must be *above* low."""
    kwargs = {"column": column, "min_value": low, "max_value": high, "strict_min": above}
    return _row(id, "column_values_to_be_between", reason, severity, **kwargs)


def matches(id: str, column: str, regex: str, reason: str, severity: Severity = "critical") -> Rule:
    """Say that *regex* is found in a text, where there is one. Keep to what RE2 and Rust read alike (no ``\\s``)."""
    return _row(id, "column_values_to_match_regex", reason, severity, column=column, regex=regex)


def at_least(id: str, column: str, other: str, reason: str, severity: Severity = "critical") -> Rule:
    """Say that *column* is no less than *other* where both have a value."""
    kwargs = {"column_A": column, "column_B": other, "or_equal": True, "ignore_row_if": "either_value_is_missing"}
    return _row(id, "column_pair_values_a_to_be_greater_than_b", reason, severity, **kwargs)


def paired(
    id: str,
    column: str,
    other: str,
    pairs: tuple[tuple[str, str], ...],
    reason: str,
    *,
    severity: Severity = "critical",
) -> Rule:
    """Say that the two columns, where both have a value, are one of *pairs*."""
    kwargs = {
        "column_A": column,
        "column_B": other,
        "value_pairs_set": pairs,
        "ignore_row_if": "either_value_is_missing",
    }
    return _row(id, "column_pair_values_to_be_in_set", reason, severity, **kwargs)


def unique(id: str, columns: tuple[str, ...], reason: str, severity: Severity = "critical") -> Rule:
    """Say that no two rows share their values in *columns*; a row with one of them missing shares nothing."""
    kwargs = {"column_list": columns, "ignore_row_if": "any_value_is_missing"}
    return _row(id, "compound_columns_to_be_unique", reason, severity, **kwargs)


def columns_exist(id: str, columns: tuple[str, ...], reason: str) -> Rule:
    """Say that the table has all of *columns*; others do no harm."""
    return _table(id, "table_columns_to_match_set", reason, "critical", column_set=columns, exact_match=False)


def typed(column: str, type: Type, reason: str) -> Rule:
    """Say that *column* is stored as *type*."""
    kwargs = {"column": column, "type_": type}
    return _table(f"{column}_is_{type}", "column_values_to_be_of_type", reason, "critical", **kwargs)


def mostly_present(column: str, share: float, reason: str, severity: Severity = "warning") -> Rule:
    """Say that at least *share* of the rows have a value in *column*: other rules pass on a column without values."""
    kwargs = {"column": column, "mostly": share}
    return _table(f"{column}_mostly_present", "column_values_to_not_be_null", reason, severity, **kwargs)


def row_count(id: str, low: int, reason: str) -> Rule:
    """Say that the table has at least *low* rows."""
    return _table(id, "table_row_count_to_be_between", reason, "critical", min_value=low)


def newest(
    id: str,
    column: str,
    reason: str,
    *,
    earliest: AsOf | None = None,
    latest: AsOf | None = None,
    severity: Severity = "warning",
) -> Rule:
    """Say that the newest value of *column* is neither before *earliest* nor after *latest*."""
    kwargs = {"column": column, "min_value": earliest, "max_value": latest}
    return _table(id, "column_max_to_be_between", reason, severity, **kwargs)


NOT_BLANK = r"[^ \t\r\n]"
EVERY_CELL_READ = absent(
    "every_cell_read", "_unparsed", "a cell that is not of its column's type was written by mistake"
)


def table_of(columns: Mapping[str, Type]) -> tuple[Rule, ...]:
    """Say that the table has *columns*, each of its type, and enough rows to learn from."""
    return (
        columns_exist("columns_exist", tuple(columns), "every later step reads these columns by name"),
        *(typed(column, type, "a column of another type was read wrongly") for column, type in columns.items()),
        row_count("enough_rows", 100, "a model fitted and judged on fewer rows says nothing"),
    )


def labelled(*targets: str) -> tuple[Rule, ...]:
    """Say that targets have labels; a source without some of them trains the others."""
    reason = "a target without labels is not trained; the others are, and the page says so"
    return tuple(mostly_present(target, 0.05, reason) for target in targets)
