"""Spans: where tuning may look for a parameter. An algorithm's own are in tasks.core.estimators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Scale = Literal["real", "log", "whole"]


@dataclass(frozen=True)
class Span:
    """What a parameter may be given, both ends included; ``usual`` is what the learner takes where nobody says."""

    low: float
    high: float
    usual: float | None = None
    scale: Scale = "real"


@dataclass(frozen=True)
class Log(Span):
    """A span on which a factor is a step: 0.01 is as far from 0.1 as 0.1 is from 1."""

    scale: Scale = "log"


@dataclass(frozen=True)
class Whole(Span):
    """A span of whole numbers."""

    scale: Scale = "whole"


def span_problems(search: Mapping[str, Span], params: Mapping[str, object]) -> Iterator[str]:
    """Yield what contradicts itself in a candidate's own spans; *params* are those it declares."""
    for name, span in search.items():
        if not span.low < span.high or (span.scale == "log" and span.low <= 0):
            yield f"{name} from {span.low:g} to {span.high:g}; wanted: low below high, and above 0 on a log scale"
        if span.usual is None and name not in params:
            yield f"{name}, of which neither its parameters nor the span's usual say a value to begin with"
