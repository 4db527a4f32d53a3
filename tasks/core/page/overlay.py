"""Two histograms over one axis: what was as filled bars, what is as an outline, told apart without colour too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from tasks.core.drawing import Axis, figure, grid, legend_of, linear_axis, tag


@dataclass(frozen=True)
class Bin:
    """What lies between two values, as shares of all rows, before and now."""

    low: float
    high: float
    before: float
    now: float


def overlay(bins: Sequence[Bin], x: Axis, *, labels: tuple[str, str], title: str, description: str) -> Markup:
    """Draw *bins* over the axis *x*; *labels* name what was and what is."""
    y = linear_axis([max(each.before, each.now) for each in bins], include=(0.0,), as_percent=True)
    filled = Markup("").join(_filled(each, x, y) for each in bins)
    drawn = tag("g", {"class": "tone-muted"}, filled) + tag("g", {"class": "tone-2"}, _outline(bins, x, y))
    svg = tag("svg", {"role": "img", "aria-label": f"{title}. {description}"}, grid(x, y), drawn)
    legend = legend_of([(labels[0], "square", "tone-muted"), (labels[1], "ring", "tone-2")])
    return figure("scatter", title, description, tag("div", {"class": "plot"}, svg) + legend)


def _filled(each: Bin, x: Axis, y: Axis) -> Markup:
    left, right, top = x.at(each.low), x.at(each.high), 100 - y.at(each.before)
    box = {"x": f"{left}%", "width": f"{right - left:.2f}%", "y": f"{top:g}%", "height": f"{100 - top:g}%"}
    return tag("rect", {"opacity": ".55", **box})


def _outline(bins: Sequence[Bin], x: Axis, y: Axis) -> Markup:
    flat = Markup("").join(_line(x.at(each.low), x.at(each.high), y.at(each.now), y.at(each.now)) for each in bins)
    ends = [Bin(bins[0].low, bins[0].low, 0, 0), *bins, Bin(bins[-1].high, bins[-1].high, 0, 0)]
    steps = (_line(x.at(b.low), x.at(b.low), y.at(a.now), y.at(b.now)) for a, b in pairwise(ends))
    return flat + Markup("").join(steps)


def _line(x1: float, x2: float, y1: float, y2: float) -> Markup:
    places = {"x1": f"{x1}%", "x2": f"{x2}%", "y1": f"{100 - y1:g}%", "y2": f"{100 - y2:g}%"}
    return tag("line", {"stroke": "currentColor", "stroke-width": "2", **places})
