"""Evaluate: choose the winner of a target by cross-validation, then judge it once on the rows nobody has touched."""

from __future__ import annotations

from tasks import workloads
from tasks.adapters import frames, policies, updates
from tasks.adapters.blobs import put_blob
from tasks.adapters.home import device, notes, scratch, signer, store
from tasks.adapters.memo import remember
from tasks.core import evaluation, training
from tasks.core.digests import canonical_json
from tasks.core.run import Run
from tasks.core.updating import UPDATE
from tasks.core.values import Evaluation, Scorecard, TrainingSet
from tasks.patience import patient
from tasks.stages import stage
from tasks.workloads.spec import Candidate, Target, Workload


@patient(name="evaluate {target.name}", timeout_minutes=120)
def evaluate(run: Run, training_set: TrainingSet, target: Target, scorecards: list[Scorecard]) -> Evaluation:
    """Return the winner's evidence on the holdout, its predictions there and its files, all kept as blobs."""
    winner = training.choose((card for card in scorecards if card.target == target.name), target.by)
    spec = policies.measured_for(workloads.get(run.workload), run.ring)
    refit = policies.of(spec, run.ring).refit_on_all
    with stage(run, f"evaluate {target.name}", side_by_side=True) as told:
        found = remember(
            store(),
            signer(),
            run.workload,
            "evaluate",
            {
                "rows": training_set.rows,
                "target": target,
                "winner": winner,
                "refit_on_all": refit,
                "confidence": spec.gate.confidence,
                "device": device(),
            },
            Evaluation,
            lambda: _evaluate(run, spec, training_set, target, winner, refit),
        )
        told.rows, told.reused = found.value.rows_holdout, found.reused
        told.note = f"{winner.algorithm}: skill {found.value.skill.value:+.2f} on {told.rows:,} untouched rows"
        if late := found.value.rows_late:
            told.note += f"; {late:,} rows not learned from, whose label was not known by then"
    return found.value


def _evaluate(
    run: Run, spec: Workload, training_set: TrainingSet, target: Target, winner: Scorecard, refit: bool
) -> Evaluation:
    rows = frames.read(store(), training_set.rows)
    earlier = frames.read(store(), winner.out_of_fold) if winner.out_of_fold else None
    candidate = Candidate(winner.algorithm, winner.params)
    grown = updates.grow(run, training_set, target, candidate) if UPDATE in winner.params else None
    done = evaluation.evaluate(
        spec,
        rows,
        target,
        winner,
        refit_on_all=refit,
        device=device(),
        out_of_fold_predictions=earlier,
        checkpoints=notes(spec.name),
        grown=grown.learned if grown else None,
    )
    files = {f"{done.judged.model}/{name}": put_blob(store(), content) for name, content in done.files.items()}
    golden = canonical_json(evaluation.golden(rows, done.model))
    files[f"golden/{target.name}.json"] = put_blob(store(), golden)
    with scratch(spec.name) as folder:
        if grown:
            files[updates.experience_of(target.name)] = frames.keep(store(), grown.buffer, folder, "experience")
        return done.judged.stored(frames.keep(store(), done.predictions, folder, "predictions"), files)
