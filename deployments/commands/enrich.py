"""The command that adds what can be said of free text: its language, its tone, and more, row by row."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments import screen
from deployments.options import Json
from tasks.errors import BadRequest

if TYPE_CHECKING:
    from tasks.core.enrichment.rows import Enriched

Source = Annotated[Path, typer.Option("--source", help="CSV, CSV.gz, Parquet, or a folder of them")]
Text = Annotated[str, typer.Option("--column", help="the column with the text")]
Keys = Annotated[list[str] | None, typer.Option("--key", help="a column to keep beside the answers; may be repeated")]
Out = Annotated[Path, typer.Option("--out", help="the Parquet file to write")]
Budget = Annotated[
    str | None, typer.Option(metavar="AMOUNT", help="the most the file may cost; else GREENLIGHT_ENRICH__BUDGET")
]
Force = Annotated[bool, typer.Option("--force", help="replace the file if it is there")]


class Who(StrEnum):
    """Who answers."""

    local = "local"
    providers = "providers"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(enrich)


def enrich(
    source: Source,
    column: Text,
    out: Out,
    key: Keys = None,
    analyser: Annotated[
        Who, typer.Option(help="local: counted on this machine; providers: sent to those of GREENLIGHT_ENRICH__*")
    ] = Who.local,
    budget: Budget = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write what an analyser says of each row's text beside the row's keys; killed, it goes on where it was.

    Example: greenlight enrich --source videos.csv --key video_id --column title --out titles.parquet
    """
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from tasks import enrich as step

    asked = step.Asked(source, column, tuple(key or ()), out, force)
    screen.Progress()
    columns = (SpinnerColumn(), TextColumn("{task.completed:,.0f} rows"), TimeElapsedColumn())
    console = screen.console(stderr=True)
    with (
        step.analysing(analyser, _amount(budget)) as who,
        Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as progress,
    ):
        bar = progress.add_task("rows", total=None)
        done = step.enrich(asked, who, lambda rows: progress.advance(bar, rows))
    screen.show(done, "\n".join(_told(done)), json=json)


def _amount(text: str | None) -> Decimal | None:
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except ArithmeticError:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise BadRequest(f"--budget {text} is no amount of money; give a number, 0 or more")
    return amount


def _told(done: Enriched) -> Iterator[str]:
    yield f"{done.rows:,} rows = {done.ok:,} ok + {done.failed:,} failed, of {done.column} in {done.path}"
    yield f"  {done.cached:,} cached, {done.resumed:,} kept from a run before, {done.asked:,} requests sent"
    yield f"  {done.input_tokens:,} tokens sent, {done.output_tokens:,} answered, cost {done.cost:g}"
    yield from (f"  {rows:>6,}  {reason}" for reason, rows in done.reasons)
