"""What a new timetable changes against the one that airs now, slot by slot, and why.

The reasons are looked for in one order: a rule the current one breaks, then what the slot itself gains, then what the
programme that leaves does elsewhere, then the genres. What the totals come to is the report's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import numpy.typing as npt

from tasks.core.timetable.checker import violations
from tasks.core.timetable.problem import Problem, Schedule, Slot

Tables = Mapping[str, npt.NDArray[np.float64]]


@dataclass(frozen=True)
class Change:
    """A slot that shows something else: gains by the champion's predictions, the rule that was broken, and why.

    A gain is None where nothing was predicted for what airs now.
    """

    slot: str
    day: date
    start: datetime
    before: str | None
    after: str | None
    revenue: float | None
    audience: float | None
    broke: str
    why: str


def changes(problem: Problem, tables: Tables, current: Schedule, new: Schedule) -> tuple[Change, ...]:
    """Return the slots that show something else, in order."""
    broken = _broken(problem, current)
    found = []
    for number, (slot, before, after) in enumerate(zip(problem.slots, current, new, strict=True)):
        if before == after:
            continue
        gain = {goal: _gain(problem, table, number, before, after) for goal, table in tables.items()}
        broke = "; ".join(broken.get(slot.name, ()))
        why = f"the rules: {broke}" if broke else _why(problem, number, gain, current, new)
        found.append(
            Change(slot.name, slot.day, slot.start, before, after, gain["revenue"], gain["audience"], broke, why)
        )
    return tuple(found)


def _broken(problem: Problem, current: Schedule) -> Mapping[str, list[str]]:
    """Return by slot the sentences of the rules the current timetable breaks there."""
    known = {each.name for each in problem.programmes}
    strange = {
        slot.name: [f"{name!r} is not among the programmes on offer"]
        for slot, name in zip(problem.slots, current, strict=True)
        if name is not None and name not in known
    }
    rest = [name if name in known else None for name in current]
    for each in violations(problem, rest):
        for slot in each.slots:
            strange.setdefault(slot, []).append(each.sentence)
    return strange


def _gain(
    problem: Problem, table: npt.NDArray[np.float64], slot: int, before: str | None, after: str | None
) -> float | None:
    place = {each.name: number for number, each in enumerate(problem.programmes)}

    def of(name: str | None) -> float:
        return 0.0 if name is None else float(table[place[name], slot]) if name in place else float("nan")

    gain = of(after) - of(before)
    return gain if np.isfinite(gain) else None


def _why(problem: Problem, number: int, gain: Mapping[str, float | None], current: Schedule, new: Schedule) -> str:
    before, after = current[number], new[number]
    up = [goal for goal, value in gain.items() if value is not None and value > 0]
    down = [goal for goal, value in gain.items() if value is not None and value < 0]
    if before is None:
        return "the slot was empty"
    if up:
        return f"more {' and '.join(up)} in this slot" + (f", for less {' and '.join(down)}" if down else "")
    moved = [_at(slot) for slot, name, was in zip(problem.slots, new, current, strict=True) if name == before != was]
    if moved:
        return f"worth more elsewhere: {before} is shown {', '.join(moved)}"
    return _genres(problem, before, after, new)


def _genres(problem: Problem, before: str, after: str | None, new: Schedule) -> str:
    genre = {each.name: each.genre for each in problem.programmes}
    if after is None:
        return "left empty, for its programme is wanted elsewhere or may not be shown so often"
    one, other = genre[before], genre[after]
    if one == other:
        return "makes room for a better evening as a whole"
    shown = Counter(genre[name] for name in new if name is not None)
    return f"balance: {other} instead of {one} (now {shown[other]} and {shown[one]} slots)"


def _at(slot: Slot) -> str:
    return f"{slot.start:%a %H:%M}"
