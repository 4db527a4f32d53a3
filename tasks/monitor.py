"""Monitor: hold a batch against what serves, remember what was seen, and tell whoever must hear of it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from tasks import workloads
from tasks.adapters import counting, drift_pages, serving, watch
from tasks.adapters.home import root, scratch, store
from tasks.adapters.snapshots import moment
from tasks.core.digests import digest_of
from tasks.core.drift import PREDICTION
from tasks.core.page.drift import render, what_happens_next
from tasks.core.rollback import Observation as Look
from tasks.core.values import Entry
from tasks.core.watch import Counted, Observation
from tasks.patience import patient

logger = logging.getLogger(__name__)


@patient(name="open what serves of {workload} in {ring}")
def open_champion(workload: str, ring: str) -> Entry:
    """Return what the ledger says serves; raises BadRequest where nothing does."""
    return serving.champion(store(), root() / "keys", workload, ring)


@patient(name="count {champion.workload}'s batch")
def count_batch(champion: Entry, source: str, observed_at: str | None) -> Counted:
    """Read and score the batch, and count it at the champion's reference profile; bad rows and columns are findings."""
    spec, when = workloads.get(champion.workload), moment(observed_at)
    with scratch(champion.workload, "monitor") as folder:
        return counting.count_batch(store(), spec, _opened(champion), Path(source), folder, when)


@patient(name="compare {champion.workload}'s batch")
def compare_batch(champion: Entry, batch: Counted) -> Observation:
    """Hold the batch against the champion's profile and keep what was seen; the same batch again is the same."""
    at = datetime.now(UTC).isoformat(timespec="microseconds")
    seen = watch.observe(store(), workloads.get(champion.workload), _opened(champion), batch, at)
    say = logger.warning if seen.severity in ("warn", "critical") else logger.info
    say("%s in %s, batch %s: %s: %s", seen.workload, seen.ring, seen.number, seen.severity, seen.because)
    return seen


def looks(seen: Observation) -> list[Look]:
    """Return what a policy that rolls back by itself wants to know of the observation."""
    if seen.severity == "insufficient":
        return []
    drifted = [name.removeprefix(PREDICTION) for name in seen.moved if name.startswith(PREDICTION)]
    found = f"predictions of {', '.join(drifted)} drifted" if drifted else "predictions as ever"
    return [Look("prediction_drift_critical", seen.champion, seen.at, bool(drifted), found, "none that drifted")]


@patient(name="draw {seen.workload}'s drift")
def draw_page(seen: Observation) -> str:
    """Draw the page of the batch, keep it in the store, and return its address."""
    sheet = drift_pages.gather(store(), workloads.get(seen.workload), seen)
    return drift_pages.keep(store(), seen, render(sheet))


@patient(name="tell of {seen.workload}'s batch")
def tell(seen: Observation, page: str) -> None:
    """Tell of a drift or its end, told again by a rerun as the same event; whatever is odd is shown on the run.

    A warning is an event too, for whoever wants to hear of it; nothing of ours follows from it.
    """
    newest = watch.known(store(), seen.workload, seen.ring, 1)
    event = seen.told or ("workload.warned" if seen.severity == "warn" else "")
    if event and newest[-1:] == (seen,):
        emit_event(
            event=event,
            id=UUID(digest_of({"drift": seen})[:32]),
            resource={"prefect.resource.id": f"workload.{seen.workload}", "prefect.resource.name": seen.workload},
            payload={
                "incident": seen.incident,
                "ring": seen.ring,
                "version": seen.version,
                "batch": seen.number,
                "because": seen.because,
            },
        )
    key = f"{seen.workload}-{seen.ring}-drift".lower().replace("_", "-")
    create_markdown_artifact("\n".join(_lines(seen, page)), key=key, description=f"{seen.severity}: {seen.because}")


def _lines(seen: Observation, page: str) -> list[str]:
    return [
        f"# {seen.severity}: {seen.workload} in {seen.ring}, batch {seen.number}",
        "",
        f"{seen.because}. {what_happens_next(seen)}",
        "",
        f"[The page]({page})",
        "",
        *(f"- {finding.message}" for finding in seen.findings),
    ]


def _opened(champion: Entry) -> serving.Serving:
    return serving.Serving(champion, serving.opened(store(), root() / "keys", champion))
