"""The learner over text, series and numbers (text_net.py), kept as one safetensors file with what it is made of.

A chance is learned by logistic loss and answered as a probability; anything else by errors whose least is the median.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch.nn import functional

from tasks.core.learners import fitting, text_net
from tasks.core.learners.capacity import NoRoom, room
from tasks.core.learners.fitting import Course, Taught, Weights
from tasks.core.learners.lesson import Floats, Layout, Lesson, Odds
from tasks.core.learners.network import Network, Variant, in_pieces
from tasks.core.learners.text_net import HEADS, Sizes, question
from tasks.core.learners.torch_mlp import BATCHES_PER_EPOCH_MOST, limit
from tasks.errors import BadRequest, NotTrusted

# Where the loss turns from squares to magnitudes, in standard deviations.
BEND = 0.1
# The names of what the file says about the weights, beside these.
ABOUT, ODDS = "about", "odds"
ABOUT_MOST = 10_000_000


@dataclass(frozen=True)
class Reader:
    """A fitted network; ``odds`` where it answers chances, ``variant`` where it is not run as it was fitted."""

    layout: Layout
    sizes: Sizes
    weights: Mapping[str, torch.Tensor]
    odds: Odds | None = None
    variant: Variant | None = None

    @property
    def network(self) -> Network:
        """Return the network."""
        return Network(self.weights, text_net.forward, text_net.Question, frugal=frugal)

    def asked(self, x: Floats) -> text_net.Question:
        """Return what the network is asked: it answers every row."""
        return question(x, self.layout)

    def run_as(self, variant: Variant) -> Reader:
        """Return the reader with *variant* in the network's place."""
        return replace(self, variant=variant)

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        return answered(self.variant or self.network, self.asked(x), self.odds)

    def to_bytes(self) -> bytes:
        """Return safetensors."""
        about = torch.tensor([*astuple(self.layout), *astuple(self.sizes)])
        odds = torch.tensor(astuple(self.odds) if self.odds else (), dtype=torch.float64)
        kept = {ABOUT: about, ODDS: odds} | dict(self.weights)
        return bytes(safetensors.torch.save({name: kept[name].contiguous() for name in sorted(kept)}))


def answered(by: Network | Variant, asked: Any, odds: Odds | None) -> Floats:
    """Return what is said to what is *asked*, standardised; in one thread."""
    limit(1)
    return standard(in_pieces(by.answer, asked).float().cpu().numpy().astype(np.float64), odds)


def standard(said: Floats, odds: Odds | None) -> Floats:
    """Return what the network *said*, standardised: of a chance it says the logit."""
    return said if odds is None else odds.standard(1 / (1 + np.exp(-np.clip(said, -30, 30))))


def frugal(weights: Mapping[str, torch.Tensor], asked: text_net.Question) -> torch.Tensor:
    """Return one answer per row; what is kept for the slope is each layer's input only."""
    return text_net.forward(weights, asked, recompute=True)


def course_of(lesson: Lesson) -> Course:
    """Return how a lesson is gone about."""
    params = lesson.params
    return Course(
        name="the Transformer",
        forward=frugal if params.get("recompute") else text_net.forward,
        loss=_squeezed if lesson.odds is None else functional.binary_cross_entropy_with_logits,
        epochs=params["epochs"],
        rate=params["learning_rate"],
        decay=params.get("weight_decay", 0.05),
        batch=max(params.get("batch", 64), -(-len(lesson.y) // BATCHES_PER_EPOCH_MOST)),
        patience=params.get("patience", 5),
        cosine=True,
    )


def material_of(lesson: Lesson) -> tuple[Taught, Taught]:
    """Return the rows to fit on and those that tell when to stop, as the network takes them."""
    layout = layout_of(lesson)
    rows = ((lesson.x, lesson.y), (lesson.x_stop, lesson.y_stop))
    fit, stop = (Taught(question(x, layout), _label(y, lesson.odds)) for x, y in rows)
    return fit, stop


def layout_of(lesson: Lesson) -> Layout:
    """Return what the columns are; BadRequest where a lesson does not say."""
    if lesson.layout is None:
        raise BadRequest("a Transformer was asked for without a layout of its text; hand the lesson one")
    return lesson.layout


def fit_transformer(lesson: Lesson) -> Reader:
    """Fit on text, series and numbers until the stopping rows get no better; raises TrainingBroke, naming the step.

    Where memory runs out the fit goes on, after the last whole epoch, with layers worked out again for the slope.
    """
    limit(lesson.threads)
    course = course_of(lesson)
    try:
        with room():
            return _fitted(lesson, course)
    except NoRoom:
        # The second fit is outside: here the error still holds what filled the memory.
        course = replace(course, forward=frugal)
    return _fitted(lesson, course)


def _fitted(lesson: Lesson, course: Course) -> Reader:
    params, layout = lesson.params, layout_of(lesson)
    sizes = Sizes(params["dimension"] // HEADS * HEADS, params.get("layers", 2), params.get("hidden", 32))
    taught, stop = material_of(lesson)
    chance = torch.Generator().manual_seed(lesson.seed)
    fitted = fitting.fit(
        course,
        text_net.begun(layout, sizes, chance, _start(taught.label, lesson.odds)),
        taught,
        stop,
        device=lesson.device,
        seed=chance,
        key=fitting.key_of("transformer", lesson),
        checkpoints=lesson.checkpoints,
    )
    return Reader(layout, sizes, fitted.weights, lesson.odds)


def from_bytes(data: bytes) -> Reader:
    """Load safetensors; NotTrusted if it is none or its tensors are not the network's, by name, shape and type."""
    try:
        kept = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise NotTrusted(
            f"the Transformer cannot be read as safetensors ({error}); publish the bundle again"
        ) from error
    about, odds = kept.pop(ABOUT, None), kept.pop(ODDS, None)
    if about is None or odds is None or about.numel() != 9 or odds.numel() not in (0, 2):
        raise NotTrusted(f"the Transformer's file does not say what it is made of, only {sorted(kept)}")
    told = [int(each) for each in about]
    if min(told) < 0 or max(told) > ABOUT_MOST or told[7] > len(kept):
        raise NotTrusted(f"the Transformer's file says it is made of {told}; it was not loaded")
    layout, sizes = Layout(*told[:6]), Sizes(*told[6:])
    _refuse(kept, layout, sizes)
    return Reader(layout, sizes, kept, Odds(*(float(each) for each in odds)) if odds.numel() else None)


FITS: Mapping[str, Callable[[Lesson], Reader]] = {"transformer": fit_transformer}


def _refuse(kept: Weights, layout: Layout, sizes: Sizes) -> None:
    wanted = text_net.shapes(layout, sizes)
    if {name: tuple(weight.shape) for name, weight in kept.items()} != wanted:
        raise NotTrusted(f"the Transformer's file holds {sorted(kept)} and should hold {sorted(wanted)}, in its shapes")
    strange = sorted(name for name, weight in kept.items() if weight.dtype != torch.float32)
    if strange:
        raise NotTrusted(f"the Transformer's {', '.join(strange)} are not float32; it was not loaded")


def _squeezed(said: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    return functional.smooth_l1_loss(said, label, beta=BEND)


def _label(y: Floats, odds: Odds | None) -> torch.Tensor:
    return torch.from_numpy((y if odds is None else odds.label(y)).astype(np.float32))


def _start(label: torch.Tensor, odds: Odds | None) -> float:
    """Return what every row is answered before the first step: of chances the logit of the base rate."""
    if odds is None:
        return 0.0
    base = min(max(float(label.mean()), 0.01), 0.99)
    return math.log(base / (1 - base))
