"""What the page says of each target: how good the winner is, against whom, and where it is not. It may not flatter."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.charts import Cloud, Line, Row
from tasks.core.drawing import percent, short
from tasks.core.failures import untrained
from tasks.core.page import reliability
from tasks.core.page.paper import Table
from tasks.core.page.reliability import meant_of
from tasks.core.page.run_report import RunReport
from tasks.core.page.wording import as_figure, as_range, as_words
from tasks.core.values import Evaluation, Interval, Scorecard, SliceScore
from tasks.workloads.spec import Target, Workload

MOST_POINTS = 600
MOST_IMPORTANCES = 10
MOST_SLICES = 8
FEWEST_IN_SLICE = 5


@dataclass(frozen=True)
class Verse:
    """A sentence on one target's worth, and how to colour it: good, unsure or bad."""

    tone: str
    figure: str
    headline: str
    sentence: str


@dataclass(frozen=True)
class TargetSection:
    """Everything the page says of one target."""

    target: Target
    evaluation: Evaluation
    verse: Verse
    served: bool
    describes: str
    failed: tuple[Scorecard, ...]
    facts: tuple[tuple[str, str], ...]
    contest: Markup
    fit: Markup
    importances: Markup
    aspects: Markup
    residuals: Markup
    tenths: Table | None
    slices: tuple[SliceScore, ...]


def target_sections(report: RunReport) -> Iterator[TargetSection]:
    """Yield what the page says of each target that has a winner."""
    for evaluation in report.evaluations:
        target = report.spec.target(evaluation.target)
        cards = [card for card in report.scorecards if card.target == target.name]
        frame = report.predictions.get(
            target.name, pl.DataFrame(schema={"actual": pl.Float64, "predicted": pl.Float64})
        )
        scored = [card for card in cards if card.status == "scored"]
        meant = meant_of(evaluation)
        yield TargetSection(
            target=target,
            evaluation=evaluation,
            verse=verse(evaluation, report.spec.gate.min_skill, report.spec.gate.confidence),
            served=target.name in report.serves,
            describes=_describes(evaluation),
            failed=tuple(card for card in cards if card.status == "failed"),
            facts=(
                *_facts(target, evaluation, report.spec.gate.confidence),
                *_against_last_value(evaluation, scored),
                *(reliability.facts(meant) if meant else ()),
            ),
            contest=_contest(report, evaluation, scored),
            fit=reliability.diagram(meant) if meant else _predicted_against_actual(target, frame),
            importances=_importances(evaluation),
            aspects=_aspects(evaluation),
            residuals=reliability.often(meant) if meant else _residuals(report.spec, target, frame),
            tenths=reliability.tenths(meant) if meant else None,
            slices=tuple(sorted(evaluation.slices, key=lambda each: (each.skill.value, each.slice, each.label))),
        )


def verse(evaluation: Evaluation, wanted: float, confidence: float) -> Verse:
    """Say what a target's skill interval shows, without flattering: only an interval above zero is better."""
    skill, guess = evaluation.skill, f"the best naive guess ({as_words(evaluation.baseline)})"
    interval = f"{percent(confidence)} interval {as_range(skill)}"
    if skill.high < 0:
        return Verse(
            "bad", percent(skill.value), "worse than guessing", f"Errors are larger than those of {guess}: {interval}."
        )
    if skill.low <= 0:
        words = f"Not shown better than {guess}: the {interval} includes zero."
        return Verse("unsure", percent(skill.value), "not shown better than guessing", words)
    words = f"Mean error {percent(skill.value)} smaller than that of {guess}; {interval}."
    if skill.low <= wanted:
        words += f" The gate asks for more than {percent(wanted)} and the interval reaches below it."
        return Verse("unsure", percent(skill.value), "less error than guessing, but under the gate", words)
    return Verse("good", percent(skill.value), "less error than guessing", words)


