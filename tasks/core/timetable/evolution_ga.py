"""The engine `ga`: one goal, lists of programme numbers, and DEAP's own operators, all of them to be chosen.

It is here to be turned and compared; `hybrid` finds more in less time. Without repair it is the textbook's, with
penalties, which the benchmarks show to fail. DEAP's operators draw from the process's one `random`: it is borrowed
under a lock and given back, so no other search disturbs this one.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
from deap import algorithms, base, tools

from tasks.core.timetable.evolution import STILL, Progress, State
from tasks.core.timetable.grid import EMPTY_COSTS, Floats, Grid, Ints, empties, gap_of, objectives
from tasks.core.timetable.repair import repair
from tasks.errors import BadRequest

BORROWED = Lock()
HALL = 10
SELECTIONS = ("tournament", "roulette")
CROSSOVERS = ("single point", "uniform")
MUTATIONS = ("swap", "shuffle")


@dataclass(frozen=True)
class GaSettings:
    """What may be turned of `ga`; ``penalty`` is taken off for each broken rule where plans are not ``repaired``."""

    population: int = 100
    generations: int = 100
    selection: str = "tournament"
    tournament: int = 3
    crossover: str = "single point"
    crossed: float = 0.8
    mutation: str = "swap"
    mutated: float = 0.3
    mutated_slots: float = 0.05
    repaired: bool = True
    penalty: float = 0.05
    elite: int = 2
    patience: int = 30
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse a misspelt operator, or a population smaller than its elite, with BadRequest."""
        for name, known in (("selection", SELECTIONS), ("crossover", CROSSOVERS), ("mutation", MUTATIONS)):
            if getattr(self, name) not in known:
                raise BadRequest(f"{getattr(self, name)!r} is no {name}; wanted one of: {', '.join(known)}")
        if not 0 < self.elite < self.population:
            raise BadRequest(f"an elite of {self.elite} of {self.population} plans; wanted 1 or more, and fewer")


class Score(base.Fitness):  # type: ignore[misc]
    """The weighted score, to be made great."""

    weights = (1.0,)


class Genes(list[int]):
    """A plan as DEAP's operators change it; ``chance`` is its share of the roulette wheel, never below 0."""

    def __init__(self, numbers: list[int]) -> None:
        super().__init__(numbers)
        self.fitness, self.chance = Score(), Score()


