"""What would change most: the rows whose prediction moves furthest from champion to challenger, drawn and told.

Then what is known of the truth of rows that both have scored: who was right in the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.charts import Dot, Row
from tasks.core.drawing import percent, short
from tasks.core.page.paper import Table
from tasks.core.page.sheet import Landed, Mover, Sheet, TargetFacts
from tasks.core.page.wording import as_range, as_words
from tasks.core.shadow import Cycle
from tasks.core.values import Interval

LEGEND = (
    ("champion says", "diamond", "tone-2"),
    ("challenger says", "circle", "tone-1"),
    ("true", "cross", "tone-ink"),
)
MOST_LANDED = 40


@dataclass(frozen=True)
class Truth:
    """What is told of the truth: in a sentence per target over all days, and day by day."""

    sentences: tuple[str, ...]
    table: Table


def mover_charts(sheet: Sheet) -> Iterator[Markup]:
    """Draw each target's biggest movers."""
    for target in sheet.targets:
        moved = [each for each in sheet.movers if each.target == target.name]
        if moved:
            yield _chart(target, moved)


def mover_table(sheet: Sheet) -> Table:
    """Return the same in figures; what is true is left out where nobody knows it yet."""
    targets = {each.name: each for each in sheet.targets}
    header = (sheet.entity, "target", "champion says", "challenger says", "change", "true")
    known = len(header) - all(each.actual is None for each in sheet.movers)
    rows = (_figures(targets[each.target], each)[:known] for each in sheet.movers)
    return Table("", header[:known], tuple(rows))


def shadow_table(batch: Cycle | None) -> Table:
    """Say how far the challenger's answers on a whole scored batch lie from the champion's; empty without a batch."""
    header = ("target", "leaves the champion's interval", "typical change", "rank correlation", "leaves the top")
    return Table(
        "Challenger against champion on that batch, row by row",
        header,
        tuple(
            (as_words(each.target), percent(each.flip_rate, 1), percent(each.change, 1), f"{each.rank_correlation:.2f}",
             f"{percent(each.churn)} of the champion's {each.top:,} largest")
            for each in (batch.differences if batch else ())
        ),
    )  # fmt: skip


def truth(sheet: Sheet) -> Truth:
    """Say how large either's errors came out on the batches both have scored; empty as long as no label has landed."""
    units = {each.name: each.unit for each in sheet.targets}
    header = ("day", "target", "labels", "champion's error", "challenger's error", "than the champion's")
    rows = (
        (f"{each.date}, {each.ring}", as_words(each.target), _labels(each),
         *(_with_ends(error, units[each.target]) for error in (each.champion, each.challenger)),
         f"{percent(each.change.value, 1)} ({as_range(each.change)})")
        for each in reversed(sheet.landed[-MOST_LANDED:])
    )  # fmt: skip
    sentences = (_overall(name, [each for each in sheet.landed if each.target == name]) for name in units)
    table = Table("Mean errors on the same rows, newest first", header, tuple(rows))
    return Truth(tuple(filter(None, sentences)), table)


def _overall(target: str, landed: Sequence[Landed]) -> str:
    """Add up the errors of all days; without an interval, for the same entities may be in each of them."""
    whole = [each for each in landed if each.rows == each.known]
    ours, theirs = (sum(each.rows * getattr(each, side).value for each in whole) for side in ("champion", "challenger"))
    if not ours:
        return ""
    apart = f"{percent(abs(theirs / ours - 1), 1)} {'larger' if theirs > ours else 'smaller'} than the champion's"
    labels, days = sum(each.rows for each in whole), f"{len(whole)} day{'s' if len(whole) > 1 else ''}"
    return f"{as_words(target)}: the challenger's error came out {apart}, over {labels:,} labels of {days}"


def _labels(each: Landed) -> str:
    return f"{each.rows:,}" if each.rows == each.known else f"{each.rows:,} of {each.known:,}"


def _with_ends(error: Interval, unit: str) -> str:
    return f"{short(error.value, unit)} [{short(error.low)}, {short(error.high)}]"


def _chart(target: TargetFacts, moved: Sequence[Mover]) -> Markup:
    said = [figure for each in moved for figure in (each.champion, each.challenger)]
    true = [each.actual for each in moved if each.actual is not None]
    values = [*said, *true]
    ratios = target.log and min(values) > 0
    return charts.row_chart(
        [_row(target, each) for each in moved],
        drawing.log_axis(values) if ratios else drawing.linear_axis(values),
        title=f"{as_words(target.name)}: from champion to challenger",
        description=f"In {target.unit}{' on a logarithmic scale' if ratios else ''}; the furthest first.",
        legend=LEGEND if true else LEGEND[:-1],
    )


def _figures(target: TargetFacts, each: Mover) -> tuple[str, ...]:
    said = (short(figure, target.unit) for figure in (each.champion, each.challenger))
    return _named(each), as_words(each.target), *said, _moved(target, each), short(each.actual, target.unit)


def _row(target: TargetFacts, each: Mover) -> Row:
    low, high = sorted((each.champion, each.challenger))
    true = () if each.actual is None else (Dot(each.actual, "cross", "tone-ink"),)
    beside = (Dot(each.champion, "diamond", "tone-2"), *true)
    text = f"{short(each.challenger)}, {_moved(target, each)}"
    return Row(_named(each), each.challenger, text, low, high, mark="circle", tone="tone-1", beside=beside)


def _named(each: Mover) -> str:
    return each.entity or f"row {each.row}"


def _moved(target: TargetFacts, each: Mover) -> str:
    if target.log and each.champion > 0:
        return f"×{each.challenger / each.champion:.2f}"
    return short(each.challenger - each.champion, target.unit)
