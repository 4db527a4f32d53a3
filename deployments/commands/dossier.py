"""What an operator looks at before deciding: the dossier's page, drawn with what people have said by now."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments import screen
from deployments.options import WorkloadName

Ring = Annotated[str | None, typer.Option(help="which ring; else any")]
Version = Annotated[str | None, typer.Option(help="which challenger; else the one that is asked about")]
Out = Annotated[Path | None, typer.Option("--out", help="a file to copy the page to")]
Open = Annotated[bool, typer.Option("--open/--no-open", help="show it in a browser, where there is a display")]
Json = Annotated[bool, typer.Option("--json", help="print the page's machine-readable twin, and open nothing")]


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command()(dossier)


def dossier(
    workload: WorkloadName,
    ring: Ring = None,
    version: Version = None,
    out: Out = None,
    show: Open = True,
    json: Json = False,
) -> None:
    """Open the page to decide on: that of the open request, else of the one that was decided last.

    Example: greenlight dossier channels
    """
    from deployments import reading_room

    found = reading_room.find(workload, ring, version)
    if out is not None:
        reading_room.copy(found, out)
    screen.show(found.sheet, f"{found.sentence}\n{out or found.page}", json=json)
    if show and not json:
        reading_room.open_page(out or found.page)
