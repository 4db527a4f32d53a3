"""Admit: whether an event's retrain may go ahead. What a person or a schedule asks for is not asked about here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from prefect import State, runtime
from prefect.states import Completed

from tasks.adapters import incidents
from tasks.adapters.home import store
from tasks.core.incidents import Admission, Restraint, Sighting
from tasks.errors import GreenlightError
from tasks.patience import patient

OUTCOMES = {"swallowed": "Swallowed", "suspected": "Suspected"}


@patient(name="admit {workload}")
def admit(workload: str, incident: str, restraint: Restraint) -> Admission:
    """Ask whether this run is the one that answers *incident*; the same run, rerun after a kill, is admitted again."""
    return incidents.admit(store(), _sighting(workload, incident), restraint)


@patient(name="close {workload}'s incident")
def note_retrained(workload: str, incident: str) -> None:
    """Note that this run answered *incident*."""
    incidents.note_retrained(store(), _sighting(workload, incident))


@contextmanager
def answering(workload: str, incident: str) -> Iterator[None]:
    """Give back what the incident's retrain was granted if it ends in an error; one that is killed goes on when rerun.

    Without an *incident* nothing was granted.
    """
    try:
        yield
    except Exception:
        if incident:
            # Whatever ended the run is what its reader must see, though the store be gone as well.
            with suppress(GreenlightError):
                note_failed(workload, incident)
        raise


@patient(name="note {workload}'s failed retrain")
def note_failed(workload: str, incident: str) -> None:
    """Note that this run was to answer *incident* and did not; nothing if it was never admitted."""
    incidents.note_failed(store(), _sighting(workload, incident))


@patient(name="note {workload}'s recovery")
def note_recovered(workload: str, incident: str = "") -> bool:
    """Note that the workload's trouble is over, so that new trouble may start a retrain again."""
    return incidents.note_recovered(store(), _sighting(workload, incident))


def not_admitted(admission: Admission) -> State[Admission]:
    """Return the state of a run that ends here: an outcome, not an error."""
    return Completed(name=OUTCOMES[admission.answer], message=admission.because, data=admission)


def _sighting(workload: str, incident: str) -> Sighting:
    return Sighting(workload, incident, str(runtime.flow_run.id), datetime.now(UTC))
