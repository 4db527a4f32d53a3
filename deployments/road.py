"""The command-line main job: both flows, one after the other, in one process, as a worker would run them apart.

It goes from ring to ring as far as it is asked to; where one says no, or waits for a person, it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from deployments.meanwhile import at_prefect
from deployments.screen import Progress
from tasks import workloads
from tasks.adapters import challengers, home, ledger, policies, rehearsal, requests, runs, sources
from tasks.adapters.signing import trusted_keys
from tasks.core.rings import stands_in
from tasks.core.run import Promotion, Run, RunSummary
from tasks.core.tuning import Tuning
from tasks.core.values import Challenger

# Imported while the temporary server starts: both take seconds, and there are two cores.
TO_JUDGE = ("flows.promote", "mlflow.tracking")
TO_LEARN = (
    "flows.retrain",
    *TO_JUDGE,
    "great_expectations",
    "tasks.adapters.feast_store",
    "torch",
    "sklearn.ensemble",
    "catboost",
    "xgboost",
)


def travel(
    workload: str,
    source: str,
    *,
    observed_at: str | None,
    reason: str,
    to_ring: str,
    requested_by: str,
    wait_seconds: float,
    tuning: Tuning,
    progress: Progress,
) -> tuple[RunSummary, bool]:
    """Take *source* to a champion of *to_ring*; return what came of it, and whether nothing had to be done."""
    policies.next_ring(to_ring)
    run = runs.open_run(workload, source, observed_at=observed_at, reason=reason, tuning=tuning)
    # Held over both flows, so that nobody slips in between and whoever waited finds a finished run.
    with home.hold(workload, run.key, wait_seconds=wait_seconds):
        known = runs.finished(home.store(), home.root(), run)
        if known is not None and (_stopped(known.promotion) or not _way(workload, known.promotion.version, to_ring)):
            return known, True
        # What is no table at all is told at once, not after a server's start.
        sources.glance(workloads.get(workload), Path(source))
        progress.say(f"{workload}: {source} (run {run.key})")
        with _prefect(TO_JUDGE if known else TO_LEARN):
            promotion = known.promotion if known else _both_flows(run, requested_by, tuning)
            if not _stopped(promotion):
                promotion = _climb(promotion, to_ring, requested_by)
            return runs.close_run(home.store(), home.root(), run, promotion), False


def promote(
    workload: str, version: str, to_ring: str, *, requested_by: str, break_glass: str, wait_seconds: float
) -> tuple[Promotion, ...]:
    """Take a registered challenger ring by ring from where it is to *to_ring*; return what came of it in each.

    Breaking the glass goes to *to_ring* at once, and asks there.
    """
    workloads.get(workload)
    policies.next_ring(to_ring)
    found = challengers.resolve(home.store(), workload, version)
    # Where nothing is left to do, a run that was killed there may have left something.
    way = () if break_glass else _way(workload, found, to_ring)
    came: list[Promotion] = []
    with home.hold(workload, f"promote {found}", wait_seconds=wait_seconds), _prefect(TO_JUDGE):
        for ring in way or (to_ring,):
            came.append(_let_out(workload, found, ring, requested_by, break_glass))
            if _stopped(came[-1]):
                break
    return tuple(came)


def _climb(promotion: Promotion, to_ring: str, requested_by: str) -> Promotion:
    for ring in _way(promotion.workload, promotion.version, to_ring):
        promotion = _let_out(promotion.workload, promotion.version, ring, requested_by)
        if _stopped(promotion):
            break
    return promotion


def _way(workload: str, version: str, to_ring: str) -> tuple[str, ...]:
    """Return the rings *version* has to pass still, in order: those up to *to_ring* after the last it stands in.

    One that was killed half-way through, so that its request is open still, is passed again.
    """
    trust = trusted_keys(home.root() / "keys")
    entries, rings = ledger.read(home.store(), workload, trust), policies.rings()
    waiting = requests.open_requests(home.store(), trust, workload)
    asked = {each.ring for each in waiting if each.version == version}
    wanted = rings[: rings.index(to_ring) + 1]
    passed = [ring for ring in wanted if stands_in(entries, ring, version) and ring not in asked]
    return wanted[wanted.index(passed[-1]) + 1 :] if passed else wanted


def _stopped(promotion: Promotion) -> bool:
    return promotion.status not in ("promoted", "already champion")


@contextmanager
def _prefect(slow_to_import: tuple[str, ...]) -> Iterator[None]:
    """Have a Prefect API, everything imported and a clean process for rehearsals meanwhile."""
    with at_prefect(slow_to_import):
        rehearsal.prepare()
        try:
            yield
        finally:
            rehearsal.dismiss()


def _let_out(workload: str, version: str, ring: str, requested_by: str, break_glass: str = "") -> Promotion:
    from flows.promote import promote as flow

    # No form waits in a run of no deployment, so none expires there.
    return cast(Promotion, flow(workload, version, ring=ring, requested_by=requested_by, break_glass=break_glass))


def _both_flows(run: Run, requested_by: str, tuning: Tuning) -> Promotion:
    from flows.retrain import retrain

    challenger = retrain(
        run.workload,
        run.source,
        reason=run.reason,
        observed_at=run.observed_at,
        ring=run.ring,
        requested_by=requested_by,
        tuning=tuning,
    )
    # No event asked, so nothing held it back.
    return _let_out(run.workload, cast(Challenger, challenger).version, run.ring, requested_by)
