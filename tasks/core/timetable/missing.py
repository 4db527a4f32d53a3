"""Why slots stay empty, and what a person could relax: by slot the reasons of the mask, by rule what a step would fill.

Which slots those are is the solver's answer; asking whether a partial timetable will do is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tasks.core.timetable.bound import relax
from tasks.core.timetable.exact import round_up
from tasks.core.timetable.grid import Grid, Ints, empties, relaxed
from tasks.core.timetable.kinds import kinds_of
from tasks.core.timetable.mask import RELAXED_BY, Reason
from tasks.core.timetable.polish import legal_genres
from tasks.core.timetable.problem import Problem

RULES: Mapping[str, str] = {
    "uses": "allow programmes another showing, or add programmes",
    "in a row": "allow a longer run of one genre",
    "per day": "raise the day's cap of a genre",
}
# Solving anew with each rule relaxed is not worth its time beyond.
FEW_SLOTS = 200


@dataclass(frozen=True)
class Missing:
    """A slot nothing could fill: how many programmes each reason keeps out, and what to relax, the most helpful first.

    A programme kept out by one reason alone is what relaxing it would let in; ``relax`` counts those.
    """

    slot: str
    reasons: Mapping[str, int]
    relax: Mapping[str, int]

    @property
    def sentence(self) -> str:
        """Return the slot, its reasons and the best advice in a sentence."""
        kept = ", ".join(f"{count} by {reason}" for reason, count in self.reasons.items())
        advice = next(iter(self.relax), "relax several of these at once")
        return f"slot {self.slot!r}: programmes kept out {kept or 'by nothing: there are none'}; {advice}"


def missing(problem: Problem, grid: Grid, plan: Ints) -> tuple[Missing, ...]:
    """Return every available slot the plan leaves empty, with what kept each programme out of it."""
    where = np.flatnonzero((plan == grid.empty) & grid.available)
    return tuple(_missing(problem, grid, plan, int(slot)) for slot in where)


def eased(grid: Grid, plan: Ints) -> Mapping[str, int]:
    """Return by rule how many more slots could be filled if that rule were a step looser; nothing for a large grid."""
    if grid.slots > FEW_SLOTS:
        return {}
    now, found = int(empties(grid, plan[None])[0]), {}
    for rule in RULES:
        looser = kinds_of(relaxed(grid, rule)).grid
        better = round_up(looser, grid.weights, relax(looser, grid.weights)).plan
        found[rule] = now if better is None else now - int(empties(looser, better[None])[0])
    return found


def letter(missing: Sequence[Missing], eased: Mapping[str, int], slots: int) -> str:
    """Return the message: how many slots of how many, each with its reasons, and what a step of a rule would fill."""
    lines = [f"{len(missing)} of {slots} slots can be filled by nothing that is allowed; wanted 0"]
    lines += [each.sentence for each in missing]
    lines += [f"{count} more would be filled: {RULES[rule]}" for rule, count in eased.items() if count > 0]
    return "\n".join([*lines, "relax one of these, or ask for a partial timetable"])


def _missing(problem: Problem, grid: Grid, plan: Ints, slot: int) -> Missing:
    against = grid.reasons[:, slot]
    names = {each: (each.name or "").lower().replace("_", " ") for each in Reason}
    counts = {names[each]: int((against & each > 0).sum()) for each in Reason}
    alone = {RELAXED_BY[each]: int((against == each).sum()) for each in Reason}
    free = against == 0
    if free.any():
        used = np.bincount(plan, minlength=grid.empty + 1)[:-1] >= grid.uses[:-1]
        barred = ~legal_genres(grid, plan)[slot][grid.genre[:-1]]
        counts |= {"uses": int((free & used).sum()), "rules on genres": int((free & barred).sum())}
        alone |= {RULES["uses"]: int((free & used & ~barred).sum())}
        alone |= {"allow a longer run or more a day of one genre": int((free & barred & ~used).sum())}
    return Missing(problem.slots[slot].name, _most_first(counts), _most_first(alone))


def _most_first(counts: Mapping[str, int]) -> Mapping[str, int]:
    return {name: count for name, count in sorted(counts.items(), key=lambda each: -each[1]) if count}
