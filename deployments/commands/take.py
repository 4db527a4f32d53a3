"""What a reader elsewhere does: take what serves out of the store, without a home that trained it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deployments import screen
from deployments.options import Json, WorkloadName
from tasks import workloads
from tasks.adapters import home, pulling
from tasks.adapters.cached import at_its_origin
from tasks.adapters.signing import trusted_keys


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command()(pull)


def pull(
    workload: WorkloadName,
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="the folder that is to hold it; a link, in fact")],
    ring: Annotated[str, typer.Option(help="whose champion")] = "prod",
    version: Annotated[str | None, typer.Option(help="a version that was let out there; else what serves")] = None,
    json: Json = False,
) -> None:
    """Take the champion's bundle into a folder: verified first, replaced in one step, gone on with where it ended.

    Example: greenlight pull channels --ring prod --to models/channels
    """
    workloads.get(workload)
    trust = trusted_keys(home.root() / "keys")
    done = pulling.pull(at_its_origin(home.store()), trust, workload, ring, to.absolute(), version)
    came = f"{done.fetched_bytes:,} of {done.size_bytes:,} bytes came" if done.changed else "unchanged"
    screen.show(done, f"{to} holds {workload} {done.version}, {done.files} files verified ({came})", json=json)
