"""Makes any plans legal, a whole population at once: keeps the wishes that rules allow and fills what is left.

Two legal timetables crossed are almost never legal, and a penalty for it has no good size; so every plan a search makes
comes through here. Which plan is better is not asked here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.core.timetable.grid import Bools, Floats, Grid, Ints

# So many of a slot's best programmes are tried for a hole before all are; what the right genre adds beside a value.
TRIED, GENRE_PULL = 24, 0.15


@dataclass(frozen=True, eq=False)
class Partial:
    """Plans being made: what is decided, with the genres, uses and a day's genres counted along. Changes in place."""

    grid: Grid
    plans: Ints
    genres: Ints
    used: Ints
    a_day: Ints

    def fits(self, rows: Ints, slot: int, shows: Ints) -> Bools:
        """Return rows × shows whether a programme may go into the slot of each plan; *shows* is one list for all."""
        genre = self.grid.genre[shows]
        free = self.used[rows][:, shows] < self.grid.uses[shows]
        day = self.grid.day[slot]
        free &= self.a_day[rows, day][:, genre] < self.grid.caps[day, genre]
        free &= (self._run(rows, slot) <= self.grid.in_a_row)[:, genre]
        return np.asarray(free & self.grid.allowed[shows, slot])

    def put(self, rows: Ints, slot: int, shows: Ints) -> None:
        """Put one programme into the slot of each of these plans."""
        genre = self.grid.genre[shows]
        self.plans[rows, slot] = shows
        self.genres[rows, slot] = genre
        self.used[rows, shows] += 1
        self.a_day[rows, self.grid.day[slot], genre] += 1

    def _run(self, rows: Ints, slot: int) -> Ints:
        """Return rows × genres how long the run through the slot would be; *empty* is in no run."""
        length = np.ones((len(rows), self.grid.genres + 1), np.intp)
        every = np.arange(self.grid.genres + 1)
        for step in (-1, 1):
            alive = np.ones(length.shape, bool)
            for far in range(1, self.grid.in_a_row + 1):
                at = slot + step * far
                if not 0 <= at < self.grid.slots or self.grid.day[at] != self.grid.day[slot]:
                    break
                alive &= self.genres[rows, at][:, None] == every
                length += alive
        length[:, -1] = 0
        return length


def repair(grid: Grid, wishes: Ints, weights: Floats, draw: np.random.Generator) -> Ints:
    """Return legal plans near the *wishes* (plans × slots); ``weights`` (plans × 3) say what holes are filled for."""
    many = len(wishes)
    partial = Partial(
        grid,
        np.full(wishes.shape, grid.empty),
        np.full(wishes.shape, -1),
        np.zeros((many, grid.empty + 1), np.intp),
        np.zeros((many, len(grid.caps), grid.genres + 1), np.intp),
    )
    order = draw.permutation(grid.slots)
    for slot in order:
        _keep(partial, wishes[:, slot], int(slot))
    for slot in order:
        if grid.available[slot]:
            _fill(partial, weights, int(slot), _candidates(grid, int(slot)))
    for slot in np.flatnonzero((partial.plans == grid.empty).any(axis=0) & grid.available):
        _fill(partial, weights, int(slot), np.flatnonzero(grid.allowed[:-1, slot]))
    return partial.plans


def _keep(partial: Partial, wishes: Ints, slot: int) -> None:
    shows, which = np.unique(wishes, return_inverse=True)
    rows = np.arange(len(wishes))
    kept = partial.fits(rows, slot, shows)[rows, which] & (wishes < partial.grid.empty)
    partial.put(rows[kept], slot, wishes[kept])


def _fill(partial: Partial, weights: Floats, slot: int, shows: Ints) -> None:
    rows = np.flatnonzero(partial.plans[:, slot] == partial.grid.empty)
    if not len(rows) or not len(shows):
        return
    grid, by = partial.grid, weights[rows]
    value = by[:, :1] * grid.revenue[shows, slot] + by[:, 1:2] * grid.audience[shows, slot]
    so_far = partial.a_day[rows].sum(axis=1)[:, :-1] / grid.slots
    pull = GENRE_PULL * by[:, 2:] * (grid.shares - so_far)[:, grid.genre[shows]]
    fits = partial.fits(rows, slot, shows)
    best = np.where(fits, value + pull, -np.inf).argmax(axis=1)
    filled = fits[np.arange(len(rows)), best]
    partial.put(rows[filled], slot, shows[best[filled]])


def _candidates(grid: Grid, slot: int) -> Ints:
    """Return the best programmes of a slot, and the best of each genre, so that a full genre leaves others."""
    shows = np.flatnonzero(grid.allowed[:-1, slot])
    value = grid.revenue[shows, slot] + grid.audience[shows, slot]
    ordered = shows[np.argsort(-value, kind="stable")]
    _, first = np.unique(grid.genre[ordered], return_index=True)
    return np.unique(np.concatenate([ordered[:TRIED], ordered[first]]))
