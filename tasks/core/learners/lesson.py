"""What every learner is handed and what it hands back; no library is imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Device = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class Lesson:
    """Rows to fit on, rows that tell when to stop (never fitted on), and how to go about it.

    ``y`` and ``y_stop`` are standardised. ``categories`` are the columns of ``x`` that are ranks of levels.
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


class Estimator(Protocol):
    """A fitted learner: predicts the standardised target and turns itself into bytes without pickle."""

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        ...

    def to_bytes(self) -> bytes:
        """Return the same bytes for the same fit, in any process."""
        ...
