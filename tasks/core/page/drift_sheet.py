"""All that the page of one batch says, as one value; how it is drawn is ``drift``'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tasks.core.drift import Report
from tasks.core.drift_odds import Calibration
from tasks.core.watch import Observation

Profile = Mapping[str, Any]


@dataclass(frozen=True)
class DriftSheet:
    """One observation, its report, what came before it, and the counts both histograms are drawn from."""

    title: str
    seen: Observation
    history: tuple[Observation, ...]
    report: Report | None
    reference: Profile
    counts: Profile | None
    calibration: Calibration | None
