"""Micro-batches: what landed since the last look becomes part of the source the other flows read, exactly once."""

from __future__ import annotations

from prefect import flow

from tasks import workloads
from tasks.adapters import environment, home
from tasks.core.deliveries import Delivery
from tasks.gather import lay_out, refuse, take_in, tell
from tasks.lay_out import tabulate_rows, write_tables


@flow(name="gather", flow_run_name="gather-{workload}", persist_result=False)
def gather(workload: str, folder: str, to: str, lateness_hours: float = 48) -> list[Delivery]:
    """Take in the files of *folder* that are new by their bytes, lay them out at *to*, and tell that data arrived.

    *folder* may be the address of a prefix in an object store as well: s3://bucket/landing.
    Rows seen more than *lateness_hours* before the newest known ones come too late and are set aside, and so are rows
    with a clock ahead. It does not take the workload's lock: a training run under way reads the files it began with.
    A file that is no table fails the run at its end, when all else is done.
    """
    workloads.get(workload)
    environment.confine(home.root(), home.workers())
    arrived = take_in(workload, folder, lateness_hours)
    if lay_out(workload, to) or arrived.taken:
        tabulate_rows(workload)
    tell(workload)
    # Last: a database that does not answer keeps nobody from hearing of the rows, and is brought up when it does.
    write_tables(workload)
    refuse(arrived, folder)
    return list(arrived.taken)
