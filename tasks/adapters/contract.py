"""Has Great Expectations judge a snapshot by its contract, over a DuckDB view of the Parquet; its only home here.

Great Expectations gives the verdict per rule. Which rows are held back is decided elsewhere (quarantine.py), by the
same rules read by Polars. The import costs seconds, so it happens on the first check and not with this module.

Two private names of Great Expectations 1.24.1 are patched, because it knows no DuckDB: without the first every metric
fails with "list index out of range" (the connection is closed before the rows are fetched), without the second no
regular expression is understood. Drop them when it names DuckDB among its dialects.
"""

from __future__ import annotations

import importlib
import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import sqlalchemy

from tasks.core.rules import Rule, Suite, row_rules
from tasks.core.values import RuleResult
from tasks.errors import Misdeclared

MEMORY_LIMIT = "700MB"
THREADS = 2

# What DuckDB's SQLAlchemy dialect calls the column types of a snapshot.
SQL_TYPES = {"int": "BigInteger", "float": "FLOAT", "text": "String", "datetime": "TIMESTAMP"}

# Counts without lists of values: a rule's rows are named by the split, and lists cost a query each.
COUNTS = {"result_format": "BASIC", "partial_unexpected_count": 0, "return_unexpected_index_query": False}

_ENGINE = "great_expectations.execution_engine.sqlalchemy_execution_engine"
_METRICS = "great_expectations.expectations.metrics"


def check(suite: Suite, snapshot: Path, tmp: Path, *, as_of: date) -> tuple[RuleResult, ...]:
    """Return what Great Expectations finds for every rule of *suite* in *snapshot*, in the suite's order.

    *as_of* is the day on which the snapshot's freshness is judged. Everything written lies under *tmp*, and is gone
    afterwards. Raises Misdeclared when a rule could not be built, was left out or could not be evaluated: that is
    never reported as bad data, nor as good.
    """
    row_rules(suite)
    found = validate(suite, snapshot, tmp, as_of=as_of, result_format=COUNTS)
    return tuple(_result(rule, found[rule.id]) for rule in suite.rules)


