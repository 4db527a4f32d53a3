"""What was tried for a target and what came of each; a candidate that failed, or an undone update, says why."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.core import training
from tasks.core.drawing import percent
from tasks.core.page.wording import as_words
from tasks.core.values import Scorecard, Table
from tasks.workloads.spec import Target

HEAD = ("candidate", "skill in cross-validation", "what came of it")


def tried(scorecards: Iterable[Scorecard], target: Target) -> Table:
    """Return one line per candidate for *target*, the best first."""
    cards = [card for card in scorecards if card.target == target.name]
    chosen = training.choose(cards, target.by)
    cards.sort(key=lambda card: (card.skill is None, -(card.skill or 0.0)))
    return Table("The candidates", HEAD, tuple(_line(each, each is chosen) for each in cards))


def _line(card: Scorecard, chosen: bool) -> tuple[str, ...]:
    name = as_words(card.title)
    if card.skill is None:
        return name, "–", f"failed: {card.reason}"
    return name, percent(card.skill, 1), "chosen" if chosen else "scored"
