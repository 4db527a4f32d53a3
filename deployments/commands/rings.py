"""From ring to ring: take a challenger further, break the glass where it must be, and review that it was broken."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments import screen
from deployments.options import By, Json, WorkloadName
from tasks import workloads
from tasks.adapters import environment, home, settlement
from tasks.adapters.signing import trusted_keys


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command()(promote)
    app.command()(review)


def promote(
    workload: WorkloadName,
    to_ring: Annotated[str, typer.Option(help="how far, ring by ring from where it is")],
    version: Annotated[str, typer.Option(help="which challenger")] = "newest",
    break_glass: Annotated[
        str, typer.Option(metavar="REASON", help="override failed gates: why; two release managers must sign")
    ] = "",
    requested_by: By = "",
    wait_seconds: Annotated[float, typer.Option(min=0, help="how long to wait for another run of the workload")] = 0,
    json: Json = False,
) -> None:
    """Take a challenger ring by ring to the one you name; it ends where one says no or waits for a person.

    Example: greenlight promote channels --to-ring prod
    """
    from deployments import road

    screen.Progress()
    asked = {"requested_by": requested_by or environment.user_name(), "break_glass": break_glass}
    came = road.promote(workload, version, to_ring, **asked, wait_seconds=wait_seconds)
    said = (f"{each.ring}: {each.status}: {each.because}\n  page  {each.page}" for each in came)
    screen.show(came, "\n".join(said), json=json)


def review(
    workload: WorkloadName,
    entry: Annotated[int, typer.Argument(metavar="ENTRY", help="the ledger entry by which the glass was broken")],
    reason: Annotated[str, typer.Option(help="what the review found, in a sentence")],
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="who reviewed; else whoever is logged in")] = "",
    json: Json = False,
) -> None:
    """Record that somebody else looked at what was let out by breaking the glass; until then status flags it.

    Example: greenlight review channels 7 --reason "the gate was wrong about one slice, mended in #12"
    """
    workloads.get(workload)
    trust = trusted_keys(home.root() / "keys")
    by = name or environment.user_name()
    done = settlement.review(home.store(), home.signer(), trust, workload, entry, by=by, reason=reason)
    screen.show(done, f"entry {entry} of {workload} was reviewed by {by} (ledger entry {done.number})", json=json)
