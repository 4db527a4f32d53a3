"""What the statistical verdicts rest on: every interval with the lines it is held against, and how often its rule errs.

An outcome is told by the form of a mark as well as by its colour. Which outcome it is belongs to the comparison and to
the gates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.charts import Row
from tasks.core.comparison import Comparison, Standing
from tasks.core.drawing import Axis, Mark, percent
from tasks.core.intervals import wilson
from tasks.core.page.paper import Table
from tasks.core.page.sheet import TargetFacts
from tasks.core.page.wording import as_bracket, as_range, as_words
from tasks.core.paired import WANTED_POWER, Odds
from tasks.core.values import Interval, Outcome, Verdict

# The confidence of the intervals that Odds itself gives its shares.
SURE = 0.95


@dataclass(frozen=True)
class Look:
    """How an outcome is said and drawn."""

    word: str
    mark: Mark
    tone: str


STANDINGS: Mapping[Standing, Look] = {
    "better": Look("better", "diamond", "tone-good"),
    "non_inferior": Look("not worse", "circle", "tone-1"),
    "inconclusive": Look("inconclusive", "ring", "tone-unsure"),
    "worse": Look("worse", "triangle", "tone-bad"),
}
OUTCOMES: Mapping[Outcome, Look] = {
    "pass": Look("pass", "circle", "tone-good"),
    "inconclusive": Look("inconclusive", "ring", "tone-unsure"),
    "fail": Look("fail", "triangle", "tone-bad"),
}


def duel(comparisons: Sequence[Comparison]) -> Markup:
    """Draw the change of the error of every target that was compared."""
    known = [(each, each.change) for each in comparisons if each.change is not None]
    if not known:
        return Markup("")
    looks = [STANDINGS[each.outcome] for each, _ in known]
    rows = [
        _row(each.target, look, change, f"{percent(change.value, 1)} ({as_range(change)})")
        for (each, change), look in zip(known, looks, strict=True)
    ]
    margin, sure = known[0][0].margin, percent(known[0][0].confidence)
    return charts.row_chart(
        rows,
        change_axis(rows, margin),
        title="Change of the mean error against the champion, on the same rows",
        description=f"Left of the line at 0 % is better. Bars: {sure} interval; dashed: {percent(margin, 1)} worse, "
        "the margin. Better lies left of 0 % as a whole, not worse left of the margin; worse lies right of 0 % and "
        "reaches beyond the margin; all else is inconclusive.",
        zero=0.0,
        limit=margin,
        legend=_legend(looks),
    )


def skill(targets: Sequence[TargetFacts], verdicts: Sequence[Verdict]) -> Markup:
    """Draw what each target's model saves against the best naive guess."""
    if not targets:
        return Markup("")
    looks = _looks(targets, verdicts, "beats the baseline")
    rows = [
        _row(each.name, look, each.skill, f"{percent(each.skill.value)} ({as_range(each.skill)})")
        for each, look in zip(targets, looks, strict=True)
    ]
    least = max(each.least_skill for each in targets)
    return charts.row_chart(
        rows,
        change_axis(rows, least),
        title="Error saved against the best naive guess",
        description=f"Right of 0 % is better than guessing; the interval must lie above {percent(least)} (dashed).",
        zero=0.0,
        limit=least,
        legend=_legend(looks),
    )


def coverage(targets: Sequence[TargetFacts], verdicts: Sequence[Verdict]) -> Markup:
    """Draw how many true values lie inside the prediction intervals."""
    if not targets:
        return Markup("")
    looks = _looks(targets, verdicts, "interval coverage")
    rows = [
        _row(each.name, look, each.coverage, f"{percent(each.coverage.value)} of {percent(each.coverage_wanted)}")
        for each, look in zip(targets, looks, strict=True)
    ]
    least, wanted = targets[0].coverage_least, targets[0].coverage_wanted
    axis = drawing.linear_axis(
        [value for row in rows for value in (row.low, row.high)], include=(least, wanted, 1.0), as_percent=True
    )
    return charts.row_chart(
        rows,
        axis,
        title="Do its prediction intervals keep their promise?",
        description=f"Share of rows inside; the line is the {percent(wanted)} promised, dashed the least accepted.",
        zero=wanted,
        limit=least,
        legend=_legend(looks),
    )


def standings(comparisons: Sequence[Comparison]) -> Table:
    """Say what each comparison found, and on what."""
    header = (
        "target",
        "the challenger is",
        "change of the mean error",
        "p of better, corrected",
        "compared on",
        "note",
    )
    noted = len(header) - (not any(each.reason for each in comparisons))
    rows = tuple(_standing(each)[:noted] for each in comparisons)
    return Table("Challenger against champion", header[:noted], rows)


def errors(comparisons: Sequence[Comparison]) -> Table:
    """Say how often the rule errs on the very rows it judged: where nothing is better, and where something is worse."""
    tried = [(each.target, each.odds) for each in comparisons if each.odds is not None]
    header = ("target", "if both were equal", "if the challenger were worse", "what it would notice")
    caption = (
        "How often would this rule err on these very rows? For identical pairs the two models swap names at random in "
        f"each unit of the rows; for worse ones errors are then made larger. In brackets: {percent(SURE)} intervals."
    )
    return Table(caption, header, tuple((as_words(name), *_odds(odds)) for name, odds in tried))


def change_axis(rows: Sequence[Row], limit: float) -> Axis:
    """Return an axis for changes in per cent that shows 0 and *limit*."""
    return drawing.linear_axis(
        [value for row in rows for value in (row.value, row.low, row.high)], include=(0.0, limit), as_percent=True
    )


def _row(name: str, look: Look, found: Interval, text: str) -> Row:
    return Row(
        f"{as_words(name)}: {look.word}", found.value, text, found.low, found.high, mark=look.mark, tone=look.tone
    )


def _looks(targets: Sequence[TargetFacts], verdicts: Sequence[Verdict], gate: str) -> list[Look]:
    said = {each.target: each.outcome for each in verdicts if each.gate == gate}
    return [OUTCOMES[said.get(each.name, "inconclusive")] for each in targets]


def _legend(looks: Sequence[Look]) -> list[tuple[str, str, str]]:
    return [(look.word, look.mark, look.tone) for look in dict.fromkeys(looks)]


def _standing(each: Comparison) -> tuple[str, ...]:
    change = f"{percent(each.change.value, 1)} ({as_range(each.change)})" if each.change else "–"
    rows = f"{each.rows:,} rows in {each.units:,} draws" if each.units else f"{each.rows:,} rows"
    p_better = f"{each.p_better:.3g}" if each.change else "–"
    return as_words(each.target), STANDINGS[each.outcome].word, change, p_better, rows, each.reason


def _odds(odds: Odds) -> tuple[str, str, str]:
    better, trials = odds.false_better, f"{odds.trials:,}"
    beyond = "; ✗ more than promised" if better.low > odds.alpha else ""
    blocked, called = (round(share * odds.trials) for share in (odds.blocked, odds.detected))
    return (
        f"said better on {round(better.value * odds.trials):,} of {trials} identical pairs: {as_bracket(better)}, "
        f"promised {percent(odds.alpha, 1)}{beyond}; let {percent(odds.equal_passes)} of them pass",
        f"blocked {blocked:,} of {trials} that are {percent(odds.regression)} worse: "
        f"{as_bracket(wilson(blocked, odds.trials, SURE))}; called {called:,} of them worse: "
        f"{as_bracket(wilson(called, odds.trials, SURE))}",
        f"{percent(odds.smallest_detected)} worse is called worse in {percent(WANTED_POWER)}",
    )
