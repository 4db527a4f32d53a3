"""The watch: is what arrives still like what the champion learned from? It notices and tells; it never retrains."""

from __future__ import annotations

from prefect import flow

from tasks import workloads
from tasks.adapters import environment, home
from tasks.core.watch import Observation
from tasks.monitor import compare_batch, count_batch, draw_page, looks, open_champion, tell
from tasks.rollback import observe


@flow(name="monitor", flow_run_name="monitor-{workload}-{ring}", persist_result=False)
def monitor(workload: str, source: str, ring: str = "prod", observed_at: str | None = None) -> Observation:
    """Profile the batch at *source*, compare it with what serves in *ring*, and tell of a drift and of its end.

    It takes no lock: a training run under way must not keep a drift from being seen, and what it keeps is numbered.
    """
    workloads.get(workload)
    environment.confine(home.root(), home.workers())
    champion = open_champion(workload, ring)
    batch = count_batch(champion, source, observed_at)
    seen = compare_batch(champion, batch)
    observe(workload, ring, looks(seen))
    tell(seen, draw_page(seen))
    return seen