def unlearnt_targets(report: RunReport) -> Iterator[tuple[Target, str]]:
    """Yield targets without a winner, with the reason."""
    judged = {evaluation.target for evaluation in report.evaluations}
    reasons = untrained(report.scorecards)
    for target in report.spec.targets:
        if target.name not in judged:
            yield target, reasons.get(target.name, "no candidate was tried")


def coverage_chart(evaluations: Sequence[Evaluation]) -> Markup:
    """Draw each target's interval coverage against what was wanted."""
    rows = [
        Row(
            as_words(each.target), each.coverage.value,
            f"{percent(each.coverage.value)} of {percent(each.coverage_wanted)} wanted",
            each.coverage.low, each.coverage.high, mark="diamond",
        )
        for each in evaluations
    ]  # fmt: skip
    if not rows:
        return Markup("")
    wanted = evaluations[0].coverage_wanted
    axis = drawing.linear_axis(
        [v for row in rows for v in (row.value, row.low, row.high)], include=(wanted, 1.0), as_percent=True
    )
    description = (
        f"Share of holdout rows inside the model's own interval; the line is the {percent(wanted)} it promises."
    )
    return charts.row_chart(
        rows, axis, title="Do prediction intervals keep their promise?", description=description, zero=wanted
    )


def _describes(evaluation: Evaluation) -> str:
    judged = f"judged on {evaluation.rows_holdout:,} holdout rows it never saw"
    if evaluation.rows_late:
        judged += f"; {evaluation.rows_late:,} rows were left out, whose label was not known when the first of them was"
    if evaluation.describes == "shipped":
        return f"These numbers describe the shipped model itself: fitted on {evaluation.rows_trained:,} rows, {judged}."
    return (
        f"These numbers describe the model fitted on the training part ({evaluation.rows_trained:,} rows), {judged}. "
        "The shipped model is the same recipe refitted on all rows; nothing is left to score that one on."
    )


def _facts(target: Target, evaluation: Evaluation, confidence: float) -> tuple[tuple[str, str], ...]:
    mae, r2, unit = evaluation.mae, evaluation.r2, target.unit
    level = f"{percent(confidence)} interval"
    return (
        ("winner", as_words(evaluation.algorithm)),
        (
            target.error_name,
            f"{short(mae.value, unit)} ({level} {short(mae.low)} to {short(mae.high)})",
        ),
        ("root mean square error", short(evaluation.rmse, unit) + _within(evaluation.rmse_interval, level)),
        (
            # A count that mostly repeats itself explains itself: an R² of 1.00 says nothing of what was learned.
            "R² of the whole, change or not" if target.as_change else "R²",
            f"{as_figure(r2.value)} ({level} {as_figure(r2.low)} to {as_figure(r2.high)})",
        ),
        *((("R² of logarithms", as_figure(evaluation.log_r2)),) if target.transform == "log1p" else ()),
        ("rank correlation", as_figure(evaluation.spearman) + _within(evaluation.spearman_interval, level)),
    )


def _against_last_value(evaluation: Evaluation, cards: Sequence[Scorecard]) -> Iterator[tuple[str, str]]:
    """Yield what the error is beside the last value's, also scaled; nothing where there is no such value."""
    if evaluation.r2_beyond_last_value is not None:
        yield "R² beyond the last value", as_figure(evaluation.r2_beyond_last_value)
    if evaluation.mase is not None:
        yield "MASE", f"{as_figure(evaluation.mase)} of the last value's error"
    chosen = max(cards, key=lambda card: card.skill if card.skill is not None else -9e9, default=None)
    if chosen is not None and chosen.mae_scaled is not None and chosen.mase_scaled is not None:
        yield (
            "scaled, in cross-validation",
            f"{short(chosen.mae_scaled)} standard deviations, {as_figure(chosen.mase_scaled)} of the last value's",
        )


def _within(interval: Interval | None, level: str) -> str:
    return f" ({level} {short(interval.low)} to {short(interval.high)})" if interval else ""


