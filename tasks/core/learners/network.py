"""A network as it is fitted here: weights, and a pure function of them and of what is asked; and whatever runs it.

An estimator with a network in it says which rows the network answers and may have another variant answer them. Several
networks that share out the rows are one, too. Making variants is ``variants``; measuring and choosing them belongs
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, runtime_checkable

import torch

from tasks.core.learners.capacity import NoRoom, room
from tasks.core.learners.lesson import Device, Floats
from tasks.errors import OutOfMemory

# So many rows are answered at once: a network's inner numbers of a whole part of a batch would fill gigabytes.
PIECE_ROWS = 1_024
FP32 = "fp32"


Answers = Callable[[Any], torch.Tensor]
Forward = Callable[[Mapping[str, torch.Tensor], Any], torch.Tensor]


@dataclass(frozen=True)
class Network:
    """Fitted weights and the function that answers with them: n answers to n rows of *question*.

    ``frugal`` answers the same and keeps less for the slope, None where a network knows no such way.
    """

    weights: Mapping[str, torch.Tensor]
    forward: Forward
    question: type
    frugal: Forward | None = field(default=None, kw_only=True)

    def answer(self, asked: Any) -> torch.Tensor:
        """Return the answers of the weights as they were fitted."""
        return self.forward(self.weights, asked)

    @property
    def size(self) -> int:
        """How many bytes the weights take, those that are used twice counted once."""
        return sum({id(each): each.numel() * each.element_size() for each in self.weights.values()}.values())

    @property
    def parts(self) -> tuple[Network, ...]:
        """Return the networks it is made of."""
        return (self,)

    def joined(self, answers: Sequence[Answers]) -> Answers:
        """Return one way to answer out of one for each part."""
        return answers[0]

    def asked_of_parts(self, asked: Any) -> Any:
        """Return what is *asked* as a part takes it."""
        return asked


@dataclass(frozen=True)
class Routed:
    """What several networks are asked: n places of those that are to answer, and the n rows."""

    by: torch.Tensor
    asked: Any

    def of(self, rows: torch.Tensor) -> Routed:
        """Return some of the rows."""
        return Routed(self.by[rows], self.asked.of(rows))

    def on(self, device: Device) -> Routed:
        """Return it on *device*."""
        return Routed(self.by.to(device), self.asked.on(device))


@dataclass(frozen=True)
class Several(Network):
    """Networks of one kind, each of which answers the rows that are its own."""

    members: tuple[Network, ...] = ()

    @classmethod
    def of(cls, members: Sequence[Network]) -> Several:
        """Return *members* as one network."""
        weights = {f"{place}.{name}": w for place, each in enumerate(members) for name, w in each.weights.items()}
        answer = routed([each.answer for each in members])
        return cls(weights, lambda _, asked: answer(asked), Routed, tuple(members))

    @property
    def parts(self) -> tuple[Network, ...]:
        """Return the networks, in the order of their places."""
        return self.members

    def joined(self, answers: Sequence[Answers]) -> Answers:
        """Return what asks each of *answers* for the rows of its network."""
        return routed(answers)

    def asked_of_parts(self, asked: Any) -> Any:
        """Return the rows, whoever is to answer them."""
        return asked.asked


def routed(answers: Sequence[Answers]) -> Answers:
    """Return what has every row answered at its place in *answers*."""

    def answer(asked: Routed) -> torch.Tensor:
        found = torch.unique(asked.by).tolist()
        if len(found) < 2:
            return answers[found[0] if found else 0](asked.asked)
        rows = [torch.nonzero(asked.by == place)[:, 0] for place in found]
        said = torch.cat([answers[place](asked.asked.of(own)) for place, own in zip(found, rows, strict=True)])
        return said[torch.argsort(torch.cat(rows))]

    return answer


@dataclass(frozen=True)
class Variant:
    """A network made ready to run in one way; *contents* are its parts' files where they need one beside the weights.

    ``sized`` says how many bytes it takes, once it has answered.
    """

    name: str
    answer: Answers
    sized: Callable[[], int]
    contents: tuple[bytes, ...] = ()


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
