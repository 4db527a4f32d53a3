"""Makes one legal plan better without leaving what is legal: exchange within a genre, then the best single change.

With the genres of all slots held, rules on genres hold by themselves and each genre is an assignment of its own, solved
exactly. Looking further than one change is the search's work.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from tasks.core.timetable.grid import EMPTY_COSTS, Bools, Floats, Grid, Ints, objectives

CHANGES, LEAST_GAIN = 200, 1e-9


def polish(grid: Grid, plan: Ints, weights: Floats, changes: int = CHANGES) -> Ints:
    """Return a plan worth at least as much under these weights: genres reassigned, then improved change by change."""
    return climb(grid, reassign(grid, plan, weights), weights, changes)


def reassign(grid: Grid, plan: Ints, weights: Floats) -> Ints:
    """Return the best plan with the same genre in every slot."""
    values, best = grid.values(weights), plan.copy()
    for genre in np.unique(grid.genre[plan[plan < grid.empty]]):
        slots = np.flatnonzero(grid.genre[plan] == genre)
        own = np.flatnonzero(grid.genre[:-1] == genre)
        copies = np.repeat(own, np.minimum(grid.uses[own], len(slots)))
        pairs = np.ix_(copies, slots)
        # The plan itself is one way to fill these slots, so all are filled.
        gain = np.where(grid.allowed[pairs], values[pairs], -EMPTY_COSTS * grid.slots)
        row, slot = linear_sum_assignment(gain, maximize=True)
        best[slots[slot]] = copies[row]
    return best


def climb(grid: Grid, plan: Ints, weights: Floats, changes: int = CHANGES) -> Ints:
    """Return the plan after the best single replacements, at most *changes*, until none improves it."""
    values, plan = grid.values(weights), plan.copy()
    for _ in range(changes):
        gain = _gains(grid, plan, values, weights)
        show, slot = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[show, slot] < LEAST_GAIN:
            break
        plan[slot] = show
    return plan


def _gains(grid: Grid, plan: Ints, values: Floats, weights: Floats) -> Floats:
    """Return programmes × slots what replacing the slot's programme would add, minus infinity where it may not."""
    slots, genre = np.arange(grid.slots), grid.genre[:-1]
    used = np.bincount(plan, minlength=grid.empty + 1)[:-1]
    free = (used < grid.uses[:-1])[:, None] & grid.allowed[:-1] & legal_genres(grid, plan).T[genre]
    now = np.where(plan == grid.empty, -EMPTY_COSTS, values[plan, slots])
    shift = _balance_gains(grid, plan) * weights[2]
    gain = values[:-1] - now + shift.T[genre]
    return np.where(free & (plan != np.arange(grid.empty)[:, None]), gain, -np.inf)


def legal_genres(grid: Grid, plan: Ints) -> Bools:
    """Return slots × genres whether the slot could show that genre, all other slots staying as they are."""
    shown = grid.genre[plan][:, None] == np.arange(grid.genres)
    a_day = np.zeros((len(grid.caps), grid.genres), np.intp)
    np.add.at(a_day, grid.day, shown)
    room = a_day[grid.day] - shown < grid.caps[grid.day, : grid.genres]
    length = np.ones(shown.shape, np.intp)
    for step in (-1, 1):
        alive = np.ones(shown.shape, bool)
        for far in range(1, grid.in_a_row + 1):
            at = np.arange(grid.slots) + step * far
            inside = (at >= 0) & (at < grid.slots)
            at = np.clip(at, 0, grid.slots - 1)
            alive &= shown[at] & (inside & (grid.day[at] == grid.day))[:, None]
            length += alive
    return np.asarray(room & (length <= grid.in_a_row))


def _balance_gains(grid: Grid, plan: Ints) -> Floats:
    """Return slots × genres how much the balance gains if the slot shows that genre instead of its own."""
    share = 1 / max(int(grid.available.sum()), 1)
    count = np.bincount(grid.genre[plan], minlength=grid.genres + 1)[:-1]
    off = np.abs(count * share - grid.shares)
    one_more = np.abs((count + 1) * share - grid.shares) - off
    one_less = np.append(np.abs((count - 1) * share - grid.shares) - off, 0.0)
    own = grid.genre[plan]
    gain = -(one_more[None, :] + one_less[own][:, None]) / 2
    gain[own[:, None] == np.arange(grid.genres)] = 0.0
    return np.asarray(gain)


def best_of(grid: Grid, plans: Ints, weights: Floats) -> Ints:
    """Return the plan worth most under these weights, the first of equals."""
    empty = ((plans == grid.empty) & grid.available).sum(axis=1)
    return np.asarray(plans[int((objectives(grid, plans) @ weights - EMPTY_COSTS * empty).argmax())])
