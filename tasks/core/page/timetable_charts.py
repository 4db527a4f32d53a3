"""The charts of a timetable's page: both numbers beside each other, the front of the goals, and how the search went."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any

import polars as pl
from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.charts import Cloud, Line, Row
from tasks.core.drawing import Mark, percent, short
from tasks.core.timetable.checker import totals
from tasks.core.timetable.honest import CONFIDENCE
from tasks.core.timetable.problem import Schedule
from tasks.core.timetable.report import CURRENT, NEW, Plan, goals_of, known_of
from tasks.workloads.broadcast import UNITS

# Below it the difference is rounding, not a gap.
NO_GAP = 5e-6


def amount(value: float | None, goal: str) -> str:
    """Return an amount of *goal*: money with its unit, viewers without."""
    return short(value, UNITS[goal] if goal == "revenue" else "")


def sides(plan: Plan, figures: pl.DataFrame) -> tuple[Markup, ...]:
    """Draw of each goal what the optimiser promises, what the second model says, and what airs now."""
    return tuple(_side(plan, figures, goal) for goal in goals_of(plan))


def _side(plan: Plan, figures: pl.DataFrame, goal: str) -> Markup:
    rows: list[Row] = []
    new = figures.filter(timetable=NEW, goal=goal).row(0, named=True)
    if new["held_out"] is not None:
        low, high = new["held_out_low"], new["held_out_high"]
        rows.append(Row("by a model that did not choose", new["held_out"], amount(new["held_out"], goal), low, high))
    rows.append(_own("optimiser's own number", new, goal, "diamond", "tone-2"))
    for now in figures.filter(timetable=CURRENT, goal=goal).iter_rows(named=True):
        rows.append(_own("what airs now", now, goal, "square", "tone-soft"))
    ends = [end for row in rows for end in (row.low, row.high, row.value)]
    return charts.row_chart(
        rows,
        drawing.linear_axis(ends),
        title=f"Predicted {goal}, {UNITS[goal]}",
        description=f"Marks: totals of all slots; bars: {CONFIDENCE:.0%} intervals. The own numbers take the errors of "
        "one day's airings as the same and those of different days as independent.",
    )


def _own(label: str, figure: dict[str, Any], goal: str, mark: Mark, tone: str) -> Row:
    value = figure["value"]
    return Row(label, value, amount(value, goal), figure["low"], figure["high"], mark=mark, tone=tone)


def pareto(plan: Plan, front: pl.DataFrame) -> Markup:
    """Draw the schedules none of which is better in every goal, by two goals; empty if there is but one."""
    if front.height < 2:
        return Markup("")
    goals = [*goals_of(plan), "balance"][:2]
    now = [] if plan.current is None else [known_of(plan, plan.current)]
    middle = median(front["balance"].to_list())
    above, below = front.filter(pl.col("balance") > middle), front.filter(pl.col("balance") <= middle)
    clouds = [
        Cloud(f"balance above {percent(middle)}", above.select(goals).rows(), "circle", "tone-1"),
        Cloud(f"balance {percent(middle)} or less", below.select(goals).rows(), "ring", "tone-soft"),
        Cloud("alternatives", [_point(plan, each, goals) for each in plan.alternatives], "triangle", "tone-3"),
        Cloud("this timetable", [_point(plan, plan.timetable.schedule, goals)], "diamond", "tone-2"),
        Cloud("what airs now", [_point(plan, each, goals) for each in now], "square", "tone-bad"),
    ]
    points = [point for cloud in clouds for point in cloud.points]
    x, y = (drawing.linear_axis([point[axis] for point in points]) for axis in (0, 1))
    return charts.scatter(
        [cloud for cloud in clouds if cloud.points],
        x,
        y,
        x_label=_label(goals[0]),
        y_label=_label(goals[1]),
        title="What one goal costs the other",
        description=f"{front.height} timetables, each keeping every rule; none is better than another in every goal.",
    )


def _point(plan: Plan, schedule: Schedule, goals: Sequence[str]) -> tuple[float, float]:
    found = totals(plan.problem, schedule)
    x, y = (float(getattr(found, goal)) for goal in goals)
    return x, y


def _label(goal: str) -> str:
    return f"{goal}, {UNITS[goal]}" if goal in UNITS else f"{goal} of genres"


def convergence(plan: Plan) -> Markup:
    """Draw how far the best was from the bound by generation; empty where there was none, or the first was the best."""
    points = [(float(each["generation"]), 100 * float(each["gap"])) for each in plan.timetable.log]
    if len(points) < 2 or points[0][1] <= 100 * NO_GAP:
        return Markup("")
    x = drawing.linear_axis([at for at, _ in points])
    y = drawing.linear_axis([gap for _, gap in points], include=(0.0,))
    steps = [Line(one, other, "thick tone-1") for one, other in pairwise(points)]
    (_, first), (last, end) = points[0], points[-1]
    return charts.scatter(
        [Cloud("best so far", points)],
        x,
        y,
        x_label="generation",
        y_label="distance from the bound, %",
        title="How the search went",
        description=f"From {first:.2f} % to {end:.2f} % in {last:.0f} generations; 0 is the proven bound. What is "
        "shown on this page was polished once more after the last generation.",
        lines=steps,
    )
