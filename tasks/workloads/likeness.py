"""What a workload says of likeness: by which numbers two rows are alike, and what is looked at over time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Likeness:
    """``features`` are the numbers that make rows alike, each weighing as much; ``shown`` stands beside a neighbour.

    ``styles`` are columns whose groups have a style of their own, and a distance from each other. ``moment`` dates a
    row, and ``trend`` is the group followed month by month; both empty where nothing is followed.
    """

    features: tuple[str, ...]
    shown: tuple[str, ...] = ()
    styles: tuple[str, ...] = ()
    moment: str = ""
    trend: str = ""


def likeness_problems(likeness: Likeness, columns: set[str], numbers: set[str]) -> Iterator[str]:
    """Yield what contradicts the declared *columns* and the features that are *numbers*."""
    strangers = sorted(set(likeness.features) - numbers)
    if strangers or not likeness.features:
        yield f"likeness looks at {', '.join(strangers) or 'nothing'}; it takes features that are numbers"
    unknown = sorted({*likeness.shown, *likeness.styles, likeness.moment, likeness.trend} - columns - {""})
    if unknown:
        yield f"likeness reads {', '.join(unknown)}, which are not declared columns"
    if bool(likeness.moment) != bool(likeness.trend):
        yield "likeness follows a trend in a moment: name both or neither"
