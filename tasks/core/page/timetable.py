"""The page of a timetable: how good it is and what it is worth, then the week as a grid, then what changes and why.

Figures come from the report; what they mean to a person is said here. The grid is ``week``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from tasks.core import drawing
from tasks.core.drawing import percent
from tasks.core.page.paper import template
from tasks.core.page.timetable_charts import NO_GAP, amount, convergence, pareto, sides
from tasks.core.page.week import genre_tones, weeks
from tasks.core.page.wording import as_sentence
from tasks.core.timetable.checker import violations
from tasks.core.timetable.honest import GOALS
from tasks.core.timetable.report import CURRENT, NEW, Plan, frames, goals_of, known_of, names_of

Row = dict[str, Any]
# Further apart than the widest intervals of a week in the tests: what both are unsure of is more than the choice.
FAR_APART = 0.15
# More changes than a person reads at once are folded away; every one is in the files.
CHANGES_SHOWN = 40


@dataclass(frozen=True)
class Card:
    """A goal in two numbers: the one to believe, and the optimiser's own."""

    goal: str
    honest: str
    range: str
    own: str
    above: str
    now: str


def page(plan: Plan, about: Mapping[str, str]) -> str:
    """Return the page as one self-contained HTML document; *about* is where it comes from, by what it is called."""
    tables, told = frames(plan), goals_of(plan)
    return template("timetable.html.j2").render(
        plan=plan,
        found=plan.timetable,
        about=about,
        headline=headline(plan),
        certainty=certainty(plan),
        caution=caution(plan),
        tone="unsure" if plan.timetable.totals.empty else "good",
        shapes=drawing.shape_definitions(),
        cards=tuple(_card(plan, tables["totals"], goal) for goal in told),
        told=told,
        unserved=tuple(goal for goal in GOALS if goal not in told),
        sides=sides(plan, tables["totals"]),
        weeks=weeks(plan),
        keys=genre_tones(plan),
        pareto=pareto(plan, tables["front"]),
        convergence=convergence(plan),
        changes=tuple(map(_change, tables["changes"].iter_rows(named=True))),
        shown=CHANGES_SHOWN,
        balance_of_change=_balance_of_change(plan, tables["totals"]),
        broken=tuple(as_sentence(each) for each in _broken(plan)),
        closed=sum(not slot.available for slot in plan.problem.slots),
        alternatives=tuple(_alternative(tables["totals"], n) for n, _ in enumerate(plan.alternatives, 1)),
        rules=_rules(plan),
        rows=tuple(map(_airing, tables["timetable"].iter_rows(named=True))),
    )


def headline(plan: Plan) -> str:
    """Answer in a sentence how good the timetable is."""
    empty, slots = plan.timetable.totals.empty, sum(slot.available for slot in plan.problem.slots)
    filled = f"All {slots} slots are filled" if not empty else f"{slots - empty} of {slots} slots are filled"
    if plan.timetable.gap <= NO_GAP:
        return f"{filled}, and no timetable that keeps the rules scores higher."
    if plan.timetable.gap > 1:
        return f"{filled}; more may be possible."
    return f"{filled}, and at most {_gap(plan)} is left to gain."


def certainty(plan: Plan) -> str:
    """Say what the gap means to somebody who has never heard of one."""
    gap = plan.timetable.gap
    if gap <= NO_GAP:
        proven = "That nothing scores higher is proven, not hoped: the score reaches a bound no timetable can exceed."
    elif gap > 1:
        proven = "More slots are empty than the proof says need be; another engine or more time may fill them."
    else:
        proven = (
            f"How much is left is proven, not hoped: of all timetables that keep the rules, none scores more than "
            f"{_gap(plan)} better."
        )
    if plan.honest is None:
        return f"{proven} It holds for these predictions, and no further than they can be believed."
    return f"{proven} It holds for these predictions; how far to believe them is what the other number says."


def caution(plan: Plan) -> str:
    """Say what the optimiser promises, and what a model says that did not choose."""
    if plan.honest is None:
        return (
            "No second model has judged it: the totals below are the optimiser's own, and an optimiser picks what its "
            "model overrates. Take them as the upper end."
        )
    goal = next(iter(goals_of(plan)), "revenue")
    first = getattr(plan.honest, goal)
    held, own, apart = amount(first.held_out, goal), amount(first.own, goal), percent(abs(first.flattery), 1)
    if first.flattery > 0:
        words = f"{apart} more: an optimiser picks what its model overrates"
    else:
        words = f"{apart} less: no sign that it was fooled by its own errors"
    if abs(first.flattery) > FAR_APART:
        words += ", but two models this far apart know the level badly"
        words += "; trust the gain over what airs now more" if plan.current is not None else ""
    return f"Expect {held} of {goal}, by a model that did not choose it. The optimiser's own number is {own}, {words}."


def _gap(plan: Plan) -> str:
    return percent(plan.timetable.gap, 2 if plan.timetable.gap >= 1e-4 else 3)


