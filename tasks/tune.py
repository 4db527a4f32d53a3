"""Tune: look for better parameters of a candidate on the training part, and hand on the best as one candidate more."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from tasks import workloads
from tasks.adapters import frames, studies
from tasks.adapters.home import device, root, scratch, signer, store, studies_database
from tasks.adapters.memo import remember, stage_key
from tasks.core import training, tuning
from tasks.core.run import Run
from tasks.core.tuning import Tuning
from tasks.core.values import Scorecard, Study, TrainingSet
from tasks.errors import DataRejected
from tasks.patience import patient
from tasks.stages import stage
from tasks.train import cross_validate, exercises
from tasks.workloads.spec import Candidate, Target


@patient(name="tune {target.name} {candidate.algorithm}", timeout_minutes=7 * 24 * 60)
def tune(run: Run, training_set: TrainingSet, target: Target, candidate: Candidate, wanted: Tuning) -> Scorecard:
    """Return the scorecard of the best parameters found for *candidate*; those declared are tried first."""
    share = wanted.share(workloads.get(run.workload))
    inputs = {"rows": training_set.rows, "target": target, "candidate": candidate, "device": device()}
    # Not named after the budget: a larger one goes on with the study of a smaller.
    name = stage_key(run.workload, "study", inputs | {"by": studies.library()}).rpartition("/")[2][:16]
    with stage(run, f"tune {target.name} {candidate.algorithm}", side_by_side=True) as told:
        found = remember(
            store(),
            signer(),
            run.workload,
            "tune",
            inputs | {"by": studies.library(), "budget": share.model_dump()},
            Scorecard,
            lambda: _tune(run, training_set, target, candidate, share, name),
        )
        card, told.reused, told.rows = found.value, found.reused, found.value.rows
        told.note = _note(card)
    return card


def _tune(
    run: Run, training_set: TrainingSet, target: Target, candidate: Candidate, share: Tuning, name: str
) -> Scorecard:
    spec, rows = workloads.get(run.workload), frames.read(store(), training_set.rows)
    try:
        ready = exercises(run.workload, training_set.rows, target.name)
    except DataRejected as rejected:
        return replace(training.failed(target, candidate, str(rejected)), study=Study())
    search = studies.Search(
        space=tuning.space(candidate),
        budget=share,
        seed=partial(tuning.seed, spec, target, candidate),
        judge=tuning.judge_of(spec, rows, target, candidate, ready, device()),
    )
    kept = f"{run.workload}-{target.name}-{candidate.algorithm}-{name}"
    searched = studies.look(search, studies.Place(root() / "studies", kept, studies_database()))
    with scratch(run.workload) as folder:
        study = searched.told(frames.keep(store(), searched.trials, folder, "trials"))
    if searched.found is None:
        return replace(training.failed(target, candidate, f"no trial could be fitted: {searched.reasons}"), study=study)
    best = tuning.with_params(candidate, searched.found)
    return replace(cross_validate(run, training_set, target, best), study=study)


def _note(card: Scorecard) -> str:
    if card.study is None or card.skill is None:
        return f"failed: {card.reason}"
    return f"skill {card.skill:+.2f} after {card.study.trials} trials, {card.study.pruned} stopped early"
