"""The candidate *transformer*: the network over text, and what is asked of it beyond one fit.

With ``niches`` it names a category: the network is fine-tuned on each of its levels, and a level whose own weights are
better is answered by them. Handed an estimator that serves, it goes on learning instead of beginning anew. The network
is text_net.py, its fit transformer.py, the rules are niches.py, and continued.py for what goes on learning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch

from tasks.core.learners import continued, fitting, transformer
from tasks.core.learners.continued import Continued
from tasks.core.learners.fitting import Weights
from tasks.core.learners.lesson import Continuing, Estimator, Floats, Lesson
from tasks.core.learners.network import Routed, Several, Variant
from tasks.core.learners.niches import COMMON, Grounds, raise_niches
from tasks.core.learners.transformer import Reader, answered, course_of, fit_transformer, material_of
from tasks.core.values import Table
from tasks.errors import BadRequest, NotTrusted, UpdateRefused

NICHES = "niches"


@dataclass(frozen=True)
class Niched:
    """The common network and the weights of the niches that were kept; ``names`` are all levels of the category.

    ``tables`` is what the fit has to say; a file does not keep it. ``variant`` runs all of them where they are not run
    as they were fitted.
    """

    common: Reader
    column: int
    names: tuple[str, ...]
    weights: Mapping[str, Weights]
    tables: tuple[Table, ...] = ()
    variant: Variant | None = None

    @property
    def kept(self) -> tuple[str, ...]:
        """Return the niches that have weights of their own, in order."""
        return tuple(sorted(self.weights))

    @property
    def network(self) -> Several:
        """Return the common network and those of the niches, in order, as one."""
        return Several.of([each.network for each in self.networks()])

    def networks(self) -> tuple[Reader, ...]:
        """Return the common network and those of the niches, in the order of their places."""
        return (self.common, *(weighing(self.common, self.weights[name]) for name in self.kept))

    def asked(self, x: Floats) -> Routed:
        """Return what the networks are asked: they answer every row, each by the one that is its own."""
        return Routed(torch.from_numpy(self.answering(x)), self.common.asked(x))

    def run_as(self, variant: Variant) -> Niched:
        """Return the estimator with *variant* in the networks' place."""
        return replace(self, variant=variant)

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        return answered(self.variant or self.network, self.asked(x), self.common.odds)

    def scored_by(self, x: Floats) -> list[str]:
        """Return the niche that answers each row, or that the common network does."""
        names = (COMMON, *self.kept)
        return [names[place] for place in self.answering(x)]

    def answering(self, x: Floats) -> npt.NDArray[np.intp]:
        """Return the place of the network that answers each row; the common one is the first.

        It follows from the row's niche alone.
        """
        own = [self.kept.index(name) + 1 if name in self.weights else 0 for name in self.names]
        # Last, so at −1: whoever is of no level.
        return np.array([*own, 0], dtype=np.intp)[places(x, self.column)]

    def updated(self, readers: Sequence[Reader], told: Table) -> Niched:
        """Return it with *readers* in the networks' places; what a niche shared with the common one stays its own."""
        common, *own = readers
        weights = {name: dict(each.weights) for name, each in zip(self.kept, own, strict=True)}
        return replace(self, common=common, weights=weights, tables=(told,), variant=None)

    def told(self) -> tuple[Table, ...]:
        """Return how each niche compares with the common network, or what an update did to each network."""
        return self.tables

    def to_bytes(self) -> bytes:
        """Return safetensors: the common network's file, and of each niche the weights that are its own."""
        if not self.weights:
            return self.common.to_bytes()
        kept = safetensors.torch.load(self.common.to_bytes())
        about = {"column": self.column, "names": self.names, "kept": self.kept}
        kept[NICHES] = torch.frombuffer(bytearray(json.dumps(about).encode()), dtype=torch.uint8)
        for number, name in enumerate(self.kept):
            for weight, own in self.weights[name].items():
                if not torch.equal(own, self.common.weights[weight]):
                    # Two niches may share what the common network was; the format takes no tensor twice.
                    kept[f"niche{number}.{weight}"] = own.clone()
        return bytes(safetensors.torch.save({name: kept[name].contiguous() for name in sorted(kept)}))