def _card(plan: Plan, totals: pl.DataFrame, goal: str) -> Card:
    new = totals.filter(timetable=NEW, goal=goal).row(0, named=True)
    own, words = new["value"], ""
    if plan.current is not None:
        gain = _signed(own - _value(totals, CURRENT, goal), goal)
        words = f"{gain} against what airs now, by the same predictions"
    if plan.honest is None:
        return Card(goal, "", _between(new["low"], new["high"], goal), amount(own, goal), "", words)
    beside = getattr(plan.honest, goal)
    if beside.held_out_now is not None:
        believed, promised = _signed(beside.honest_gain, goal), _signed(beside.own_gain, goal)
        words = f"Against what airs now: {believed} by that model, {promised} by the optimiser's."
    above = f"{percent(abs(beside.flattery), 1)} {'above' if beside.flattery >= 0 else 'below'}"
    between = _between(beside.low, beside.high, goal)
    return Card(goal, amount(beside.held_out, goal), between, amount(own, goal), above, words)


def _between(low: float, high: float, goal: str) -> str:
    return f"{amount(low, goal)} to {amount(high, goal)}"


def _signed(value: float | None, goal: str) -> str:
    if value is None:
        return "–"
    return f"{'+' if value >= 0 else '−'}{amount(abs(value), goal)}"


def _value(totals: pl.DataFrame, timetable: str, goal: str) -> float:
    return float(totals.filter(timetable=timetable, goal=goal)["value"][0])


def _change(row: Row) -> Row:
    gains = {goal: (_signed(row[goal], goal), "gain" if (row[goal] or 0) >= 0 else "loss") for goal in GOALS}
    return {**row, "clock": f"{row['start']:%a %-d %b %H:%M}", **gains}


def _balance_of_change(plan: Plan, totals: pl.DataFrame) -> str:
    """Say what all changes come to together."""
    if plan.current is None:
        return ""
    differ = int(_value(totals, CURRENT, "slots that differ"))
    parts = []
    for goal in goals_of(plan):
        new, now = (_value(totals, name, goal) for name in (NEW, CURRENT))
        share = f" ({percent(new / now - 1, 1)})" if now > 0 else ""
        parts.append(f"{goal} {_signed(new - now, goal)}{share}")
    new, now = (_value(totals, name, "balance") for name in (NEW, CURRENT))
    parts.append(f"the balance of genres from {percent(now)} to {percent(new)}")
    unknown = known_of(plan, plan.current).count(None) - plan.current.count(None)
    left_out = f" {unknown} of its slots show what nothing was predicted for, and count nothing." if unknown else ""
    return (
        f"{differ} of {len(plan.problem.slots)} slots change: {', '.join(parts)}, by the same predictions on both "
        f"sides.{left_out}"
    )


def _broken(plan: Plan) -> list[str]:
    """Return the rules that what airs now breaks."""
    if plan.current is None:
        return []
    known = names_of(plan.problem)
    offered = [name if name in known else None for name in plan.current]
    return [each.sentence for each in violations(plan.problem, offered)]


def _alternative(totals: pl.DataFrame, number: int) -> tuple[str, ...]:
    name = f"alternative {number}"
    cells = [str(number), str(int(_value(totals, name, "slots that differ")))]
    for goal in GOALS:
        value, first = (_value(totals, each, goal) for each in (name, NEW))
        cells.append(f"{amount(value, goal)} ({_share(value, first)})")
    return (*cells, percent(_value(totals, name, "balance")))


def _share(value: float, first: float) -> str:
    return f"{'+' if value >= first else ''}{percent(value / first - 1, 2)}" if first > 0 else "–"


def _rules(plan: Plan) -> tuple[tuple[str, str], ...]:
    rules, goals = plan.problem.rules, plan.problem.goals
    weights = {"revenue": goals.revenue, "audience": goals.audience, "balance": goals.balance}
    whole = sum(weights.values())
    return (
        ("weights of the goals", ", ".join(f"{name} {percent(each / whole)}" for name, each in weights.items())),
        ("of one genre in a row", f"at most {rules.in_a_row}"),
        ("of one genre a day", f"at most {rules.per_day}" + "".join(f", {n} {c}" for n, c in rules.per_day_of.items())),
        ("watershed", f"{rules.watershed:%H:%M} to {rules.watershed_ends:%H:%M}"),
        ("a slot is filled", f"at least {percent(rules.least_filled)}, at most {rules.most_idle_minutes} min idle"),
        ("offered", f"{len(plan.problem.programmes):,} programmes for {len(plan.problem.slots):,} slots"),
    )


def _airing(row: Row) -> tuple[str, ...]:
    if row["programme"] is None:
        return (f"{row['start']:%a %-d %b %H:%M}", "–", "", str(row["minutes"]), "", "", "")
    ends = {goal: _between(row[f"{goal}_low"], row[f"{goal}_high"], goal) for goal in GOALS}
    figures = [f"{amount(row[goal], goal)} ({ends[goal]})" for goal in GOALS]
    idle = str(row["idle_minutes"] or "")
    return (f"{row['start']:%a %-d %b %H:%M}", row["programme"], row["genre"], str(row["minutes"]), idle, *figures)
