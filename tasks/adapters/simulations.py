"""Asks a ring's verified champion what it would say of one row under many settings of its levers.

The rows it learned from say what goes with a setting and how many were like it; its holdout how far it errs. What is
made of the answers is core's part.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.adapters import contents, frames, serving
from tasks.adapters.blobs import blob_path
from tasks.adapters.serving import Serving
from tasks.adapters.store import Store
from tasks.core import simulation
from tasks.core.evidence import Evidence
from tasks.core.models import COVERAGE, Model
from tasks.core.scoring import BLOCK_ROWS, answers
from tasks.core.simulation import Advice, Choice, Residuals, Value, Varied
from tasks.errors import BadRequest
from tasks.workloads.spec import Workload

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Simulated:
    """What came of it; ``outside`` of the ``points`` are unlike what the model has seen, ``warnings`` are the row's.

    ``interval`` says what kind of interval stands beside a difference.
    """

    workload: str
    ring: str
    version: str
    entity: str
    points: int
    outside: int
    warnings: tuple[str, ...]
    advice: tuple[Advice, ...]
    interval: str


INTERVAL = (
    f"{COVERAGE:.0%} prediction interval of the difference between two that share no luck, one as it is and one as "
    "set, from the errors on untouched holdout rows; that the best of many settings is shown is not corrected for. "
    "The model says what goes together in the rows it learned from, not what causes what: all else is held as it is"
)


@dataclass(frozen=True)
class Simulator:
    """A ring's champion, opened and verified, with what it learned from; everything is read when it is first needed."""

    store: Store
    spec: Workload
    serving: Serving
    targets: tuple[str, ...]

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """The model of every target that is asked for."""
        return {target: contents.model_of(self.serving.bundle, target) for target in self.targets}

    @cached_property
    def evidence(self) -> Evidence:
        """What the champion was judged on."""
        return contents.evidence_of(self.serving.bundle)

    @cached_property
    def profile(self) -> Mapping[str, Any]:
        """What the rows it learned from looked like."""
        found: dict[str, Any] = json.loads(self.serving.bundle.read(contents.PROFILE))
        return found

    @property
    def seen(self) -> dict[str, list[str]]:
        """The levels of every category it has seen, the commonest first."""
        return {name: list(known["counts"]) for name, known in self.profile["categories"].items()}

    @property
    def accepted(self) -> pl.LazyFrame:
        """The rows it learned from, as they were read."""
        return pl.scan_parquet(blob_path(self.store, self.evidence.contracted.accepted))

    def residuals(self, target: str) -> Residuals:
        """Return how far the holdout's rows lay from their prediction."""
        judged = next(each for each in self.evidence.evaluations if each.target == target)
        rows = frames.read(self.store, judged.predictions).drop_nulls(["actual", "predicted"])
        actual, predicted = (rows[name].cast(pl.Float64).to_numpy() for name in ("actual", "predicted"))
        return Residuals(self.models[target].learned.scale, actual, predicted, self.spec.holdout.seed)


def opened(store: Store, keys: Path, spec: Workload, ring: str, target: str | None) -> Simulator:
    """Open what serves in *ring*; raises BadRequest where nothing does, or it serves no such *target*."""
    found = serving.open_champion(store, keys, spec.name, ring)
    contents.refuse_other_features(found.bundle, spec)
    serves = found.entry.serves
    if target is not None and target not in serves:
        raise BadRequest(f"{found.entry.version} serves no {target!r} in {ring}; it serves: {', '.join(serves)}")
    return Simulator(store, spec, found, (target,) if target else serves)


def learned_row(simulator: Simulator, entity: str) -> pl.DataFrame:
    """Return the newest row of *entity* the champion learned from, as it was read; BadRequest if there is none."""
    spec = simulator.spec
    found = simulator.accepted.filter(pl.col(spec.entity) == entity).sort(spec.event_time).tail(1).collect()
    if found.height:
        return found
    raise BadRequest(
        f"none of the {simulator.evidence.contracted.rows_accepted:,} rows that {simulator.serving.entry.version} of "
        f"{spec.name} learned from is of {spec.entity} {entity!r}; spell it as there, or give its row with --from FILE"
    )


