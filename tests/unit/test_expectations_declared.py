"""The contract of each workload says what its declaration says, and is plain data."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from types import ModuleType

import polars as pl
import pytest

from tasks.core.rules import row_rules
from tasks.workloads import WORKLOADS
from tasks.workloads.spec import POLARS_TYPES

CONTRACT_TYPES = {"float": pl.Float64, "int": pl.Int64, "text": pl.String, "datetime": pl.Datetime("us", "UTC")}


@pytest.fixture(params=WORKLOADS)
def contract(request: pytest.FixtureRequest) -> ModuleType:
    return import_module(f"expectations.{request.param}")


def test_the_contract_and_the_declaration_name_the_same_columns_and_types(contract: ModuleType) -> None:
    declared = {column.name: POLARS_TYPES[column.type] for column in WORKLOADS[contract.SUITE.workload].columns}
    of_the_reader = {"_row": pl.Int64, "_unparsed": pl.String}
    assert {name: CONTRACT_TYPES[type] for name, type in contract.COLUMNS.items()} == declared | of_the_reader


def test_every_rule_reads_columns_that_exist(contract: ModuleType) -> None:
    names = ("column", "column_A", "column_B")
    read = {rule.kwargs[name] for rule in contract.SUITE.rules for name in names if name in rule.kwargs}
    assert read <= set(contract.COLUMNS)


def test_every_rule_has_a_name_of_its_own_and_a_reason(contract: ModuleType) -> None:
    assert Counter(rule.id for rule in contract.SUITE.rules).most_common(1)[0][1] == 1
    assert all(rule.reason for rule in contract.SUITE.rules)


def test_every_row_rule_can_be_read_by_polars(contract: ModuleType) -> None:
    assert row_rules(contract.SUITE) == tuple(rule for rule in contract.SUITE.rules if rule.kind == "row")


def test_every_target_says_what_it_means_that_it_has_no_labels(contract: ModuleType) -> None:
    rules = [rule for rule in contract.SUITE.rules if rule.kind == "table" and "mostly" in rule.kwargs]
    spec = WORKLOADS[contract.SUITE.workload]
    assert {target.column for target in spec.targets} <= {rule.kwargs["column"] for rule in rules}
    critical = {rule.kwargs["column"] for rule in rules if rule.severity == "critical"}
    assert {column.name for column in spec.columns if column.required} <= critical
