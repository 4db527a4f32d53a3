"""AdamW's steps down a loss, all they remember in the open: a fit can be written down and taken up again.

``torch.optim.AdamW`` takes the same steps, but imports the compiler: 2 CPU seconds. Which network is fitted, and
when to stop, does not belong here.
"""

from __future__ import annotations

import torch
from torch.optim.adamw import adamw


class Descent:
    """AdamW over *weights*, which it changes in place."""

    def __init__(self, weights: list[torch.Tensor], rate: float, decay: float) -> None:
        self.weights, self.rate, self.decay = weights, rate, decay
        self.means = [torch.zeros_like(each) for each in weights]
        self.squares = [torch.zeros_like(each) for each in weights]
        self.steps = [torch.zeros((), device=each.device) for each in weights]

    def step(self, loss: torch.Tensor, most: float | None = None) -> float:
        """Go one step down *loss*, a gradient longer than *most* cut to it; return how long it was, 0 if not asked."""
        slopes = list(torch.autograd.grad(loss, self.weights))
        length = 0.0
        with torch.no_grad():
            if most is not None:
                length = float(torch.sqrt(sum((each.double() ** 2).sum() for each in slopes)))  # type: ignore[arg-type]
                if length > most:
                    slopes = [each * (most / length) for each in slopes]
            adamw(
                self.weights,
                slopes,
                self.means,
                self.squares,
                [],
                self.steps,
                fused=True,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=self.rate,
                weight_decay=self.decay,
                eps=1e-8,
                maximize=False,
            )
        return length
