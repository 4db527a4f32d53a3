"""The page of what a ring's predictions were worth: the verdict, errors by day beside what was stated, age, slices.

What a figure means is ``appraisal``'s; a day's own record has more of them than are drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.actuals import Appraised
from tasks.core.appraisal import PERSISTENCE, Appraisal, Expected, Realised, SliceError, staleness
from tasks.core.charts import Cloud, Dot, Line, Row
from tasks.core.drawing import percent, short
from tasks.core.page.paper import Table, template
from tasks.core.page.wording import as_range
from tasks.core.promise import ASSUMES
from tasks.core.values import Interval
from tasks.workloads.spec import Target, Workload

MOST_DAYS, MOST_SLICES = 21, 30
LEGEND = (("realised, thick its interval", "circle", "tone-1"), ("stated, thin its range", "diamond", "tone-muted"))


def render(spec: Workload, appraised: Appraised) -> str:
    """Return the page as one self-contained HTML document."""
    targets = [target for target in spec.targets if _days_of(appraised, target.name)]
    return template("errors.html.j2").render(
        title=spec.title,
        appraised=appraised,
        answer=_answer(appraised),
        tone=_tone(appraised),
        because=because(appraised),
        following=what_happens_next(appraised),
        shapes=drawing.shape_definitions(),
        pictures=[_errors(appraised, target) for target in targets],
        surprises=surprises(appraised.known[-MOST_DAYS:]),
        ages=[drawn for target in targets if (drawn := _age(appraised, target))],
        slices=[table for target in targets if (table := _slices(appraised, target))],
        rivals=_rivals(spec, appraised),
        counts=tuple(counts(appraised)),
        days=_days(appraised),
        assumes=ASSUMES,
        rise=percent(spec.gate.max_error_rise),
    )


def lines(appraised: Appraised) -> Iterator[str]:
    """Say what came of it: the terminal's and the artifact's lines."""
    yield f"{_answer(appraised)} {because(appraised)}. {what_happens_next(appraised)}"
    yield from counts(appraised)
    newest = _judged(appraised)
    if newest:
        yield from (f"{newest.date}, {each.target}: {_told(each)}" for each in newest.realised)
    yield from (f"{day.date}, {each.target}: {_awaited(each)}" for day in appraised.known[-1:] for each in day.expected)
    yield from surprises(appraised.known[-MOST_DAYS:])


def because(appraised: Appraised) -> str:
    """Return the figures the verdict rests on."""
    if appraised.degraded:
        return f"{appraised.degraded.since} to {appraised.degraded.until}: {appraised.degraded.because}"
    newest = _judged(appraised)
    return f"{newest.date}: {newest.because}" if newest else "no truth is known yet"


def what_happens_next(appraised: Appraised) -> str:
    """Say what follows, and what does not."""
    if appraised.degraded:
        return (
            f"performance.degraded was told (incident {appraised.degraded.incident}). It starts one retrain, unless "
            "the last one is within its cooldown or the month's budget is spent: greenlight status says which."
        )
    newest = _judged(appraised)
    if newest and newest.below:
        return f"One such day is a suspicion: {PERSISTENCE} in a row are performance.degraded."
    return "Nothing." if newest else "Until labels land, the error below is an estimate."


def counts(appraised: Appraised) -> Iterator[str]:
    """Say what became of the rows of a batch of actuals, and what is waited for."""
    found = appraised.actuals
    if found:
        yield (
            f"rows in {found.rows_in:,} = {found.rows:,} that say something + {found.repeated:,} said again + "
            f"{found.empty:,} without entity or label"
        )
        yield (
            f"{appraised.labels:,} labels new ({appraised.late:,} of them late), {appraised.revised:,} revised; "
            f"{appraised.unmatched:,} rows of nobody who was scored, {appraised.ambiguous:,} of somebody scored "
            "several times that day"
        )
        yield from (each.message for each in found.findings)
    yield f"{appraised.missing:,} labels are waited for, over {len(appraised.known):,} scored days and all targets"


def surprises(known: Sequence[Appraisal]) -> list[str]:
    """Say where an error came out elsewhere than was stated before its truth was known."""
    return [
        f"{day.date}, {each.target}: estimated {short(each.stated.value)}, realised {short(each.mae.value)}: outside "
        f"of the {short(each.stated.low)} to {short(each.stated.high)} that was stated"
        for day in known
        for each in day.realised
        if each.stated and each.surprising
    ]


def _answer(appraised: Appraised) -> str:
    if appraised.degraded:
        return "The champion's errors are larger than it was let out with."
    newest = _judged(appraised)
    if newest is None:
        return "What the predictions are worth is not known yet."
    if newest.below is None:
        return "Too few labels to judge by."
    return "A day fell below the floor." if newest.below else "The errors are as they were stated to be."


def _tone(appraised: Appraised) -> str:
    newest = _judged(appraised)
    if appraised.degraded:
        return "bad"
    return "good" if newest and newest.below is False else "unsure"


def _judged(appraised: Appraised) -> Appraisal | None:
    """Return the champion's newest day with any truth."""
    own = (day for day in reversed(appraised.known) if day.champion == appraised.champion and day.realised)
    return next(own, None)


def _told(each: Realised) -> str:
    stated = f", stated {short(each.stated.value)}" if each.stated else ""
    return (
        f"error {_range(each.mae)} on {each.rows:,} rows{stated}; skill {each.skill.value:+.2f}; "
        f"{percent(each.coverage.value, 1)} within their interval"
    )


