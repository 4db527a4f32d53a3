"""Programmes that nothing tells apart are one kind with the uses of all: a smaller problem, the same best timetable.

What never aired is predicted from its genre and length alone, so hundreds of programmes may have the same figures; as
variables of their own they keep a linear programme busy with exchanges that change nothing. Who of a kind is shown is
decided here, after all solving.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tasks.core.timetable.grid import UNLIMITED, Grid, Ints


@dataclass(frozen=True, eq=False)
class Kinds:
    """The grid whose programmes are kinds, in the order of their first programmes; ``of`` is each programme's kind.

    ``uses`` are those of each programme. Both end with *empty*.
    """

    grid: Grid
    of: Ints
    uses: Ints

    def named(self, plan: Ints) -> Ints:
        """Return a plan of kinds as one of programmes: those of a kind take turns, as long as each has uses left."""
        _, first, alike = np.unique(self.of, return_index=True, return_counts=True)
        found = first[plan]
        for kind in np.unique(plan[alike[plan] > 1]):
            slots, shows = np.flatnonzero(plan == kind), np.flatnonzero(self.of == kind)
            uses = np.minimum(self.uses[shows], len(slots))
            turn = np.concatenate([np.arange(each) for each in uses])
            found[slots] = np.repeat(shows, uses)[np.argsort(turn, kind="stable")][: len(slots)]
        return found


def kinds_of(grid: Grid) -> Kinds:
    """Return the kinds: of one are programmes of one genre, allowed in the same slots and worth the same there."""
    place: dict[tuple[object, ...], int] = {}
    rows = zip(grid.genre, grid.allowed, grid.revenue, grid.audience, strict=True)
    keys = [(genre, *(each.tobytes() for each in tables)) for genre, *tables in rows]
    of = np.array([place.setdefault(key, len(place)) for key in keys])
    first = np.unique(of, return_index=True)[1]
    uses = np.zeros(len(first), grid.uses.dtype)
    np.add.at(uses, of, grid.uses)
    fewer = replace(
        grid,
        allowed=grid.allowed[first],
        reasons=grid.reasons[first[:-1]],
        revenue=grid.revenue[first],
        audience=grid.audience[first],
        genre=grid.genre[first],
        uses=np.minimum(uses, UNLIMITED),
    )
    return Kinds(fewer, of, grid.uses)
