"""From a problem to a timetable with its certified gap, by the engine asked for; every answer passes the checker first.

Engines are in the modules beside; what becomes of a timetable does not belong here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from tasks.core.timetable.bound import Relaxation, effort_of, relax
from tasks.core.timetable.checker import Totals, totals, violations
from tasks.core.timetable.evolution import Progress, Search, Settings, State, default_settings, evolve
from tasks.core.timetable.evolution_ga import GaSettings, Genetic
from tasks.core.timetable.exact import round_up
from tasks.core.timetable.grid import Grid, Ints, gap_of, grid_of, schedule_of, worth
from tasks.core.timetable.kinds import kinds_of
from tasks.core.timetable.missing import Missing, eased, letter, missing
from tasks.core.timetable.polish import best_of, polish
from tasks.core.timetable.problem import Problem
from tasks.core.timetable.repair import repair
from tasks.core.timetable.seeds import propose
from tasks.errors import BadRequest, GreenlightError, NoTimetable

# Rounding for the wanted weights is cheap up to FEW_SLOTS; more nodes are what the engine `exact` is for.
FEW_SLOTS, FEW_NODES = 300, 50


@dataclass(frozen=True)
class Timetable:
    """A schedule that the checker passed: what it comes to, and how far from the best it can be.

    ``value`` is its weighted score less what empty slots cost, ``bound`` what no timetable can exceed, ``gap`` the
    distance between them as a share. ``front`` are the schedules none of which is better in every goal.
    """

    schedule: tuple[str | None, ...]
    totals: Totals
    value: float
    bound: float
    gap: float
    missing: tuple[Missing, ...]
    front: tuple[tuple[str | None, ...], ...]
    log: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Turned:
    """What an engine may be handed: settings, a state to go on from, and whom to tell."""

    settings: Settings | GaSettings | None = None
    state: State | None = None
    watch: Callable[[Progress], None] | None = None
    keep: Callable[[State], None] | None = None


@dataclass(frozen=True, eq=False)
class Found:
    """What an engine found, in kinds: best plan, front, log, and the bound, lower where the engine proved more."""

    plan: Ints
    front: Ints
    log: tuple[Mapping[str, Any], ...]
    bound: float


def timetable(
    problem: Problem, engine: str = "hybrid", turned: Turned | None = None, partial: bool = False
) -> Timetable:
    """Return the timetable the engine finds; raises NoTimetable if slots stay empty, unless *partial* is asked for."""
    if engine not in ENGINES:
        raise BadRequest(f"{engine!r} is no engine; the engines are: {', '.join(ENGINES)}")
    grid = grid_of(problem)
    kinds = kinds_of(grid)
    found = ENGINES[engine](kinds.grid, relax(kinds.grid, grid.weights), turned or Turned())
    best, *front = (kinds.named(plan) for plan in (found.plan, *found.front))
    for plan in (best, *front):
        _refuse_broken(problem, plan)
    lacking = missing(problem, grid, best)
    if lacking and not partial:
        raise NoTimetable(letter(lacking, eased(grid, best), grid.slots))
    value, schedule = worth(grid, best), schedule_of(problem, best)
    return Timetable(
        schedule=schedule,
        totals=totals(problem, schedule),
        value=value,
        bound=found.bound,
        gap=gap_of(value, found.bound),
        missing=lacking,
        front=tuple(schedule_of(problem, plan) for plan in front),
        log=found.log,
    )


def _exact(grid: Grid, relaxation: Relaxation, _: Turned) -> Found:
    proven = round_up(grid, grid.weights, relaxation)
    if proven.plan is None:
        raise GreenlightError("HiGHS found no plan within its nodes; use the engine hybrid")
    return Found(proven.plan, proven.plan[None], (), proven.bound)


def _hybrid(grid: Grid, relaxation: Relaxation, turned: Turned) -> Found:
    bound, whole = relaxation.bound, None
    if grid.slots <= FEW_SLOTS:
        proven = round_up(grid, grid.weights, relaxation, FEW_NODES, effort_of(grid).near)
        bound, whole = proven.bound, proven.plan
    search = Search(grid, _settings(turned, Settings, default_settings(grid.slots)), bound)
    if turned.state is None:
        plans, weights = propose(grid, relaxation)
        plans[0] = plans[0] if whole is None else whole
        search.start(plans, weights)
    else:
        search.go_on(turned.state)
    evolve(search, turned.watch, turned.keep)
    state = search.state()
    best = polish(grid, best_of(grid, state.front, grid.weights), grid.weights)
    return Found(best, state.front, state.log, bound)


def _ga(grid: Grid, relaxation: Relaxation, turned: Turned) -> Found:
    settings = _settings(turned, GaSettings, GaSettings())
    search = Genetic(grid, settings, relaxation.bound)
    if turned.state is None:
        search.start()
    else:
        search.go_on(turned.state)
    evolve(search, turned.watch, turned.keep)
    state = search.state()
    # Legal plans are left as they are; those of a run without repair seldom are.
    weights = np.tile(grid.weights, (len(state.front), 1))
    plans = repair(grid, state.front, weights, np.random.default_rng(settings.seed))
    return Found(best_of(grid, plans, grid.weights), plans, state.log, relaxation.bound)


def _settings(turned: Turned, wanted: type[Any], default: Any) -> Any:
    if turned.settings is not None and not isinstance(turned.settings, wanted):
        raise BadRequest(f"the settings are {type(turned.settings).__name__}; this engine wants {wanted.__name__}")
    return turned.settings or default


ENGINES: Mapping[str, Callable[[Grid, Relaxation, Turned], Found]] = MappingProxyType(
    {"hybrid": _hybrid, "ga": _ga, "exact": _exact}
)


def _refuse_broken(problem: Problem, plan: Ints) -> None:
    broken = violations(problem, schedule_of(problem, np.asarray(plan)))
    if broken:
        raise GreenlightError(
            f"a timetable of ours breaks {len(broken)} rules, wanted 0, first: {broken[0].sentence}; our fault: "
            "please report it with the problem"
        )
