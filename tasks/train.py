"""Train: refuse leaks, then the matrix of candidates × targets, each one a task of its own."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache, partial

from tasks import workloads
from tasks.adapters import frames, policies, updates
from tasks.adapters.home import device, notes, scratch, signer, store
from tasks.adapters.memo import remember
from tasks.core import leakage, training, updating
from tasks.core.run import Run
from tasks.core.values import Blob, Scorecard, TrainingSet
from tasks.errors import DataRejected
from tasks.patience import patient
from tasks.stages import stage
from tasks.workloads.spec import Candidate, Target


@patient(name="refuse leaks {run.workload}")
def refuse_leaks(run: Run, training_set: TrainingSet) -> tuple[str, ...]:
    """Stop the run if a feature gives its target away; return the leaks a gate is shown: none."""
    spec = policies.measured_for(workloads.get(run.workload), run.ring)
    with stage(run, "refuse leaks") as told:
        leaks = leakage.find_leaks(spec, frames.read(store(), training_set.rows))
        leakage.refuse(leaks, spec)
        told.rows, told.note = training_set.row_count, "no feature gives a target away"
    return tuple(f"{leak.target} ← {leak.feature}" for leak in leaks)


@patient(name="train {target.name} {candidate.algorithm}", timeout_minutes=120)
def train(run: Run, training_set: TrainingSet, target: Target, candidate: Candidate) -> Scorecard:
    """Cross-validate one candidate on one target; a candidate that fails is a failed scorecard with its reason."""
    candidate = updates.pinned(run, candidate)
    with stage(run, f"train {target.name} {candidate.algorithm}", side_by_side=True) as told:
        found = remember(
            store(),
            signer(),
            run.workload,
            "train",
            {"rows": training_set.rows, "target": target, "candidate": candidate, "device": device()},
            Scorecard,
            lambda: cross_validate(run, training_set, target, candidate),
        )
        card, told.reused, told.rows = found.value, found.reused, found.value.rows
        told.note = f"skill {card.skill:+.2f}" if card.skill is not None else f"failed: {card.reason}"
    return card


def cross_validate(run: Run, training_set: TrainingSet, target: Target, candidate: Candidate) -> Scorecard:
    """Judge one candidate on one target, its out-of-fold predictions kept as a blob."""
    spec, rows = workloads.get(run.workload), frames.read(store(), training_set.rows)
    if updating.UPDATE in candidate.params:
        return updates.judged(run, training_set, target, candidate)
    try:
        ready = partial(exercises, run.workload, training_set.rows, target.name)
        scored = training.score_candidate(
            spec, rows, target, candidate, device=device(), exercises=ready, checkpoints=notes(run.workload)
        )
    except DataRejected as rejected:
        # This target's labels are no use; the other targets' may be, so it alone is not trained.
        return training.failed(target, candidate, str(rejected))
    if scored.scorecard.status == "failed":
        return scored.scorecard
    with scratch(run.workload) as folder:
        return replace(scored.scorecard, out_of_fold=frames.keep(store(), scored.out_of_fold, folder, "out_of_fold"))


@lru_cache(maxsize=8)
def exercises(workload: str, rows: Blob, name: str) -> tuple[training.Exercise, ...]:
    """Return what all candidates for a target are taught and asked: the same for each, so made once per process."""
    spec = workloads.get(workload)
    target = next(target for target in spec.targets if target.name == name)
    return training.set_exercises(spec, training.training_rows(spec, frames.read(store(), rows), target), target)
