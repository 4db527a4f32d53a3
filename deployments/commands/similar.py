"""The commands that name the rows most like one, and that hand all vectors to a database which can be asked too."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments import screen
from deployments.options import Json, WorkloadName
from tasks import workloads
from tasks.adapters import home
from tasks.errors import BadRequest

From = Annotated[Path | None, typer.Option("--from", metavar="FILE", help="a file with the row; else --entity")]
Entity = Annotated[str | None, typer.Option(metavar="ID", help="whose row: in the file, else among those learned from")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(similar)
    app.command()(vectors)


def similar(
    workload: WorkloadName,
    entity: Entity = None,
    source: From = None,
    k: Annotated[int, typer.Option("--k", min=1, max=1_000, help="how many are named")] = 10,
    ring: Annotated[str, typer.Option(help="whose champion is asked")] = "dev",
    json: Json = False,
) -> None:
    """Name the rows most like one, out of the champion's verified bundle, with their distances.

    Example: greenlight similar tracks --entity track-0000007 --k 10
    """
    from deployments import readers
    from tasks.adapters import neighbours

    if entity is None and source is None:
        raise BadRequest("whose like? name --entity ID, or give the row with --from FILE")
    spec = workloads.get(workload)
    bundle, alike = neighbours.opened(home.store(), home.root() / "keys", spec, ring)
    if source is not None:
        row = readers.row_of(spec, bundle, source, entity, observed_at=None)
        found = neighbours.similar_to_row(bundle, alike, spec, row, k)
    else:
        found = neighbours.similar(bundle, alike, str(entity), k)
    lines = [f"most like {found.asked} among {found.of:,} rows of {workload} {found.version} ({found.method}):"]
    lines += ["  " + "  ".join(str(value) for value in row.values() if value is not None) for row in found.rows]
    screen.show(found, "\n".join(lines), json=json)


def vectors(
    workload: WorkloadName,
    ring: Annotated[str, typer.Option(help="whose champion's")] = "prod",
    json: Json = False,
) -> None:
    """Write the champion's vectors to the PostgreSQL of GREENLIGHT_WAREHOUSE; the same again changes nothing.

    Example: greenlight vectors tracks --ring prod
    """
    from tasks.adapters import neighbours, vector_tables

    database = home.warehouse()
    if not database:
        raise BadRequest("GREENLIGHT_WAREHOUSE names no PostgreSQL to write to, as postgresql://user:pw@host/db")
    bundle, alike = neighbours.opened(home.store(), home.root() / "keys", workloads.get(workload), ring)
    written = vector_tables.write(database, workload, bundle.manifest.digest, alike)
    done = "are there already" if written.unchanged else "were written"
    screen.show(
        written, f"{written.rows:,} vectors of {workload} {bundle.manifest.version} {done}: {written.table}", json=json
    )
