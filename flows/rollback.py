"""The way back, for the Prefect UI and automations: the same step as ``greenlight rollback``, which needs no server."""

from __future__ import annotations

from prefect import flow

from tasks import workloads
from tasks.adapters import environment, home
from tasks.adapters.rollback import PREVIOUS, RolledBack
from tasks.core.rollback import Asked
from tasks.rollback import announce, roll_back


@flow(name="rollback", flow_run_name="rollback-{workload}-{ring}", persist_result=False)
def rollback(
    workload: str, reason: str, ring: str = "prod", to_version: str = PREVIOUS, requested_by: str = "service"
) -> RolledBack:
    """Let an earlier version serve again: the previous one, or one that was let out in the ring before.

    It takes no lock: a training run under way must not keep a bad model serving, and the ledger guards itself.
    """
    workloads.get(workload)
    environment.confine(home.root(), home.workers())
    done = roll_back(Asked(workload, ring, to_version, reason, requested_by))
    announce(done)
    return done
