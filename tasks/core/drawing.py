"""What every chart is drawn with: marks, axes, labels and SVG elements. What is drawn belongs to the charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markupsafe import Markup, escape

Mark = Literal["circle", "diamond", "square", "triangle", "cross", "ring", "bar"]
MARKS: tuple[Mark, ...] = ("circle", "square", "triangle", "diamond", "ring", "cross")

# Drawn around the origin, about seven pixels wide; placed by <use x=… y=…>, which takes percentages.
SHAPES: Mapping[str, str] = {
    "circle": '<circle r="3.4"/>',
    "square": '<rect x="-3.1" y="-3.1" width="6.2" height="6.2"/>',
    "triangle": '<path d="M0-4.2 3.9 2.8H-3.9z"/>',
    "diamond": '<path d="M0-5.4 5.4 0 0 5.4-5.4 0z"/>',
    "ring": '<circle r="3" fill="none" stroke="currentColor" stroke-width="1.6"/>',
    "cross": '<path d="M-3-3 3 3M-3 3 3-3" stroke="currentColor" stroke-width="1.6"/>',
    # What lies, or reaches, beyond an end of the axis.
    "left": '<path d="M-6.5 0 0-4.8V4.8z"/>',
    "right": '<path d="M6.5 0 0-4.8V4.8z"/>',
}

# Of an axis' length: less than that beyond its end, nobody would see.
HAIR = 0.005


@dataclass(frozen=True)
class Axis:
    """A scale from ``low`` to ``high``, linear or logarithmic, with (value, label) ticks."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    log: bool = False

    def at(self, value: float) -> float:
        """Return where *value* lies, in percent of the length; values outside stay on the edge."""
        return round(100 * min(1.0, max(0.0, self._share(value))), 2)

    def beyond(self, value: float | None) -> Literal["", "left", "right"]:
        """Return the end that *value* lies beyond, by more than a mark's breadth."""
        share = 0.5 if value is None or not math.isfinite(value) else self._share(value)
        return "left" if share < -HAIR else "right" if share > 1 + HAIR else ""

    def holds(self, value: float | None) -> bool:
        """Whether *value* is inside."""
        return value is not None and math.isfinite(value) and self.low <= value <= self.high

    def _share(self, value: float) -> float:
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return (value - low) / (high - low) if high > low else 0.5


def short(number: float | None, unit: str = "") -> str:
    """Write *number* with three figures and k, M or bn; money before, other units after."""
    if number is None or not math.isfinite(number):
        return "–"
    size = abs(number)
    scale, suffix = next(
        ((s, n) for s, n in ((1e9, "\u00a0bn"), (1e6, "\u00a0M"), (1e3, "\u00a0k")) if size >= s * 0.9995), (1.0, "")
    )
    digits = 3 - len(str(int(size / scale))) if size / scale >= 1 else 3
    text = f"{number / scale:.{max(0, digits)}f}"
    text = (text.rstrip("0").rstrip(".") if "." in text else text) + suffix
    text = text.replace("-", "−")
    return f"US$\u00a0{text}" if unit == "US$" else f"{text} {unit}".strip()


def percent(share: float | None, digits: int = 0) -> str:
    """Write a share as per cent."""
    if share is None or not math.isfinite(share):
        return "–"
    text = f"{100 * share:.{digits}f}\u00a0%"
    return text.replace("-", "−") if float(f"{100 * share:.{digits}f}") else text.removeprefix("-")


