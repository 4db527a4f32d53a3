"""How good any timetable could be: a linear programme by HiGHS, and a bound that does not take HiGHS's word for it.

The assignment has a variable for every programme and slot, half a million at a thousand slots; so columns are priced in
(column generation) and the rows on runs are added when broken. The bound is the Lagrangian one, added up here from the
prices: it holds for any prices that are not negative, so neither a missing column nor the solver's tolerance can make
it too low (Wolsey, Integer Programming, chapter 10). Whole numbers are asked for in exact.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import linprog

from tasks.core.timetable.grid import EMPTY_COSTS, Bools, Floats, Grid, Ints, assign

# Beyond so many slots a few broken runs are left to repair.
MOST_ROUNDS, ROUGH = 60, 300


@dataclass(frozen=True)
class Effort:
    """How many columns a slot starts with and may take in a round, how near bound and value must come, and by what.

    ``near`` is how far below the bound a search's first whole-number plan may be for no second programme to follow.
    """

    first: int
    more: int
    close: float
    near: float
    method: str = "highs"


# By the most slots: at a thousand each round takes seconds, and the last thousandth most of the rounds. There HiGHS's
# interior point method takes half of its simplex's time or less; at 200 slots the whole may take more with it,
# and there a second whole-number programme took 7 s to lower the bound by a thousandth, with the same plan.
EFFORTS = {
    100: Effort(20, 20, 1e-6, 1e-6),
    300: Effort(6, 6, 1e-4, 2e-3),
    1 << 30: Effort(6, 6, 2e-3, 2e-3, "highs-ipm"),
}


@dataclass(frozen=True, eq=False)
class Extra:
    """One more row over the slots: the sum of ``cost`` (programmes × slots) over what is shown is at most ``most``."""

    cost: Floats
    most: float


@dataclass(frozen=True, eq=False)
class Master:
    """The linear programme over some columns: which pairs, which rows on runs, and what is asked beside the rules."""

    show: Ints
    slot: Ints
    runs: Bools
    extras: tuple[Extra, ...] = ()


@dataclass(frozen=True, eq=False)
class Prices:
    """What the rules cost at the optimum: a use, a genre in a slot (runs, caps, balance), a row; and the constants."""

    use: Floats
    genre: Floats
    extra: Floats
    constant: float


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The optimum without whole numbers: ``share`` of each column, what no timetable can exceed, and the prices.

    ``at_prices`` is the bound these prices prove; an earlier round may have proven the lower one.
    ``gain`` is what each pair would add at these prices, with minus infinity where it is not allowed, and ``slot_gain``
    the greatest of each slot.
    """

    master: Master
    share: Floats
    value: float
    bound: float
    at_prices: float
    gain: Floats
    slot_gain: Floats


def relax(grid: Grid, weights: Floats, extras: Sequence[Extra] = (), begun: Master | None = None) -> Relaxation:
    """Return the optimum without whole numbers under these weights, and the bound that is proven for whole ones.

    It goes on from the columns and runs of *begun*, a master of the same grid, else from the best of each slot.
    """
    values = grid.values(weights)
    effort = effort_of(grid)
    master, best = replace(begun or _first(grid, values, effort.first), extras=tuple(extras)), np.inf
    for _ in range(MOST_ROUNDS):
        found = _solve(grid, values, weights, master, effort.method)
        best = min(best, found.bound)
        broken = _broken_runs(grid, found) & ~master.runs
        # A run still broken makes the value too high, never the bound too low.
        if best - found.value < effort.close and (not broken.any() or grid.slots > ROUGH):
            break
        grown = _priced_in(grid, found, effort.more)
        if grown is None and not broken.any():
            break
        master = replace(grown or master, runs=master.runs | broken)
    return replace(found, bound=best)


def effort_of(grid: Grid) -> Effort:
    """Return what a relaxation of so many slots is worth."""
    return next(each for most, each in EFFORTS.items() if grid.slots <= most)


