"""The champion at work: a batch becomes a published day of predictions; challengers answer the same in the shadow."""

from __future__ import annotations

from prefect import flow, runtime

from tasks import workloads
from tasks.adapters import environment, home
from tasks.announce import announce_soaked
from tasks.check import check_contract
from tasks.core.scoring import Asked, Published
from tasks.ingest import ingest
from tasks.lay_out import tabulate_predictions, write_tables
from tasks.rollback import observe
from tasks.score import (
    check_skew,
    find_challengers,
    give_arms,
    looks,
    open_batch,
    publish,
    score_beside,
    score_rows,
    show,
)


@flow(name="score", flow_run_name="score-{workload}-{ring}", persist_result=False)
def score(
    workload: str,
    source: str,
    ring: str = "prod",
    date: str | None = None,
    output: str = "",
    observed_at: str | None = None,
    window_days: float | None = None,
) -> Published:
    """Score *source*, or its newest *window_days*, with what serves in *ring*: the predictions of *date* (else today).

    It takes no lock: what it writes is content-addressed, and of two that publish one day at once one is told so.
    """
    spec = workloads.get(workload)
    environment.confine(home.root(), home.workers())
    home.sweep(workload)
    batch = open_batch(Asked(workload, source, ring, date, output, observed_at, window_days))
    snapshot = ingest(batch.run)
    contracted = check_contract(batch.run, snapshot, to_learn=False)
    scored = score_rows(batch, contracted)
    skew = check_skew(batch, contracted, scored)
    given = give_arms(batch, contracted, scored)
    published = publish(batch, snapshot, contracted, given, skew)
    observe(workload, ring, looks(published.day))
    versions = find_challengers(batch)
    cycles = [score_beside(batch, contracted, scored, published.day, version) for version in versions]
    # The command line goes on by itself, and only as far as it was asked to.
    announce_soaked(published.day, cycles, onwards=bool(runtime.deployment.id))
    done = show(published, cycles)
    if spec.tables:
        tabulate_predictions(workload)
        write_tables(workload)
    return done
