"""The commands that watch what arrives: hold a batch against what serves, and measure how often the rule errs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments import screen
from deployments.options import Json, WorkloadName

if TYPE_CHECKING:
    from tasks.core.watch import Observation

Input = Annotated[Path, typer.Option("--input", metavar="FILE", help="CSV, CSV.gz, Parquet, or a folder of them")]
Ring = Annotated[str, typer.Option(help="whose champion it is held against")]
ObservedAt = Annotated[str | None, typer.Option(help="ISO 8601 date of rows that do not say when they were seen")]

SLOW_TO_IMPORT = ("flows.monitor", "sklearn.ensemble")
TOLD = {
    "": "nothing is told",
    "workload.drifted": "told: workload.drifted, which may start a retrain",
    "workload.recovered": "told: workload.recovered, the drift is over",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    family = typer.Typer(rich_markup_mode=None, help="Watch what arrives: has it drifted from what serves?")
    family.command()(run)
    family.command()(calibrate)
    family.command()(actuals)
    app.add_typer(family, name="monitor")


def run(
    workload: WorkloadName, input: Input, ring: Ring = "prod", observed_at: ObservedAt = None, json: Json = False
) -> None:
    """Compare a batch with what the champion learned from; critical in two batches in a row is a drift.

    Example: greenlight monitor run channels --input landing/channels
    """
    from deployments.meanwhile import at_prefect
    from tasks.adapters import drift_pages, home, serving, sources

    screen.Progress()
    # Before a server is started for it: what is asked wrongly is said at once.
    serving.champion(home.store(), home.root() / "keys", workload, ring)
    sources.refuse_absent(input, "is no batch")
    with at_prefect(SLOW_TO_IMPORT):
        from flows.monitor import monitor

        seen = monitor(workload, str(input), ring=ring, observed_at=observed_at)
    said = [*_told(seen), f"  page: {drift_pages.where(home.store(), seen)}"]
    screen.show(seen, "\n".join(said), json=json)


def calibrate(
    workload: WorkloadName,
    ring: Ring = "prod",
    splits: Annotated[int, typer.Option(min=20, max=10_000, help="how many A/A splits")] = 200,
    json: Json = False,
) -> None:
    """Measure how often the rule fires on pure noise, and would have fired on the batches of the past.

    Example: greenlight monitor calibrate channels
    """
    from tasks import workloads
    from tasks.adapters import calibrations, home, policies, serving

    spec = workloads.get(workload)
    champion = serving.open_champion(home.store(), home.root() / "keys", workload, ring)
    found = calibrations.calibrate(home.store(), spec, champion, policies.of(spec, ring).digest, splits)
    screen.show(found, found.sentence, json=json)


def actuals(
    workload: WorkloadName,
    source: Annotated[
        Path | None, typer.Option("--source", metavar="FILE", help="what came true; else none is new")
    ] = None,
    ring: Annotated[str, typer.Option(help="whose scored days it is the truth of")] = "prod",
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="that day's alone")] = None,
    observed_at: ObservedAt = None,
    json: Json = False,
) -> None:
    """Hold what came true against what was predicted; two days in a row below the floor are a degraded champion.

    Without a source it says what errors are to be expected of the days whose truth is not known yet.

    Example: greenlight monitor actuals channels --source landing/channels-actuals --date 2026-11-20
    """
    from deployments.meanwhile import at_prefect
    from tasks import workloads
    from tasks.adapters import appraisals, home, policies, sources
    from tasks.core.page.actuals import lines

    screen.Progress()
    workloads.get(workload)
    policies.load(ring)
    if source is not None:
        sources.refuse_absent(source, "are no actuals")
    with at_prefect(("flows.appraise", "sklearn.ensemble")):
        from flows.appraise import appraise

        found = appraise(workload, str(source or ""), ring=ring, date=date, observed_at=observed_at)
    page = appraisals.where_page(home.store(), found)
    screen.show(found, "\n  ".join([*lines(found), f"page: {page}"]), json=json)


def _told(seen: Observation) -> Iterator[str]:
    yield f"{seen.severity}: {seen.workload} in {seen.ring}, batch {seen.number}, beside {seen.version}: {seen.because}"
    if seen.pooled:
        yield f"  looked at together with batches {', '.join(map(str, seen.pooled))}"
    yield f"  rows in {seen.rows_in:,} = accepted {seen.rows:,} + rejected {seen.rows_in - seen.rows:,}"
    yield from (f"  note: {finding.message}" for finding in seen.findings)
    yield f"  {TOLD[seen.told]}"
