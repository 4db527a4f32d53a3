"""The page of one batch beside the champion's reference, drawn from one ``DriftSheet``: the verdict, then what moved.

Columns come in the order of their weight for the model. What a figure means is ``drift_columns``'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.charts import Cloud, Row
from tasks.core.drawing import Axis, percent
from tasks.core.drift import PREDICTION, Moved, Severity
from tasks.core.drift_columns import CORRELATION, DISTANCE, MISSING, NEW_SHARE, SHARE
from tasks.core.drift_statistics import shares_between
from tasks.core.page.drift_sheet import DriftSheet
from tasks.core.page.overlay import Bin, overlay
from tasks.core.page.paper import template
from tasks.core.page.wording import as_figure, as_words
from tasks.core.watch import Observation

Profile = Mapping[str, Any]
MOST_ROWS, MOST_PICTURES, MOST_VALUES, MOST_BATCHES, BINS = 14, 6, 8, 30, 24
TONE = {"none": "good", "warn": "unsure", "critical": "bad", "insufficient": "unsure"}
HEIGHT: Mapping[Severity, int] = {"insufficient": 0, "none": 1, "warn": 2, "critical": 3}
LIMIT = {
    "distribution": DISTANCE,
    "shares of its values": SHARE,
    "share of missing values": MISSING,
    "share of new values": NEW_SHARE,
    "share of rejected rows": MISSING,
    "correlation": CORRELATION,
}
SHORT = {
    "distribution": "moved",
    "shares of its values": "shares",
    "share of missing values": "missing",
    "share of new values": "new",
    "share of rejected rows": "rejected",
    "correlation": "correlation",
}
SIGN = {"none": "", "warn": "◆ ", "critical": "▲ "}
ANSWER = {
    "none": "Nothing moved that matters.",
    "warn": "Something moved, but not enough to act.",
    "critical": "The batch is not like what the champion learned from.",
    "insufficient": "Too few rows to tell.",
}


def render(sheet: DriftSheet) -> str:
    """Return the page as one self-contained HTML document."""
    report = sheet.report
    columns = report.columns if report else ()
    return template("drift.html.j2").render(
        sheet=sheet,
        seen=sheet.seen,
        answer=ANSWER[sheet.seen.severity],
        tone=TONE[sheet.seen.severity],
        following=what_happens_next(sheet.seen),
        shapes=drawing.shape_definitions(),
        ranking=_ranking(columns),
        pictures=tuple(_pictures(sheet, columns)),
        pairs=tuple(_pair(each) for each in (report.pairs if report else ()) if each.level != "none"),
        history=_history(sheet.history[-MOST_BATCHES:]),
        columns=tuple(map(_figures, columns)),
    )


def what_happens_next(seen: Observation) -> str:
    """Say what follows from the observation, and what does not."""
    if seen.told == "workload.drifted":
        return (
            f"workload.drifted was told (incident {seen.incident}). It starts one retrain, unless the last one is "
            "within its cooldown or the month's budget is spent: greenlight status says which."
        )
    if seen.told == "workload.recovered":
        return (
            f"workload.recovered was told: the drift {seen.incident} is over, and a new one may start a retrain again."
        )
    if seen.severity == "critical":
        return "One critical batch is a suspicion: if the next one is critical too, workload.drifted is told."
    if seen.severity == "insufficient":
        return "It waits: its counts are added to the next batches' until there are rows enough."
    if seen.incident:
        return f"The drift {seen.incident} is still open: a clean batch, or another one that is not critical, ends it."
    return "workload.warned was told; it starts no retrain." if seen.severity == "warn" else "Nothing."


def _ranking(columns: Sequence[Moved]) -> Markup:
    """Draw how far each column moved, as a share of what would be critical: one axis for every kind of change."""
    rows = [
        Row(as_words(each.name), min(each.size / LIMIT[each.what], 5.0),
            f"{SIGN[each.level]}{SHORT[each.what]} {each.size:.2g}{_weight(each)}",
            mark="bar", tone={"critical": "tone-bad", "warn": "tone-2"}.get(each.level, "tone-soft"))
        for each in columns[:MOST_ROWS] if each.what
    ]  # fmt: skip
    if not rows:
        return Markup("")
    return charts.row_chart(
        rows,
        drawing.linear_axis([row.value for row in rows], include=(0.0, 1.0)),
        title="What moved, the heaviest for the model first",
        description="▲ critical, ◆ warning. Bars: the change as a multiple of what is critical (dashed), if chance "
        "does not explain it; figures: the change, and the column's weight for the model. "
        f"{max(0, len(columns) - MOST_ROWS)} more are in the table below.",
        zero=0.0,
        limit=1.0,
    )


def _weight(each: Moved) -> str:
    return f", {percent(each.weight)}" if _weighs(each) else ""


def _weighs(each: Moved) -> bool:
    return each.role == "feature" and each.weight > 0


def _pictures(sheet: DriftSheet, columns: Sequence[Moved]) -> Iterator[Markup]:
    """Draw the distributions of the first columns that moved, or of the first ones where none did."""
    moved = [each for each in columns if each.level != "none"] or list(columns[:2])
    drawn = 0
    for each in moved:
        pair = _pair_of_profiles(sheet, each.name)
        if pair is None or drawn == MOST_PICTURES:
            continue
        drawn += 1
        name = f"{as_words(each.name)}: {each.level}"
        yield (_values if "edges" not in pair[0] else _overlay)(name, *pair)


def _pair_of_profiles(sheet: DriftSheet, name: str) -> tuple[Profile, Profile] | None:
    if sheet.counts is None:
        return None
    target = name.removeprefix(PREDICTION)
    if name.startswith(PREDICTION):
        was, now = sheet.reference["targets"][target]["predicted"], sheet.counts["targets"][target]["predicted"]
    else:
        kind = next((kind for kind in ("numbers", "categories") if name in sheet.counts[kind]), None)
        if kind is None:
            return None
        was, now = sheet.reference[kind][name], sheet.counts[kind][name]
    return (was, now if "edges" not in was else {**now, "edges": was["edges"]}) if was["n"] and now["n"] else None


def _overlay(name: str, was: Profile, now: Profile) -> Markup:
    """Draw both histograms over one axis, from the first to the last hundredth of either."""
    low, high = _reach(was, now)
    skewed = low > 0 and high / low > 100
    at = np.geomspace(low, high, BINS + 1) if skewed else np.linspace(low, high, BINS + 1)
    before, after = (shares_between(each, at).tolist() for each in (was, now))
    axis = drawing.log_axis(at.tolist()) if skewed else drawing.linear_axis(at.tolist())
    bins = [Bin(*each) for each in zip(at[:-1].tolist(), at[1:].tolist(), before, after, strict=True)]
    return overlay(
        bins,
        axis,
        labels=("what the champion learned from", "this batch"),
        title=name,
        description=f"Share of rows; {was['n']:,} values before, {now['n']:,} now.",
    )


def _reach(was: Profile, now: Profile) -> tuple[float, float]:
    low, high = min(_at(was, 0.01), _at(now, 0.01)), max(_at(was, 0.99), _at(now, 0.99))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _at(profile: Profile, share: float) -> float:
    """Return about where that share of the values lies below: an edge of the profile, or its end."""
    places = np.cumsum(profile["counts"])
    edges = [profile["min"], *profile["edges"], profile["max"]]
    place = int(np.searchsorted(places, share * places[-1])) + (share > 0.5)
    return float(min(max(edges[min(place, len(edges) - 1)], profile["min"]), profile["max"]))


def _values(name: str, was: Profile, now: Profile) -> Markup:
    """Draw the values whose share changed most, before and now."""
    shares = {
        value: (was["counts"].get(value, 0) / was["n"], now["counts"].get(value, 0) / now["n"])
        for value in was["counts"].keys() | now["counts"].keys()
    }
    first = sorted(shares, key=lambda value: (-abs(shares[value][1] - shares[value][0]), value))[:MOST_VALUES]
    rows = [
        Row(word, shares[value][side], percent(shares[value][side], 1), mark="bar", tone=tone,
            heading=value if side == 0 else "")
        for value in first
        for side, word, tone in ((0, "before", "tone-soft"), (1, "now", "tone-2"))
    ]  # fmt: skip
    return charts.row_chart(
        rows,
        drawing.linear_axis([row.value for row in rows], include=(0.0,), as_percent=True),
        title=name,
        description="Share of rows of the values that changed most.",
        zero=0.0,
    )


def _history(batches: Sequence[Observation]) -> Markup:
    if len(batches) < 2:
        return Markup("")
    tones = {"critical": ("tone-bad", "triangle"), "warn": ("tone-2", "diamond")}
    clouds = []
    for severity, height in HEIGHT.items():
        points = [(float(each.number), float(height)) for each in batches if each.severity == severity]
        tone, mark = tones.get(severity, ("tone-soft", "circle"))
        if points:
            clouds.append(Cloud(severity, points, mark, tone))  # type: ignore[arg-type]
    numbers = [each.number for each in batches]
    step = max(1, len(numbers) // 6)
    x = Axis(numbers[0] - 0.5, numbers[-1] + 0.5, tuple((n, f"{n}") for n in numbers[::step]))
    y = Axis(-0.3, 3.3, ((0, "few"), (1, "none"), (2, "warn"), (3, "critical")))
    told = sum(each.told == "workload.drifted" for each in batches)
    return charts.scatter(
        clouds,
        x,
        y,
        x_label="batch",
        y_label="severity",
        title="Severity over time",
        description=f"The last {len(batches)} batches; a drift was told with {told} of them.",
    )


def _pair(each: Moved) -> tuple[str, ...]:
    before, now = (as_figure(value if value is not None else float("nan")) for value in (each.before, each.now))
    return as_words(each.name), each.level, before, now, f"{each.p_value:.1g}"


def _figures(each: Moved) -> tuple[str, ...]:
    found = each.measured
    if found is None:
        return (as_words(each.name), *[""] * 12)
    shown = (
        found.kolmogorov_smirnov, found.wasserstein, found.jensen_shannon, found.largest_change, found.effect,
        found.new_share, found.mean_shift, found.stability_index,
    )  # fmt: skip
    return (
        as_words(each.name),
        each.level,
        percent(each.weight, 1) if _weighs(each) else each.role,
        f"{percent(found.missing_before, 1)} → {percent(found.missing_now, 1)}",
        *("–" if value is None else as_figure(value) for value in shown),
        f"{each.p_value:.1g}",
    )
