"""Finds the contract of a workload by its name: expectations/<workload>.py, SUITE."""

from __future__ import annotations

from importlib import import_module

from expectations.contract import Suite
from tasks.errors import Misdeclared


def suite_of(workload: str) -> Suite:
    """Return the contract of *workload*; raises Misdeclared if its file was forgotten."""
    try:
        suite: Suite = import_module(f"expectations.{workload}").SUITE
    except (ModuleNotFoundError, AttributeError) as error:
        raise Misdeclared(
            f"workload {workload!r} has no contract: write expectations/{workload}.py with SUITE"
        ) from error
    return suite
