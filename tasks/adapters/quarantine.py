"""Parts a snapshot into the rows its contract accepts and the rows it does not, each of these with what it broke.

One Polars pass in bounded memory; the verdict on the contract as a whole is given elsewhere (contract.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from tasks.adapters.parquet import ROW_GROUP_ROWS, Rows, replacing
from tasks.core.rules import RULES, Rule, Suite, broken_rules, flags, is_unique_rule, repeated_rows, row_rules
from tasks.errors import HomeDamaged


@dataclass(frozen=True)
class SplitCounts:
    """Rows in = accepted + quarantined; and how many rows broke each row rule, by the rule's name."""

    rows_in: int
    accepted: int
    quarantined: int
    broken: Mapping[str, int]


def split(suite: Suite, snapshot: Path, accepted: Path, quarantined: Path) -> SplitCounts:
    """Write the rows of *snapshot* that break no critical row rule to *accepted*, all others to *quarantined*.

    Both keep the source's order; a quarantined row says in ``_rules`` every row rule it broke, warnings too. Raises
    HomeDamaged when the rows do not add up, OutOfSpace when they do not fit.
    """
    rules = row_rules(suite)
    rows = pl.scan_parquet(snapshot)
    repeated = {rule.id: repeated_rows(rows, rule) for rule in rules if is_unique_rule(rule)}
    with replacing(accepted) as good_part, replacing(quarantined) as bad_part:
        counts = _part(rows, rules, repeated, good_part, bad_part)
        _check_sum(counts, snapshot)
    return counts


def _part(
    rows: pl.LazyFrame, rules: tuple[Rule, ...], repeated: Mapping[str, pl.Series], good_part: Path, bad_part: Path
) -> SplitCounts:
    critical = [rule.id for rule in rules if rule.severity == "critical"]
    masks, why = flags(rules, repeated), broken_rules(rules)
    broken: Counter[str] = Counter({rule.id: 0 for rule in rules})
    rows_in = 0
    with (
        Rows(good_part, rows.collect_schema()) as good,
        Rows(bad_part, rows.with_columns(pl.lit(None, pl.String).alias(RULES)).collect_schema()) as bad,
    ):
        for batch in rows.collect_batches(chunk_size=ROW_GROUP_ROWS, maintain_order=True, engine="streaming"):
            broke = batch.select(pl.repeat(False, pl.len()).alias(RULES), *masks)
            held = broke.select(pl.any_horizontal(RULES, *critical)).to_series()
            good.add(batch.filter(~held))
            bad.add(batch.filter(held).with_columns(broke.filter(held).select(why).to_series()))
            broken.update(broke.drop(RULES).sum().row(0, named=True) if rules else {})
            rows_in += batch.height
    return SplitCounts(rows_in, good.count, bad.count, dict(broken))


def _check_sum(counts: SplitCounts, snapshot: Path) -> None:
    stored = pl.scan_parquet(snapshot).select(pl.len()).collect().item()
    if not stored == counts.rows_in == counts.accepted + counts.quarantined:
        raise HomeDamaged(
            f"{snapshot} holds {stored} rows, but {counts.rows_in} were read, {counts.accepted} accepted and "
            f"{counts.quarantined} quarantined; the snapshot changed or is damaged: delete it, then run again"
        )