class Genetic:
    """A run of the genetic algorithm over one grid, with the same steps as ``evolution.Search``."""

    def __init__(self, grid: Grid, settings: GaSettings, bound: float) -> None:
        self.grid, self.settings, self.bound = grid, settings, bound
        self.draw = np.random.default_rng(settings.seed)
        self.dealt = random.Random(settings.seed).getstate()
        self.hall = tools.HallOfFame(HALL)
        self.log = tools.Logbook()
        self.generation, self.still, self.best = 0, 0, -np.inf
        self.plans: list[Genes] = []
        self.statistics = tools.Statistics(key=lambda plan: plan.fitness.values[0])
        self.statistics.register("most", lambda values: float(np.max(values)))
        self.statistics.register("mean", lambda values: float(np.mean(values)))
        self.toolbox = _toolbox(settings)

    def start(self) -> None:
        """Begin from random plans."""
        wishes = self.draw.integers(self.grid.empty, size=(self.settings.population, self.grid.slots))
        self._survive(self._evaluated(wishes))

    def step(self) -> None:
        """Make a generation: select, cross and mutate by DEAP, repair where asked, and keep the elite."""
        with self._dealing():
            chosen = self.toolbox.select(self.plans, self.settings.population - self.settings.elite)
            children = algorithms.varAnd(chosen, self.toolbox, self.settings.crossed, self.settings.mutated)
        self.generation += 1
        elite = tools.selBest(self.plans, self.settings.elite)
        self._survive([*elite, *self._evaluated(np.array(children))])

    @property
    def finished(self) -> bool:
        """Return whether generations or patience are used up."""
        return self.generation >= self.settings.generations or self.still >= self.settings.patience

    def state(self) -> State:
        """Return what a run would go on from."""
        chance = {"numpy": deepcopy(self.draw.bit_generator.state), "random": self.dealt}
        log = tuple(dict(each) for each in self.log)
        plans, hall = np.array(self.plans), np.array(list(self.hall))
        return State(self.generation, plans, hall, np.array([self.best]), self.still, log, chance)

    def go_on(self, state: State) -> None:
        """Take up a run where *state* was taken."""
        self.plans = self._weighed(state.population)
        self.hall.update(self._weighed(state.front[::-1]))
        self.generation, self.still, self.best = state.generation, state.still, float(state.reached[0])
        for record in state.log:
            self.log.record(**record)
        self.draw.bit_generator.state = deepcopy(dict(state.chance["numpy"]))
        version, numbers, gauss = state.chance["random"]
        self.dealt = (version, tuple(numbers), gauss)

    def progress(self) -> Progress:
        """Return where the search is."""
        return Progress(self.generation, self.best, gap_of(self.best, self.bound), len(self.hall))

    def _survive(self, plans: list[Genes]) -> None:
        self.plans = plans
        self.hall.update(plans)
        best = self.hall[0].fitness.values[0]
        self.still = 0 if best > self.best + STILL else self.still + 1
        self.best = max(best, self.best)
        at = self.progress()
        self.log.record(generation=at.generation, best=at.best, gap=at.gap, **self.statistics.compile(plans))

    def _evaluated(self, wishes: Ints) -> list[Genes]:
        weights = np.tile(self.grid.weights, (len(wishes), 1))
        return self._weighed(repair(self.grid, wishes, weights, self.draw) if self.settings.repaired else wishes)

    def _weighed(self, plans: Ints) -> list[Genes]:
        score = objectives(self.grid, plans) @ self.grid.weights - EMPTY_COSTS * empties(self.grid, plans)
        score = score - self.settings.penalty * broken(self.grid, plans)
        made = [Genes(plan) for plan in plans.tolist()]
        for genes, value, above in zip(made, score.tolist(), (score - score.min() + 1e-6).tolist(), strict=True):
            genes.fitness.values, genes.chance.values = (value,), (above,)
        return made

    @contextmanager
    def _dealing(self) -> Iterator[None]:
        with BORROWED:
            before = random.getstate()
            random.setstate(self.dealt)
            try:
                yield
            finally:
                self.dealt = random.getstate()
                random.setstate(before)


def broken(grid: Grid, plans: Ints) -> Floats:
    """Return how many rules each plan breaks: pairs, uses, runs and caps of a day, each counted once per excess."""
    many, slots = plans.shape
    rows, genre = np.arange(many)[:, None], grid.genre[plans]
    used = np.zeros((many, grid.empty + 1), np.intp)
    np.add.at(used, (rows, plans), 1)
    a_day = np.zeros((many, len(grid.caps), grid.genres + 1), np.intp)
    np.add.at(a_day, (rows, grid.day, genre), 1)
    starts = np.flatnonzero(np.arange(slots) + grid.in_a_row < slots)
    starts = starts[grid.day[starts] == grid.day[starts + grid.in_a_row]]
    same = np.all([genre[:, starts] == genre[:, starts + far] for far in range(1, grid.in_a_row + 1)], axis=0)
    runs = (same & (genre[:, starts] < grid.genres)).sum(axis=1)
    over = np.maximum(used - grid.uses, 0).sum(axis=1) + np.maximum(a_day - grid.caps, 0).sum(axis=(1, 2))
    return np.asarray(over + runs + (~grid.allowed[plans, np.arange(slots)]).sum(axis=1), float)


def _toolbox(settings: GaSettings) -> Any:
    toolbox = base.Toolbox()
    if settings.selection == "tournament":
        toolbox.register("select", tools.selTournament, tournsize=settings.tournament)
    else:
        toolbox.register("select", tools.selRoulette, fit_attr="chance")
    if settings.crossover == "single point":
        toolbox.register("mate", tools.cxOnePoint)
    else:
        toolbox.register("mate", tools.cxUniform, indpb=0.5)
    mutate = tools.mutShuffleIndexes if settings.mutation == "shuffle" else _swapped
    toolbox.register("mutate", mutate, indpb=settings.mutated_slots)
    return toolbox


def _swapped(genes: Genes, indpb: float) -> tuple[Genes]:
    """Return the genes with each slot, by chance *indpb*, swapped with its neighbour after it."""
    for slot in range(len(genes) - 1):
        if random.random() < indpb:
            genes[slot], genes[slot + 1] = genes[slot + 1], genes[slot]
    return (genes,)
