"""Gather: take in what landed, file by file, and tell that new rows lie at the workload's source."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect.events import emit_event

from tasks import workloads
from tasks.adapters import deliveries
from tasks.adapters.home import scratch, store
from tasks.core.deliveries import Delivery
from tasks.core.digests import digest_of
from tasks.patience import patient


@patient(name="take in {workload}")
def take_in(workload: str, folder: str, lateness_hours: float) -> list[Delivery]:
    """Return what came of every file in *folder* that was not known; each is taken in once, whatever it is called."""
    spec, taken, known = workloads.get(workload), [], set(deliveries.known(store(), workload))
    for file in deliveries.landed(Path(folder)):
        if file.digest not in known:
            with scratch(workload, "deliver") as room:
                now = datetime.now(UTC)
                done = deliveries.take(store(), spec, file, room, lateness_hours=lateness_hours, now=now)
            taken += [done] if done else []
    return taken


@patient(name="lay out {workload}")
def lay_out(workload: str, to: str) -> int:
    """Bring the source others read up to what was ever taken in; return how many files it lacked."""
    return deliveries.gather(store(), workload, Path(to))


def tell(taken: list[Delivery]) -> None:
    """Tell of every delivery that brought rows; told again, it is the same event."""
    for each in taken:
        if each.rows_taken:
            emit_event(
                event="data.arrived",
                id=UUID(digest_of({"delivery": each.digest, "workload": each.workload})[:32]),
                resource={"prefect.resource.id": f"workload.{each.workload}", "prefect.resource.name": each.workload},
                payload={"digest": each.digest, "rows": each.rows_taken, "late": each.late, "newest": each.newest},
            )