def validate(
    suite: Suite, snapshot: Path, tmp: Path, *, as_of: date, result_format: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return Great Expectations' own result for every rule of *suite*, by the rule's id."""
    tmp.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="contract-", dir=tmp) as work, _kept_quiet(), _temporaries_in(work):
        gx = _patched()
        built = [_expectation(rule, suite.workload, as_of) for rule in suite.rules]
        declared = gx.ExpectationSuite(name=suite.workload, expectations=built)
        with _batch(gx, snapshot, Path(work)) as batch:
            report = batch.validate(declared, result_format=dict(result_format))
    found = {result.expectation_config.meta["rule"]: result for result in report.results}
    _check_whole(suite, found)
    return found


def _result(rule: Rule, found: Any) -> RuleResult:
    return RuleResult(
        rule=rule.id,
        kind=rule.kind,
        severity=rule.severity,
        reason=rule.reason,
        passed=bool(found.success),
        failed_rows=int(found.result.get("unexpected_count") or 0),
        observed=_observed(rule, found.result),
    )


def _observed(rule: Rule, result: Mapping[str, Any]) -> str:
    """Say in a few words what was found."""
    if "unexpected_count" in result:
        return f"{result['unexpected_count'] or 0:,} of {result.get('element_count') or 0:,} rows"
    value = result.get("observed_value")
    if "column_set" in rule.kwargs:
        missing = sorted(set(rule.kwargs["column_set"]) - set(value or ()))
        return f"missing: {', '.join(missing)}" if missing else f"{len(value or ())} columns"
    return f"{value:,}" if isinstance(value, int) else "" if value is None else str(value)


def _expectation(rule: Rule, workload: str, as_of: date) -> Any:
    """Build *rule* one by one: a suite loaded whole leaves out, with a log line only, what it does not know."""
    configuration = importlib.import_module("great_expectations.expectations.expectation_configuration")
    # What it does not know is its own error; wrong arguments are pydantic's, which is a ValueError.
    unknown = importlib.import_module("great_expectations.exceptions").GreatExpectationsError
    kwargs = {name: _argument(name, value, as_of) for name, value in rule.kwargs.items() if value is not None}
    meta = {"rule": rule.id, "reason": rule.reason}
    try:
        return configuration.ExpectationConfiguration(
            type=rule.expectation, kwargs=kwargs, severity=rule.severity, meta=meta
        ).to_domain_obj()
    except (unknown, TypeError, ValueError) as error:
        raise Misdeclared(
            f"the contract of {workload!r}: rule {rule.id} of type {rule.expectation} is refused by Great "
            f"Expectations: {error}. Mend the rule in expectations/"
        ) from error


def _argument(name: str, value: Any, as_of: date) -> Any:
    """Turn an argument of the contract's plain data into what Great Expectations takes."""
    if name == "type_":
        return SQL_TYPES[value]
    if isinstance(value, tuple):
        return [list(each) if isinstance(each, tuple) else each for each in value]
    if hasattr(value, "days"):
        return datetime.combine(as_of, time(), UTC) + timedelta(days=value.days)
    return value


def _check_whole(suite: Suite, found: Mapping[str, Any]) -> None:
    left_out = [rule.id for rule in suite.rules if rule.id not in found]
    if left_out:
        raise Misdeclared(
            f"the contract of {suite.workload!r}: Great Expectations judged {len(found)} of {len(suite.rules)} rules "
            f"and left out {', '.join(left_out)}; nothing may be left out, so no verdict was given"
        )
    broken = {rule.id: error for rule in suite.rules if (error := _exception(found[rule.id]))}
    if broken:
        what = "; ".join(f"{id}: {error}" for id, error in broken.items())
        raise Misdeclared(
            f"the contract of {suite.workload!r}: {len(broken)} of {len(suite.rules)} rules could not be evaluated, "
            f"which says nothing about the data: {what}. Mend the rule in expectations/, or the reader's columns"
        )


def _exception(found: Any) -> str:
    """Return the message of the exception that stands for *found*'s verdict, if one does.

    The information is one record, or one per metric by the metric's id.
    """
    info = found.exception_info or {}
    records = [info] if "raised_exception" in info else [each for each in info.values() if isinstance(each, Mapping)]
    raised = [str(each.get("exception_message")) for each in records if each.get("raised_exception")]
    return raised[0].splitlines()[0] if raised else ""


@contextmanager
def _batch(gx: ModuleType, snapshot: Path, work: Path) -> Iterator[Any]:
    """Lend the snapshot as a batch: a DuckDB view over the Parquet, in a context that is kept nowhere."""
    view = work / "view.duckdb"
    with duckdb.connect(str(view)) as connection:
        path = str(snapshot.resolve()).replace("'", "''")
        connection.execute(f"create view snapshot as select * from read_parquet('{path}')")
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = {"globally": False}
    config = {"memory_limit": MEMORY_LIMIT, "threads": THREADS, "autoinstall_known_extensions": False}
    source = context.data_sources.add_sql(
        "duckdb", connection_string=f"duckdb:///{view}", kwargs={"connect_args": {"config": config}}
    )
    asset = source.add_table_asset("snapshot", table_name="snapshot")
    batch = asset.add_batch_definition_whole_table("whole").get_batch()
    try:
        yield batch
    finally:
        batch.data.execution_engine.close()
        source.get_engine().dispose()


@contextmanager
def _kept_quiet() -> Iterator[None]:
    """Silence what it says about a dialect it does not know and modules it should not use; results say what failed."""
    logger = logging.getLogger("great_expectations")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


@contextmanager
def _temporaries_in(work: str) -> Iterator[None]:
    """Keep the temporary folders that Great Expectations makes in *work*."""
    before, tempfile.tempdir = tempfile.tempdir, work
    try:
        yield
    finally:
        tempfile.tempdir = before


class _Dialect(str):
    """A dialect's name as Great Expectations' own enumeration spells it: a text with a ``value``."""

    value = "duckdb"


def _patched() -> ModuleType:
    """Return Great Expectations, taught DuckDB; raises Misdeclared when the names to patch have moved."""
    gx = importlib.import_module("great_expectations")
    # This one of its modules sets its own level to INFO when imported, below what its package is told.
    logging.getLogger("great_expectations.data_context.types.base").setLevel(logging.NOTSET)
    engine, util = importlib.import_module(_ENGINE), importlib.import_module(f"{_METRICS}.util")
    regex = importlib.import_module(f"{_METRICS}.column_map_metrics.column_values_match_regex")
    dialects = _private(gx, engine, "_PERSISTED_CONNECTION_DIALECTS")
    if "duckdb" not in dialects:
        vars(engine)["_PERSISTED_CONNECTION_DIALECTS"] = (*dialects, _Dialect("duckdb"))
    known = _private(gx, util, "get_dialect_regex_expression")
    if _private(gx, regex, "get_dialect_regex_expression") is known:
        vars(regex)["get_dialect_regex_expression"] = _with_duckdb(known)
    return gx


def _private(gx: ModuleType, module: ModuleType, name: str) -> Any:
    if not hasattr(module, name):
        raise Misdeclared(
            f"Great Expectations {gx.__version__} has no {module.__name__}.{name}, which must be patched for DuckDB; "
            f"install the version in requirements.lock, or mend tasks/adapters/contract.py"
        )
    return getattr(module, name)


def _with_duckdb(known: Any) -> Any:
    """Return *known*, which words a regular expression for a SQL dialect, able to word it for DuckDB too."""

    def expression(column: Any, regex: str, dialect: Any, positive: bool = True) -> Any:
        if "duckdb" not in f"{getattr(dialect, 'name', '')} {dialect}".lower():
            return known(column, regex, dialect, positive)
        matched = sqlalchemy.func.regexp_matches(column, sqlalchemy.literal(regex))
        return matched if positive else sqlalchemy.not_(matched)

    return expression
