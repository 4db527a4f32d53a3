"""Portray: what the data look like beside what was learnt from them: archetypes, influence, the reference profile."""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl

from tasks import workloads
from tasks.adapters import frames
from tasks.adapters.blobs import put_blob
from tasks.adapters.home import scratch, signer, store
from tasks.adapters.memo import remember
from tasks.core.archetypes import find_archetypes
from tasks.core.digests import canonical_json
from tasks.core.evidence import Portrait
from tasks.core.influence import measure_influence
from tasks.core.likeness import find_likeness, to_files
from tasks.core.profile import build_profile
from tasks.core.run import Run
from tasks.core.values import Blob, Contracted, Evaluation, TrainingSet
from tasks.errors import DataRejected
from tasks.patience import patient
from tasks.stages import stage
from tasks.workloads.spec import Workload

logger = logging.getLogger(__name__)


@patient(name="portray {run.workload}")
def portray(run: Run, contracted: Contracted, training_set: TrainingSet, evaluations: list[Evaluation]) -> Portrait:
    """Find archetypes, measure influence, and take the profile later batches are compared with."""
    spec = workloads.get(run.workload)
    predictions = {each.target: each.predictions for each in evaluations}
    with stage(run, "portray") as told:
        found = remember(
            store(),
            signer(),
            run.workload,
            "portray",
            {"rows": training_set.rows, "accepted": contracted.accepted, "predictions": predictions},
            Portrait,
            lambda: _portray(spec, contracted, training_set, predictions),
        )
        told.rows, told.reused = training_set.row_count, found.reused
        told.note = "archetypes, influence, likeness, reference profile"
    return found.value


def _portray(
    spec: Workload, contracted: Contracted, training_set: TrainingSet, predictions: dict[str, Blob]
) -> Portrait:
    rows = frames.read(store(), training_set.rows)
    judged = {target: frames.read(store(), blob) for target, blob in predictions.items()}
    with scratch(spec.name) as folder:
        profile = put_blob(store(), build_profile(rows, spec, judged))
        archetypes, assignments = _archetypes(spec, rows, folder)
        influence = _influence(spec, contracted, folder)
        return Portrait(archetypes, assignments, influence, profile, _likeness(spec, contracted, rows))


def _archetypes(spec: Workload, rows: pl.DataFrame, folder: Path) -> tuple[Blob | None, Blob | None]:
    if spec.archetypes is None:
        return None, None
    described = tuple(part.column for part in spec.slices if not part.edges)
    try:
        found = find_archetypes(
            rows, spec.archetypes, spec.holdout.seed, keys=("_row", spec.entity), describe=described
        )
    except DataRejected as error:
        # Too few complete rows to group is no reason to withhold a model; the page says that there are none.
        logger.warning("%s", error)
        return None, None
    assignments = frames.keep(store(), found.assignments, folder, "archetypes")
    return put_blob(store(), canonical_json(found.summary)), assignments


def _influence(spec: Workload, contracted: Contracted, folder: Path) -> dict[str, Blob]:
    kept: dict[str, Blob] = {}
    if spec.influence is None:
        return kept
    accepted = frames.read(store(), contracted.accepted)
    for by in spec.influence.by:
        code = spec.influence.codes.get(by)
        table = measure_influence(accepted, by, spec.influence.amounts, entity=spec.entity, code=code)
        kept[by] = frames.keep(store(), table.groups, folder, f"influence_{by}")
        kept[f"{by}_concentration"] = frames.keep(store(), table.concentration, folder, f"concentration_{by}")
    return kept


def _likeness(spec: Workload, contracted: Contracted, rows: pl.DataFrame) -> dict[str, Blob]:
    if spec.likeness is None:
        return {}
    beside = [name for name in spec.likeness.shown if name not in rows.columns]
    told = frames.read(store(), contracted.accepted).select("_row", *beside)
    named = rows.join(told, on="_row", how="left", maintain_order="left")
    found = find_likeness(named, spec.likeness, spec.entity, spec.holdout.seed)
    return {name: put_blob(store(), content) for name, content in to_files(found).items()}
