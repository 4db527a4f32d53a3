"""A model's number for people: major.minor.patch, from what it is made of and how it did against the one before it.

Major: other features, targets or algorithms. Minor: the verdict says better. Patch: all else. Where a number is kept
belongs to the ledger and its projections.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from tasks.core.evidence import Evidence
from tasks.errors import BadRequest

Step = Literal["major", "minor", "patch"]


@dataclass(frozen=True, order=True)
class ModelVersion:
    """A number of three parts, in the order of age."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


@dataclass(frozen=True)
class Makeup:
    """What a model is made of: by target, its algorithm and the features it looks at."""

    algorithms: Mapping[str, str]
    features: Mapping[str, frozenset[str]]


FIRST = ModelVersion(1, 0, 0)


def makeup(evidence: Evidence) -> Makeup:
    """Return what the challenger of *evidence* is made of."""
    return Makeup(
        {each.target: each.algorithm for each in evidence.evaluations},
        {each.target: frozenset(each.importances) for each in evidence.evaluations},
    )


def step(challenger: Makeup, parent: Makeup, *, better: bool) -> Step:
    """Return how far the challenger is from the champion it replaces."""
    if challenger != parent:
        return "major"
    return "minor" if better else "patch"


def following(taken: Iterable[ModelVersion], far: Step) -> ModelVersion:
    """Return the next number, a step *far* from the highest ever given: no number is given twice, rollback or not."""
    highest = max(taken, default=None)
    if highest is None:
        return FIRST
    if far == "major":
        return ModelVersion(highest.major + 1, 0, 0)
    if far == "minor":
        return ModelVersion(highest.major, highest.minor + 1, 0)
    return ModelVersion(highest.major, highest.minor, highest.patch + 1)


def parsed(text: str) -> ModelVersion:
    """Return the number in *text*; raises BadRequest if it is none."""
    parts = text.split(".")
    if len(parts) != 3 or not all(part.isdecimal() and part.isascii() for part in parts):
        raise BadRequest(f"{text!r} is no version of a model; wanted is major.minor.patch, for example 1.4.2")
    return ModelVersion(*map(int, parts))
