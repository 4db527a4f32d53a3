"""Gather: take in what landed, file by file, and tell that new rows lie at the workload's source."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect.events import emit_event
from prefect.events.worker import EventsWorker

from tasks import workloads
from tasks.adapters import deliveries
from tasks.adapters.deliveries import Backlog
from tasks.adapters.home import root, scratch, store
from tasks.adapters.landing import Landed, dealt_with, landed
from tasks.adapters.lock import workload_lock
from tasks.core.deliveries import Delivery
from tasks.core.digests import digest_of
from tasks.errors import Conflict, SourceUnusable
from tasks.patience import patient

SENDING_SECONDS = 60
# Longer than any delivery takes: whoever comes second finds all of it known.
WAITING_SECONDS = 900
NAMED = 3
# Another home may be at work on a backlog of its own; so many times in a row is no coincidence.
TRIES = 20


@dataclass(frozen=True)
class Arrived:
    """What came of the files that were not known, and why others cannot be taken in."""

    taken: tuple[Delivery, ...]
    refused: tuple[str, ...]


@patient(name="take in {workload}")
def take_in(workload: str, place: str, lateness_hours: float) -> Arrived:
    """Return what came of every file at *place* that was not known; each is taken in once, whatever it is called.

    A file that is no table keeps no other from being taken in. Of two at once in one home, the second waits; of two
    homes on one store, each takes in what the other has not. No file
    makes rows of another that lies there with it late, killed in between or not.
    """
    taken, refused = [], []
    backlog: Backlog | None = None
    with _alone(workload), scratch(workload, "landed") as landed_in:
        for file in landed(store(), workload, place, landed_in):
            try:
                if not deliveries.is_known(store(), workload, file.digest):
                    # Read where there is news only, and once as long as no other home takes anything in.
                    backlog = backlog or deliveries.begin(store(), workload, place, lateness_hours)
                    after = _taken(workload, file, backlog)
                    taken += [after.before[file.digest]] if after else []
                    backlog = after or backlog
            except SourceUnusable as error:
                refused.append(f"{file.name}: {_without(file.path, str(error))}")
            else:
                dealt_with(store(), workload, file)
        deliveries.end(store(), workload, place)
    return Arrived(tuple(taken), tuple(refused))


def refuse(arrived: Arrived, place: str) -> None:
    """Raise SourceUnusable where there were files that cannot be taken in."""
    if arrived.refused:
        more = len(arrived.refused) - NAMED
        named = "; ".join(arrived.refused[:NAMED]) + (f"; and {more} more" if more > 0 else "")
        raise SourceUnusable(
            f"{len(arrived.refused)} of the files at {place} cannot be taken in, and all others were: {named}; "
            "mend them or take them away"
        )


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


def _alone(workload: str) -> AbstractContextManager[None]:
    return workload_lock(root() / "locks", f"{workload}-gather", "gather", WAITING_SECONDS)


def _taken(workload: str, file: Landed, backlog: Backlog) -> Backlog | None:
    """Take *file* in, anew where another home was first; None if it was taken in already."""
    for _ in range(TRIES):
        with suppress(Conflict), scratch(workload, "deliver") as room:
            return deliveries.take(store(), workloads.get(workload), file, backlog, room, now=datetime.now(UTC))
        backlog = deliveries.anew(store(), workload, backlog)
    raise Conflict(
        f"{workload}: {TRIES} times another home took something in while {file.name} was to be; run again, "
        "what was taken in stands"
    )


def _without(path: Path, said: str) -> str:
    """Return what was *said* of a file whose name stands before it."""
    return said.removeprefix(f"{path}: ").replace(str(path), "it")


def _sent() -> bool:
    """Wait until whatever was to be told is with the server, and say whether it is."""
    drained = EventsWorker.drain_all(timeout=SENDING_SECONDS, at_exit=False)
    return isinstance(drained, tuple) and not drained[1]
