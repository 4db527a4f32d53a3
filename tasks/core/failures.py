"""Which targets have a model to choose and which have none, and why: one hopeless target stops only itself.

How candidates are judged, and which one wins, is training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from tasks.core.values import Scorecard
from tasks.errors import NoCandidatePassed
from tasks.workloads.spec import Target, Workload


def trained(spec: Workload, scorecards: Sequence[Scorecard]) -> tuple[Target, ...]:
    """Return the targets with a candidate to choose; raises NoCandidatePassed, with every reason, if there is none."""
    lost = untrained(scorecards)
    found = tuple(target for target in spec.targets if target.name not in lost)
    if not found:
        raise NoCandidatePassed(
            f"{spec.name}: 0 of {len(spec.targets)} targets can be trained, at least 1 is needed: "
            + " ".join(lost.values())
        )
    return found


def untrained(scorecards: Iterable[Scorecard]) -> Mapping[str, str]:
    """Return, for each target of which every candidate failed, why."""
    cards: dict[str, list[Scorecard]] = {}
    for card in scorecards:
        cards.setdefault(card.target, []).append(card)
    lost = {name: each for name, each in cards.items() if all(card.status == "failed" for card in each)}
    return {name: _common_reason(name, each) for name, each in lost.items()}


def _common_reason(target: str, cards: Sequence[Scorecard]) -> str:
    """Return the one reason all candidates share, which then is the data's, or what each of them says."""
    if len({card.reason for card in cards}) == 1:
        return cards[0].reason
    reasons = "; ".join(f"{card.title}: {card.reason}" for card in cards)
    return f"target {target!r}: 0 of {len(cards)} candidates could be fitted ({reasons})."
