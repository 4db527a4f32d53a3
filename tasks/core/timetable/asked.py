"""What a timetable is asked for, once it is read: slots, programmes, what the models are told of each, what is on now.

How files say it is the adapter's part; what is wished for beyond, rules and goals, is wishes.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tasks.core.timetable.mask import reasons
from tasks.core.timetable.problem import Floats, Problem, Programme, Rules, Slot

Told = Mapping[str, tuple[str | None, ...]]


@dataclass(frozen=True)
class Asked:
    """``of_slots`` and ``of_programmes`` hold by column what is said of each; ``current`` is what is on, by slot."""

    slots: tuple[Slot, ...]
    programmes: tuple[Programme, ...]
    of_slots: Told
    of_programmes: Told
    current: tuple[str | None, ...] | None = None

    def pairs(self, rules: Rules) -> npt.NDArray[np.intp]:
        """Return the pairs to be predicted, programme and slot: those that may be, and those that are on now."""
        shape = (len(self.programmes), len(self.slots))
        wanted = reasons(Problem(self.slots, self.programmes, np.zeros(shape), np.zeros(shape), rules)) == 0
        place = {each.name: number for number, each in enumerate(self.programmes)}
        for slot, name in enumerate(self.current or ()):
            if name is not None:
                wanted[place[name], slot] = True
        return np.argwhere(wanted)

    def table(self, pairs: npt.NDArray[np.intp], values: Floats) -> Floats:
        """Return the values of the pairs as programmes × slots, NaN elsewhere."""
        found = np.full((len(self.programmes), len(self.slots)), np.nan)
        found[pairs[:, 0], pairs[:, 1]] = values
        return found
