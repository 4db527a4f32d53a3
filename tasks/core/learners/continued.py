"""What serves goes on learning, each of its networks by itself: on the new rows it answers, held by the old ones.

Which network answers a row follows from the row's niche, so no row speaks for two of them, and a network that stays as
it was answers as before. How one is held and judged is ewc.py; what the networks are is niched.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tasks.core.learners import ewc, fitting
from tasks.core.learners.duel import Judges
from tasks.core.learners.ewc import ALPHA, HEAD, TITLE, Experience, Updated
from tasks.core.learners.lesson import Continuing, Floats, Judging, Lesson
from tasks.core.learners.niches import BATCH, STOPS_LEAST
from tasks.core.learners.torch_mlp import limit
from tasks.core.learners.transformer import Reader, course_of, material_of
from tasks.core.values import Table
from tasks.errors import TrainingBroke, UpdateRefused

# What an update learns at and for how long, as a share of the fit's own rate and epochs; how strongly it is held.
UPDATE_RATE, UPDATE_EPOCHS, STRENGTH = 0.3, 10, 1_000.0
# Of several networks one goes on from so many new rows to fit on, and as many old ones that hold it: what the fewest
# rows an update begins with (updating.NEW_ROWS_LEAST) leave after those that stop it and judge it.
ROWS_LEAST = 30


@dataclass(frozen=True)
class Continued:
    """A network that went on learning, and what it came to."""

    reader: Reader
    tables: tuple[Table, ...]

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        return self.reader.predict(x)

    def told(self) -> tuple[Table, ...]:
        """Return what the update did to new rows and to old ones."""
        return self.tables

    def to_bytes(self) -> bytes:
        """Return the network's own file: it is one like any other."""
        return self.reader.to_bytes()


@dataclass(frozen=True)
class Came:
    """What came of one of several networks; ``left`` says why it stays as it was, and is empty where it changed."""

    name: str
    reader: Reader
    left: str = ""
    updated: Updated | None = None

    def lines(self) -> Iterator[tuple[str, ...]]:
        """Yield both comparisons, or that there were none, each with what became of the network."""
        verdict = f"left as it was: {self.left}" if self.left else "updated"
        for line in self.updated.lines() if self.updated else (("",) * len(HEAD),):
            yield self.name, *line, verdict

    def said(self) -> str:
        """Return why it stays as it was, with the figures if there are any."""
        return f"{self.name}: {self.updated.reason if self.updated else self.left}"


def one(lesson: Lesson, given: Continuing, before: Reader) -> Continued:
    """Let the only network go on learning; raises UpdateRefused with both figures, TrainingBroke."""
    updated = _updated(lesson, given, before, kind="update", alpha=ALPHA)
    if not updated.accepted:
        raise UpdateRefused(f"the update of the champion was {updated.reason}; the champion's weights stay")
    return Continued(_weighing(before, updated), (updated.table(),))


def several(
    lesson: Lesson,
    given: Continuing,
    networks: Sequence[Reader],
    names: Sequence[str],
    answering: Callable[[Floats], npt.NDArray[np.intp]],
) -> tuple[Came, ...]:
    """Let each of the *networks*, the common one first, go on learning; *answering* says whose a row is, by its place.

    One that has too few rows, or is not surely better, stays as it was. Those that are tried share the chance of a
    wrong bound (Bonferroni). Raises UpdateRefused with what became of each, where none changed.
    """
    parts = [_own(lesson, given, place, answering) for place in range(len(networks))]
    lacks = [_lacking(*part, units_least(len(networks))) for part in parts]
    alpha = ALPHA / max(1, lacks.count(""))
    came = []
    for place, (name, before, part, lack) in enumerate(zip(names, networks, parts, lacks, strict=True)):
        if lack:
            came.append(Came(name, before, lack))
            continue
        try:
            updated = _updated(*part, before, kind=f"update-network{place}", alpha=alpha)
        except TrainingBroke as broke:
            came.append(Came(name, before, str(broke)))
            continue
        now = _weighing(before, updated) if updated.accepted else before
        came.append(Came(name, now, " and ".join(updated.faults), updated))
    if all(each.left for each in came):
        raise UpdateRefused(
            f"the update of the champion changed none of its {len(came)} networks, each judged on the rows it answers. "
            f"{'. '.join(each.said() for each in came)}. The champion's weights stay"
        )
    return tuple(came)


