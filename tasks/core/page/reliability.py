"""How far a chance is what it says: what was said against how often it came, as answered and before it was corrected.

Figures are those of the evidence; what a correction is belongs to ``tasks.core.chances``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.chances import off_by
from tasks.core.charts import Cloud, Line, Row
from tasks.core.drawing import percent
from tasks.core.intervals import wilson
from tasks.core.page.paper import Table
from tasks.core.page.wording import NBSP, as_figure, as_range, as_words
from tasks.core.values import Interval, Judged, Recalibration, Reliability

# The confidence of the interval of each tenth.
SURE = 0.95
ANSWERED, UNCORRECTED = "as answered", "before correction"


@dataclass(frozen=True)
class Meant:
    """A chance on the holdout, by tenths: as it is answered, as its learner said it, and what was made of that."""

    target: str
    answered: tuple[Reliability, ...]
    uncorrected: tuple[Reliability, ...] = ()
    corrected_by: str = ""
    recalibration: Recalibration | None = None


def meant_of(judged: Judged) -> Meant | None:
    """Return what is known of a chance; None of another target, or where nobody looked."""
    if not judged.reliability:
        return None
    return Meant(judged.target, judged.reliability, judged.uncorrected, judged.corrected_by, judged.recalibration)


def diagram(meant: Meant) -> Markup:
    """Draw how often it came over what was said, with the interval of each tenth."""
    axis = drawing.linear_axis([], include=(0.0, 1.0), as_percent=True)
    spans = [_span(each) for each in meant.answered]
    clouds = [Cloud(ANSWERED, _points(meant.answered), "circle", "tone-1")]
    if meant.uncorrected:
        clouds.insert(0, Cloud(UNCORRECTED, _points(meant.uncorrected), "diamond", "tone-muted"))
    return charts.scatter(
        clouds,
        axis,
        axis,
        x_label="chance that was said",
        y_label="how often it came",
        title=f"{as_words(meant.target)}: does a chance mean what it says?",
        description="Holdout rows by tenths of what was said; on the line it came as often as was said. Bars: "
        f"{percent(SURE)} intervals of what is answered.",
        lines=[Line((0.0, 0.0), (1.0, 1.0), "zero"), *spans],
    )


def often(meant: Meant) -> Markup:
    """Draw how many rows each tenth was said of: chances that are all alike tell nobody anything."""
    rows = sum(each.rows for each in meant.answered)
    bars = [
        Row(_tenth(each), each.rows / rows, f"{each.rows:,} rows", mark="bar", tone="tone-soft")
        for each in meant.answered
    ]
    return charts.row_chart(
        bars,
        drawing.linear_axis([bar.value for bar in bars], include=(0.0,), as_percent=True),
        title=f"{as_words(meant.target)}: how often is each chance said?",
        description=f"Share of the {rows:,} holdout rows; the more of them lie far from the mean, the more is told.",
        zero=0.0,
    )


def tenths(meant: Meant) -> Table:
    """Return the diagram in figures, as answered."""
    header = ("chance said", "rows", "said on average", "came", f"{percent(SURE)} interval", "off by")
    lines = tuple(
        (
            _tenth(each),
            f"{each.rows:,}",
            percent(each.said, 1),
            percent(each.came, 1),
            as_range(_came(each)),
            percent(each.came - each.said, 1),
        )
        for each in meant.answered
    )
    return Table("", header, lines)


def facts(meant: Meant) -> tuple[tuple[str, str], ...]:
    """Return how far it is off, as answered and before it was corrected, and by what it was."""
    found = [(f"expected calibration error, {ANSWERED}", f"{off_by(meant.answered):.3f}")]
    if meant.uncorrected:
        found += [(UNCORRECTED, f"{off_by(meant.uncorrected):.3f}"), ("corrected by", meant.corrected_by)]
    known = meant.recalibration
    if known:
        found += [
            ("odds that came over odds that were said", _factor(known.odds, known.reason)),
            ("slope of what came over what was said", _factor(known.slope, known.reason)),
        ]
    return tuple(found)


def _factor(found: Interval | None, reason: str) -> str:
    if found is None:
        return f"not known: {reason}"
    return f"{as_figure(found.value)} ({as_figure(found.low)} to {as_figure(found.high)})"


def _span(each: Reliability) -> Line:
    came = _came(each)
    return Line((each.said, came.low), (each.said, came.high), "thin tone-1")


def _came(each: Reliability) -> Interval:
    return wilson(round(each.came * each.rows), each.rows, SURE)


def _points(table: Sequence[Reliability]) -> list[tuple[float, float]]:
    return [(each.said, each.came) for each in table]


def _tenth(each: Reliability) -> str:
    return f"{percent(each.low).removesuffix(NBSP + '%')} to {percent(each.high)}"
