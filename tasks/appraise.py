"""Appraise: bring what came true to what was predicted, keep what that says, and tell whoever must hear of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from tasks import workloads
from tasks.adapters import actuals as arrivals
from tasks.adapters import appraisals, policies, serving
from tasks.adapters.home import root, scratch, signer, store
from tasks.adapters.snapshots import moment
from tasks.core.actuals import Actuals, Appraised
from tasks.core.appraisal import observation, witnesses
from tasks.core.digests import digest_of
from tasks.core.page.actuals import lines, render
from tasks.core.rollback import Observation
from tasks.patience import patient

# No ring's policy looks further back than a month of days; each look is one object in the store.
LOOKS = 31
logger = logging.getLogger(__name__)


@patient(name="read {workload}'s actuals")
def read_actuals(workload: str, source: str, observed_at: str | None) -> Actuals:
    """Return what *source* says came true, as labels in the store."""
    with scratch(workload, "actuals") as folder:
        return arrivals.read(store(), workloads.get(workload), Path(source), folder, moment(observed_at))


@patient(name="appraise {workload} in {ring}", timeout_minutes=600)
def appraise_days(workload: str, ring: str, found: Actuals | None, date: str | None) -> Appraised:
    """Appraise every scored day of the ring with what was *found*, the day *date* alone where one is given.

    A day that is appraised already, with the same labels, is left as it is; so a killed run is finished by its rerun.
    """
    spec, keys = policies.measured_for(workloads.get(workload), ring), root() / "keys"
    champion = serving.champion(store(), keys, workload, ring)
    with scratch(workload, "appraise") as folder:
        appraised = appraisals.appraise_all(store(), signer(), keys, spec, champion, found, date, folder)
    say = logger.warning if appraised.degraded else logger.info
    say("%s in %s: %s days appraised, %s changed", workload, ring, len(appraised.known), len(appraised.changed))
    return appraised


def looks(appraised: Appraised) -> list[Observation]:
    """Return what a policy that rolls back by itself wants to know of the days the champion scored."""
    own = witnesses(appraised.known, appraised.champion)[-LOOKS:]
    return [seen for each in own if (seen := observation(each)) is not None]


@patient(name="draw {appraised.workload}'s errors")
def draw_page(appraised: Appraised) -> str:
    """Draw the page of the ring's errors, keep it in the store, and return its address."""
    return appraisals.keep_page(store(), appraised, render(workloads.get(appraised.workload), appraised))


@patient(name="tell of {appraised.workload}'s errors")
def tell(appraised: Appraised, page: str) -> None:
    """Tell of a champion that fell below its floor, by a rerun as the same event; show the rest on the run."""
    trouble = appraised.degraded
    if trouble:
        emit_event(
            event="performance.degraded",
            id=UUID(digest_of({"degraded": trouble, "ring": appraised.ring})[:32]),
            resource={
                "prefect.resource.id": f"workload.{appraised.workload}",
                "prefect.resource.name": appraised.workload,
            },
            payload={
                "incident": trouble.incident,
                "ring": appraised.ring,
                "version": appraised.version,
                "because": trouble.because,
            },
        )
    key = f"{appraised.workload}-{appraised.ring}-errors".lower().replace("_", "-")
    create_markdown_artifact("\n".join(_artifact(appraised, page)), key=key, description=page)


def _artifact(appraised: Appraised, page: str) -> Iterator[str]:
    yield f"# {appraised.workload} in {appraised.ring}: what the predictions were worth"
    yield ""
    yield from (f"- {line}" for line in lines(appraised))
    yield ""
    yield f"[The page]({page})"
