"""The second half of the road: whether a challenger may replace the champion, and the one step that makes it so."""

from __future__ import annotations

from prefect import State, flow, runtime

from tasks import workloads
from tasks.adapters.home import hold
from tasks.announce import announce
from tasks.ask import ask, close, recall
from tasks.core.run import Promotion
from tasks.dossier import write_dossier
from tasks.forms import end_unanswered, nobody_answered, take_answers, wait_for_a_person
from tasks.judge import compare_with_champion, judge, verify_bundle
from tasks.page import write_page
from tasks.release import decide, project


@flow(name="promote", flow_run_name="promote-{workload}-{version}", persist_result=False)
def promote(
    workload: str,
    version: str = "newest",
    ring: str = "dev",
    requested_by: str = "service",
    wait_seconds: float = 0,
    break_glass: str = "",
) -> Promotion | State[Promotion]:
    """Judge a registered challenger; append to the ledger if gates, policy and people let it, and let readers see it.

    It runs from its top again whenever it is resumed or retried: what is decided lies in the store, and a state or an
    input of this run never lets anything out. *break_glass* says why failed gates are to be overridden.
    """
    workloads.get(workload)
    with hold(workload, f"promote {version}", wait_seconds=wait_seconds):
        if late := end_unanswered(workload, ring):
            return nobody_answered(late)
        hearing = verify_bundle(workload, version, ring, requested_by, break_glass)
        dossier = recall(hearing)
        refused: tuple[str, ...] = ()
        if dossier is None:
            comparisons = compare_with_champion(hearing)
            dossier = ask(hearing, judge(hearing, comparisons))
            write_dossier(hearing, dossier)
            refused = take_answers(dossier)
        promotion = decide(hearing, dossier)
        project(hearing)
        # The command line goes on by itself, and only as far as it was asked to.
        announce(dossier, promotion, onwards=bool(runtime.deployment.id))
        promotion = write_page(hearing, dossier, promotion)
        close(hearing, dossier, promotion)
    if promotion.status == "waiting":
        wait_for_a_person(dossier, promotion, refused)
    return promotion
