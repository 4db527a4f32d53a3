"""The page an operator decides on, drawn from one ``Sheet``: the question first, then what speaks for and against it.

Sections come in the order in which they are asked for. Words belong to ``dossier_wording``, charts to ``charts``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.charts import Cloud, Line, Row
from tasks.core.comparison import Comparison
from tasks.core.differences import Change, Fact
from tasks.core.drawing import percent, short
from tasks.core.page import dossier_wording as wording
from tasks.core.page import reliability
from tasks.core.page.moves import mover_charts, mover_table, shadow_table, truth
from tasks.core.page.paper import Table, cost_chart, cost_facts, hashed, script, template
from tasks.core.page.proof import change_axis, coverage, duel, errors, skill, standings
from tasks.core.page.sheet import Fit, Sheet, TargetFacts
from tasks.core.page.variants import ways
from tasks.core.page.verdicts import OUTCOME_WORDS, chips, worst_first
from tasks.core.page.wording import as_moments, as_range, as_words
from tasks.core.profile_shift import MODERATE, Shift

MOST_SLICES, MOST_SHIFTS = 10, 14
TONE = {"challenger": "tone-1", "champion": "tone-2"}
DIGEST_DIGITS = 64
# Of a first model these are facts to look up, and nothing to compare.
RUNS_ON = ("code", "environment")
Parts = tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]


@dataclass(frozen=True)
class TargetFits:
    """How challenger and champion fit one target, drawn; of a chance, what it is worth, in figures as well."""

    name: str
    calibration: Markup
    residuals: Markup
    facts: tuple[tuple[str, str], ...] = ()
    tenths: Table | None = None


@dataclass(frozen=True)
class Different:
    """What is told of the differences, and what is folded away; ``alone`` where there is nothing to differ from.

    Of a challenger alone everything is told but what it runs on.
    """

    alone: bool
    told: Parts
    folded: Parts
    folded_count: int


def render(sheet: Sheet) -> str:
    """Return the page as one self-contained HTML document."""
    dossier, copying = sheet.dossier, script("copy.js")
    passed = tuple(each for each in dossier.verdicts if each.outcome == "pass")
    missed = tuple(each for each in worst_first(dossier.verdicts) if each.outcome != "pass")
    return template("dossier.html.j2").render(
        sheet=sheet,
        dossier=dossier,
        tone=wording.TONES[dossier.recommendation],
        decided=wording.decided(sheet.came),
        copying=copying,
        copying_hash=Markup(hashed(copying)),
        shapes=drawing.shape_definitions(),
        summary=wording.summary(sheet),
        chips=chips(missed),
        missed=missed,
        passed=passed,
        outcome_words=OUTCOME_WORDS,
        duel=duel(dossier.comparisons),
        standings=standings(dossier.comparisons),
        errors=errors(dossier.comparisons),
        skill=skill(sheet.targets, dossier.verdicts),
        coverage=coverage(sheet.targets, dossier.verdicts),
        slices=tuple(_slices(dossier.comparisons)),
        drift=_drift(sheet.shifts),
        shifts=tuple(map(_shift, sheet.shifts)),
        fits=tuple(_fits(sheet)),
        mover_charts=tuple(mover_charts(sheet)),
        movers=mover_table(sheet),
        shadow=shadow_table(sheet.shadow),
        truth=truth(sheet),
        ways=ways(sheet.variants),
        cost_facts=cost_facts(sheet.costs),
        costs=cost_chart(sheet.costs),
        effect=wording.what_a_greenlight_does(dossier),
        who=wording.who_decides(sheet),
        people=wording.by_whom(sheet.asking),
        until=wording.until(dossier),
        different=_different(sheet.differences),
    )


def _different(changes: Sequence[Change]) -> Different:
    alone = all(each.before is None for each in changes)
    folded = [each for each in changes if (each.part in RUNS_ON if alone else each.same)]
    told = [each for each in changes if each not in folded]
    return Different(alone, _parts(told, alone), _parts(folded, alone), len(folded))


def _parts(changes: Iterable[Change], alone: bool) -> Parts:
    parts = groupby(changes, key=lambda each: each.part)
    return tuple((part, tuple(_facts(each, alone) for each in some)) for part, some in parts)


def _facts(change: Change, alone: bool) -> tuple[str, ...]:
    before = () if alone else (_fact(change.before),)
    return as_words(change.what), *before, _fact(change.after)


def _fact(value: Fact | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return f"{value[:12]}…" if len(value) == DIGEST_DIGITS else as_moments(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.6g}"


def _slices(comparisons: Sequence[Comparison]) -> Iterator[Markup]:
    """Draw each target's slices that have rows enough to be judged, the worst first."""
    for each in comparisons:
        judged = [part for part in each.slices or () if part.judged]
        worst = sorted(judged, key=lambda part: (-part.change.low, part.slice, part.label))[:MOST_SLICES]
        if not worst:
            continue
        rows = [
            Row(f"{as_words(part.slice)}: {part.label} ({part.rows})", part.change.value,
                f"{percent(part.change.value)} ({as_range(part.change)})", part.change.low, part.change.high,
                tone="tone-bad" if part.change.low > 0 else "tone-soft",
                mark="triangle" if part.change.low > 0 else "circle")
            for part in worst
        ]  # fmt: skip
        left, few = len(judged) - len(worst), len(each.slices or ()) - len(judged)
        untold = (f"{left} better slices are not shown" if left else "", f"{few} have too few rows to be judged")
        description = (
            "Change of the mean error; right of 0 % is worse, a triangle where the whole interval is. "
            f"{', '.join(filter(None, untold))}."
        )
        yield charts.row_chart(
            rows,
            change_axis(rows, 0.0),
            title=f"{as_words(each.target)}: slices, the worst first",
            description=description,
            zero=0.0,
        )


