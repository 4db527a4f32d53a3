"""The page's charts: numbers in, inline SVG out, with no script, no font and no network.

Labels are HTML and positions are percentages, so a chart fits any width and its letters stay readable on a phone; a
picture scaled as a whole does not. Colours are CSS classes, so the same bytes work in light and in dark. Nothing is
told by colour alone: every group also has its own mark, every row its number. What a number means is the report's
business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.core.drawing import Axis, Mark, figure, grid, legend_of, mark_at, tag

# So many letters stand side by side under a row chart in half of a wide page.
WIDEST_SCALE = 30
BEYOND = {"left": "\N{LEFTWARDS ARROW}", "right": "\N{RIGHTWARDS ARROW}"}


@dataclass(frozen=True)
class Dot:
    """One more mark on a row."""

    value: float
    mark: Mark
    tone: str


@dataclass(frozen=True)
class Row:
    """One line of a row chart: label, mark with whiskers (thick ``low``–``high``, thin ``least``–``most``), text."""

    label: str
    value: float | None
    text: str
    low: float | None = None
    high: float | None = None
    least: float | None = None
    most: float | None = None
    mark: Mark = "circle"
    tone: str = "tone-1"
    heading: str = ""
    beside: tuple[Dot, ...] = ()


@dataclass(frozen=True)
class Cloud:
    """One group of a scatter plot."""

    label: str
    points: Sequence[tuple[float, float]]
    mark: Mark = "circle"
    tone: str = "tone-1"


@dataclass(frozen=True)
class Line:
    """A straight line across a scatter plot, from one (x, y) to another."""

    start: tuple[float, float]
    end: tuple[float, float]
    style: str = "guide"


def row_chart(
    rows: Sequence[Row],
    axis: Axis,
    *,
    title: str,
    description: str,
    zero: float | None = None,
    limit: float | None = None,
    legend: Sequence[tuple[str, str, str]] = (),
) -> Markup:
    """Draw labelled rows with marks, bars and whiskers over one axis.

    *zero* is the line that matters, *limit* a dashed one that is not to be crossed; *legend* is (label, mark, tone).
    """
    lines = Markup("").join(_row(row, axis, zero, limit) for row in rows)
    foot = tag("div", {"class": "row foot", "aria-hidden": "true"}, tag("span"), _scale(axis, zero), tag("span"))
    return figure("rows", title, description, lines + foot + (legend_of(legend) if legend else ""))


def scatter(
    clouds: Sequence[Cloud],
    x: Axis,
    y: Axis,
    *,
    x_label: str,
    y_label: str,
    title: str,
    description: str,
    lines: Sequence[Line] = (),
    names: Sequence[tuple[float, float, str]] = (),
) -> Markup:
    """Draw groups of points, each with its own mark and tone; *names* are words written into the plot."""
    marks = Markup("").join(_cloud(cloud, x, y) for cloud in clouds)
    guides = Markup("").join(
        tag(
            "line",
            {"class": line.style, **_ends((x.at(line.start[0]), line.start[1]), (x.at(line.end[0]), line.end[1]), y)},
        )
        for line in lines
    )
    words = Markup("").join(_name(*place) for place in _apart([(x.at(a), 100 - y.at(b), word) for a, b, word in names]))
    svg = tag("svg", {"role": "img", "aria-label": description}, grid(x, y), guides, marks, words)
    plot = tag("div", {"class": "plot"}, svg)
    labels = tag("span", {"class": "y-label"}, f"↑ {y_label}"), tag("span", {"class": "x-label"}, f"{x_label} →")
    legend = legend_of((c.label, c.mark, c.tone) for c in clouds) if len(clouds) > 1 else Markup("")
    return figure("scatter", title, description, labels[0] + plot + labels[1] + legend)


def split_bar(parts: Sequence[tuple[str, float, str]], *, title: str, description: str) -> Markup:
    """Draw one bar split by *parts* (label, amount, tone)."""
    total = sum(amount for _, amount, _ in parts) or 1.0
    pieces, start = Markup(""), 0.0
    for _, amount, tone in parts:
        width = 100 * amount / total
        box = {"x": f"{start:.2f}%", "width": f"{width:.2f}%", "height": "100%", "class": tone}
        pieces += tag("rect", box)
        start += width
    svg = tag("svg", {"class": "split", "role": "img", "aria-label": description}, pieces)
    return figure("", title, description, svg + legend_of((label, "square", tone) for label, _, tone in parts))


def _row(row: Row, axis: Axis, zero: float | None, limit: float | None) -> Markup:
    drawn = Markup("")
    for at, style in ((zero, "zero"), (limit, "limit")):
        if at is not None and axis.holds(at):
            x = f"{axis.at(at)}%"
            drawn += tag("line", {"class": style, "x1": x, "x2": x, "y1": "0", "y2": "100%"})
    for a, b, style in ((row.least, row.most, "thin"), (row.low, row.high, "thick")):
        if a is not None and b is not None:
            span = {"x1": f"{axis.at(a)}%", "x2": f"{axis.at(b)}%", "y1": "50%", "y2": "50%"}
            drawn += tag("line", {"class": f"{style} {row.tone}", **span})
    if row.value is not None and row.mark == "bar":
        edges = sorted((axis.at(zero or 0.0), axis.at(row.value)))
        box = {"x": f"{edges[0]}%", "width": f"{edges[1] - edges[0]:.2f}%", "y": "22%", "height": "56%"}
        drawn += tag("rect", {"class": row.tone, **box})
    elif row.value is not None and not axis.beyond(row.value):
        drawn += mark_at(row.mark, row.tone, axis.at(row.value), 50)
    drawn += Markup("").join(mark_at(dot.mark, dot.tone, axis.at(dot.value), 50) for dot in row.beside)
    drawn += _beyond(row, axis)
    track = tag("svg", {"class": "track", "aria-hidden": "true"}, drawn)
    heading = tag("div", {"class": "group"}, row.heading) if row.heading else Markup("")
    cells = tag("span", {"class": "label"}, row.label), track, _value(row, axis)
    return heading + tag("div", {"class": "row"}, *cells)


def _beyond(row: Row, axis: Axis) -> Markup:
    """Draw an arrow at each end of the axis that the row reaches beyond: its mark or line there would be a lie."""
    reached = [axis.beyond(each) for each in (row.value, row.low, row.high, row.least, row.most)]
    ends = (("left", 0), ("right", 100))
    return Markup("").join(mark_at(end, row.tone, at, 50) for end, at in ends if end in reached)


def _value(row: Row, axis: Axis) -> Markup:
    """Write the row's figure; one that is off the axis has an arrow before it, and says in words what that is."""
    end = axis.beyond(row.value)
    if not end:
        return tag("span", {"class": "value"}, row.text)
    said = f"{row.label}: {row.text}, beyond the {end} end of the axis"
    return tag("span", {"class": "value", "title": said}, f"{BEYOND[end]} {row.text}")


