"""The command that hands out what was published or recorded, as a file another tool reads."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from deployments import screen
from deployments.options import Json, WorkloadName
from tasks import workloads
from tasks.adapters import export_files, exports, home, portraits
from tasks.adapters.signing import trusted_keys
from tasks.core.partitions import checked_day
from tasks.errors import BadRequest

To = Annotated[Path, typer.Option("--to", metavar="PATH", help="the file to write")]
Day = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="one day of predictions; else the newest")]
Since = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="the first day of a range")]
Until = Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="the last day of a range")]
Force = Annotated[bool, typer.Option("--force", help="replace the file if it is there")]


class Form(StrEnum):
    """What a file is written as."""

    json = "json"
    csv = "csv"
    xlsx = "xlsx"
    parquet = "parquet"


class What(StrEnum):
    """What is handed out."""

    predictions = "predictions"
    metrics = "metrics"
    history = "history"
    trends = "trends"
    styles = "styles"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    workload: WorkloadName,
    to: To,
    form: Annotated[Form, typer.Option("--format", help="json, csv, xlsx or parquet")] = Form.csv,
    what: Annotated[
        What,
        typer.Option(
            help="predictions of a ring, metrics of every version, history: the ledger; of the rows a champion learned "
            "from, trends by month or styles: how far groups are apart"
        ),
    ] = What.predictions,
    ring: Annotated[
        str | None, typer.Option(help="whose predictions, trends, styles (else prod's) or history (else every ring's)")
    ] = None,
    date: Day = None,
    since: Since = None,
    until: Until = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write what was published or recorded to a file: verified first, in bounded memory, whole or not at all.

    Example: greenlight export channels --what predictions --since 2026-11-01 --format parquet --to november.parquet
    """
    workloads.get(workload)
    export_files.refuse_existing(to, force=force)
    rows = _rows(workload, what, ring, *_range(what, date, since, until))
    written = export_files.write(rows, form, to, force=force)
    screen.show(written, f"{written.rows:,} rows of {what} of {workload} in {written.path}", json=json)


def _rows(workload: str, what: What, ring: str | None, since: str | None, until: str | None) -> pl.LazyFrame:
    store, keys = home.store(), home.root() / "keys"
    if what is What.history:
        return exports.ledger(store, keys, workload, ring)
    if what is What.metrics:
        if ring is not None:
            raise BadRequest("metrics are those of every version, wherever it serves; leave --ring out")
        return exports.metrics(store, trusted_keys(keys), workload)
    if what is What.trends:
        return portraits.trends(store, keys, workloads.get(workload), ring or "prod")
    if what is What.styles:
        return portraits.styles(store, keys, workloads.get(workload), ring or "prod")
    return exports.days(store, trusted_keys(keys), workload, ring or "prod", since, until)


def _range(what: What, date: str | None, since: str | None, until: str | None) -> tuple[str | None, str | None]:
    if date is not None and (since is not None or until is not None):
        raise BadRequest("--date is one day, --since and --until are a range; name either")
    first, last = (each and checked_day(each) for each in (date or since, date or until))
    if what is not What.predictions and (first or last):
        raise BadRequest(f"--what {what} knows no days; leave --date, --since and --until out")
    if first and last and first > last:
        raise BadRequest(f"there is no day from {first} to {last}; --since is to be no later than --until")
    return first, last