def _contest(report: RunReport, evaluation: Evaluation, cards: Sequence[Scorecard]) -> Markup:
    """Draw winner, candidates and naive guesses over one axis of skill; zero is the best naive guess."""
    by = report.spec.target(evaluation.target).by
    bound = by if any(card.algorithm == by for card in cards) else ""
    cards = sorted(cards, key=lambda card: (card.algorithm != bound, -(card.skill if card.skill is not None else -9e9)))
    skill = evaluation.skill
    words = f"{percent(skill.value)} ({as_range(skill)})"
    rows = [
        Row(as_words(evaluation.algorithm), skill.value, words, skill.low, skill.high, mark="diamond", tone="tone-1",
            heading="The verdict: the winner on the holdout, with its interval"),
        *_guesses(evaluation),
        *_candidates(cards),
    ]  # fmt: skip
    reach = [value for row in rows for value in (row.value, row.low, row.high)]
    axis = drawing.linear_axis([max(-1.0, v) for v in reach if v is not None], include=(0.0,), as_percent=True)
    title = f"{as_words(evaluation.target)}: skill of winner, candidates and naive guesses"
    description = (
        "The line at 0 % is the best naive guess; right of it is better. Thick: "
        f"{percent(report.spec.gate.confidence)} interval. Thin: spread over folds."
    )
    return charts.row_chart(rows, axis, title=title, description=description, zero=0.0)


def _guesses(evaluation: Evaluation) -> Iterator[Row]:
    best = min((each.mae for each in evaluation.baselines), default=0.0)
    for index, each in enumerate(sorted(evaluation.baselines, key=lambda guess: guess.mae)):
        skill = 1 - each.mae / best if best > 0 else 0.0
        heading = "Naive guesses on the same holdout" if index == 0 else ""
        yield Row(as_words(each.name), skill, percent(skill), mark="square", tone="tone-muted", heading=heading)


def _candidates(cards: Sequence[Scorecard]) -> Iterator[Row]:
    """Yield candidates, the one that was chosen first: the best, or of the algorithm that the target is bound to."""
    for index, card in enumerate(cards):
        if card.skill is None:
            continue
        spread = [1 - (1 - card.skill) * mae / card.mae for mae in card.fold_mae] if card.mae else []
        chosen = index == 0
        yield Row(
            label=as_words(card.title) + (" (chosen)" if chosen else ""),
            value=card.skill,
            text=percent(card.skill),
            least=min(spread, default=None),
            most=max(spread, default=None),
            tone="tone-1" if chosen else "tone-soft",
            heading="The choice: every candidate in cross-validation on the training rows" if index == 0 else "",
        )


