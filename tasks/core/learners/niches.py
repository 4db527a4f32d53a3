"""Niches: the common network fine-tuned on the rows of one level of a category, kept only where it is better there.

Which category, and how a row's level is read, is the learner's; how the fine-tuning goes is stages.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from tasks.core.learners.duel import Duel, Judges, fight
from tasks.core.learners.fitting import Course, Taught, Weights
from tasks.core.learners.lesson import Checkpoints, Device
from tasks.core.learners.stages import fine_tune, ladder
from tasks.core.values import Interval, Table
from tasks.errors import TrainingBroke

COMMON = "common"
# A niche is tried from so many rows to fit on, rows to stop by, and units to be judged on: twelve coins fall one way
# once in 4,096 throws, so fewer units could not pass the test, however much better the niche were.
ROWS_LEAST, STOPS_LEAST, UNITS_LEAST = 100, 8, 12
# With more, each bound would lie beyond what the draws of the test can tell.
NICHES_MOST = 40
# The chance that any niche at all is kept although none is better.
RISK = 0.025
# Of the last stage, at most, four to eight of those before: a niche has few rows, so an epoch is few steps, and in
# small batches at that.
EPOCHS, BATCH = 12, 32
# Of a niche's stopping rows, every third unit tells when to stop, the others judge.
THIRD = 3

Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Grounds:
    """Rows that were taught and rows that tell when to stop, each with the place of its niche in *names* (or −1)."""

    names: tuple[str, ...]
    taught: Taught
    niche: Places
    stop: Taught
    niche_stop: Places
    units_stop: Places


@dataclass(frozen=True)
class Tried:
    """What came of one niche; no ``duel`` where it came to none, and ``reason`` says why."""

    niche: str
    rows: int
    judged: int
    duel: Duel | None
    kept: bool
    reason: str


@dataclass(frozen=True)
class Raised:
    """The weights of the niches that are better than the common network, and what came of all."""

    weights: Mapping[str, Weights]
    tried: tuple[Tried, ...]

    def table(self) -> Table:
        """Return the comparison as people read it."""
        lines = tuple(_line(each) for each in self.tried)
        head = ("niche", "rows fitted", "rows judged", "loss, common", "loss, niche", "change", "interval", "verdict")
        return Table("Niches against the common model, on rows neither was fitted on", head, lines)


def raise_niches(
    course: Course,
    common: Mapping[str, torch.Tensor],
    grounds: Grounds,
    *,
    device: Device,
    seed: int,
    key: str,
    checkpoints: Checkpoints | None,
) -> Raised:
    """Fine-tune the *common* weights by stages on each niche; those that are not surely better there are dropped.

    Judged on stopping rows that told neither fit of the niche when to stop (the common one they did, which speaks for
    it). The bounds share ``RISK`` among the niches that are tried (Bonferroni).
    """
    large, stages = _large(grounds), ladder(common, course.rate, EPOCHS)
    course = replace(course, batch=min(course.batch, BATCH))
    weights: dict[str, Weights] = {}
    tried = []
    for place in range(len(grounds.names)):
        if place not in large:
            tried.append(_untried(grounds, place))
            continue
        own, named = _own(grounds, place), f"{key}-niche{place}"
        tune = partial(fine_tune, course, common, own.taught, own.stop, stages, device=device, seed=seed)
        try:
            found = tune(key=named, checkpoints=checkpoints).weights
        except TrainingBroke as broke:
            tried.append(own.came_to(None, str(broke)))
            continue
        duel = fight(course, common, found, own.judges, alpha=RISK / len(large), seed=seed, device=device)
        tried.append(own.came_to(duel))
        if tried[-1].kept:
            weights[own.name] = found
    return Raised(weights, tuple(tried))


@dataclass(frozen=True)
class _Own:
    """One niche's rows."""

    name: str
    taught: Taught
    stop: Taught
    judges: Judges

    def came_to(self, duel: Duel | None, reason: str = "") -> Tried:
        kept = duel is not None and duel.change.high < 0
        said = "better" if kept else reason or "not surely better, so the common model answers"
        return Tried(self.name, len(self.taught.label), len(self.judges), duel, kept, said)


def _own(grounds: Grounds, place: int) -> _Own:
    fits, stops, judges = (np.flatnonzero(rows) for rows in _parts(grounds, place))
    return _Own(
        grounds.names[place],
        _some(grounds.taught, fits),
        _some(grounds.stop, stops),
        Judges(_some(grounds.stop, judges), grounds.units_stop[judges]),
    )


def _parts(grounds: Grounds, place: int) -> Iterator[npt.NDArray[np.bool_]]:
    """Yield which rows of a niche are fitted on, tell when to stop, and judge; the last two are of other units."""
    rank = np.unique(grounds.units_stop, return_inverse=True)[1]
    inside = grounds.niche_stop == place
    yield grounds.niche == place
    yield inside & (rank % THIRD == 0)
    yield inside & (rank % THIRD != 0)


def _large(grounds: Grounds) -> Sequence[int]:
    """Return the places of the niches with enough rows, the largest where there are too many."""
    found = []
    for place in range(len(grounds.names)):
        fits, stops, judges = _parts(grounds, place)
        units = np.unique(grounds.units_stop[judges]).size
        if fits.sum() >= ROWS_LEAST and stops.sum() >= STOPS_LEAST and units >= UNITS_LEAST:
            found.append((-int(fits.sum()), place))
    return [place for _, place in sorted(found)[:NICHES_MOST]]


def _untried(grounds: Grounds, place: int) -> Tried:
    fits, stops, judges = _parts(grounds, place)
    units = np.unique(grounds.units_stop[judges]).size
    reason = (
        f"too few rows: {int(fits.sum())} to fit, {int(stops.sum())} to stop by, {units} units to judge; "
        f"at least {ROWS_LEAST}, {STOPS_LEAST} and {UNITS_LEAST} are needed"
    )
    return Tried(grounds.names[place], int(fits.sum()), int(judges.sum()), None, False, reason)


def _some(taught: Taught, rows: Places) -> Taught:
    chosen = torch.from_numpy(rows)
    return Taught(taught.asked.of(chosen), taught.label[chosen])


def _line(tried: Tried) -> tuple[str, ...]:
    verdict = "kept" if tried.kept else f"dropped: {tried.reason}"
    head = (tried.niche, f"{tried.rows:,}", f"{tried.judged:,}")
    if tried.duel is None:
        return (*head, "", "", "", "", verdict)
    return (*head, f"{tried.duel.before:.4g}", f"{tried.duel.after:.4g}", *changed(tried.duel.change), verdict)


def changed(change: Interval) -> tuple[str, str]:
    """Return a change and its interval as people read them."""
    return f"{change.value:+.1%}", f"{change.low:+.1%} to {change.high:+.1%}"
