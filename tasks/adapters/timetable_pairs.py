"""Asks a champion of every programme in every slot it may fill, and a second model that does not choose of the same.

Only what was known when the timetable's first day began is told to either; a day's pairs are in memory at a time. What
is made of the answers is the core's part.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.adapters import contents, frames
from tasks.adapters.blobs import blob_path
from tasks.adapters.bundles import Bundle
from tasks.adapters.store import Store
from tasks.adapters.timetable_files import airtime_of
from tasks.core.evidence import Evidence
from tasks.core.models import Model
from tasks.core.scoring import BLOCK_ROWS
from tasks.core.timetable.asked import Asked
from tasks.core.timetable.honest import Aired, Witness, witness
from tasks.core.timetable.report import Predicted
from tasks.core.training import choose
from tasks.core.values import Blob
from tasks.errors import DataRejected
from tasks.workloads.airtime import Airtime
from tasks.workloads.spec import POLARS_TYPES, Candidate, Workload

Ints = npt.NDArray[np.intp]
GOALS = ("revenue", "audience")
PAIR, PROGRAMME, SLOT, OTHER = "_pair", "programme", "slot", "second"


@dataclass(frozen=True)
class Answers:
    """What was predicted of the pairs, and by goal what the second model says of airings; nothing serves ``missing``.

    ``told_both``: the champion was fitted again on all rows, those of the second model among them. Without ``aired``
    there was too little for a second model, for the reason in ``because``.
    """

    pairs: Blob
    aired: Mapping[str, Blob]
    missing: tuple[str, ...]
    told_both: bool
    because: str = ""


def missing_goals(spec: Workload, serves: tuple[str, ...]) -> tuple[str, ...]:
    """Return the goals for which nothing serves."""
    airtime = airtime_of(spec)
    return tuple(goal for goal in GOALS if getattr(airtime, goal) not in serves)


def features(store: Store, spec: Workload, accepted: Blob, asked: Asked, pairs: Ints) -> Iterator[pl.DataFrame]:
    """Yield day by day what the models read of the *pairs*, in their order within the day, numbered by ``PAIR``.

    Days are apart because a programme's row of one day would be taken for an airing by that of a later day.
    """
    airtime = airtime_of(spec)
    begins = datetime.combine(asked.slots[0].day, time(airtime.day_begins_hour), UTC)
    known = pl.scan_parquet(blob_path(store, accepted)).filter(pl.col(spec.event_time) < begins).collect()
    days = np.array([slot.day.toordinal() for slot in asked.slots])[pairs[:, 1]]
    for day in np.unique(days):
        numbers = np.flatnonzero(days == day)
        rows = pl.concat([known, _rows(spec, asked, pairs, numbers)], how="diagonal")
        derived = spec.derive(rows.lazy()).filter(pl.col(PAIR).is_not_null()).select(PAIR, *spec.feature_names)
        blank = [pl.lit(None, kind).alias(name) for name, kind in _kinds(derived, airtime)]
        yield derived.with_columns(blank).collect()


def _kinds(derived: pl.LazyFrame, airtime: Airtime) -> list[tuple[str, pl.DataType]]:
    schema = derived.collect_schema()
    return [(name, schema[name]) for name in airtime.by_neighbours]


def _rows(spec: Workload, asked: Asked, pairs: Ints, numbers: Ints) -> pl.DataFrame:
    airtime = airtime_of(spec)
    shows, slots = pairs[numbers, 0], pairs[numbers, 1]
    by_slot: dict[str, Sequence[Any]] = {
        spec.event_time: [each.start.replace(tzinfo=UTC) for each in asked.slots],
        airtime.clock: [f"{each.start:%H:%M}" for each in asked.slots],
        airtime.minutes: [each.minutes for each in asked.slots],
        **asked.of_slots,
    }
    by_programme: dict[str, Sequence[Any]] = {
        spec.entity: [each.name for each in asked.programmes],
        airtime.genre: [each.genre for each in asked.programmes],
        **asked.of_programmes,
    }
    kinds = {each.name: POLARS_TYPES[each.type] for each in spec.columns}
    told = {
        name: pl.Series(name, values, strict=False).cast(kinds[name]).gather(places)
        for said, places in ((by_slot, slots), (by_programme, shows))
        for name, values in said.items()
    }
    return pl.DataFrame({PAIR: numbers, **told})


def predict(
    store: Store, bundle: Bundle, spec: Workload, serves: tuple[str, ...], asked: Asked, pairs: Ints, folder: Path
) -> Answers:
    """Answer the *pairs*: by goal the mean, the ends of its interval, and what the second model says."""
    evidence, missing = contents.evidence_of(bundle), missing_goals(spec, serves)
    served = {goal: getattr(airtime_of(spec), goal) for goal in GOALS if goal not in missing}
    models = {goal: contents.model_of(bundle, target) for goal, target in served.items()}
    seconds, because = _witnesses(store, spec, evidence, served)
    found = []
    for rows in features(store, spec, evidence.contracted.accepted, asked, pairs):
        said = _said(rows, models, {goal: each.model for goal, each in seconds.items()})
        found.append(rows.select(PAIR).hstack(said))
    answered = pl.concat(found).sort(PAIR).drop(PAIR) if found else pl.DataFrame()
    where = pl.DataFrame({PROGRAMME: pairs[:, 0], SLOT: pairs[:, 1]})
    told_both = any(each.describes == "training part" for each in evidence.evaluations)
    return Answers(
        frames.keep(store, where.hstack(answered.get_columns()), folder, "pairs"),
        {goal: _kept(store, each.aired, folder, goal) for goal, each in seconds.items()},
        missing,
        told_both,
        because,
    )


def _said(rows: pl.DataFrame, models: Mapping[str, Model], seconds: Mapping[str, Model]) -> pl.DataFrame:
    """Return a goal's mean, not its median: totals are sums, and medians do not add up."""
    blocks = []
    for block in rows.iter_slices(BLOCK_ROWS):
        columns = []
        for goal, model in models.items():
            answer = model.score(block).select("expected", "low", "high")
            columns += answer.rename({"expected": goal, "low": f"{goal}_low", "high": f"{goal}_high"}).get_columns()
        columns += [pl.Series(f"{OTHER}_{goal}", model.expected(block)) for goal, model in seconds.items()]
        blocks.append(pl.DataFrame(columns))
    return pl.concat(blocks)


