"""Carrying out a decision that is recorded: wake the promote run that waits for it, or run promote in this process.

Nothing is decided here: whoever is woken reads the decisions in the store and judges them anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from deployments import server
from tasks.adapters import home
from tasks.core.decisions import Decision
from tasks.core.dossier import Dossier
from tasks.errors import Unreachable

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Told:
    """A recorded decision, the dossier it was made on, and its token (empty: a claimed name)."""

    dossier: Dossier
    decision: Decision
    token: str

    @property
    def form(self) -> dict[str, str]:
        """The answer as the suspended run's form takes it."""
        said = self.decision
        return {"decision": said.kind, "approver": said.approver, "reason": said.reason, "token": self.token}


def carry_out(told: Told, *, done: Callable[[], bool], wait_seconds: float, say: Callable[[str], None]) -> str:
    """Let a promote run act on what is recorded; return a note if it has not done so within *wait_seconds*."""
    run = _found(told) if server.configured() else None
    if run is None:
        say("no suspended run waits for this: promote runs here")
        run_here(told.dossier, wait_seconds)
        return ""
    say(f"waking the run {run.name} ({run.id})")
    problem = wake(run, told.form)
    if problem:
        say(f"it cannot be woken ({problem}): promote runs here")
        run_here(told.dossier, wait_seconds)
        return ""
    if _seen(run.id, done, wait_seconds):
        return ""
    return f"the run {run.name} goes on as soon as a worker takes it"


def suspended(dossier: Dossier) -> FlowRun | None:
    """Return the promote run whose form asks about *dossier*, the newest if there are several.

    The same candidate may be asked about from another home on the same server, or was before: those runs sleep on.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas import filters, sorting
    from prefect.client.schemas.objects import StateType

    from tasks import forms

    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_filter=filters.FlowFilter(name=filters.FlowFilterName(any_=["promote"])),
            flow_run_filter=filters.FlowRunFilter(
                state=filters.FlowRunFilterState(type=filters.FlowRunFilterStateType(any_=[StateType.PAUSED]))
            ),
            sort=sorting.FlowRunSort.EXPECTED_START_TIME_DESC,
        )
    return next((run for run in runs if run.state and forms.is_about(run.state.state_details.pause_key, dossier)), None)


def wake(run: FlowRun, answer: dict[str, str]) -> str:
    """Resume a suspended run with the answer; return what stood in the way, if anything did."""
    from prefect.exceptions import FlowPauseTimeout, NotPausedError, PrefectHTTPStatusError
    from prefect.flow_runs import resume_flow_run

    try:
        resume_flow_run(run.id, run_input=answer)
    except NotPausedError:
        return _ended(run.id)
    except (RuntimeError, FlowPauseTimeout, PrefectHTTPStatusError) as error:
        return str(error)
    return ""


def run_here(dossier: Dossier, wait_seconds: float) -> None:
    """Run promote in this process, on the configured Prefect API or a temporary one."""
    with server.prefect_api(home.root()) as ready:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        from flows.promote import promote
        from tasks.adapters import rehearsal

        ready()
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            try:
                promote(
                    dossier.workload,
                    dossier.version,
                    ring=dossier.ring,
                    requested_by=dossier.requested_by,
                    wait_seconds=wait_seconds,
                    break_glass=dossier.break_glass,
                )
            finally:
                rehearsal.dismiss()
                APILogWorker.drain_all(timeout=5)
                EventsWorker.drain_all(timeout=5)


def _found(told: Told) -> FlowRun | None:
    from httpx import HTTPError

    try:
        return suspended(told.dossier)
    # The client says so in either way when nobody answers, depending on how far it came.
    except (HTTPError, RuntimeError) as error:
        raise Unreachable(
            f"the {told.decision.kind} of {told.dossier.workload} is recorded, but the Prefect API did not answer: "
            f"{error or type(error).__name__}; run the same command again when it does, or unset PREFECT_API_URL: "
            "nothing is done twice"
        ) from error


def _ended(run: UUID) -> str:
    """Return how a run that no longer waits came to nothing; one that somebody else woke has not."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run).state
    failed = state is not None and (state.is_failed() or state.is_crashed() or state.is_cancelled())
    return f"{state.name}: {state.message}" if state and failed else ""


def _seen(run: UUID, done: Callable[[], bool], wait_seconds: float) -> bool:
    """Wait until the matter is closed, or the run has ended or waits again."""
    from prefect.client.orchestration import get_client

    deadline = time.monotonic() + wait_seconds
    with get_client(sync_client=True) as client:
        while time.monotonic() < deadline:
            state = client.read_flow_run(run).state
            if done() or (state is not None and (state.is_final() or state.is_paused())):
                return True
            time.sleep(POLL_SECONDS)
    return False
