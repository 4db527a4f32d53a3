"""The matrix of candidates × targets: all handed out at once, every one of them answered by a scorecard."""

from __future__ import annotations

from dataclasses import replace

from prefect.futures import PrefectFuture

from tasks import workloads
from tasks.adapters import updates
from tasks.core import training
from tasks.core.run import Run
from tasks.core.tuning import Tuning
from tasks.core.updating import UPDATE
from tasks.core.values import Scorecard, Study, TrainingSet
from tasks.errors import OutOfMemory
from tasks.train import train
from tasks.tune import tune
from tasks.workloads.spec import Candidate, Target


def compete(run: Run, training_set: TrainingSet, tuning: Tuning) -> list[Scorecard]:
    """Return the scorecards of all that are declared and, where tuning is wanted, of the best each was tuned to.

    An update that nothing serves for is not entered.
    """
    spec = workloads.get(run.workload)
    pairs = [(target, candidate) for candidate in spec.candidates for target in spec.targets]
    asked = [each for each in pairs if updates.has_ground(run, *each)]
    declared = [train.submit(run, training_set, *each) for each in asked]
    # An update begins where the champion is; there is no telling one set of parameters from another by so few rows.
    tunable = [each for each in asked if tuning.wanted and UPDATE not in each[1].params]
    tuned = [tune.submit(run, training_set, *each, tuning) for each in tunable]
    cards = [answered(answer, *each) for answer, each in zip(declared, asked, strict=True)]
    return cards + [answered(answer, *each, Study()) for answer, each in zip(tuned, tunable, strict=True)]


def answered(
    answer: PrefectFuture[Scorecard], target: Target, candidate: Candidate, study: Study | None = None
) -> Scorecard:
    """Return what was answered; a candidate that kills its workers is a failed scorecard, too."""
    try:
        return answer.result()
    except OutOfMemory as error:
        return replace(training.failed(target, candidate, str(error)), study=study)
