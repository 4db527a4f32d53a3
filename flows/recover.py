"""The end of a drift: noted, so that the next one starts a retrain again instead of being taken for the same."""

from __future__ import annotations

from prefect import flow

from tasks import workloads
from tasks.admit import note_recovered


@flow(name="recover", flow_run_name="recover-{workload}", persist_result=False)
def recover(workload: str, incident: str = "") -> bool:
    """Note that the workload's trouble is over; return whether there was any."""
    workloads.get(workload)
    return note_recovered(workload, incident)
