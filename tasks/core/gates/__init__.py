"""The gates a challenger must pass, as one table, and what their verdicts let out. Gates fail closed.

Pure: a gate sees what it is shown and nothing else. What it is not shown (None) is a fail, never a skip. How the
numbers were measured belongs to evaluation and comparison; whether a person must agree belongs to the ring's policy.
"""

from tasks.core.gates.bundle import BUNDLE_GATES
from tasks.core.gates.case import (
    NONE_YET,
    NOT_MONITORED,
    Case,
    Incumbent,
    LatestBatch,
    Policy,
    Rehearsal,
    ShadowCycles,
)
from tasks.core.gates.table import (
    KEEPS_TARGETS,
    Recommendation,
    because,
    judge,
    let_out,
    on_greenlight,
    promotable,
    recommend,
    serves,
    tightened,
)
from tasks.core.gates.target import TARGET_GATES

__all__ = [
    "BUNDLE_GATES",
    "KEEPS_TARGETS",
    "NONE_YET",
    "NOT_MONITORED",
    "TARGET_GATES",
    "Case",
    "Incumbent",
    "LatestBatch",
    "Policy",
    "Recommendation",
    "Rehearsal",
    "ShadowCycles",
    "because",
    "judge",
    "let_out",
    "on_greenlight",
    "promotable",
    "recommend",
    "serves",
    "tightened",
]
