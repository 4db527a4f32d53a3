"""What the page says of groups: archetypes on a plane, and who has how much of what, on a map where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import polars as pl
from markupsafe import Markup

from tasks.core import charts, drawing
from tasks.core.archetype_summary import OUTLIER
from tasks.core.charts import Cloud, Row
from tasks.core.drawing import percent, short
from tasks.core.influence import MISSING, InfluenceTable
from tasks.core.page.run_report import RunReport
from tasks.core.page.targets import MOST_POINTS
from tasks.core.page.wording import as_figure, as_words
from tasks.core.world_map import world_map
from tasks.workloads.spec import Workload

MOST_GROUPS = 12


@dataclass(frozen=True)
class InfluenceSection:
    """One influence table with its words and charts."""

    by: str
    sentence: str
    charts: tuple[Markup, ...]
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int
    amounts: tuple[tuple[str, ...], ...]


def archetype_map(report: RunReport) -> Markup:
    """Draw the rows on a plane, coloured by archetype."""
    found, placed = report.archetypes, report.assignments
    if found is None or placed is None:
        return Markup("")
    drawn = placed.drop_nulls(["x", "y"])
    grouped = drawn.filter(pl.col("archetype") != OUTLIER)
    x, y = (_span(grouped[axis]) for axis in ("x", "y"))
    groups = [(each.name, drawing.MARKS[i % 5], f"tone-{1 + i % 6}") for i, each in enumerate(found.archetypes)]
    groups.append((OUTLIER, "cross", "tone-muted"))
    beyond = drawn.filter(~(pl.col("x").is_between(x.low, x.high) & pl.col("y").is_between(y.low, y.high))).height
    return charts.scatter(
        [
            Cloud(name, _thinned(drawn.filter(pl.col("archetype") == name), drawn.height), mark, tone)
            for name, mark, tone in groups
        ],
        x,
        y,
        x_label="first principal component",
        y_label="second",
        title="Rows by archetype",
        description=f"Rows near each other are alike; the two axes keep {percent(sum(found.explained))} of the "
        f"differences. {beyond:,} rows lie beyond the frame and are drawn on its edge.",
        names=[(each.x, each.y, each.name) for each in found.archetypes],
    )


def archetype_rows(report: RunReport) -> Iterator[tuple[str, ...]]:
    """Yield the rows of the archetype table."""
    found = report.archetypes
    if found is None:
        return
    for each in found.archetypes:
        typical = "; ".join(f"{value} {percent(share)}" for value, share in each.typical.values())
        medians = (f"{short(each.medians[name])}{_height(each.ranks[name])}" for name in found.features)
        yield (each.name, f"{each.rows:,}", typical, *medians)


def archetype_counts(report: RunReport) -> Iterator[tuple[str, ...]]:
    """Yield what speaks for each number of clusters."""
    for each in report.archetypes.tried if report.archetypes else ():
        figures = (each.silhouette, each.ari_seeds, each.ari_bootstrap)
        chosen = report.archetypes is not None and each.k == report.archetypes.chosen.k
        yield (f"{each.k}{' (chosen)' if chosen else ''}", *map(as_figure, figures), percent(each.largest_share))


def influence_sections(report: RunReport, table: InfluenceTable) -> InfluenceSection:
    """Return one influence table with its words and charts."""
    groups, first = table.groups, f"{table.amounts[0]}_share"
    lead = table.concentration.row(0, named=True)
    drawn = _influence_charts(table) if groups.height else ()
    names = tuple(f"{as_words(amount)}" for amount in table.amounts)
    header = (table.by, "rows", *names, f"leading {report.spec.entity}", "its share", "dominance", "HHI", "Gini")
    rows = tuple(
        (
            str(row[table.by]),
            f"{row['rows']:,}",
            *(percent(row[f"{amount}_share"], 1) for amount in table.amounts),
            str(row["leader"] or "–"),
            percent(row["leader_share"]),
            short(row["dominance"]),
            *(as_figure(row[name]) if row[name] is not None else "–" for name in ("hhi", "gini")),
        )
        for row in groups.head(MOST_GROUPS).iter_rows(named=True)
    )
    amounts = tuple(
        (as_words(r["amount"]), str(r["leader"] or "–"), percent(r["leader_share"]), str(r["runner_up"] or "–"),
         short(r["dominance"]), as_figure(r["hhi"]) if r["hhi"] is not None else "–",
         as_figure(r["gini"]) if r["gini"] is not None else "–")
        for r in table.concentration.iter_rows(named=True)
    )  # fmt: skip
    return InfluenceSection(
        by=table.by,
        sentence=_leads(table, lead["leader"], groups, first),
        charts=drawn,
        header=header,
        rows=rows,
        left=max(0, groups.height - MOST_GROUPS),
        amounts=amounts,
    )


def declared_order(spec: Workload) -> Callable[[InfluenceTable], int]:
    """Return the order in which the declaration names the tables."""
    order = spec.influence.by if spec.influence else ()
    return lambda table: order.index(table.by) if table.by in order else len(order)


def _span(values: pl.Series) -> drawing.Axis:
    """Frame the grouped rows with a margin of a fifth: far rows stay on the edge, instead of squeezing all others."""
    low, high = values.quantile(0.005) or 0.0, values.quantile(0.995) or 0.0
    margin = 0.2 * (high - low) or 1.0
    return drawing.Axis(low - margin, high + margin, ())


def _thinned(rows: pl.DataFrame, of: int) -> list[tuple[float, float]]:
    step = max(1, -(-of // (3 * MOST_POINTS)))
    return [(row[0], row[1]) for row in rows.select("x", "y").gather_every(step).rows()]


def _height(rank: float) -> str:
    return " ▲ high" if rank >= 0.7 else " ▽ low" if rank <= 0.3 else ""


def _leads(table: InfluenceTable, leader: str | None, groups: pl.DataFrame, first: str) -> str:
    if leader is None:
        return f"No {table.by} has any {as_words(table.amounts[0])}."
    named = groups.filter(pl.col(table.by) != MISSING).head(3)
    missing = float(groups.filter(pl.col(table.by) == MISSING)[first].sum())
    words = ", ".join(f"{name} {percent(share)}" for name, share in named.select(table.by, first).rows())
    return f"Of all {as_words(table.amounts[0])}: {words}" + (
        f"; {percent(missing)} belong to rows without a {table.by}." if missing else "."
    )


def _influence_charts(table: InfluenceTable) -> tuple[Markup, ...]:
    first = f"{table.amounts[0]}_share"
    amount = as_words(table.amounts[0])
    known = table.groups.filter(pl.col(table.by) != MISSING)
    if "code" in known.columns:
        rows = known.drop_nulls("code").select("code", table.by, first, "rows").rows()
        shares = {code: (share, f"{name}: {percent(share, 1)}, {n:,} rows") for code, name, share, n in rows}
        words = f"Share of all {amount}; hover or tap a {table.by} for its figures, the table has them too."
        return (world_map(shares, title=f"{amount.capitalize()} by {table.by}", description=words),)
    rows_drawn = [
        Row(name, share, percent(share, 1), mark="bar", tone="tone-soft")
        for name, share in table.groups.head(MOST_GROUPS).select(table.by, first).rows()
    ]
    axis = drawing.linear_axis([row.value for row in rows_drawn], include=(0.0,), as_percent=True)
    title = f"{amount.capitalize()} by {table.by}"
    return (charts.row_chart(rows_drawn, axis, title=title, description=f"Share of all {amount}.", zero=0.0),)
