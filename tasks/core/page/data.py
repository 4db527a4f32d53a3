"""What the page says of the data: what came in, which rules were broken, and a sample of what was set aside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tasks.core import charts
from tasks.core.page.run_report import RunReport
from tasks.core.page.wording import as_words
from tasks.core.values import Contracted, RuleResult
from tasks.workloads.spec import Workload

SEVERITY_ORDER = {"critical": 0, "warning": 1, "info": 2}
MOST_QUARANTINED = 25
MOST_CELLS = 4


@dataclass(frozen=True)
class Suspect:
    """A quarantined row: where it stood, what it broke and the cells that show it."""

    row: str
    entity: str
    rules: tuple[str, ...]
    cells: tuple[str, ...]


def intake_chart(contracted: Contracted) -> Markup:
    """Draw rows in as accepted and quarantined."""
    accepted, held = contracted.rows_accepted, contracted.rows_quarantined
    parts = [
        (f"accepted {accepted:,}", float(accepted), "tone-good"),
        (f"quarantined {held:,}", float(held), "tone-bad"),
    ]
    words = f"{contracted.rows_in:,} rows in = {accepted:,} accepted + {held:,} quarantined"
    return charts.split_bar(parts, title="Rows", description=words)


def broken_rules(results: Sequence[RuleResult]) -> tuple[RuleResult, ...]:
    """Return the rules that were broken, the worst first."""
    broken = (result for result in results if not result.passed)
    return tuple(sorted(broken, key=lambda r: (SEVERITY_ORDER[r.severity], -r.failed_rows, r.rule)))


def suspect_rows(report: RunReport) -> Iterator[Suspect]:
    """Yield the sampled rows, with the cells that the broken rules speak of."""
    if report.quarantine is None:
        return
    for row in report.quarantine.head(MOST_QUARANTINED).iter_rows(named=True):
        rules = _rules_of(row.get("_rules"))
        cells = [f"{name} = {_cell(row[name])}" for name in _spoken_of(rules, report.spec) if name in row]
        if row.get("_unparsed"):
            cells.append(f"unreadable: {row['_unparsed']}")
        yield Suspect(
            row=str(row.get("_row", "")),
            entity=str(row.get(report.spec.entity) or "(no name)"),
            rules=tuple(as_words(rule) for rule in rules),
            cells=tuple(cells),
        )


def _spoken_of(rules: Sequence[str], spec: Workload) -> list[str]:
    """Return the columns that share a word with a rule's name, those that share most first."""
    told = [_stems(rule) for rule in rules]
    shared = {
        column.name: max((len(_stems(column.name) & stems - _stems(spec.entity)) for stems in told), default=0)
        for column in spec.columns
        if column.name != spec.entity
    }
    return sorted((name for name in shared if shared[name]), key=lambda name: -shared[name])[:MOST_CELLS]


def _stems(name: str) -> set[str]:
    return {re.sub(r"(ed|s)$", "", word) for word in name.split("_")}


def _cell(value: object) -> str:
    if value is None:
        return "missing"
    return f"{value:,}" if isinstance(value, int | float) and abs(value) >= 10_000 else str(value)


def _rules_of(cell: object) -> tuple[str, ...]:
    if cell is None:
        return ()
    if isinstance(cell, str):
        return tuple(part.strip() for part in cell.split(",") if part.strip())
    return tuple(str(part) for part in cell) if isinstance(cell, list | tuple) else (str(cell),)
