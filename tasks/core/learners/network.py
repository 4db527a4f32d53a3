"""A network as it is fitted here: weights, and a pure function of them and of what is asked; and whatever runs it.

An estimator with a network in it says which rows the network answers and may have another variant answer them. Making
variants is ``variants``; measuring and choosing them belongs elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import torch

from tasks.core.learners.capacity import NoRoom, room
from tasks.core.learners.lesson import Floats
from tasks.errors import OutOfMemory

# So many rows are answered at once: a network's inner numbers of a whole part of a batch would fill gigabytes.
PIECE_ROWS = 1_024
FP32 = "fp32"


Answers = Callable[[Any], torch.Tensor]


@dataclass(frozen=True)
class Network:
    """Fitted weights and the function that answers with them: n answers to n rows of *question*."""

    weights: Mapping[str, torch.Tensor]
    forward: Callable[[Mapping[str, torch.Tensor], Any], torch.Tensor]
    question: type

    def answer(self, asked: Any) -> torch.Tensor:
        """Return the answers of the weights as they were fitted."""
        return self.forward(self.weights, asked)

    @property
    def size(self) -> int:
        """How many bytes the weights take."""
        return sum(each.numel() * each.element_size() for each in self.weights.values())


@dataclass(frozen=True)
class Variant:
    """A network made ready to run in one way; *content* is its file where it needs one beside the fitted weights.

    ``sized`` says how many bytes it takes, once it has answered.
    """

    name: str
    answer: Answers
    sized: Callable[[], int]
    content: bytes = b""


@runtime_checkable
class Networked(Protocol):
    """An estimator whose network may be run as another variant; ``variant`` is None for the fitted weights."""

    @property
    def variant(self) -> Variant | None:
        """Return what runs the network."""
        ...

    @property
    def network(self) -> Network | None:
        """Return the network; None where none was fitted."""
        ...

    def asked(self, x: Floats) -> Any:
        """Return what the network is asked of the rows it answers."""
        ...

    def run_as(self, variant: Variant) -> Networked:
        """Return the estimator with *variant* in the network's place."""
        ...


def tensors(asked: Any) -> dict[str, torch.Tensor]:
    """Return what is asked by name."""
    return {each.name: getattr(asked, each.name) for each in fields(asked)}


def count(asked: Any) -> int:
    """Return how many rows are asked."""
    return int(next(iter(tensors(asked).values())).shape[0])


def some(asked: Any, places: Iterable[int]) -> Any:
    """Return the rows at *places*, begun anew where they reach beyond the last."""
    first = next(iter(tensors(asked).values()))
    return asked.of(torch.tensor([place % len(first) for place in places], device=first.device))


def inference() -> AbstractContextManager[None]:
    """Return what nothing is learned under."""
    return torch.inference_mode()


def in_pieces(answer: Answers, asked: Any, rows: int = PIECE_ROWS) -> torch.Tensor:
    """Answer at most *rows* at once, outside of any fit; half as many wherever they do not fit into memory."""
    with inference():
        if count(asked) <= rows:
            return _in_halves(answer, asked)
        starts = range(0, count(asked), rows)
        pieces = (range(start, min(start + rows, count(asked))) for start in starts)
        return torch.cat([_in_halves(answer, some(asked, piece)) for piece in pieces])


def _in_halves(answer: Answers, asked: Any) -> torch.Tensor:
    rows = count(asked)
    try:
        with room():
            return answer(asked)
    except NoRoom as error:
        if rows < 2:
            raise OutOfMemory(f"a network cannot answer a single row: {error}; free memory, then run again") from error
    return torch.cat([_in_halves(answer, some(asked, half)) for half in (range(rows // 2), range(rows // 2, rows))])
