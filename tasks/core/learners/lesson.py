"""What every learner is handed and what it hands back; no library is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from tasks.core.values import Table

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
    """Which columns are what: of the *sequence* design the trend, the tree design, the dense one, then the steps.

    The *text* design has no trend; behind the steps stand ``length`` numbers of pieces, out of so many ``pieces``.
    """

    tree: int
    dense: int
    steps: int
    width: int
    length: int = 0
    pieces: int = 0


@dataclass(frozen=True)
class Odds:
    """How labels of 0 and 1 were standardised, where what is learned is a chance."""

    center: float
    spread: float

    def label(self, y: Floats) -> Floats:
        """Return the labels, 0 or 1."""
        return np.round(y * self.spread + self.center)

    def standard(self, chance: Floats) -> Floats:
        """Return a chance as learners answer it."""
        return (chance - self.center) / self.spread


@dataclass(frozen=True)
class Levels:
    """A category's column in the tree design, where a row's level stands as its place among *names*."""

    column: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Judging:
    """Rows to be judged on, with their standardised labels and the number of each row's unit."""

    x: Floats
    y: Floats
    units: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Continuing:
    """What goes on learning: an *estimator* of the same design, and rows it was fitted on (``x_old``).

    ``new`` and ``old`` are rows nobody was fitted on. The answers to the old ones may get worse by less than
    ``margin``, as a share.
    """

    estimator: Estimator
    x_old: Floats
    new: Judging
    old: Judging
    margin: float


@dataclass(frozen=True)
class Lesson:
    """Rows to fit on, rows that tell when to stop (never fitted on), and how to go about it.

    ``y`` and ``y_stop`` are standardised. ``categories`` are the columns of ``x`` that are ranks of levels, ``aspects``
    by name those of the *dense* design that say something of one aspect. ``odds`` say that labels are 0 and 1 and a
    chance is asked for, for learners that learn one otherwise than by squares.
    ``levels`` are the categories by name, ``units_stop`` the number of what each stopping row is kept together with.
    ``continuing`` is there where an estimator goes on learning instead of a new one being fitted.
    ``others`` are the same rows' labels of the workload's other targets, a column each, standardised, NaN where not
    known: for learners that learn them jointly. Nobody is asked for them, so none tell when to stop.
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
    aspects: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    odds: Odds | None = None
    levels: Mapping[str, Levels] = field(default_factory=dict)
    units_stop: npt.NDArray[np.intp] | None = None
    continuing: Continuing | None = None
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


@runtime_checkable
class Weighing(Protocol):
    """An estimator that scores each aspect by itself and adds the scores up by the weights it learned."""

    @property
    def weights(self) -> Mapping[str, float]:
        """Return each aspect's weight."""
        ...

    def scores(self, x: Floats) -> Mapping[str, Floats]:
        """Return what each aspect alone would predict, standardised, one per row."""
        ...


@runtime_checkable
class Telling(Protocol):
    """An estimator with something to say of its fit; one that was read from bytes says nothing."""

    def told(self) -> tuple[Table, ...]:
        """Return what a person should read beside its figures."""
        ...
