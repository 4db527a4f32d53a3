"""The command that makes a workload's tables anew out of the records, in the store and in the database."""

from __future__ import annotations

import typer

from deployments import screen
from deployments.options import Json, WorkloadName
from tasks import workloads
from tasks.adapters import home
from tasks.errors import BadRequest

NOTHING = (
    "no tables yet: nothing was taken in by the flow gather, and nothing scored; "
    "run: greenlight score {} --input PATH --ring RING"
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(tables)


def tables(workload: WorkloadName, json: Json = False) -> None:
    """Make the tables of all rows and predictions anew, and bring GREENLIGHT_WAREHOUSE up to them if it is set.

    Example: greenlight tables video_stats
    """
    from tasks.adapters import database_tables
    from tasks.adapters import tables as made

    spec, database = workloads.get(workload), home.warehouse()
    if not spec.tables:
        raise BadRequest(f"{workload} declares no tables; greenlight export {workload} has its predictions")
    with home.scratch(workload, "tables") as room:
        heights = made.of_rows(home.store(), spec, room)
        heights |= made.of_scored_days(home.store(), home.signer(), home.root() / "keys", spec, room)
        written = database_tables.write_all(home.store(), database, spec, room) if database else ()
    lines = [f"{rows:>12,} rows  {made.table_key(workload, name)}" for name, rows in heights.items()]
    lines += [f"{each.rows:>12,} rows  {each.table}{' (unchanged)' if each.unchanged else ''}" for each in written]
    found = {"tables": heights, "database": written}
    screen.show(found, "\n".join(lines) or NOTHING.format(workload), json=json)