def _drift(shifts: Sequence[Shift]) -> Markup:
    if not shifts:
        return Markup("")
    rows = [
        Row(as_words(each.name), each.psi, f"{each.psi:.3f}, {_told(each)}", mark="bar",
            tone="tone-bad" if each.reading == "large" else "tone-soft")
        for each in shifts[:MOST_SHIFTS]
    ]  # fmt: skip
    return charts.row_chart(
        rows,
        drawing.linear_axis([row.value for row in rows], include=(0.0, MODERATE)),
        title="How far the training rows moved since the champion's",
        description=f"Population stability index, largest first; dashed: {MODERATE}, from which a shift is moderate.",
        zero=0.0,
        limit=MODERATE,
    )


def _told(shift: Shift) -> str:
    return "by chance" if shift.reading == "chance" else shift.reading


def _shift(each: Shift) -> tuple[str, ...]:
    return (
        as_words(each.name),
        each.role,
        f"{each.psi:.3f}",
        f"{each.by_chance:.3f}",
        _told(each),
        _typical(each.typical_before),
        _typical(each.typical_after),
        f"{percent(each.missing_before)} → {percent(each.missing_after)}",
    )


def _typical(value: float | str | None) -> str:
    return value if isinstance(value, str) else short(value)


def _fits(sheet: Sheet) -> Iterator[TargetFits]:
    for target in sheet.targets:
        if (meant := target.meant) is not None:
            drawn = reliability.diagram(meant), reliability.often(meant)
            yield TargetFits(target.name, *drawn, reliability.facts(meant), reliability.tenths(meant))
            continue
        fits = [each for each in sheet.fits if each.target == target.name]
        yield TargetFits(target.name, _calibration(target, fits), _residuals(target, fits))


def _calibration(target: TargetFacts, fits: Sequence[Fit]) -> Markup:
    points = {each.side: [(part.predicted, part.actual) for part in each.bins] for each in fits if each.bins}
    if target.log:
        points = {side: [(x, y) for x, y in some if x > 0 and y > 0] for side, some in points.items()}
    values = [value for some in points.values() for point in some for value in point]
    if not values:
        return Markup("")
    axis = drawing.log_axis(values) if target.log else drawing.linear_axis(values)
    shown = [
        Cloud(side, some, "circle" if side == "challenger" else "diamond", TONE[side]) for side, some in points.items()
    ]
    return charts.scatter(
        shown,
        axis,
        axis,
        x_label=f"predicted {target.unit}",
        y_label=f"actual {target.unit}",
        title=f"{as_words(target.name)}: calibration",
        description="Rows in groups of alike predictions, at their medians; on the line a prediction is right.",
        lines=[Line((axis.low, axis.low), (axis.high, axis.high), "zero")],
    )


def _residuals(target: TargetFacts, fits: Sequence[Fit]) -> Markup:
    rows = [
        Row(f"{part.part} ({part.rows})", part.q50,
            f"×{2**part.q50:.2f}" if target.log else short(part.q50, target.unit),
            part.q25, part.q75, part.q5, part.q95, tone=TONE[each.side],
            mark="circle" if each.side == "challenger" else "diamond",
            heading=each.side if index == 0 else "")
        for each in fits
        for index, part in enumerate(each.spreads)
    ]  # fmt: skip
    if not rows:
        return Markup("")
    reach = [value for row in rows for value in (row.low, row.high, row.least, row.most)]
    return charts.row_chart(
        rows,
        drawing.ratio_axis(reach) if target.log else drawing.linear_axis(reach, include=(0.0,)),
        title=f"{as_words(target.name)}: residuals",
        description="Right: predicted too high. Mark: median; thick: middle half; thin: middle 90 %.",
        zero=0.0,
    )
