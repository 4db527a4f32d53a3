"""What every learner is handed and what it hands back; no library is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Device = Literal["cpu", "cuda"]


class Checkpoints(Protocol):
    """Where a long fit leaves its state, so that one that was killed goes on: bytes by a key made of the lesson."""

    def read(self, key: str) -> bytes | None:
        """Return what was written last; None if nothing was."""
        ...

    def write(self, key: str, state: bytes) -> None:
        """Keep *state* whole, in place of what was there."""
        ...

    def forget(self, key: str) -> None:
        """Remove what was kept: the fit is done."""
        ...


@dataclass(frozen=True)
class Layout:
    """Which columns of the *sequence* design are what: the trend, the tree design, the dense one, then the steps."""

    tree: int
    dense: int
    steps: int
    width: int


@dataclass(frozen=True)
class Lesson:
    """Rows to fit on, rows that tell when to stop (never fitted on), and how to go about it.

    ``y`` and ``y_stop`` are standardised. ``categories`` are the columns of ``x`` that are ranks of levels. ``others``
    are the same rows' labels of the workload's other targets, a column each, standardised, NaN where not known: for
    learners that learn them jointly. Nobody is asked for them, so none tell when to stop.
    """

    x: Floats
    y: Floats
    x_stop: Floats
    y_stop: Floats
    categories: tuple[int, ...]
    params: Mapping[str, Any]
    seed: int
    threads: int
    device: Device
    layout: Layout | None = None
    checkpoints: Checkpoints | None = None
    others: Floats | None = None


class Estimator(Protocol):
    """A fitted learner: predicts the standardised target and turns itself into bytes without pickle."""

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        ...

    def to_bytes(self) -> bytes:
        """Return the same bytes for the same fit, in any process."""
        ...


@runtime_checkable
class Chained(Protocol):
    """An estimator of several, each for the rows the one before it cannot answer."""

    def scored_by(self, x: Floats) -> list[str]:
        """Return the name of the one that answers each row."""
        ...