def fit(lesson: Lesson) -> Estimator:
    """Fit, fine-tune or go on learning, as the lesson asks; raises TrainingBroke, UpdateRefused."""
    if lesson.continuing is not None:
        return _continued(lesson, lesson.continuing)
    common = fit_transformer(lesson)
    category = str(lesson.params.get(NICHES, ""))
    return _niched(lesson, common, category) if category else common


def from_bytes(data: bytes) -> Estimator:
    """Load safetensors; NotTrusted if it is none or its tensors are not the network's and its niches'."""
    try:
        kept = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise NotTrusted(
            f"the Transformer cannot be read as safetensors ({error}); publish the bundle again"
        ) from error
    if NICHES not in kept:
        return transformer.from_bytes(data)
    column, names, niches = _about(kept.pop(NICHES))
    own: list[Weights] = [{} for _ in niches]
    for name in [each for each in kept if each.startswith("niche")]:
        number, _, weight = name.removeprefix("niche").partition(".")
        if not number.isdecimal() or int(number) >= len(own):
            raise NotTrusted(f"the Transformer's file holds {name}, of a niche it does not name; it was not loaded")
        own[int(number)][weight] = kept.pop(name)
    common = transformer.from_bytes(safetensors.torch.save(kept))
    for weights in own:
        # Whatever a niche has of its own must fit where the common weight was.
        transformer.from_bytes(safetensors.torch.save(kept | weights))
    whole = {name: {**common.weights, **weights} for name, weights in zip(niches, own, strict=True)}
    return Niched(common, column, names, whole)


FITS: Mapping[str, Callable[[Lesson], Estimator]] = {"transformer": fit}


def weighing(reader: Reader, weights: Weights) -> Reader:
    """Return the same network with other *weights*, run as it was fitted."""
    return Reader(reader.layout, reader.sizes, weights, reader.odds)


def places(x: Floats, column: int) -> npt.NDArray[np.intp]:
    """Return each row's place among the category's levels; −1 where it is none of them."""
    rank = x[:, column]
    known = np.isfinite(rank) & (rank == np.floor(rank)) & (rank >= 0)
    return np.where(known, np.where(known, rank, 0), -1).astype(np.intp)


def _niched(lesson: Lesson, common: Reader, category: str) -> Niched:
    levels = lesson.levels.get(category)
    if levels is None or lesson.units_stop is None:
        raise BadRequest(
            f"niches of {category!r} were asked for, which is no category the network sees; it sees "
            f"{', '.join(lesson.levels) or 'none'}"
        )
    taught, stop = material_of(lesson)
    niche, niche_stop = (places(x, levels.column) for x in (lesson.x, lesson.x_stop))
    raised = raise_niches(
        course_of(lesson),
        common.weights,
        Grounds(levels.names, taught, niche, stop, niche_stop, lesson.units_stop),
        device=lesson.device,
        seed=lesson.seed,
        key=fitting.key_of("niches", lesson),
        checkpoints=lesson.checkpoints,
    )
    return Niched(common, levels.column, levels.names, raised.weights, (raised.table(),))


def _continued(lesson: Lesson, given: Continuing) -> Estimator:
    before = given.estimator
    if isinstance(before, Niched):
        names = (COMMON, *before.kept)
        came = continued.several(lesson, given, before.networks(), names, before.answering)
        return before.updated([each.reader for each in came], continued.table(came))
    if isinstance(before, Reader | Continued):
        return continued.one(lesson, given, before.reader if isinstance(before, Continued) else before)
    raise UpdateRefused(
        f"the champion's {type(before).__name__.lower()} estimator is no Transformer whose weights could go on "
        "learning; what was fitted anew competes without it"
    )


def _about(told: torch.Tensor) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    try:
        plain = json.loads(told.numpy().tobytes())
        column, names, kept = int(plain["column"]), tuple(map(str, plain["names"])), tuple(map(str, plain["kept"]))
    except (ValueError, KeyError, TypeError) as error:
        raise NotTrusted(f"the Transformer's file does not say what its niches are ({error!r})") from error
    if column < 0 or not set(kept) <= set(names) or len(set(kept)) != len(kept):
        raise NotTrusted(f"the Transformer's file names the niches {kept} of {len(names)} levels; it was not loaded")
    return column, names, kept
