"""The command line: one thin function per command. It parses, calls, prints; what is done is done elsewhere.

Progress goes to standard error, results to standard output, so that ``--json`` can be piped.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from deployments import screen, server
from deployments.commands import (
    audit,
    collect,
    decide,
    dossier,
    enrich,
    experiment,
    export,
    measure,
    monitor,
    operate,
    rings,
    score,
    serve,
    similar,
    simulate,
    stores,
    tables,
    take,
    timetable,
)
from deployments.options import Json, TuneSeconds, TuneTrials, WorkloadName
from tasks import workloads
from tasks.adapters import environment, home
from tasks.core.tuning import Tuning
from tasks.errors import GreenlightError

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Batch MLOps for media analytics: no model serves until it has been greenlit.",
)

STOPPED = 130

Source = Annotated[Path, typer.Option("--source", help="CSV, CSV.gz, Parquet, or a folder of them")]
ObservedAt = Annotated[str | None, typer.Option(help="ISO 8601 date of rows that do not say when they were seen")]


@app.command()
def run(
    workload: WorkloadName,
    source: Source,
    observed_at: ObservedAt = None,
    reason: Annotated[str, typer.Option(help="why this run was asked for")] = "asked",
    to_ring: Annotated[str, typer.Option(help="how far it is let out, ring by ring")] = "dev",
    requested_by: Annotated[str, typer.Option(help="who asks; else whoever is logged in")] = "",
    wait_seconds: Annotated[float, typer.Option(min=0, help="how long to wait for another run of the workload")] = 0,
    tune_trials: TuneTrials = 0,
    tune_seconds: TuneSeconds = 0,
    json: Json = False,
) -> None:
    """Take rows to a promoted champion: ingest, check, train, judge, publish, promote.

    Example: greenlight run channels --source channels.csv
    """
    from deployments import road

    progress = screen.Progress()
    summary, unchanged = road.travel(
        workload,
        str(source),
        observed_at=observed_at,
        reason=reason,
        to_ring=to_ring,
        requested_by=requested_by or environment.user_name(),
        wait_seconds=wait_seconds,
        tuning=Tuning(trials=tune_trials, seconds=tune_seconds),
        progress=progress,
    )
    screen.show_run(summary, unchanged=unchanged, json=json)


@app.command()
def predict(
    workload: WorkloadName,
    source: Source,
    out: Annotated[Path, typer.Option("--out", help="CSV or Parquet file to write")],
    observed_at: ObservedAt = None,
    ring: Annotated[str, typer.Option(help="whose champion scores")] = "dev",
    json: Json = False,
) -> None:
    """Score rows with the champion, verified before it is opened. Columns you lack may be missing.

    Example: greenlight predict channels --source mine.csv --out scored.csv
    """
    from deployments import readers

    scored = readers.predict(workload, source, out, ring=ring, observed_at=observed_at)
    notes = "".join(f"\n  note: {finding.message}" for finding in scored.findings)
    screen.show(scored, f"{scored.rows:,} rows scored by {workload} {scored.version} into {out}{notes}", json=json)


@app.command()
def verify(
    workload: WorkloadName, ring: Annotated[str, typer.Option(help="whose champion")] = "dev", json: Json = False
) -> None:
    """Check the ledger's chain, the champion, and every byte of its bundle.

    Example: greenlight verify channels
    """
    from deployments import readers

    checked = readers.verify(workload, ring=ring)
    screen.show(checked, checked.sentence, json=json)


@app.command("demo-data")
def demo_data(
    workload: WorkloadName,
    rows: Annotated[int, typer.Option(min=1, help="how many rows")] = 1_500,
    seed: Annotated[int, typer.Option(help="the same seed gives the same rows")] = 7,
    drift: Annotated[str | None, typer.Option(help="kind of drift to plant; a wrong one lists them")] = None,
    out: Annotated[Path | None, typer.Option("--out", help="CSV or Parquet file to write; else in the home")] = None,
    force: Annotated[bool, typer.Option("--force", help="overwrite another file that is there")] = False,
    json: Json = False,
) -> None:
    """Write realistic rows with known truth, a planted share of bad ones among them.

    Example: greenlight demo-data channels --rows 1000000 --seed 7
    """
    from deployments import readers

    frame = workloads.get(workload).generate(rows, seed, drift)
    name = "-".join(str(part) for part in (workload, rows, seed, drift) if part is not None)
    path = out or home.root() / "demo" / f"{name}.csv"
    force = force or out is None
    written, lines = readers.write_table(frame, path, force=force), []
    airtime = workloads.get(workload).airtime
    for what, table in (airtime.demo(rows, seed) if airtime else {}).items():
        beside = readers.write_table(table, path.with_name(f"{path.stem}-{what}{path.suffix}"), force=force)
        lines.append(f"\n{beside.rows:,} {what} in {beside.path}")
    screen.show(written, f"{rows:,} rows of {workload} in {written.path}{''.join(lines)}", json=json)


operate.register(app)
serve.register(app)
decide.register(app)
dossier.register(app)
audit.register(app)
rings.register(app)
stores.register(app)
score.register(app)
monitor.register(app)
measure.register(app)
tables.register(app)
take.register(app)
collect.register(app)
export.register(app)
simulate.register(app)
enrich.register(app)
similar.register(app)
timetable.register(app)
experiment.register(app)


def main() -> None:
    """Run one command; every error of ours ends as one sentence and its own exit code."""
    asked_json = "--json" in sys.argv
    try:
        if "--help" not in sys.argv and sys.argv[1:2] != ["demo-data"]:
            environment.confine(home.root(), home.workers())
            server.adopt(home.root())
        # Typer turns Ctrl-C into an exit code, which it hands back when it is not to exit itself.
        ended = app(args=sys.argv[1:] or ["--help"], standalone_mode=False)
        if ended == STOPPED:
            _stopped(asked_json)
        if ended:
            sys.exit(ended)
    except GreenlightError as error:
        screen.complain(str(error), kind=type(error).__name__, exit_code=error.exit_code, json=asked_json)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        _stopped(asked_json)
    except TyperException as error:
        _misused(error.format_message(), asked_json)


def _stopped(json: bool) -> None:
    screen.complain(
        "stopped. Nothing is half done; the same command goes on where this one was.",
        kind="Stopped",
        exit_code=STOPPED,
        json=json,
    )
    sys.exit(STOPPED)


def _misused(message: str, json: bool) -> None:
    screen.complain(f"{message.rstrip('.')}. See: greenlight --help", kind="BadRequest", exit_code=2, json=json)
    sys.exit(2)
