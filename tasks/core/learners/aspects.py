"""Scorers of aspects, and how much each counts: for answers that a person wants to see the parts of.

Each aspect is a ridge regression on its own columns alone (Hoerl and Kennard 1970). The weights are learned on
rows that no scorer was fitted on, and are never below zero (stacking: Breiman 1996): a part that says nothing counts
nothing. Kept as safetensors: numbers, no code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy
from scipy.optimize import nnls

from tasks.core.learners.lesson import Floats, Lesson
from tasks.core.learners.scikit import limit
from tasks.errors import BadRequest, NotTrusted

Columns = npt.NDArray[np.int64]

WEIGHTS = "weights"
# Rows that say "no effect", which each coefficient is drawn towards.
PENALTY = 20.0
# And of the weights: a score that hardly varies among the few stopping rows would be blown up to fit their noise.
WEIGHT_PENALTY = 2.0


@dataclass(frozen=True)
class Scorer:
    """One aspect's: the columns it reads, and their coefficients with the constant last."""

    columns: Columns
    coefficients: Floats

    def score(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        said: Floats = x[:, self.columns] @ self.coefficients[:-1] + self.coefficients[-1]
        return said


@dataclass(frozen=True)
class Weighed:
    """The scorers by aspect, and what each counts."""

    scorers: Mapping[str, Scorer]
    weights: Mapping[str, float]

    def predict(self, x: Floats) -> Floats:
        """Return the weighed sum of the scores, one per row."""
        said = np.zeros(len(x))
        for name, score in self.scores(x).items():
            said += self.weights[name] * score
        return said

    def scores(self, x: Floats) -> Mapping[str, Floats]:
        """Return what each aspect alone would predict, standardised, one per row."""
        return {name: scorer.score(x) for name, scorer in self.scorers.items()}

    def to_bytes(self) -> bytes:
        """Return safetensors."""
        kept: dict[str, npt.NDArray[np.generic]] = {WEIGHTS: np.array(list(self.weights.values()))}
        for name, scorer in self.scorers.items():
            kept |= {f"{name}.columns": scorer.columns, f"{name}.coefficients": scorer.coefficients}
        return bytes(safetensors.numpy.save(dict(sorted(kept.items()))))


def fit_aspects(lesson: Lesson) -> Weighed:
    """Fit the scorers, weigh them on the stopping rows, and fit them once more on all rows."""
    if not lesson.aspects:
        raise BadRequest("aspects are to be scored and none was named; give the workload's features their aspect")
    penalty = lesson.params.get("penalty", PENALTY)
    limit(lesson.threads)
    names = sorted(lesson.aspects)
    first = [_fitted(lesson.x, lesson.y, lesson.aspects[name], penalty) for name in names]
    weights = _weighed(np.column_stack([scorer.score(lesson.x_stop) for scorer in first]), lesson.y_stop)
    x, y = np.vstack([lesson.x, lesson.x_stop]), np.concatenate([lesson.y, lesson.y_stop])
    scorers = {name: _fitted(x, y, lesson.aspects[name], penalty) for name in names}
    return Weighed(scorers, {name: float(weight) for name, weight in zip(names, weights, strict=True)})


def from_bytes(data: bytes) -> Weighed:
    """Load safetensors; NotTrusted if it is none or its arrays are not an aspect's."""
    try:
        kept = safetensors.numpy.load(data)
        names = sorted({name.rpartition(".")[0] for name in kept} - {""})
        scorers = {name: Scorer(kept[f"{name}.columns"], kept[f"{name}.coefficients"]) for name in names}
        weights = dict(zip(names, kept[WEIGHTS].tolist(), strict=True))
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise NotTrusted(f"the aspects cannot be read as safetensors ({error}); publish the bundle again") from error
    if any(
        each.columns.dtype != np.int64 or each.coefficients.size != each.columns.size + 1 for each in scorers.values()
    ):
        raise NotTrusted("an aspect's columns and coefficients do not fit together; publish the bundle again")
    return Weighed(scorers, weights)


FITS: Mapping[str, Callable[[Lesson], Weighed]] = {"aspects": fit_aspects}


def _weighed(scores: Floats, y: Floats) -> Floats:
    """Return a weight per score, none below zero; by how scores vary, since each has a constant of its own."""
    held = np.sqrt(WEIGHT_PENALTY) * np.eye(scores.shape[1])
    found, _ = nnls(np.vstack([scores - scores.mean(axis=0), held]), np.append(y - y.mean(), np.zeros(len(held))))
    weights: Floats = found
    return weights


def _fitted(x: Floats, y: Floats, columns: tuple[int, ...], penalty: float) -> Scorer:
    part, middle = x[:, columns], x[:, columns].mean(axis=0)
    centred = part - middle
    slopes = np.linalg.solve(centred.T @ centred + penalty * np.eye(len(columns)), centred.T @ (y - y.mean()))
    return Scorer(np.array(columns, dtype=np.int64), np.append(slopes, y.mean() - middle @ slopes))