def coefficients(grid: Grid, master: Master, weights: Floats) -> tuple[sparse.csr_array, Floats]:
    """Return the rows ``A x <= b``: uses, caps, runs, extras, then balance; x is columns, empty slots, distances."""
    columns, slots, genres = len(master.show), grid.slots, grid.genres
    place, genre = np.arange(columns), grid.genre[master.show]
    shows, days = grid.empty, len(grid.caps)
    rows = [master.show, shows + grid.day[master.slot] * genres + genre]
    cols, data = [place, place], [np.ones(columns), np.ones(columns)]
    most = [grid.uses[:-1].astype(float), grid.caps[:, :genres].astype(float).ravel()]
    at = shows + days * genres
    number = np.cumsum(master.runs.ravel()).reshape(master.runs.shape) - 1
    for back in range(grid.in_a_row + 1):
        start = master.slot - back
        within = (start >= 0) & master.runs[start, genre]
        rows.append(at + number[start, genre][within])
        cols.append(place[within])
        data.append(np.ones(int(within.sum())))
    most.append(np.full(int(master.runs.sum()), float(grid.in_a_row)))
    at += int(master.runs.sum())
    for extra in master.extras:
        rows.append(np.full(columns, at))
        cols.append(place)
        data.append(extra.cost[master.show, master.slot])
        most.append(np.array([extra.most]))
        at += 1
    if weights[2] > 0:
        share, distance = 1 / max(int(grid.available.sum()), 1), columns + slots + np.arange(genres)
        for sign in (1.0, -1.0):
            rows += [at + genre, at + np.arange(genres)]
            cols += [place, distance]
            data += [np.full(columns, sign * share), np.full(genres, -1.0)]
            most.append(sign * grid.shares)
            at += genres
    shape = (at, columns + slots + genres)
    joined = (np.concatenate(data), (np.concatenate(rows), np.concatenate(cols)))
    return sparse.csr_array(sparse.coo_array(joined, shape=shape)), np.concatenate(most)


def costs(grid: Grid, master: Master, weights: Floats) -> Floats:
    """Return what is to be made small: the values turned round, what empty slots cost, and half of each distance."""
    values = grid.values(weights)[master.show, master.slot]
    empty = np.where(grid.available, EMPTY_COSTS, 0.0)
    return np.concatenate([-values, empty, np.full(grid.genres, weights[2] / 2)])


def one_per_slot(grid: Grid, master: Master) -> sparse.csr_array:
    """Return the rows that say: each slot has one programme, or is empty."""
    columns, slots = len(master.show), grid.slots
    rows = np.concatenate([master.slot, np.arange(slots)])
    cols = np.arange(columns + slots)
    return sparse.csr_array((np.ones(len(rows)), (rows, cols)), shape=(slots, columns + slots + grid.genres))


def all_runs(grid: Grid) -> Bools:
    """Return slots × genres where a run of one too many could start: as many slots of that day follow."""
    last = np.arange(grid.slots) + grid.in_a_row
    starts = last < grid.slots
    starts[starts] = grid.day[last[starts]] == grid.day[starts]
    return np.repeat(starts[:, None], grid.genres, axis=1)


def _first(grid: Grid, values: Floats, many: int) -> Master:
    gain = np.where(grid.allowed[:-1], values[:-1], -np.inf)
    wanted = np.zeros(gain.shape, bool)
    for genre in range(grid.genres):
        own = np.flatnonzero(grid.genre[:-1] == genre)
        if len(own):
            wanted[own[np.argmax(gain[own], axis=0)], np.arange(grid.slots)] = True
    # Without a plan that fills the slots among them, the first prices would be those of empty slots.
    plan = assign(np.vstack([values[:-1], np.zeros((1, grid.slots))]), grid.allowed, grid.uses)
    filled = plan < grid.empty
    wanted[plan[filled], np.flatnonzero(filled)] = True
    top = np.argpartition(-gain, min(many, len(gain) - 1), axis=0)[:many]
    wanted[top, np.arange(grid.slots)] = True
    show, slot = np.nonzero(wanted & grid.allowed[:-1])
    return Master(show, slot, np.zeros((grid.slots, grid.genres), bool))