def linear_axis(values: Iterable[float | None], *, include: Sequence[float] = (), as_percent: bool = False) -> Axis:
    """Return an axis over *values* with about five round ticks."""
    known = [v for v in values if v is not None and math.isfinite(v)] + list(include)
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    step = _round_step((high - low) / 5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = [round(step * i, 12) for i in range(first, last + 1)]
    label = percent if as_percent else short
    return Axis(ticks[0], ticks[-1], tuple((tick, label(tick)) for tick in ticks))


def log_axis(values: Iterable[float]) -> Axis:
    """Return an axis over positive *values*, with a tick at each power of ten, or fewer where there are many."""
    known = [v for v in values if v > 0 and math.isfinite(v)] or [1.0, 10.0]
    low, high = math.log10(min(known)), math.log10(max(known))
    pad = max(0.05 * (high - low), 0.05)
    powers = range(math.ceil(low - pad), math.floor(high + pad) + 1)
    every = max(1, math.ceil(len(powers) / 5))
    ticks = [10.0**p for p in powers if p % every == 0]
    if len(ticks) < 2:
        ticks = [v * 10.0**p for p in range(math.floor(low), math.ceil(high) + 1) for v in (1, 2, 5)]
    low, high = 10 ** (low - pad), 10 ** (high + pad)
    return Axis(low, high, tuple((tick, short(tick)) for tick in ticks if low <= tick <= high), log=True)


def ratio_axis(values: Iterable[float | None], most: int = 4) -> Axis:
    """Return an axis over base-2 logarithms of ratios, labelled ÷4, ÷2, equal, ×2, ×4."""
    known = [abs(v) for v in values if v is not None and math.isfinite(v)]
    reach = min(most, max(1, math.ceil(max(known, default=1))))
    ticks = [t for t in range(-reach, reach + 1) if reach <= 2 or t % 2 == 0]
    return Axis(-reach, reach, tuple((t, "equal" if not t else f"{'×' if t > 0 else '÷'}{2 ** abs(t)}") for t in ticks))


def shape_definitions() -> Markup:
    """Return the hidden SVG that defines the marks; once per page, before any chart."""
    shapes = Markup("").join(Markup(f'<g id="m-{name}">{shape}</g>') for name, shape in SHAPES.items())
    return tag("svg", {"width": "0", "height": "0", "class": "shapes", "aria-hidden": "true"}, tag("defs", {}, shapes))


def tag(name: str, attributes: Mapping[str, Any] | None = None, *children: Any) -> Markup:
    """Return an element with escaped attributes and children."""
    written = "".join(f' {key}="{escape(value)}"' for key, value in (attributes or {}).items())
    inner = Markup("").join(escape(child) for child in children)
    return Markup(f"<{name}{written}>{inner}</{name}>")


def figure(kind: str, title: str, description: str, content: Markup) -> Markup:
    """Return a figure with its caption: a title and what it says."""
    caption = tag("figcaption", {}, tag("strong", {}, title), " ", tag("span", {}, description))
    return tag("figure", {"class": f"chart {kind}".strip()}, caption, content)


def legend_of(entries: Iterable[tuple[str, str, str]]) -> Markup:
    """Return the legend of *entries*: (label, mark, tone)."""
    items = Markup("").join(
        tag("li", {}, tag("svg", {"class": "key", "aria-hidden": "true"}, mark_at(mark, tone, 50, 50)), label)
        for label, mark, tone in entries
    )
    return tag("ul", {"class": "legend"}, items)


def mark_at(mark: str, tone: str, x: float, y: float) -> Markup:
    """Place a mark; *x* and *y* are percentages."""
    return tag("use", {"href": f"#m-{mark}", "class": tone, "x": f"{x:g}%", "y": f"{y:g}%"})


def grid(x: Axis, y: Axis) -> Markup:
    """Draw the ticks of both axes and the lines across the plot."""
    drawn = Markup("")
    for value, label in x.ticks:
        at = f"{x.at(value)}%"
        drawn += tag("line", {"class": "grid", "x1": at, "x2": at, "y1": "0", "y2": "100%"})
        drawn += tag("text", {"class": "tick", "x": at, "y": "100%", "dy": "16", "text-anchor": "middle"}, label)
    for value, label in y.ticks:
        at = f"{100 - y.at(value):g}%"
        drawn += tag("line", {"class": "grid", "x1": "0", "x2": "100%", "y1": at, "y2": at})
        drawn += tag("text", {"class": "tick", "x": "0", "y": at, "dx": "-6", "dy": "4", "text-anchor": "end"}, label)
    return drawn


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= rough * 0.999999)
