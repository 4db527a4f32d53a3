"""Turns a contract's row rules into Polars masks, and its table-level verdict into a stop.

The contract comes in as plain data (see ``Rule``); which engine gave a verdict, and where rows lie, does not belong
here. A missing value breaks no rule but the ones on presence: a mask is null there, and null counts as not broken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal, Protocol

import polars as pl

from tasks.core.values import Contracted, RuleResult, Severity
from tasks.errors import DataRejected, Misdeclared

ROW = "_row"
RULES = "_rules"
ROW_COUNT = "expect_table_row_count_to_be_between"
PRESENCE = "expect_column_values_to_not_be_null"
# Two million rows' keys are about a quarter of a gigabyte; every further turn reads the file's keys once more.
SUSPECTS_MOST = 2_000_000


class Rule(Protocol):
    """What a contract's rule looks like from here."""

    @property
    def id(self) -> str:
        """Its name, unique in the suite."""

    @property
    def expectation(self) -> str:
        """Its Great Expectations type."""

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """The arguments of that type."""

    @property
    def kind(self) -> Literal["row", "table"]:
        """Whether a single row can break it."""

    @property
    def severity(self) -> Severity:
        """What a breach means."""

    @property
    def reason(self) -> str:
        """Why it exists."""


class Suite(Protocol):
    """What a contract looks like from here."""

    @property
    def workload(self) -> str:
        """The workload it belongs to."""

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Its rules, in the order in which they are reported."""


def row_rules(suite: Suite) -> tuple[Rule, ...]:
    """Return the rules of *suite* that a row can break; raises Misdeclared when the suite contradicts itself."""
    problem = next(_problems(suite), None)
    if problem:
        raise Misdeclared(f"the contract of {suite.workload!r}: {problem}")
    return tuple(rule for rule in suite.rules if rule.kind == "row")


def flags(rules: Iterable[Rule], repeated: Mapping[str, pl.Series]) -> list[pl.Expr]:
    """Return one boolean column per row rule, named by it: true where the row breaks it, never null.

    *repeated* holds, for each rule on uniqueness, the numbers of the rows that share their key (``repeated_rows``).
    """
    return [_breaks(rule, repeated).fill_null(False).alias(rule.id) for rule in rules]


def is_unique_rule(rule: Rule) -> bool:
    """Say whether *rule* looks at rows together and so needs ``repeated_rows``."""
    return rule.expectation == "expect_compound_columns_to_be_unique"


def repeated_rows(rows: pl.LazyFrame, rule: Rule) -> pl.Series:
    """Return the ``_row`` numbers, ascending, of the rows whose key occurs more than once.

    Only a 64-bit hash of each key is held for all rows at once; the keys themselves only where hashes meet, which
    settles what a hash alone cannot, and of those about ``SUSPECTS_MOST`` at a time: equal keys have equal hashes.
    """
    key = list(rule.kwargs["column_list"])
    whole = rows.select(ROW, *key).drop_nulls(key).with_columns(_key=pl.struct(key).hash())
    hashes = whole.select("_key").collect(engine="streaming")["_key"].sort()
    again = hashes.filter(hashes == hashes.shift())
    met, turns = again.unique(), -(-2 * len(again) // SUSPECTS_MOST)
    found = [pl.Series(ROW, [], dtype=pl.Int64)]
    for turn in range(turns):
        here = met.filter(met % turns == turn)
        suspects = whole.filter(pl.col("_key").is_in(here.implode())).collect(engine="streaming")
        found.append(suspects.filter(suspects.select(key).is_duplicated())[ROW])
    return pl.concat(found).sort()


def broken_rules(rules: Iterable[Rule]) -> pl.Expr:
    """Return the column ``_rules``: the names of the rules a row breaks, out of its flags, in the suite's order."""
    if not (rules := tuple(rules)):
        return pl.repeat(None, pl.len(), dtype=pl.String).alias(RULES)
    names = [pl.when(pl.col(rule.id)).then(pl.lit(rule.id)) for rule in rules]
    return pl.concat_str(names, separator=",", ignore_nulls=True).alias(RULES)


def of_learning(suite: Suite, labels: Collection[str]) -> frozenset[str]:
    """Return the table rules that matter only to who learns: how many rows there are, and whether *labels* are."""
    tables = (rule for rule in suite.rules if rule.kind == "table")
    return frozenset(
        rule.id
        for rule in tables
        if rule.expectation == ROW_COUNT or (rule.expectation == PRESENCE and rule.kwargs["column"] in labels)
    )


