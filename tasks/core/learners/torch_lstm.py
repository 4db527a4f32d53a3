"""An LSTM over what came before a row, and whoever answers rows it cannot: LSTM → boosted lags → trend.

A row with a whole history is the LSTM's; one with some is answered by boosted trees on its lags, one with hardly any by
its trend carried on. Kept as one safetensors file, the trees' UBJ in it as bytes. The chain says who answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch

from tasks.core.learners import torch_mlp, xgb
from tasks.core.learners.lesson import Floats, Layout, Lesson
from tasks.core.learners.lstm_fit import Question, fit, forward
from tasks.core.learners.network import Network, Variant, in_pieces
from tasks.errors import BadRequest, NotTrusted

LSTM, LAGS, TREND = "lstm", "boosted lags", "trend"
# One look has no growth: its trend is that it stays as it is.
LAGS_LEAST = 2
# Below this many whole histories there is no telling whether a network has learned anything.
SEQUENCES_LEAST = 50
BOOSTED = {"rounds": 150, "depth": 4, "learning_rate": 0.1, "loss": "pseudo_huber", "huber_slope": 0.1}
WEIGHTS = (
    "lstm.ih",
    "lstm.hh",
    "lstm.ih_bias",
    "lstm.hh_bias",
    "first.weight",
    "first.bias",
    "last.weight",
    "last.bias",
)
SHAPE, TREES = "layout", "boosted"


@dataclass(frozen=True)
class Chain:
    """The three, each for the rows the one before it cannot answer; no ``weights`` where no history was whole.

    ``variant`` runs the network where it is not run as it was fitted.
    """

    layout: Layout
    weights: Mapping[str, torch.Tensor]
    boosted: xgb.Boosted
    variant: Variant | None = None

    @property
    def network(self) -> Network | None:
        """Return the LSTM; None where no history was whole."""
        return Network(self.weights, forward, Question) if self.weights else None

    def asked(self, x: Floats) -> Question:
        """Return what the LSTM is asked of the rows it answers."""
        return question(x[_whole(x, self.layout)], self.layout)

    def run_as(self, variant: Variant) -> Chain:
        """Return the chain with *variant* in the LSTM's place."""
        return replace(self, variant=variant)

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        by, answer = np.array(self.scored_by(x)), np.zeros(len(x))
        trend, tree, _, _ = parts(x, self.layout)
        if (by == LAGS).any():
            answer[by == LAGS] = self.boosted.predict(tree[by == LAGS])
        answer[by == TREND] = trend[by == TREND]
        if (by == LSTM).any() and self.network is not None:
            torch_mlp.limit(1)
            said = in_pieces(self.variant.answer if self.variant else self.network.answer, self.asked(x))
            answer[by == LSTM] = said.numpy().astype(np.float64)
        return answer

    def scored_by(self, x: Floats) -> list[str]:
        """Return which of the three answers each row."""
        short = (_looks(x, self.layout) < LAGS_LEAST) & np.isfinite(x[:, 0])
        whole = _whole(x, self.layout) & bool(self.weights)
        return [str(each) for each in np.where(whole, LSTM, np.where(short, TREND, LAGS))]

    def to_bytes(self) -> bytes:
        """Return safetensors."""
        shape = torch.tensor([self.layout.tree, self.layout.dense, self.layout.steps, self.layout.width])
        trees = torch.frombuffer(bytearray(self.boosted.to_bytes()), dtype=torch.uint8)
        kept = {SHAPE: shape, TREES: trees} | dict(self.weights)
        return bytes(safetensors.torch.save({name: kept[name].contiguous() for name in sorted(kept)}))


def fit_lstm(lesson: Lesson) -> Chain:
    """Fit the trees on all rows and the LSTM on those with a history; raises TrainingBroke, naming the step."""
    layout = lesson.layout
    if layout is None:
        raise BadRequest("an LSTM was asked for without a layout of its sequences; hand the lesson one")
    torch_mlp.limit(lesson.threads)
    tree, tree_stop = (parts(x, layout)[1] for x in (lesson.x, lesson.x_stop))
    boosted = xgb.fit_xgboost(replace(lesson, x=tree, x_stop=tree_stop, params=BOOSTED))
    whole, whole_stop = (_whole(x, layout) for x in (lesson.x, lesson.x_stop))
    if min(whole.sum(), whole_stop.sum() * 5) < SEQUENCES_LEAST:
        return Chain(layout, {}, boosted)
    # It learns from shorter histories, too: there are more of them, and what was not seen stands at the middle.
    taught = _looks(lesson.x, layout) >= LAGS_LEAST
    asked, asked_stop = question(lesson.x[taught], layout), question(lesson.x_stop[whole_stop], layout)
    y = lesson.y if lesson.others is None else np.column_stack([lesson.y, lesson.others])
    weights = fit(lesson, asked, y[taught], asked_stop, lesson.y_stop[whole_stop])
    return Chain(layout, weights, boosted)


def from_bytes(data: bytes) -> Chain:
    """Load safetensors; NotTrusted if it is none or its tensors are not the chain's."""
    try:
        kept = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise NotTrusted(f"the LSTM cannot be read as safetensors ({error}); publish the bundle again") from error
    wanted = {SHAPE, TREES}
    if set(kept) not in (wanted, wanted | set(WEIGHTS)) or kept[SHAPE].numel() != 4:
        raise NotTrusted(f"the LSTM's file holds {sorted(kept)} and should hold {sorted(wanted)}; it was not loaded")
    layout = Layout(*(int(each) for each in kept[SHAPE]))
    boosted = xgb.from_bytes(kept[TREES].numpy().tobytes())
    return Chain(layout, {name: kept[name] for name in WEIGHTS if name in kept}, boosted)


FITS: Mapping[str, Callable[[Lesson], Chain]] = {"lstm": fit_lstm}


def parts(x: Floats, layout: Layout) -> tuple[Floats, Floats, Floats, Floats]:
    """Return trend, tree design, dense design and n × steps × width."""
    after_tree, after_dense = 1 + layout.tree, 1 + layout.tree + layout.dense
    steps = x[:, after_dense:].reshape(len(x), layout.steps, layout.width)
    return x[:, 0], x[:, 1:after_tree], x[:, after_tree:after_dense], steps


def question(x: Floats, layout: Layout) -> Question:
    """Return what the network is asked: the steps, a number that is not known at its middle, and what stands beside."""
    trend, _, dense, steps = parts(x, layout)
    beside = np.column_stack([np.where(np.isfinite(trend), trend, 0.0), dense])
    return Question(_tensor(np.nan_to_num(steps, nan=0.0)), _tensor(beside))


def _looks(x: Floats, layout: Layout) -> npt.NDArray[np.intp]:
    """Return how many steps of each row are there."""
    there: npt.NDArray[np.intp] = np.isfinite(parts(x, layout)[3]).any(axis=2).sum(axis=1)
    return there


def _whole(x: Floats, layout: Layout) -> npt.NDArray[np.bool_]:
    whole: npt.NDArray[np.bool_] = (_looks(x, layout) == layout.steps) & (layout.steps > 0)
    return whole


def _tensor(values: Floats) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