def _solve(grid: Grid, values: Floats, weights: Floats, master: Master, method: str) -> Relaxation:
    rows, most = coefficients(grid, master, weights)
    found = linprog(
        costs(grid, master, weights),
        A_ub=rows,
        b_ub=most,
        A_eq=one_per_slot(grid, master),
        b_eq=np.ones(grid.slots),
        bounds=(0, None),
        method=method,
    )
    prices = _prices(grid, master, weights, np.maximum(-found.ineqlin.marginals, 0), most)
    gain = values[:-1] - prices.use[:, None] - prices.genre.T[grid.genre[:-1]]
    for price, extra in zip(prices.extra, master.extras, strict=True):
        gain = gain - price * extra.cost
    gain = np.where(grid.allowed[:-1], gain, -np.inf)
    slot_gain = np.maximum(gain.max(axis=0), np.where(grid.available, -EMPTY_COSTS, 0.0))
    bound = float(slot_gain.sum()) + prices.constant
    return Relaxation(master, found.x[: len(master.show)], weights[2] - found.fun, bound, bound, gain, slot_gain)


def _prices(grid: Grid, master: Master, weights: Floats, dual: Floats, most: Floats) -> Prices:
    """Return the prices of the rows; the balance's is cut to what keeps the bound valid, half its weight either way."""
    shows, genres = grid.empty, grid.genres
    caps, runs = len(grid.caps) * genres, int(master.runs.sum())
    use, cap, run, extra, rest = np.split(dual, np.cumsum([shows, caps, runs, len(master.extras)]))
    genre = cap.reshape(-1, genres)[grid.day].copy()
    start, which = np.nonzero(master.runs)
    for ahead in range(grid.in_a_row + 1):
        np.add.at(genre, (start + ahead, which), run)
    constant = float((dual[: -len(rest) or None] * most[: -len(rest) or None]).sum()) + weights[2]
    if len(rest):
        pull = np.clip(rest[:genres] - rest[genres:], -weights[2] / 2, weights[2] / 2)
        genre += pull / max(int(grid.available.sum()), 1)
        constant += float(pull @ grid.shares)
    return Prices(use, genre, extra, constant)


def _broken_runs(grid: Grid, found: Relaxation) -> Bools:
    load = np.zeros((grid.slots, grid.genres))
    np.add.at(load, (found.master.slot, grid.genre[found.master.show]), found.share)
    together = load.copy()
    for ahead in range(1, grid.in_a_row + 1):
        together[:-ahead] += load[ahead:]
    return all_runs(grid) & (together > grid.in_a_row + 1e-7)


def _priced_in(grid: Grid, found: Relaxation, most: int) -> Master | None:
    """Return the master with the columns that the prices call for, or None where there is none."""
    known = np.zeros(found.gain.shape, bool)
    known[found.master.show, found.master.slot] = True
    inside = np.where(known, found.gain, -np.inf).max(axis=0)
    inside = np.maximum(inside, np.where(grid.available, -EMPTY_COSTS, 0.0))
    better = np.where(known, -np.inf, found.gain - inside)
    top = np.argpartition(-better, min(most, len(better) - 1), axis=0)[:most]
    slot = np.broadcast_to(np.arange(grid.slots), top.shape)
    calls = better[top, slot] > 1e-10
    if not calls.any():
        return None
    show, where = top[calls], slot[calls]
    return replace(
        found.master,
        show=np.concatenate([found.master.show, show]),
        slot=np.concatenate([found.master.slot, where]),
    )


def bound_at_least(found: Relaxation, value: float) -> npt.NDArray[np.bool_]:
    """Return the pairs that a timetable worth more than *value* may hold: the others would lower the bound below it."""
    return np.asarray(found.at_prices - (found.slot_gain[None, :] - found.gain) > value)