def _scale(axis: Axis, zero: float | None) -> Markup:
    """Write the ticks of a row chart; every second one is marked minor, for narrow screens to drop.

    Where labels are too long to stand side by side on any screen, it is left out at once.
    """
    anchor = min(range(len(axis.ticks)), key=lambda i: abs(axis.ticks[i][0] - (zero or 0.0)), default=0)
    crowded = len(axis.ticks) * max((len(label) for _, label in axis.ticks), default=0) > WIDEST_SCALE
    marks = Markup("")
    for i, (value, label) in enumerate(axis.ticks):
        minor = len(axis.ticks) > 4 and (i - anchor) % 2
        if not (minor and crowded):
            at = {"x": f"{axis.at(value)}%", "y": "14", "class": "minor" if minor else "major"}
            marks += tag("text", at, label)
    return tag("svg", {"class": "track scale"}, marks)


def _cloud(cloud: Cloud, x: Axis, y: Axis) -> Markup:
    # Written by hand, not by _tag: a page has thousands of these.
    uses = "".join(f'<use href="#m-{cloud.mark}" x="{x.at(a):g}%" y="{100 - y.at(b):.4g}%"/>' for a, b in cloud.points)
    return tag("g", {"class": f"points {cloud.tone}"}, Markup(uses))


def _apart(places: Sequence[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Move words down until none lies on another."""
    kept: list[tuple[float, float, str]] = []
    for x, y, word in sorted(places, key=lambda place: place[1]):
        lower = y
        while any(abs(lower - other[1]) < 6 and abs(x - other[0]) < 50 for other in kept):
            lower += 1
        kept.append((x, lower, word))
    return kept


def _name(x: float, y: float, word: str) -> Markup:
    anchor = "start" if x < 25 else "end" if x > 75 else "middle"
    return tag("text", {"class": "name", "x": f"{x}%", "y": f"{y:g}%", "text-anchor": anchor, "dy": "4"}, word)


def _ends(start: tuple[float, float], end: tuple[float, float], y: Axis) -> dict[str, str]:
    (x1, y1), (x2, y2) = start, end
    return {"x1": f"{x1}%", "y1": f"{100 - y.at(y1):g}%", "x2": f"{x2}%", "y2": f"{100 - y.at(y2):g}%"}
