"""The contract of channels guards what it learns from, and is plain data."""

from __future__ import annotations

import subprocess
import sys

from expectations.channels import SUITE
from expectations.countries import COUNTRY_CODES
from tasks.workloads.channels import CHANNELS


def test_every_target_is_guarded_against_a_column_without_values() -> None:
    guarded = {
        rule.kwargs["column"]
        for rule in SUITE.rules
        if rule.kind == "table" and rule.severity == "critical" and "mostly" in rule.kwargs
    }
    assert {target.column for target in CHANNELS.targets} <= guarded
    assert {column.name for column in CHANNELS.columns if column.required} <= guarded


def test_a_country_has_one_code_and_no_spelling_belongs_to_two() -> None:
    names = [name for name, _ in COUNTRY_CODES]
    assert len(names) == len(set(names))
    assert len({code for _, code in COUNTRY_CODES}) == 250
    assert all(len(code) == 2 and code.isalpha() and code.isupper() for _, code in COUNTRY_CODES)
    assert {("India", "IN"), ("United States", "US"), ("Namibia", "NA")} <= set(COUNTRY_CODES)


def test_the_contract_is_plain_data_and_imports_no_engine() -> None:
    code = "import sys, expectations.channels; print({'great_expectations', 'polars', 'tasks'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_splitting_needs_no_great_expectations() -> None:
    code = "import sys, tasks.adapters.quarantine, tasks.adapters.contract; print('great_expectations' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"
