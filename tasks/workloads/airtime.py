"""What a workload says of itself if its rows are airings: enough to ask its models about a programme in a slot.

How a timetable is made of the answers is tasks/core/timetable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Airtime:
    """The columns and features a timetable has to know by name; the entity is the programme, the event time its start.

    ``clock`` is the column of the start as HH:MM, ``minutes`` that of the slot's length. ``of_slot`` and
    ``of_programme`` are columns a file of slots or of programmes may give; a programme has a ``genre`` in any case.
    ``by_neighbours`` are features that depend on what else is scheduled, and so are not known while a timetable is
    made. ``demo`` draws slots, programmes and what is scheduled now, from rows and a seed.
    """

    revenue: str
    audience: str
    clock: str
    minutes: str
    genre: str
    of_slot: tuple[str, ...]
    of_programme: tuple[str, ...]
    by_neighbours: tuple[str, ...]
    day_begins_hour: int
    demo: Callable[[int, int], Mapping[str, pl.DataFrame]]
