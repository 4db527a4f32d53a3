"""Gather: take in what landed, file by file, and tell that new rows lie at the workload's source."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from tasks import workloads
from tasks.adapters import deliveries
from tasks.adapters.home import scratch, store
from tasks.adapters.landing import landed
from tasks.core.deliveries import Delivery
from tasks.core.digests import digest_of
from tasks.patience import patient

SENDING_SECONDS = 60


@patient(name="take in {workload}")
def take_in(workload: str, place: str, lateness_hours: float) -> list[Delivery]:
    """Return what came of every file at *place* that was not known; each is taken in once, whatever it is called."""
    spec, taken = workloads.get(workload), []
    before: dict[str, Delivery] = {}
    with scratch(workload, "landed") as landed_in:
        for file in landed(store(), workload, place, landed_in):
            if deliveries.is_known(store(), workload, file.digest):
                continue
            # Read where there is news only, and once: nobody else takes anything in meanwhile.
            before = before or deliveries.known(store(), workload)
            with scratch(workload, "deliver") as room:
                now = datetime.now(UTC)
                done = deliveries.take(store(), spec, file, before, room, lateness_hours=lateness_hours, now=now)
            if done:
                taken.append(done)
                before[done.digest] = done
    return taken


@patient(name="lay out {workload}")
def lay_out(workload: str, to: str) -> int:
    """Bring the source others read up to what was ever taken in; return how many files it lacked."""
    return deliveries.gather(store(), workload, Path(to))


def tell(workload: str) -> None:
    """Tell of every delivery that brought rows and that nobody may have heard of; told again, it is the same event.

    Only what was sent is noted as told: a run that is killed here is made good by the next.
    """
    waiting = deliveries.untold(store(), workload)
    for each in waiting:
        if each.rows_taken:
            emit_event(
                event="data.arrived",
                id=UUID(digest_of({"delivery": each.digest, "workload": each.workload})[:32]),
                resource={"prefect.resource.id": f"workload.{each.workload}", "prefect.resource.name": each.workload},
                payload={"digest": each.digest, "rows": each.rows_taken, "late": each.late, "newest": each.newest},
            )
    if waiting and _sent():
        for each in waiting:
            deliveries.told(store(), each)


def _sent() -> bool:
    """Wait until whatever was to be told is with the server, and say whether it is."""
    drained = EventsWorker.drain_all(timeout=SENDING_SECONDS, at_exit=False)
    return isinstance(drained, tuple) and not drained[1]
