"""Every metric there is: its name, kind, labels and meaning. Dashboards and alert rules are held to this table.

Where the figures come from is the adapter's; a figure that needs the clock is told as a moment, so that nothing ages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

PREFIX = "greenlight_"
SEVERITIES: Mapping[str, int] = {"insufficient": -1, "none": 0, "warn": 1, "critical": 2}
# From a stage that reads a small file to one that trains for hours.
SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)


@dataclass(frozen=True)
class Family:
    """One metric, without its prefix; counters are read with ``_total`` behind it."""

    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str


FAMILIES: Mapping[str, Family] = {
    "runs": Family("counter", ("workload", "status"), "Finished runs by what came of them"),
    "gates": Family("counter", ("workload", "gate", "outcome"), "Verdicts of gates in finished runs"),
    "stage_seconds": Family("histogram", ("workload", "stage"), "Wall-clock seconds of stages that were not reused"),
    "ledger_head": Family("gauge", ("workload",), "Number of the newest ledger entry"),
    "champion_since_seconds": Family(
        "gauge", ("workload", "ring"), "When what serves was let out, in seconds since 1970"
    ),
    "monitored_batches": Family("counter", ("workload", "ring"), "Batches held against a champion"),
    "drift_severity": Family(
        "gauge", ("workload", "ring"), "Of the newest batch: -1 too few rows, 0 none, 1 warn, 2 critical"
    ),
    "scored_rows": Family("gauge", ("workload", "ring"), "Rows of the newest published day of predictions"),
    "scored_rows_per_second": Family("gauge", ("workload",), "Throughput of the newest scoring, on the machine it ran"),
    "model_age_days": Family(
        "gauge", ("workload", "ring"), "Newest scored day less the newest row its model learned from"
    ),
    "realised_error_ratio": Family(
        "gauge", ("workload", "ring", "target"), "Realised error over what was stated, newest day with labels"
    ),
}


@dataclass(frozen=True)
class Sample:
    """One figure of a family; of a histogram every observation is one."""

    family: str
    labels: tuple[str, ...]
    value: float
