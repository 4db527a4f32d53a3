"""Two sets of weights of one network on rows neither was fitted on: the change of the loss, with its interval.

Units (an entity, a block of time) are drawn whole, as wherever two models are compared (tasks.core.paired). What
follows from it is said by whoever asks: niches.py, ewc.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from tasks.core.intervals import entity_sums
from tasks.core.learners.fitting import Course, Taught
from tasks.core.learners.lesson import Device
from tasks.core.learners.stages import losses
from tasks.core.paired import halves
from tasks.core.values import Interval

Units = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Judges:
    """Rows to be judged on, and the number of each row's unit."""

    rows: Taught
    units: Units

    def __len__(self) -> int:
        return len(self.rows.label)


@dataclass(frozen=True)
class Duel:
    """The mean losses of the weights before and after; ``change`` is after / before − 1."""

    rows: int
    before: float
    after: float
    change: Interval


def fight(
    course: Course,
    before: Mapping[str, torch.Tensor],
    after: Mapping[str, torch.Tensor],
    judges: Judges,
    *,
    alpha: float,
    seed: int,
    device: Device,
) -> Duel:
    """Hold *after* against *before*; each bound of the change is passed with probability *alpha*."""
    lost = [losses(course, weights, judges.rows, device).numpy() for weights in (before, after)]
    places = np.unique(judges.units, return_inverse=True)[1]
    sums = entity_sums(np.column_stack(lost), places)
    change = halves(sums[:, :1], sums[:, 1:], seed=seed).interval(alpha)
    return Duel(len(judges), float(lost[0].mean()), float(lost[1].mean()), change)
