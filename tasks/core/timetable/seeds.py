"""Where a search starts: the plans that assignment and the linear programme propose under several weights.

They may break rules on genres; repair.py makes them legal.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from tasks.core.timetable.bound import Relaxation, relax
from tasks.core.timetable.grid import Floats, Grid, Ints, assign

# The linear programme takes a twentieth of a second at fifty slots and one at two hundred.
FEW_SLOTS, STEPS = 100, 4
# Beyond so many slots an assignment takes half a second, and only the corners are proposed.
CORNERS_ONLY = 300


def directions(weights: Floats, steps: int = STEPS) -> Floats:
    """Return weights spread evenly over the goals that have any, the given ones first; each sums to 1."""
    active = np.flatnonzero(weights > 0)
    found = [weights]
    for parts in product(range(steps + 1), repeat=len(active)):
        if sum(parts) == steps and len(active) > 1:
            # A little of every goal, so that of equals in one the better in the others is found.
            spread = np.zeros(3)
            spread[active] = np.maximum(np.array(parts) / steps, 1e-3)
            found.append(spread / spread.sum())
    return np.array(found)


def from_relaxation(grid: Grid, relaxation: Relaxation) -> Ints:
    """Return the plan that shows in each slot what has most of it; repair drops what then breaks a rule."""
    plan, share = np.full(grid.slots, grid.empty), np.full(grid.slots, 1e-6)
    for show, slot, part in zip(relaxation.master.show, relaxation.master.slot, relaxation.share, strict=True):
        if part > share[slot]:
            plan[slot], share[slot] = show, part
    return plan


def propose(grid: Grid, relaxation: Relaxation) -> tuple[Ints, Floats]:
    """Return proposed plans and the weights each was made for, the relaxation's own first."""
    weights = directions(grid.weights, 1 if grid.slots > CORNERS_ONLY else STEPS)
    plans = [from_relaxation(grid, relaxation)]
    for each in weights[1:]:
        if grid.slots <= FEW_SLOTS:
            plans.append(from_relaxation(grid, relax(grid, each)))
        else:
            plans.append(assign(grid.values(each), grid.allowed, grid.uses))
    return np.array(plans), weights