def _awaited(each: Expected) -> str:
    return f"error to be expected {_range(each.mae)} on {each.rows:,} rows without a label"


def _range(interval: Interval, unit: str = "") -> str:
    return f"{short(interval.value, unit)} [{short(interval.low)} to {short(interval.high)}]"


def _days_of(appraised: Appraised, target: str) -> list[Appraisal]:
    return [
        day
        for day in appraised.known
        if target in {each.target for each in day.realised} | {each.target for each in day.expected}
    ]


def _errors(appraised: Appraised, target: Target) -> Markup:
    """Draw each day's realised error with what was stated of it, the newest first."""
    rows = [_day_row(day, target) for day in reversed(_days_of(appraised, target.name)[-MOST_DAYS:])]
    ends = [each for row in rows for each in (row.low, row.high, row.least, row.most) if each is not None]
    return charts.row_chart(
        rows,
        drawing.linear_axis(ends, include=(0.0,)),
        title=f"{target.name.capitalize()}: {target.error_name} by day",
        description=f"In {target.unit}. Where no circle is, no truth is known and the estimate stands alone.",
        zero=0.0,
        legend=LEGEND,
    )


def _day_row(day: Appraisal, target: Target) -> Row:
    found = next((each for each in day.realised if each.target == target.name), None)
    awaited = next((each for each in day.expected if each.target == target.name), None)
    stated = (found.stated if found else None) or (awaited.mae if awaited else None)
    below = any(each.target == target.name and each.below for each in day.judgements)
    mae = found.mae if found else None
    text = (
        f"{short(mae.value)}, {found.rows:,} rows"
        if mae and found
        else f"about {short(stated.value)}"
        if stated
        else ""
    )
    return Row(
        label=f"{day.date}, {day.version}",
        value=mae.value if mae else None,
        text=f"▲ {text}" if below else text,
        low=mae.low if mae else None,
        high=mae.high if mae else None,
        least=stated.low if stated else None,
        most=stated.high if stated else None,
        tone="tone-bad" if below else "tone-1",
        beside=(Dot(stated.value, "diamond", "tone-muted"),) if stated else (),
    )


def _age(appraised: Appraised, target: Target) -> Markup:
    """Draw the error against the days since the newest row that was learned from."""
    found = staleness(appraised.known, target.name)
    if not found.points:
        return Markup("")
    ages, shares = zip(*found.points, strict=True)
    x, y = drawing.linear_axis(ages, include=(0.0,)), drawing.linear_axis(shares, include=(0.0, 1.0))
    rise = found.per_month
    said = (
        f"In 30 days it changes by {percent(rise.value)} ({as_range(rise)})." if rise else "Too few ages for a trend."
    )
    return charts.scatter(
        [Cloud("a day", found.points)],
        x,
        y,
        x_label="days since the newest row learned from",
        y_label="realised ÷ stated",
        title=f"{target.name.capitalize()}: error by age",
        description=f"1 is as stated for the same rows, all versions together. {said}",
        lines=(Line((x.low, 1.0), (x.high, 1.0)),),
    )


def _slices(appraised: Appraised, target: Target) -> Table | None:
    """Return the newest day's errors by slice, each beside its mean over the days before."""
    days = [day for day in appraised.known if any(each.target == target.name and each.slices for each in day.realised)]
    if not days:
        return None
    *before, newest = [_slices_of(day, target.name) for day in days[-MOST_DAYS:]]
    rows = tuple(
        (each.slice, each.label, f"{each.rows:,}", _range(each.mae), _mean(before, each))
        for each in newest[:MOST_SLICES]
    )
    header = ("slice", "label", "rows", f"error, {target.unit}", "mean of the days before")
    return Table(f"{target.name.capitalize()}, {days[-1].date}", header, rows)


def _slices_of(day: Appraisal, target: str) -> tuple[SliceError, ...]:
    return next(each.slices for each in day.realised if each.target == target)


def _mean(before: Sequence[tuple[SliceError, ...]], one: SliceError) -> str:
    same = [each for day in before for each in day if (each.slice, each.label) == (one.slice, one.label)]
    rows = sum(each.rows for each in same)
    return short(sum(each.rows * each.mae.value for each in same) / rows) if rows else "–"


def _rivals(spec: Workload, appraised: Appraised) -> Table:
    rows = tuple(
        (day.date, each.version, each.target, f"{each.rows:,}", _range(each.mae, spec.target(each.target).unit),
         f"{percent(each.change.value)} ({as_range(each.change)})")
        for day in reversed(appraised.known[-MOST_DAYS:])
        for each in day.beside
    )  # fmt: skip
    header = ("day", "challenger", "target", "rows", "error", "larger than the champion's by")
    return Table("On the same rows, in the shadow", header, rows[:MOST_SLICES])


def _days(appraised: Appraised) -> Table:
    rows = tuple(
        (day.date, day.version, f"{day.age_days:g}", f"{day.rows_scored:,}", _labelled(day), f"{day.late:,}")
        for day in reversed(appraised.known[-MOST_DAYS:])
    )
    return Table("", ("day", "version", "age, days", "rows scored", "labels by target", "late"), rows)


def _labelled(day: Appraisal) -> str:
    return ", ".join(f"{each.target} {each.rows:,}" for each in day.realised) or "none"