def stop_if_table_failed(results: Iterable[RuleResult], workload: str) -> None:
    """Raise DataRejected, naming every one, if a critical rule on the table as a whole did not pass."""
    failed = [r for r in results if r.kind == "table" and r.severity == "critical" and not r.passed]
    if failed:
        what = "; ".join(f"{result.rule} ({result.observed or 'nothing found'}): {result.reason}" for result in failed)
        raise DataRejected(
            f"{workload}: the table fails {len(failed)} critical {'rule' if len(failed) == 1 else 'rules'} of its "
            f"contract, none may fail: {what}. Nothing was done with it; mend the source, then run again"
        )


def stop_if_nothing_left(contracted: Contracted, workload: str) -> None:
    """Raise DataRejected, naming the rules that were broken most, if every row was quarantined."""
    if contracted.rows_accepted:
        return
    broken = sorted((r for r in contracted.results if r.kind == "row" and r.failed_rows), key=lambda r: -r.failed_rows)
    what = "; ".join(f"{result.rule} in {result.failed_rows} rows: {result.reason}" for result in broken[:3])
    raise DataRejected(
        f"{workload}: all {contracted.rows_in} rows are quarantined, none is left ({what}). Mend the "
        "source; if the rule is wrong for it, change the rule in expectations/"
    )


def reasons(contracted: Contracted) -> tuple[tuple[str, int], ...]:
    """Return the rules that quarantined rows, with how many broke each."""
    return tuple(
        (result.rule, result.failed_rows)
        for result in contracted.results
        if result.kind == "row" and result.severity == "critical" and result.failed_rows
    )


def stop_if_counts_differ(results: Iterable[RuleResult], broken: Mapping[str, int], workload: str) -> None:
    """Raise Misdeclared if the verdict and the split, which read each rule by different engines, count differently."""
    for result in results:
        if result.kind == "row" and broken.get(result.rule) != result.failed_rows:
            raise Misdeclared(
                f"{workload}: rule {result.rule} is broken by {result.failed_rows} rows in the contract's verdict and "
                f"by {broken.get(result.rule)} in the split; both must be one number: two engines read the rule "
                f"differently, mend it in tasks/core/rules.py or expectations/"
            )


def _problems(suite: Suite) -> Iterator[str]:
    ids = [rule.id for rule in suite.rules]
    repeated = sorted({id for id in ids if ids.count(id) > 1})
    if repeated:
        yield f"rules are declared twice: {', '.join(repeated)}"
    for rule in suite.rules:
        if not rule.reason:
            yield f"rule {rule.id} has no reason; say why it exists"
        if "," in rule.id:
            yield f"rule {rule.id!r} has a comma in its name, which separates names in {RULES}"
        if rule.kind == "row" and rule.expectation not in EXPRESSIONS and not is_unique_rule(rule):
            yield (
                f"row rule {rule.id} is of type {rule.expectation}, which has no Polars expression; "
                f"there are: {', '.join(sorted(EXPRESSIONS))}"
            )


def _breaks(rule: Rule, repeated: Mapping[str, pl.Series]) -> pl.Expr:
    if is_unique_rule(rule):
        return pl.col(ROW).is_in(repeated[rule.id].implode())
    return EXPRESSIONS[rule.expectation](rule.kwargs)


def _outside(kwargs: Mapping[str, Any]) -> pl.Expr:
    value, low, high = pl.col(kwargs["column"]), kwargs.get("min_value"), kwargs.get("max_value")
    inside = pl.lit(True)
    if low is not None:
        inside &= value > low if kwargs.get("strict_min") else value >= low
    if high is not None:
        inside &= value < high if kwargs.get("strict_max") else value <= high
    return ~inside


def _less(kwargs: Mapping[str, Any]) -> pl.Expr:
    a, b = pl.col(kwargs["column_A"]), pl.col(kwargs["column_B"])
    return a < b if kwargs.get("or_equal") else a <= b


def _strange_pair(kwargs: Mapping[str, Any]) -> pl.Expr:
    a, b = pl.col(kwargs["column_A"]), pl.col(kwargs["column_B"])
    # One text per pair, because a set of structs is not looked up by hash; the separator occurs in no data we accept.
    known = pl.Series([f"{left}\x1f{right}" for left, right in kwargs["value_pairs_set"]])
    return ~pl.concat_str([a, b], separator="\x1f").is_in(known.implode())


EXPRESSIONS: Mapping[str, Callable[[Mapping[str, Any]], pl.Expr]] = {
    PRESENCE: lambda kwargs: pl.col(kwargs["column"]).is_null(),
    "expect_column_values_to_be_null": lambda kwargs: pl.col(kwargs["column"]).is_not_null(),
    "expect_column_values_to_be_between": _outside,
    "expect_column_values_to_match_regex": lambda kwargs: ~pl.col(kwargs["column"]).str.contains(kwargs["regex"]),
    "expect_column_pair_values_a_to_be_greater_than_b": _less,
    "expect_column_pair_values_to_be_in_set": _strange_pair,
}
