"""What is asked of a timetable: slots, programmes, predicted values, rules, goals. Only what is declared is here.

How it is solved is in the modules beside; the checker reads these values and nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from tasks.errors import BadRequest

Floats = npt.NDArray[np.float64]
# The names of the slots' programmes in the order of the slots; None where a slot is empty.
Schedule = Sequence[str | None]


@dataclass(frozen=True)
class Slot:
    """A gap to fill. ``day`` is the broadcast day, so that half past midnight may belong to the evening before.

    ``advertisers`` have booked its breaks. A slot that is not ``available`` stays empty and is not missed; one that is
    ``kept_for`` a programme takes no other.
    """

    name: str
    day: date
    start: datetime
    minutes: int
    advertisers: frozenset[str] = frozenset()
    available: bool = True
    kept_for: str | None = None


@dataclass(frozen=True)
class Window:
    """The days from ``first`` to ``last``, both included."""

    first: date
    last: date


@dataclass(frozen=True)
class Programme:
    """Something to show at most ``uses`` times; without ``rights`` it may be shown on any day but ``unavailable`` ones.

    ``restricted`` is only for after the watershed; ``excludes`` are advertisers it must not be shown beside.
    """

    name: str
    genre: str
    minutes: int
    uses: int = 1
    restricted: bool = False
    rights: tuple[Window, ...] = ()
    unavailable: frozenset[date] = frozenset()
    excludes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rules:
    """What no timetable may break. A run of one genre ends with the broadcast day and at an empty slot.

    A programme fills its slot if it is not longer, leaves at most ``most_idle_minutes`` of it and fills at least
    ``least_filled`` of it. ``per_day_of`` names genres with another cap than ``per_day``.
    """

    in_a_row: int = 2
    per_day: int = 3
    per_day_of: Mapping[str, int] = field(default_factory=dict)
    watershed: time = time(21)
    watershed_ends: time = time(5, 30)
    most_idle_minutes: int = 45
    least_filled: float = 0.5
    min_minutes: int = 1
    max_minutes: int = 24 * 60


@dataclass(frozen=True)
class Goals:
    """What makes one timetable better than another: weights, and of each genre the wanted share of the slots.

    Without ``shares`` all genres of the programmes are wanted alike. A weight of 0 leaves a goal out, of the front too.
    """

    revenue: float = 0.5
    audience: float = 0.3
    balance: float = 0.2
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything asked; ``revenue`` and ``audience`` are programmes × slots, NaN where nothing could be predicted."""

    slots: tuple[Slot, ...]
    programmes: tuple[Programme, ...]
    revenue: Floats
    audience: Floats
    rules: Rules = Rules()
    goals: Goals = Goals()

    def __post_init__(self) -> None:
        """Refuse what contradicts itself with BadRequest, before any time is spent on it."""
        _refuse_odd_names(self)
        _refuse_odd_slots(self.slots)
        _refuse_odd_programmes(self.programmes)
        _refuse_odd_rules(self.rules, self.goals)
        for name, values in (("revenue", self.revenue), ("audience", self.audience)):
            _refuse_odd_values(name, values, (len(self.programmes), len(self.slots)))


def _refuse_odd_names(problem: Problem) -> None:
    for what, given in (("slot", problem.slots), ("programme", problem.programmes)):
        if not given:
            raise BadRequest(f"there is no {what}; found 0, wanted at least 1")
        (name, times), *_ = Counter(each.name for each in given).most_common(1)
        if times > 1:
            raise BadRequest(f"{what} {name!r} is there {times} times; give each {what} a name of its own")
    known = {each.name for each in problem.programmes}
    for slot in problem.slots:
        if slot.kept_for is not None and slot.kept_for not in known:
            raise BadRequest(
                f"slot {slot.name!r} is kept for {slot.kept_for!r}, which is no programme; add it or free it"
            )


def _refuse_odd_slots(slots: Sequence[Slot]) -> None:
    for slot in slots:
        if slot.minutes < 1:
            raise BadRequest(f"slot {slot.name!r} has {slot.minutes} minutes; wanted at least 1")
    for one, other in pairwise(slots):
        if (other.start - one.start).total_seconds() < 60 * one.minutes or other.day < one.day:
            raise BadRequest(
                f"slot {other.name!r} starts at {other.start} before {one.name!r} ends; sort the slots by their start, "
                "and let none overlap"
            )


def _refuse_odd_programmes(programmes: Sequence[Programme]) -> None:
    for each in programmes:
        if each.minutes < 1 or each.uses < 0:
            raise BadRequest(
                f"programme {each.name!r} has {each.minutes} minutes and {each.uses} uses; wanted at least 1 and 0"
            )


def _refuse_odd_rules(rules: Rules, goals: Goals) -> None:
    least = min(rules.in_a_row, rules.per_day, *rules.per_day_of.values(), 1)
    if rules.in_a_row < 1 or least < 0:
        raise BadRequest(
            f"{rules.in_a_row} of a genre in a row and a day's cap of {least} cannot be kept; wanted 1 and 0 or more"
        )
    if rules.watershed_ends >= rules.watershed:
        raise BadRequest(f"the watershed at {rules.watershed} ends at {rules.watershed_ends}; wanted an end before it")
    weights = (goals.revenue, goals.audience, goals.balance)
    if min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise BadRequest(f"the weights are {weights}; wanted none below 0 and one above")
    if goals.shares and (min(goals.shares.values()) < 0 or abs(sum(goals.shares.values()) - 1) > 1e-6):
        raise BadRequest(
            f"the wanted shares of the genres sum to {sum(goals.shares.values()):g}; wanted 1, and none below 0"
        )


def _refuse_odd_values(name: str, values: Floats, shape: tuple[int, int]) -> None:
    if values.shape != shape:
        raise BadRequest(f"{name} is a table of {values.shape}; wanted programmes × slots, {shape}")
    if (values < 0).any() or np.isinf(values).any():
        raise BadRequest(f"{name} has a value of {np.nanmin(values):g} or infinity; wanted 0 or more, or NaN for none")
