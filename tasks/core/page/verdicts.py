"""How pages show verdicts: words, order, chips, and a Markdown table. What a verdict means belongs to its gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tasks.core.values import Outcome, Verdict

OUTCOME_WORDS = {"pass": "✓ pass", "fail": "✗ fail", "inconclusive": "? inconclusive"}
OUTCOME_ORDER = {"fail": 0, "inconclusive": 1, "pass": 2}


@dataclass(frozen=True)
class Chip:
    """One gate's answer at the top of the page, for all the targets it answered alike."""

    outcome: Outcome
    gate: str
    targets: tuple[str, ...]


def worst_first(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts, what failed first."""
    return tuple(sorted(verdicts, key=lambda verdict: OUTCOME_ORDER[verdict.outcome]))


def chips(verdicts: Sequence[Verdict]) -> tuple[Chip, ...]:
    """Gather the verdicts of a gate by outcome, what failed first."""
    told: dict[tuple[Outcome, str], list[str]] = {}
    for verdict in worst_first(verdicts):
        told.setdefault((verdict.outcome, verdict.gate), []).append(verdict.target)
    return tuple(Chip(outcome, gate, tuple(filter(None, targets))) for (outcome, gate), targets in told.items())


def verdict_table(verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Return the lines of a Markdown table, for where a page is only linked."""
    return ("| verdict | gate | target | found | wanted |", "|---|---|---|---|---|", *map(_row, verdicts))


def _row(verdict: Verdict) -> str:
    cells = (verdict.outcome, verdict.gate, verdict.target, verdict.found, verdict.wanted)
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
