"""Continuous learning: a network that serves goes on learning from new rows, held where the old ones need it.

Elastic weight consolidation (Kirkpatrick et al. 2017): each weight is drawn back to where it was, as strongly as the
old rows' answers depend on it. The update is accepted only if new rows are answered better and old ones no worse;
otherwise the weights stay. Which rows are new, and which old, is said by whoever asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from tasks.core.learners import fitting
from tasks.core.learners.duel import Duel, Judges, fight
from tasks.core.learners.fitting import Course, Taught, Weights
from tasks.core.learners.lesson import Checkpoints, Device
from tasks.core.learners.niches import changed
from tasks.core.values import Table

# Rows the Fisher information is estimated from; its mean over so many hardly moves with more.
REMEMBERED_MOST = 256
# The chance that a bound of either comparison lies on the wrong side of the truth.
ALPHA = 0.025
OLD, NEW = "old rows", "new rows"
TITLE, HEAD = "The update of the champion", ("rows", "judged", "loss before", "loss after", "change", "interval")


@dataclass(frozen=True)
class Experience:
    """The rows of an update: new ones to fit on and to stop by, old ones to hold on to, and both to be judged on.

    ``remembered`` are old rows that the weights were fitted on; nobody was fitted on those that judge.
    """

    taught: Taught
    stop: Taught
    remembered: Judges
    judges_new: Judges
    judges_old: Judges


@dataclass(frozen=True)
class Updated:
    """What came of an update; ``weights`` are those from before where there are ``faults``: what speaks against it."""

    weights: Weights
    faults: tuple[str, ...]
    new: Duel
    old: Duel

    @property
    def accepted(self) -> bool:
        """Say whether nothing speaks against it."""
        return not self.faults

    @property
    def reason(self) -> str:
        """Return why it was accepted or rolled back, with both changes of the loss."""
        both = f"{NEW} {_said(self.new)}; {OLD} {_said(self.old)}"
        return f"rolled back, {' and '.join(self.faults)}: {both}" if self.faults else "accepted"

    def lines(self) -> tuple[tuple[str, ...], ...]:
        """Return both comparisons, each under ``HEAD``."""
        return tuple(
            (name, f"{duel.rows:,}", f"{duel.before:.4g}", f"{duel.after:.4g}", *changed(duel.change))
            for name, duel in ((NEW, self.new), (OLD, self.old))
        )

    def table(self) -> Table:
        """Return both comparisons as people read them."""
        return Table(f"{TITLE}: {self.reason}", HEAD, self.lines())


def update(
    course: Course,
    champion: Mapping[str, torch.Tensor],
    experience: Experience,
    *,
    strength: float,
    margin: float,
    device: Device,
    seed: int,
    key: str,
    checkpoints: Checkpoints | None,
    logits: bool = False,
    alpha: float = ALPHA,
) -> Updated:
    """Fit the *champion*'s weights on, drawn back with *strength* (0: not at all), and accept it or roll it back.

    Accepted where the new rows' loss surely falls and the old rows' surely rises by less than *margin*; each bound is
    passed with probability *alpha*. *logits* says that the network answers with logits of chances. Raises
    TrainingBroke.
    """
    before = {name: weight.detach().cpu().clone() for name, weight in champion.items()}
    held = replace(course, cosine=True, name=f"{course.name}, updated,")
    if strength > 0:
        placed = {name: weight.to(device) for name, weight in before.items()}
        old, count = experience.remembered.rows.asked.on(device), len(experience.remembered)
        some = torch.linspace(0, count - 1, min(count, REMEMBERED_MOST)).round().long().to(device)
        needed = fisher(course.forward, placed, old, some, logits=logits)
        held = replace(held, pull=pull(placed, needed, strength))
    fitted = fitting.fit(
        held, before, experience.taught, experience.stop, device=device, seed=seed, key=key, checkpoints=checkpoints
    )
    new, old = (
        fight(course, before, fitted.weights, judges, alpha=alpha, seed=seed, device=device)
        for judges in (experience.judges_new, experience.judges_old)
    )
    faults = tuple(_faults(new, old, margin))
    return Updated(before if faults else fitted.weights, faults, new, old)


def fisher(
    forward: Callable[[Mapping[str, torch.Tensor], Any], torch.Tensor],
    weights: Mapping[str, torch.Tensor],
    asked: Any,
    rows: torch.Tensor,
    *,
    logits: bool = False,
) -> Weights:
    """Return the diagonal of the Fisher information: how much the answers to those *rows* tell of each weight.

    The mean over rows of the answer's squared slope (a normal answer of spread one), times p (1 − p) where it is a
    *logit* of a chance p. It needs no labels: that of the labels as they fell vanishes where they are fitted well
    (Kunstner, Balles and Hennig 2019).
    """
    own = {name: weight.detach().clone().requires_grad_() for name, weight in weights.items()}
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for place in range(len(rows)):
        answer = forward(own, asked.of(rows[place : place + 1])).float().sum()
        slopes = torch.autograd.grad(answer, list(own.values()), allow_unused=True)
        chance = torch.sigmoid(answer.detach())
        share = chance * (1 - chance) if logits else torch.ones_like(chance)
        for name, slope in zip(own, slopes, strict=True):
            if slope is not None:
                total[name] += share * slope**2
    return {name: each / len(rows) for name, each in total.items()}


def pull(
    before: Mapping[str, torch.Tensor], needed: Mapping[str, torch.Tensor], strength: float
) -> Callable[[Mapping[str, torch.Tensor]], torch.Tensor]:
    """Return the penalty of weights that moved: strength / 2 · Σ needed · (weight − before)²."""

    def penalty(weights: Mapping[str, torch.Tensor]) -> torch.Tensor:
        parts = [(needed[name] * (weights[name] - before[name]) ** 2).sum() for name in before]
        return torch.stack(parts).sum() * (strength / 2)

    return penalty


def _faults(new: Duel, old: Duel, margin: float) -> list[str]:
    """Say what speaks against the update; a figure that is no number does."""
    faults = []
    if not new.change.high < 0:
        faults.append(f"the loss over {new.rows:,} {NEW} does not surely fall")
    if not old.change.high <= margin:
        faults.append(f"that over {old.rows:,} {OLD} may rise by more than {margin:.0%}")
    return faults


def _said(duel: Duel) -> str:
    value, interval = changed(duel.change)
    return f"{value}, {interval}"