def simulate(
    simulator: Simulator,
    base: pl.DataFrame,
    varied: Sequence[Varied],
    points: int,
    top: int,
    told: Callable[[int], None],
) -> Simulated:
    """Answer every setting of *base*, one raw row, and advise; *told* hears of every block of settings answered."""
    spec, entry = simulator.spec, simulator.serving.entry
    brought = {
        each.lever.name: simulation.company(simulator.accepted, each.lever) for each in varied if each.lever.brings
    }
    rows_with = partial(simulation.rows_with, spec, base, brought=brought)
    as_it_is = spec.derive(base.lazy()).collect()
    # What is strange as it is, is so in every setting, and is told once.
    known = [name for name in spec.feature_names if not simulation.count_outside(as_it_is, [name], simulator.profile)]
    predicted: dict[str, list[Floats]] = {target: [] for target in simulator.targets}
    outside = 0
    for start in range(0, points, BLOCK_ROWS):
        rows = rows_with(simulation.settings_between(varied, start, min(start + BLOCK_ROWS, points)))
        outside += simulation.count_outside(rows, known, simulator.profile)
        answered = answers(rows, simulator.models)
        for target, found in predicted.items():
            found.append(answered[target].to_numpy())
        told(rows.height)
    asked = _Asked(simulator, as_it_is, tuple(varied), rows_with, top)
    advice = tuple(asked.advice(target, np.concatenate(found)) for target, found in predicted.items())
    warnings = simulation.unseen(as_it_is, spec.feature_names, simulator.profile)
    entity = str(base[spec.entity][0])
    return Simulated(spec.name, entry.ring, entry.version, entity, points, outside, warnings, advice, INTERVAL)


@dataclass(frozen=True)
class _Asked:
    """One question, answered target by target."""

    simulator: Simulator
    as_it_is: pl.DataFrame
    varied: tuple[Varied, ...]
    rows_with: Callable[[pl.DataFrame], pl.DataFrame]
    top: int

    def advice(self, target: str, predicted: Floats) -> Advice:
        was = float(answers(self.as_it_is, {target: self.simulator.models[target]})[target][0])
        alone = [self._best_alone(target, was, each) for each in self.varied]
        best = simulation.best_of(predicted, self.top)
        together = [self._choice(target, was, simulation.settings_between(self.varied, at, at + 1)) for at in best]
        unit = self.simulator.spec.target(target).unit
        order = sorted(alone, key=lambda choice: -choice.difference.value)
        return Advice(target, unit, was, tuple(order), tuple(together))

    def _best_alone(self, target: str, was: float, varied: Varied) -> Choice:
        settings = pl.DataFrame({varied.lever.name: varied.values})
        found = answers(self.rows_with(settings), {target: self.simulator.models[target]})[target].to_numpy()
        return self._choice(target, was, settings[simulation.best_of(found, 1)])

    def _choice(self, target: str, was: float, setting: pl.DataFrame) -> Choice:
        simulator, spec = self.simulator, self.simulator.spec
        row = self.rows_with(setting)
        predicted = float(answers(row, {target: simulator.models[target]})[target][0])
        features = [each.lever.feature for each in self.varied if each.lever.name in setting.columns]
        learned = self._learned.select(features)
        like = simulation.alike(learned, row, features)
        reads = [feature.name for feature in spec.features_for(spec.target(target))]
        own = set(simulation.unseen(self.as_it_is, reads, simulator.profile))
        strange = tuple(each for each in simulation.unseen(row, reads, simulator.profile) if each not in own)
        settings: Mapping[str, Value] = setting.row(0, named=True)
        difference = self._residuals[target].difference(was, predicted)
        return Choice(settings, predicted, difference, like, (*strange, *simulation.few(like, learned.height)))

    @cached_property
    def _learned(self) -> pl.DataFrame:
        return frames.read(self.simulator.store, self.simulator.evidence.training_set.rows)

    @cached_property
    def _residuals(self) -> Mapping[str, Residuals]:
        return {target: self.simulator.residuals(target) for target in self.simulator.targets}