def _predicted_against_actual(target: Target, frame: pl.DataFrame) -> Markup:
    logs = target.transform == "log1p"
    known = (
        frame.select(pl.col("actual", "predicted").cast(pl.Float64))
        .drop_nulls()
        .drop_nans()
        .sort("actual", "predicted")
    )
    shown = known.filter((pl.col("actual") > 0) & (pl.col("predicted") > 0)) if logs else known
    if not shown.height:
        return Markup("")
    points = shown.gather_every(max(1, -(-shown.height // MOST_POINTS))).rows()
    values = [value for point in points for value in point]
    axis = drawing.log_axis(values) if logs else drawing.linear_axis(values)
    ends = (axis.low, axis.high)
    lines = [Line((ends[0], ends[0]), (ends[1], ends[1]), "zero")]
    if logs:
        lines += [
            Line((ends[0], 2 * ends[0]), (ends[1] / 2, ends[1])),
            Line((2 * ends[0], ends[0]), (ends[1], ends[1] / 2)),
        ]
    left = frame.height - shown.height
    description = f"{len(points):,} of {frame.height:,} holdout rows; on the line the prediction is right" + (
        "; dotted, twice and half" + (f"; {left:,} rows at or below zero are not shown" if left else "") if logs else ""
    )
    scale = ", logarithmic" if logs else ""
    return charts.scatter(
        [Cloud("holdout row", [(point[0], point[1]) for point in points])],
        axis,
        axis,
        x_label=f"actual {target.unit}{scale}",
        y_label=f"predicted {target.unit}{scale}",
        title=f"{as_words(target.name)}: predicted against actual",
        description=description + ".",
        lines=lines,
    )


def _importances(evaluation: Evaluation) -> Markup:
    ordered = sorted(evaluation.importances.items(), key=lambda item: (-item[1], item[0]))[:MOST_IMPORTANCES]
    if not ordered:
        return Markup("")
    total = sum(max(0.0, value) for value in evaluation.importances.values()) or 1.0
    rows = [
        Row(as_words(name), value / total, percent(value / total), mark="bar", tone="tone-soft")
        for name, value in ordered
    ]
    axis = drawing.linear_axis([row.value for row in rows], include=(0.0,), as_percent=True)
    return charts.row_chart(
        rows,
        axis,
        title=f"{as_words(evaluation.target)}: what the winner relies on",
        description="Share of all importance; what a model relies on, not what causes what.",
        zero=0.0,
    )


def _aspects(evaluation: Evaluation) -> Markup:
    if not evaluation.aspects:
        return Markup("")
    rows = [
        Row(as_words(name), weight, as_figure(weight), mark="bar", tone="tone-soft")
        for name, weight in sorted(evaluation.aspects.items(), key=lambda item: (-item[1], item[0]))
    ]
    return charts.row_chart(
        rows,
        drawing.linear_axis([row.value for row in rows], include=(0.0,)),
        title=f"{as_words(evaluation.target)}: how much each aspect counts",
        description="Each aspect is scored by itself; the answer is the sum of the scores times these weights.",
        zero=0.0,
    )


def _residuals(spec: Workload, target: Target, frame: pl.DataFrame) -> Markup:
    """Draw, per slice, how far predictions lie from actuals: as ratios on a log target, else as differences."""
    logs = target.transform == "log1p"
    known = frame.filter((pl.col("actual") > 0) & (pl.col("predicted") > 0)) if logs else frame
    miss = (pl.col("predicted") / pl.col("actual")).log(2) if logs else pl.col("predicted") - pl.col("actual")
    known = known.with_columns(miss=miss).drop_nulls("miss")
    rows = [
        row
        for part in spec.slices
        if part.name in known.columns
        for row in _slice_rows(known, part.name, spec.title_of(part), logs, target.unit)
    ]
    if not rows:
        return Markup("")
    reach = [value for row in rows for value in (row.low, row.high, row.least, row.most)]
    axis = drawing.ratio_axis(reach) if logs else drawing.linear_axis(reach, include=(0.0,))
    return charts.row_chart(
        rows,
        axis,
        title=f"{as_words(target.name)}: residuals by slice",
        description="Right: predicted too high; left: too low. Mark: median; thick: middle half; thin: middle 90 %.",
        zero=0.0,
    )


def _slice_rows(known: pl.DataFrame, name: str, title: str, logs: bool, unit: str) -> Iterator[Row]:
    quantiles = {f"q{q}": pl.col("miss").quantile(q / 100, "linear") for q in (5, 25, 50, 75, 95)}
    table = known.group_by(pl.col(name).cast(pl.String).alias("label")).agg(pl.len().alias("rows"), **quantiles)
    table = table.drop_nulls("label").filter(pl.col("rows") >= FEWEST_IN_SLICE)
    largest = table.sort(["rows", "label"], descending=[True, False]).head(MOST_SLICES)
    for index, row in enumerate(largest.iter_rows(named=True)):
        middle = row["q50"]
        text = f"×{2**middle:.2f}" if logs else short(middle, unit)
        yield Row(
            f"{row['label']} ({row['rows']})", middle, text, row["q25"], row["q75"], row["q5"], row["q95"],
            mark="circle", tone="tone-soft", heading=f"by {as_words(title)}" if index == 0 else "",
        )  # fmt: skip