def _witnesses(
    store: Store, spec: Workload, evidence: Evidence, served: Mapping[str, str]
) -> tuple[dict[str, Witness], str]:
    rows, found = frames.read(store, evidence.training_set.rows), {}
    for goal, target in served.items():
        card = choose(each for each in evidence.scorecards if each.target == target)
        try:
            found[goal] = witness(spec, rows, spec.target(target), Candidate(card.algorithm, card.params))
        except DataRejected as error:
            return {}, str(error)
    return found, ""


def _kept(store: Store, aired: Aired, folder: Path, goal: str) -> Blob:
    rows = pl.DataFrame({"day": aired.day, "actual": aired.actual, "predicted": aired.predicted})
    return frames.keep(store, rows, folder, f"aired-{goal}")


def aired(store: Store, answers: Answers) -> dict[str, Aired]:
    """Return what the second model says of airings, by goal; a goal that nothing serves takes the other's."""
    rows = {goal: frames.read(store, blob) for goal, blob in answers.aired.items()}
    found = {
        goal: Aired(*(each[name].to_numpy() for name in ("day", "actual", "predicted"))) for goal, each in rows.items()
    }
    return {goal: found.get(goal) or next(iter(found.values())) for goal in GOALS}


def tables(store: Store, answers: Answers, asked: Asked) -> tuple[Predicted, dict[str, npt.NDArray[np.float64]]]:
    """Return what was predicted as programmes × slots, and the same by the second model; 0 for what nothing serves."""
    rows = frames.read(store, answers.pairs)
    pairs = rows.select(PROGRAMME, SLOT).to_numpy()

    def table(name: str) -> npt.NDArray[np.float64]:
        values = rows[name].to_numpy() if name in rows.columns else np.zeros(rows.height)
        return asked.table(pairs, values)

    low, high = ({goal: table(f"{goal}_{end}") for goal in GOALS} for end in ("low", "high"))
    predicted = Predicted(table("revenue"), table("audience"), low, high)
    return predicted, {goal: table(f"{OTHER}_{goal}") for goal in GOALS}
