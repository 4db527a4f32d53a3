"""DEAP's home: the search for a front of timetables (`hybrid`), by NSGA-II over plans that are always legal.

Whole populations are repaired and evaluated as arrays; DEAP selects, keeps the front and the log. All chance comes from
the generator of the run, so a run goes on from its state bit for bit (checkpoint.py). How good the result is at best is
bound.py's to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from deap import base, tools

from tasks.core.timetable.grid import EMPTY_COSTS, Floats, Grid, Ints, empties, gap_of, objectives
from tasks.core.timetable.polish import polish
from tasks.core.timetable.repair import repair
from tasks.core.timetable.seeds import directions

# A front that gains less than this in a generation, over all directions, stands still.
STILL = 1e-6
# Changes a memetic child may take: more is the final polish's work.
FEW_CHANGES = 5


@dataclass(frozen=True)
class Settings:
    """What may be turned of `hybrid`; the share of plans that are crossed, and of slots that mutate in one."""

    population: int = 100
    generations: int = 30
    crossed: float = 0.9
    mutated: float = 0.04
    memetic: int = 3
    patience: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """Where the search is: the generation, the best score so far, how far below the bound, and how large the front."""

    generation: int
    best: float
    gap: float
    front: int


@dataclass(frozen=True, eq=False)
class State:
    """All a run needs to go on as if it had never stopped."""

    generation: int
    population: Ints
    front: Ints
    reached: Floats
    still: int
    log: tuple[Mapping[str, Any], ...]
    chance: Mapping[str, Any]


class Fitness(base.Fitness):  # type: ignore[misc]
    """Revenue, audience and balance, each to be made great; a goal without a weight is 0 throughout."""

    weights = (1.0, 1.0, 1.0)


class Plan(np.ndarray):
    """A plan as DEAP keeps it: an array with a fitness."""

    fitness: Fitness

    def __array_finalize__(self, _: Any) -> None:
        """Give every new array a fitness of its own."""
        self.fitness = Fitness()

    def __deepcopy__(self, memo: dict[int, Any] | None) -> Plan:
        """Copy the fitness along, which numpy would leave behind."""
        twin = self.copy()
        twin.fitness = deepcopy(self.fitness)
        return twin


def default_settings(slots: int, seed: int = 0) -> Settings:
    """Return settings whose search takes seconds: a thousand slots cost twenty times as much as fifty."""
    if slots <= 100:
        return Settings(seed=seed)
    if slots <= 300:
        return Settings(population=60, generations=15, memetic=2, patience=5, seed=seed)
    return Settings(population=16, generations=4, memetic=1, patience=2, seed=seed)


class Search:
    """A run of NSGA-II over one grid; ``step`` makes a generation, ``state`` is what it would go on from."""

    def __init__(self, grid: Grid, settings: Settings, bound: float) -> None:
        self.grid, self.settings, self.bound = grid, settings, bound
        self.draw = np.random.default_rng(settings.seed)
        self.toward = directions(grid.weights)
        self.front = tools.ParetoFront(similar=np.array_equal)
        self.log = tools.Logbook()
        self.generation, self.still = 0, 0
        self.reached = np.full(len(self.toward), -np.inf)
        self.plans: list[Plan] = []
        self.statistics = tools.Statistics(key=lambda plan: plan.fitness.values)
        self.statistics.register("most", lambda values: np.max(values, axis=0).tolist())
        self.statistics.register("mean", lambda values: np.mean(values, axis=0).tolist())
        self.toolbox = base.Toolbox()
        self.toolbox.register("evaluate", _evaluated, grid)
        self.toolbox.register("mate", _crossed, share=settings.crossed, draw=self.draw)
        self.toolbox.register("mutate", _mutated, grid, share=settings.mutated, draw=self.draw)
        self.toolbox.register("repair", repair, grid, draw=self.draw)
        self.toolbox.register("polish", polish, grid, changes=FEW_CHANGES)
        self.toolbox.register("select", tools.selNSGA2, nd="log")

    def start(self, seeds: Ints, weights: Floats) -> None:
        """Begin from the seeds, repaired and polished, each for its weights, and from repaired plans around them."""
        ready = self.toolbox.repair(seeds, weights)
        polished = [self.toolbox.polish(plan, by) for plan, by in zip(ready, weights, strict=True)]
        more = max(self.settings.population - len(polished), 0)
        around = self.toolbox.mutate(np.array(polished)[self.draw.integers(len(polished), size=more)])
        self._survive([*self._evaluate(np.array(polished)), *self._evaluate(self._repaired(around))])

    def step(self) -> None:
        """Make a generation: parents by crowded tournament, crossed, mutated and repaired; a few children polished."""
        parents = self._parents()
        children = self._repaired(self.toolbox.mutate(self.toolbox.mate(parents)))
        for place in range(min(self.settings.memetic, len(children))):
            chosen = self.front[int(self.draw.integers(len(self.front)))]
            children[place] = self.toolbox.polish(np.array(chosen), self._weights(1)[0])
        self.generation += 1
        self._survive([*self.plans, *self._evaluate(children)])

    @property
    def finished(self) -> bool:
        """Return whether generations or patience are used up."""
        return self.generation >= self.settings.generations or self.still >= self.settings.patience

    def state(self) -> State:
        """Return what a run would go on from."""
        plans, front = np.array(self.plans), np.array(list(self.front))
        log = tuple(dict(each) for each in self.log)
        chance = self.draw.bit_generator.state
        return State(self.generation, plans, front, self.reached.copy(), self.still, log, deepcopy(chance))

    def go_on(self, state: State) -> None:
        """Take up a run where *state* was taken."""
        self.plans = self._evaluate(state.population)
        # Equals lie in the order opposite to the one they came in.
        self.front.update(self._evaluate(state.front[::-1]))
        self.generation, self.still, self.reached = state.generation, state.still, state.reached.copy()
        for record in state.log:
            self.log.record(**record)
        self.draw.bit_generator.state = deepcopy(dict(state.chance))

    def progress(self) -> Progress:
        """Return where the search is."""
        best = float(self.reached[0])
        return Progress(self.generation, best, gap_of(best, self.bound), len(self.front))

    def _survive(self, plans: list[Plan]) -> None:
        self.plans = self.toolbox.select(_unlike(plans), self.settings.population)
        self.front.update(self.plans)
        reached = np.maximum(self.reached, _scores(self.grid, self.plans, self.toward).max(axis=0))
        gained = float((reached - self.reached).mean()) > STILL
        self.reached, self.still = reached, 0 if gained else self.still + 1
        record = self.statistics.compile(self.plans)
        at = self.progress()
        self.log.record(generation=at.generation, best=at.best, gap=at.gap, front=at.front, **record)

    def _evaluate(self, plans: Ints) -> list[Plan]:
        return [_plan(row, values) for row, values in zip(plans, self.toolbox.evaluate(plans), strict=True)]

    def _weights(self, many: int) -> Floats:
        share = self.draw.dirichlet(np.ones(3), many) * (self.grid.weights > 0)
        return np.asarray(share / share.sum(axis=1, keepdims=True))

    def _repaired(self, wishes: Ints) -> Ints:
        return np.asarray(self.toolbox.repair(wishes, self._weights(len(wishes))))

    def _parents(self) -> Ints:
        tools.emo.assignCrowdingDist(self.plans)
        pairs = self.draw.integers(len(self.plans), size=(self.settings.population, 2))
        return np.array([_winner(self.plans[one], self.plans[other]) for one, other in pairs])


class Run(Protocol):
    """What can be stepped: a search of either engine."""

    @property
    def finished(self) -> bool:
        """Return whether it is at its end."""

    def step(self) -> None:
        """Make a generation."""

    def progress(self) -> Progress:
        """Return where it is."""

    def state(self) -> State:
        """Return what it would go on from."""


def evolve(
    search: Run, watch: Callable[[Progress], None] | None = None, keep: Callable[[State], None] | None = None
) -> None:
    """Step until finished; tell *watch* where it is and hand *keep* a state after every generation."""
    while not search.finished:
        search.step()
        if watch is not None:
            watch(search.progress())
        if keep is not None:
            keep(search.state())


def _plan(row: Ints, values: Floats) -> Plan:
    plan = np.array(row).view(Plan)
    plan.fitness.values = tuple(values.tolist())
    return plan


def _evaluated(grid: Grid, plans: Ints) -> Floats:
    active = (grid.weights > 0).astype(float)
    return np.asarray((objectives(grid, plans) - EMPTY_COSTS * empties(grid, plans)[:, None]) * active)


def _scores(grid: Grid, plans: list[Plan], toward: Floats) -> Floats:
    return np.array([plan.fitness.values for plan in plans]) @ toward.T


def _unlike(plans: list[Plan]) -> list[Plan]:
    return list({plan.tobytes(): plan for plan in reversed(plans)}.values())[::-1]


def _winner(one: Plan, other: Plan) -> Plan:
    if one.fitness.dominates(other.fitness):
        return one
    if other.fitness.dominates(one.fitness):
        return other
    return one if one.fitness.crowding_dist >= other.fitness.crowding_dist else other


def _crossed(parents: Ints, share: float, draw: np.random.Generator) -> Ints:
    """Return children with a stretch of slots of the next parent; a stretch keeps what lies side by side together."""
    many, slots = parents.shape
    ends = np.sort(draw.integers(slots + 1, size=(many, 2)), axis=1)
    inside = (np.arange(slots) >= ends[:, :1]) & (np.arange(slots) < ends[:, 1:])
    inside &= draw.random((many, 1)) < share
    return np.where(inside, np.roll(parents, -1, axis=0), parents)


def _mutated(grid: Grid, plans: Ints, share: float, draw: np.random.Generator) -> Ints:
    """Return plans with some slots swapped and some given to any programme; repair undoes what may not be."""
    plans = plans.copy()
    rows = np.arange(len(plans))
    one, other = draw.integers(grid.slots, size=(2, len(plans)))
    plans[rows, one], plans[rows, other] = plans[rows, other], plans[rows, one]
    anew = draw.random(plans.shape) < share
    plans[anew] = draw.integers(grid.empty, size=int(anew.sum()))
    return plans
