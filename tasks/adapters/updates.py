"""An update of what serves: the champion out of its verified bundle, the rows it was fitted on, and what it became.

Which rows are new and when an update is refused is decided in core. Whether it serves is judged like any challenger's.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from tasks import workloads
from tasks.adapters import contents, frames, ledger
from tasks.adapters.bundles import Bundle
from tasks.adapters.home import device, notes, root, scratch, store
from tasks.adapters.signing import trusted_keys
from tasks.core import training, updating
from tasks.core.evidence import Evidence
from tasks.core.run import Run
from tasks.core.splitting import known_before
from tasks.core.updating import UPDATE, Champion, Grown
from tasks.core.values import Evaluation, Scorecard, TrainingSet
from tasks.errors import BadRequest, HomeDamaged, NotTrusted, UpdateRefused
from tasks.workloads.spec import Candidate, Target


def pinned(run: Run, candidate: Candidate) -> Candidate:
    """Return a *candidate* that updates with the version it updates in place of ``True``; any other as it is."""
    if not candidate.params.get(UPDATE):
        return candidate
    entry = ledger.champion(store(), run.workload, run.ring, trusted_keys(root() / "keys"))
    return replace(candidate, params=dict(candidate.params) | {UPDATE: entry.version if entry else ""})


def has_ground(run: Run, target: Target, candidate: Candidate) -> bool:
    """Say whether *candidate* has anything to begin from: an update is of a champion by its own algorithm.

    A champion that cannot be read any more is entered, to fail with the reason: what is fitted anew needs none.
    """
    version = pinned(run, candidate).params.get(UPDATE)
    if not version:
        return UPDATE not in candidate.params
    try:
        evidence = contents.evidence_of(contents.open_verified(store(), root() / "keys", run.workload, str(version)))
    except (BadRequest, HomeDamaged, NotTrusted):
        return True
    made = {each.target: each.algorithm for each in evidence.evaluations}
    return made.get(target.name) == candidate.algorithm


def judged(run: Run, training_set: TrainingSet, target: Target, candidate: Candidate) -> Scorecard:
    """Return how the update did on rows nobody was fitted on; one that was refused is a failed scorecard, and why."""
    try:
        scored = grow(run, training_set, target, candidate).scored
    except (Exception, MemoryError) as error:
        return training.failed(target, candidate, f"{type(error).__name__}: {error}")
    with scratch(run.workload) as folder:
        return replace(scored.scorecard, out_of_fold=frames.keep(store(), scored.out_of_fold, folder, "out_of_fold"))


def grow(run: Run, training_set: TrainingSet, target: Target, candidate: Candidate) -> Grown:
    """Update the champion that *candidate* is pinned to; raises UpdateRefused, with the reason."""
    spec, rows = workloads.get(run.workload), frames.read(store(), training_set.rows)
    champion = _champion(run, target, str(candidate.params[UPDATE]))
    return updating.grow(spec, rows, target, candidate, champion, device=device(), checkpoints=notes(run.workload))


def experience_of(target: str) -> str:
    """Return where in a bundle the experience buffer of *target* lies."""
    return f"experience/{target}.parquet"


def _champion(run: Run, target: Target, version: str) -> Champion:
    if not version:
        raise UpdateRefused(f"nothing serves in {run.ring} yet, so there is no champion to update")
    bundle = contents.open_verified(store(), root() / "keys", run.workload, version)
    contents.refuse_other_features(bundle, workloads.get(run.workload))
    evidence = contents.evidence_of(bundle)
    evaluation = next((each for each in evidence.evaluations if each.target == target.name), None)
    if evaluation is None:
        raise UpdateRefused(f"the champion {version} has no model of {target.name} to update")
    seen = _seen(run, evidence, evaluation, target)
    learned = contents.model_of(bundle, target.name).learned
    remembered = _remembered(run, bundle, target, seen)
    return Champion(version, learned, remembered, seen, refitted=evaluation.describes != "shipped")


def _seen(run: Run, evidence: Evidence, evaluation: Evaluation, target: Target) -> pl.DataFrame:
    """Return the labelled rows the champion was not judged on, without those it was not to learn from yet."""
    spec, rows = workloads.get(run.workload), frames.read(store(), evidence.training_set.rows)
    held = frames.read(store(), evaluation.predictions)["row"]
    wanted = [target.column, *([target.previous] if target.as_change else [])]
    known = pl.all_horizontal(pl.col(name).cast(pl.Float64).is_finite().fill_null(False) for name in wanted)
    judged = pl.col("_row").is_in(held.implode())
    seen = rows.filter(known & ~judged)
    # One of a release before there was such a column learned from all of them.
    if spec.holdout.known_at not in rows.columns:
        return seen
    return seen.filter(pl.Series(known_before(spec, seen, rows.filter(judged))))


def _remembered(run: Run, bundle: Bundle, target: Target, seen: pl.DataFrame) -> pl.DataFrame:
    path = experience_of(target.name)
    if path in bundle.manifest.files:
        return frames.read(store(), bundle.manifest.files[path])
    return updating.first_experience(workloads.get(run.workload), seen)
