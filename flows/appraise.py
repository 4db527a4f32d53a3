"""The reckoning: what was predicted beside what came true. It measures and tells; it never retrains."""

from __future__ import annotations

from prefect import flow

from tasks import workloads
from tasks.adapters import environment, home
from tasks.appraise import appraise_days, draw_page, looks, read_actuals, tell
from tasks.core.actuals import Appraised
from tasks.lay_out import tabulate_predictions, write_tables
from tasks.rollback import observe


@flow(name="appraise", flow_run_name="appraise-{workload}-{ring}", persist_result=False)
def appraise(
    workload: str, source: str = "", ring: str = "prod", date: str | None = None, observed_at: str | None = None
) -> Appraised:
    """Hold the actuals at *source* against the days scored in *ring*, or against the day *date* alone.

    Without a *source* the errors to be expected are stated. It takes no lock: each day's record is replaced as a whole.
    """
    spec = workloads.get(workload)
    environment.confine(home.root(), home.workers())
    found = read_actuals(workload, source, observed_at) if source else None
    appraised = appraise_days(workload, ring, found, date)
    observe(workload, ring, looks(appraised))
    tell(appraised, draw_page(appraised))
    if spec.tables:
        tabulate_predictions(workload)
        write_tables(workload)
    return appraised
