"""Which programme may be shown in which slot at all, and of each pair that may not, every reason why.

Rules that join several slots (uses, runs, caps of a day) are not a matter of one pair and do not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from enum import IntFlag
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from tasks.core.timetable.problem import Problem, Programme, Rules, Slot, Window


class Reason(IntFlag):
    """Why a programme may not be shown in a slot; a pair may have several."""

    CLOSED = 1
    KEPT = 2
    TOO_LONG = 4
    TOO_SHORT = 8
    WATERSHED = 16
    RIGHTS = 32
    UNAVAILABLE = 64
    ADVERTISER = 128
    NO_PREDICTION = 256
    NO_USES = 512


# What a person could do about each, so that an impossible slot becomes possible.
RELAXED_BY: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.CLOSED: "open the slot",
        Reason.KEPT: "free the slot of the programme it is kept for",
        Reason.TOO_LONG: "lengthen the slot, or raise the longest programme allowed",
        Reason.TOO_SHORT: "shorten the slot, or allow more idle minutes or shorter programmes",
        Reason.WATERSHED: "move the slot after the watershed, or allow an earlier one",
        Reason.RIGHTS: "extend the rights, or move the slot into them",
        Reason.UNAVAILABLE: "make the programme available on that day",
        Reason.ADVERTISER: "rebook the advertiser, or drop the exclusion",
        Reason.NO_PREDICTION: "let the champion predict this pair",
        Reason.NO_USES: "allow the programme another showing",
    }
)


@dataclass(frozen=True)
class Question:
    """What of a programme and what of a slot a reason looks at, and when the two do not go together."""

    show: Callable[[Programme], Any]
    slot: Callable[[Slot], Any]
    against: Callable[[Any, Any, Rules], bool]


def _after_watershed(at: time, rules: Rules) -> bool:
    return at >= rules.watershed or at < rules.watershed_ends


def _least_minutes(minutes: int, rules: Rules) -> float:
    return max(rules.min_minutes, minutes - rules.most_idle_minutes, minutes * rules.least_filled)


def _outside(rights: tuple[Window, ...], day: date, _: Rules) -> bool:
    return bool(rights) and not any(window.first <= day <= window.last for window in rights)


QUESTIONS: Mapping[Reason, Question] = MappingProxyType(
    {
        Reason.CLOSED: Question(lambda show: None, lambda slot: slot.available, lambda _, free, rules: not free),
        Reason.KEPT: Question(
            lambda show: show.name, lambda slot: slot.kept_for, lambda name, kept, _: kept not in {None, name}
        ),
        Reason.TOO_LONG: Question(
            lambda show: show.minutes,
            lambda slot: slot.minutes,
            lambda long, slot, rules: long > min(slot, rules.max_minutes),
        ),
        Reason.TOO_SHORT: Question(
            lambda show: show.minutes,
            lambda slot: slot.minutes,
            lambda long, slot, rules: long < _least_minutes(slot, rules),
        ),
        Reason.WATERSHED: Question(
            lambda show: show.restricted,
            lambda slot: slot.start.time(),
            lambda restricted, at, rules: restricted and not _after_watershed(at, rules),
        ),
        Reason.RIGHTS: Question(lambda show: show.rights, lambda slot: slot.day, _outside),
        Reason.UNAVAILABLE: Question(
            lambda show: show.unavailable, lambda slot: slot.day, lambda days, day, _: day in days
        ),
        Reason.ADVERTISER: Question(
            lambda show: show.excludes, lambda slot: slot.advertisers, lambda one, other, _: bool(one & other)
        ),
        Reason.NO_USES: Question(lambda show: show.uses == 0, lambda slot: None, lambda none, _, rules: none),
    }
)


def reasons(problem: Problem) -> npt.NDArray[np.uint16]:
    """Return programmes × slots the reasons against each pair as the bits of ``Reason``; 0 where there is none.

    A reason looks at little of a programme and a slot, so each is asked once per kind of either: a million pairs are
    a few thousand questions.
    """
    found = np.where(np.isnan(problem.revenue) | np.isnan(problem.audience), int(Reason.NO_PREDICTION), 0)
    for reason, question in QUESTIONS.items():
        shows, show_kind = _kinds([question.show(each) for each in problem.programmes])
        slots, slot_kind = _kinds([question.slot(each) for each in problem.slots])
        table = np.array([[question.against(show, slot, problem.rules) for slot in slots] for show in shows], bool)
        found[table[np.ix_(show_kind, slot_kind)]] |= int(reason)
    return found.astype(np.uint16)


def _kinds(values: Sequence[Any]) -> tuple[list[Any], npt.NDArray[np.intp]]:
    place = {value: number for number, value in enumerate(dict.fromkeys(values))}
    return list(place), np.array([place[value] for value in values])
