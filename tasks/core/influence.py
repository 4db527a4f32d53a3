"""Influence: which country or category has how much of the views, subscribers and earnings, and how unevenly.

Pure Polars: rows in, tables out. A missing amount adds nothing; rows without a country are a group of their own,
so that shares add up to one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

MISSING = "missing"
# Threads add up in any order; past the twelfth figure the answer would depend on it.
ROUNDED = pl.selectors.float().round_sig_figs(12)


@dataclass(frozen=True)
class InfluenceTable:
    """``groups``: one row per group, largest share first. ``concentration``: one row per amount, over all groups.

    ``groups`` has ``by``, ``code`` (where asked for), ``rows``, ``{amount}_share`` for each amount, and for the first
    amount, among the group's own rows: ``leader``, ``leader_share``, ``dominance`` (leader ÷ runner-up; missing where
    there is no runner-up), ``hhi`` (Herfindahl–Hirschman index, 1/n to 1) and ``gini`` (0 even, towards 1 uneven).
    ``concentration`` has ``amount``, ``total``, ``known_rows``, ``leader``, ``leader_share``, ``runner_up``,
    ``dominance``, ``hhi``, ``gini``; the missing group counts in totals but never leads.
    """

    by: str
    amounts: tuple[str, ...]
    groups: pl.DataFrame
    concentration: pl.DataFrame


def measure_influence(
    rows: pl.DataFrame, by: str, amounts: Sequence[str], *, entity: str, code: str | None = None
) -> InfluenceTable:
    """Measure the influence of the groups of column *by* over the *amounts*; *entity* names the rows that lead."""
    clean = rows.select(
        pl.col(by).cast(pl.String).fill_null(MISSING).alias("group"),
        pl.col(entity).cast(pl.String).alias("entity"),
        *([pl.col(code).cast(pl.String).alias("code")] if code else []),
        *(pl.col(amount).cast(pl.Float64).clip(lower_bound=0).fill_nan(None) for amount in amounts),
    )
    totals = (
        clean.group_by("group", maintain_order=True)
        .agg(
            *([pl.col("code").drop_nulls().mode().sort().first()] if code else []),
            pl.len().alias("rows"),
            *(pl.col(amount).sum() for amount in amounts),
        )
        .sort("group")
    )
    shares = totals.with_columns(_share(pl.col(amount)).alias(f"{amount}_share") for amount in amounts)
    within = _within(clean, amounts[0])
    groups = (
        shares.join(within, on="group", how="left", maintain_order="left")
        .sort([f"{amounts[0]}_share", "group"], descending=[True, False])
        .drop(amounts)
        .with_columns(ROUNDED)
        .rename({"group": by})
    )
    return InfluenceTable(by, tuple(amounts), groups, _concentration(clean, totals, amounts).with_columns(ROUNDED))


def _share(amount: pl.Expr) -> pl.Expr:
    return pl.when(amount.sum() > 0).then(amount / amount.sum()).otherwise(0.0)


def hhi(amount: pl.Expr) -> pl.Expr:
    """Herfindahl–Hirschman index: the sum of squared shares (Hirschman 1945, Herfindahl 1950)."""
    known = amount.drop_nulls()
    return pl.when(known.sum() > 0).then((known / known.sum()).pow(2).sum())


def gini(amount: pl.Expr) -> pl.Expr:
    """Gini coefficient: 2·Σ i·xᵢ / (n·Σ xᵢ) − (n + 1)/n over ascending xᵢ (Gini 1912)."""
    known = amount.drop_nulls().sort()
    n = known.len().cast(pl.Float64)
    weighted = (known * pl.int_range(1, known.len() + 1)).sum()
    return pl.when(known.sum() > 0).then(2 * weighted / (n * known.sum()) - (n + 1) / n)


def _within(clean: pl.DataFrame, amount: str) -> pl.DataFrame:
    """Return the first amount's leader and concentration inside each group; ties go to the earlier name."""
    known = clean.drop_nulls(amount).sort([amount, "entity"], descending=[True, False])
    value = pl.col(amount)
    led = value.sum() > 0
    runner_up = value.get(1, null_on_oob=True)
    return known.group_by("group", maintain_order=True).agg(
        leader=pl.when(led).then(pl.col("entity").first()),
        leader_share=pl.when(led).then(value.first() / value.sum()),
        dominance=pl.when(runner_up > 0).then(value.first() / runner_up),
        hhi=hhi(value),
        gini=gini(value),
    )


def _concentration(clean: pl.DataFrame, totals: pl.DataFrame, amounts: Sequence[str]) -> pl.DataFrame:
    return pl.concat([_one_concentration(clean, totals, amount) for amount in amounts])


def _one_concentration(clean: pl.DataFrame, totals: pl.DataFrame, amount: str) -> pl.DataFrame:
    named = totals.filter(pl.col("group") != MISSING).sort([amount, "group"], descending=[True, False])
    value = pl.col(amount)
    led = value.sum() > 0
    runner_up = value.get(1, null_on_oob=True)
    return named.select(
        amount=pl.lit(amount),
        total=pl.lit(totals[amount].sum(), dtype=pl.Float64),
        known_rows=pl.lit(clean[amount].count(), dtype=pl.Int64),
        leader=pl.when(led).then(pl.col("group").get(0, null_on_oob=True)),
        leader_share=pl.when(led).then(value.get(0, null_on_oob=True) / totals[amount].sum()),
        runner_up=pl.when(runner_up > 0).then(pl.col("group").get(1, null_on_oob=True)),
        dominance=pl.when(runner_up > 0).then(value.get(0, null_on_oob=True) / runner_up),
        hhi=hhi(value),
        gini=gini(value),
    ).head(1)