def units_least(networks: int) -> int:
    """Return from how many units on so many *networks* are judged: fewer could not pass, however much better it is.

    All of n coins fall one way once in 2^n throws, and the risk of that is shared; one more, since throws are drawn.
    """
    return math.ceil(math.log2(networks / ALPHA)) + 1


def table(came: Sequence[Came]) -> Table:
    """Return what became of each network as people read it."""
    changed = sum(not each.left for each in came)
    title = f"{TITLE}: accepted for {changed} of its {len(came)} networks, each judged on the rows it answers"
    return Table(title, ("network", *HEAD, "verdict"), tuple(line for each in came for line in each.lines()))


def _updated(lesson: Lesson, given: Continuing, before: Reader, *, kind: str, alpha: float) -> Updated:
    limit(lesson.threads)
    lesson = replace(lesson, layout=before.layout, odds=before.odds)
    taught, stop = material_of(lesson)
    remembered = Judging(given.x_old, np.zeros(len(given.x_old)), np.arange(len(given.x_old)))
    course = course_of(lesson)
    return ewc.update(
        replace(course, rate=course.rate * UPDATE_RATE, epochs=min(course.epochs, UPDATE_EPOCHS)),
        before.weights,
        Experience(taught, stop, *(_judges(lesson, each) for each in (remembered, given.new, given.old))),
        strength=float(lesson.params.get("strength", STRENGTH)),
        margin=given.margin,
        device=lesson.device,
        seed=lesson.seed,
        key=fitting.key_of(kind, lesson),
        checkpoints=lesson.checkpoints,
        logits=before.odds is not None,
        alpha=alpha,
    )


def _weighing(before: Reader, updated: Updated) -> Reader:
    return replace(before, weights=updated.weights, variant=None)


def _judges(lesson: Lesson, given: Judging) -> Judges:
    return Judges(material_of(replace(lesson, x=given.x, y=given.y))[0], given.units)


def _own(
    lesson: Lesson, given: Continuing, place: int, answering: Callable[[Floats], npt.NDArray[np.intp]]
) -> tuple[Lesson, Continuing]:
    """Return the rows that the network at *place* answers; a niche learns in batches as small as when it was made."""
    fits, stops, holds = (answering(x) == place for x in (lesson.x, lesson.x_stop, given.x_old))
    small = {"batch": min(lesson.params.get("batch", BATCH), BATCH)} if place else {}
    part = replace(
        lesson,
        x=lesson.x[fits],
        y=lesson.y[fits],
        x_stop=lesson.x_stop[stops],
        y_stop=lesson.y_stop[stops],
        params={**lesson.params, **small},
    )
    new, old = (
        Judging(each.x[judges], each.y[judges], each.units[judges])
        for each, judges in ((each, answering(each.x) == place) for each in (given.new, given.old))
    )
    return part, replace(given, x_old=given.x_old[holds], new=new, old=old)


def _lacking(lesson: Lesson, given: Continuing, units: int) -> str:
    """Say of what there is too little to tell anything, of *units* among them; nothing where there is enough of all."""
    counts = (
        ("new rows to fit on", len(lesson.y), ROWS_LEAST),
        ("new rows to stop by", len(lesson.y_stop), STOPS_LEAST),
        ("units of new rows to judge", np.unique(given.new.units).size, units),
        ("old rows to hold it", len(given.x_old), ROWS_LEAST),
        ("units of old rows to judge", np.unique(given.old.units).size, units),
    )
    short = [f"{found} of {least} {what}" for what, found, least in counts if found < least]
    return f"too few rows, {', '.join(short)}" if short else ""
