"""The first half of the road: from raw rows to a registered challenger. It never decides whether that may serve."""

from __future__ import annotations

from prefect import State, flow
from prefect.events import emit_event

from tasks import workloads
from tasks.adapters import policies, runs
from tasks.adapters.home import hold
from tasks.admit import admit, answering, not_admitted, note_retrained
from tasks.check import check_contract
from tasks.core import failures
from tasks.core.evidence import Evidence
from tasks.core.incidents import RESTRAINT, Admission, Restraint
from tasks.core.tuning import OFF, Tuning
from tasks.core.values import Challenger
from tasks.evaluate import evaluate
from tasks.fan_out import FAN_OUT
from tasks.ingest import ingest
from tasks.materialize import materialize
from tasks.matrix import compete
from tasks.portray import portray
from tasks.register import register
from tasks.train import refuse_leaks


@flow(name="retrain", flow_run_name="retrain-{workload}-{reason}", persist_result=False, task_runner=FAN_OUT)
def retrain(
    workload: str,
    source: str,
    reason: str = "scheduled",
    observed_at: str | None = None,
    ring: str = "dev",
    requested_by: str = "service",
    wait_seconds: float = 0,
    incident: str = "",
    restraint: Restraint = RESTRAINT,
    tuning: Tuning = OFF,
    window_days: float | None = None,
) -> Challenger | State[Admission]:
    """Carry *source*, or its newest *window_days*, from raw rows to a challenger that is registered and announced.

    A run that an event started names its *incident*, and ends at once if another run answers that already.
    """
    spec = workloads.get(workload)
    run = runs.open_run(
        workload, source, reason=reason, ring=ring, observed_at=observed_at, tuning=tuning, window_days=window_days
    )
    # Admitted once nothing stands in its way: an event whose run cannot begin must not silence those after it.
    with hold(workload, run.key, wait_seconds=wait_seconds), answering(workload, incident):
        if incident:
            admission = admit(workload, incident, restraint)
            if admission.answer != "admitted":
                return not_admitted(admission)
        snapshot = ingest(run)
        contracted = check_contract(run, snapshot)
        training_set = materialize(run, contracted)
        leaks = refuse_leaks(run, training_set)

        scorecards = compete(run, training_set, tuning)
        judged = [evaluate.submit(run, training_set, each, scorecards) for each in failures.trained(spec, scorecards)]
        evaluations = [evaluation.result() for evaluation in judged]

        portrait = portray(run, contracted, training_set, evaluations)
        challenger = register(
            run,
            Evidence(
                workload=workload,
                run_key=run.key,
                policy=run.policy,
                measured_for=policies.measured_for(spec, ring).gate,
                code=run.code,
                snapshot=snapshot,
                contracted=contracted,
                training_set=training_set,
                leaks=leaks,
                scorecards=tuple(scorecards),
                evaluations=tuple(evaluations),
                portrait=portrait,
            ),
        )
    if incident:
        note_retrained(workload, incident)
    emit_event(
        event="challenger.ready",
        resource={"prefect.resource.id": f"workload.{workload}", "prefect.resource.name": workload},
        payload={"version": challenger.version, "ring": ring, "reason": reason, "requested_by": requested_by},
    )
    return challenger
