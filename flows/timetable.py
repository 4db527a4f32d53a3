"""The week ahead: what would every programme bring in every slot, and which timetable makes the most of it?"""

from __future__ import annotations

from prefect import flow

from tasks import workloads
from tasks.adapters import environment, home
from tasks.adapters.timetables import Timetabled
from tasks.core.timetable.wishes import Wishes
from tasks.timetable import open_request, predict_pairs, publish, show, solve

WISHES = Wishes()


@flow(name="timetable", flow_run_name="timetable-{workload}-{ring}", persist_result=False)
def timetable(
    workload: str,
    slots: str,
    programmes: str,
    current: str = "",
    first: str | None = None,
    days: int = 7,
    ring: str = "prod",
    wishes: Wishes = WISHES,
) -> Timetabled:
    """Fill the slots of *days* days from *first* (else the next Monday) by what serves in *ring*, and publish that.

    It takes no lock: what it writes is content-addressed, and of two that publish one week at once one is told so.
    """
    workloads.get(workload)
    environment.confine(home.root(), home.workers())
    home.sweep(workload)
    request = open_request(workload, slots, programmes, current, first, days, ring, wishes)
    answers = predict_pairs(request)
    solved = solve(request, answers)
    return show(publish(request, answers, solved))
