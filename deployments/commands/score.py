"""The command that puts a champion to work: a batch in, a published day of predictions out."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deployments import screen
from deployments.options import Json, WorkloadName
from tasks import workloads
from tasks.adapters import batches, home, sources
from tasks.core.scoring import Asked, Published

Input = Annotated[Path, typer.Option("--input", metavar="DIR|FILE", help="CSV, CSV.gz, Parquet, or a folder of them")]
Output = Annotated[str, typer.Option(metavar="URI", help="the store or folder to publish in; else the home's store")]
Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="the day they are predictions of; else today, UTC")]
ObservedAt = Annotated[str | None, typer.Option(help="ISO 8601 date of rows that do not say when they were seen")]

SLOW_TO_IMPORT = ("flows.score", "tasks.adapters.feast_store")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(score)


def score(
    workload: WorkloadName,
    input: Input,
    output: Output = "",
    ring: Annotated[str, typer.Option(help="whose champion scores")] = "prod",
    date: Day = None,
    observed_at: ObservedAt = None,
    json: Json = False,
) -> None:
    """Score a batch with what serves in a ring and publish it as a day; the same day again replaces it as a whole.

    Rows that break the contract are set aside with their reasons. Challengers of the rings before score the same rows,
    and nobody acts on what they say.

    Example: greenlight score channels --input landing/channels
    """
    from deployments.meanwhile import at_prefect

    screen.Progress()
    asked = Asked(workload, str(input), ring, date, output, observed_at)
    # Before a server is started for it: what is asked wrongly is said at once.
    sources.glance(workloads.get(workload), input)
    batches.open_batch(home.store(), home.root() / "keys", asked)
    with at_prefect(SLOW_TO_IMPORT):
        from flows.score import score as flow

        done = flow(**asdict(asked))
    screen.show(done, "\n".join(_told(done)), json=json)


def _told(done: Published) -> list[str]:
    day = done.day
    return [
        f"rows in {day.rows_in:,} = scored {day.rows_scored:,} + quarantined {day.rows_quarantined:,}",
        *(f"  {rows:>6,}  {rule}" for rule, rows in day.quarantine_reasons),
        *(f"  note: {finding.message}" for finding in day.findings),
        *(
            f"  shadow {each.challenger}: {'clean' if each.clean else 'not clean: ' + '; '.join(each.faults)}"
            for each in done.cycles
        ),
        *([f"  experiment {day.experiment}: each row says its arm"] if day.experiment else []),
        f"{done.status}: {day.workload} of {day.date} in {day.ring} by {day.version}: {', '.join(day.targets)}",
        f"  {done.manifest}",
        *(f"! {each}; when it is back: greenlight stores repair" for each in done.behind),
    ]
