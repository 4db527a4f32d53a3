"""What an operator does besides deciding: look, roll back, stop the line, and bring readers back to the ledger."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from deployments import board, screen, server
from deployments.options import By, Json, Reason, WorkloadName
from tasks import workloads
from tasks.adapters import environment, home, line, mirrors, overview, policies
from tasks.adapters import history as histories
from tasks.adapters import rollback as rollbacks
from tasks.adapters.line import EVERY_WORKLOAD
from tasks.adapters.registry import Registry
from tasks.adapters.rollback import RolledBack
from tasks.adapters.settings import settings
from tasks.adapters.signing import Trust, trusted_keys
from tasks.core.rollback import Asked

Scope = Annotated[str | None, typer.Option("--workload", metavar="WORKLOAD", help="only this one; else every workload")]


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command()(status)
    app.command()(history)
    app.command()(rollback)
    app.command("stop-the-line")(stop_the_line)
    app.command("resume-the-line")(resume_the_line)
    app.command()(reconcile)


def status(json: Json = False) -> None:
    """Show champions, open requests, drift, last runs, stopped lines and whatever is wrong, on one screen.

    Example: greenlight status
    """
    remote = home.registry().alias if settings().mlflow_uri else None
    found = overview.look(home.store(), home.root(), _trust(), remote)
    if json:
        screen.show(found, "", json=True)
    else:
        board.show(found)


def history(
    workload: WorkloadName,
    ring: Annotated[str | None, typer.Option(help="only this ring; else all")] = None,
    json: Json = False,
) -> None:
    """Tell who let what out, when, why and on which evidence: promotions, rollbacks, holds, rejections, repairs, stops.

    Example: greenlight history channels --ring prod
    """
    workloads.get(workload)
    found = histories.events(home.store(), _trust(), workload, ring)
    # A ring that was given up still has its history.
    if ring and not found:
        policies.load(ring)
    screen.show(found, "\n".join(histories.told(found)) or f"nothing was ever decided on {workload}", json=json)


def rollback(
    workload: WorkloadName,
    reason: Reason,
    to: Annotated[
        str, typer.Option("--to", metavar="VERSION", help="a version that was let out in the ring before")
    ] = rollbacks.PREVIOUS,
    ring: Annotated[str, typer.Option(help="where")] = "prod",
    requested_by: By = "",
    json: Json = False,
) -> None:
    """Let an earlier version serve again, at once: the previous one that was not itself rolled back from.

    It needs no gate, no approval and no running line. The same command twice in a row is carried out once; to go
    further back, give the new reason, or name a version.

    Example: greenlight rollback channels --reason "predicts negative earnings since 14:00"
    """
    workloads.get(workload)
    screen.Progress()
    asked = Asked(workload, ring, to, reason, requested_by or environment.user_name())
    done = rollbacks.roll_back(home.store(), home.signer(), _trust(), _registry_if_any(), asked)
    screen.show(done, "\n".join((done.sentence, *(f"  {change}" for change in done.changes))), json=json)
    mirrors.follow(home.store(), home.mirrors(), _trust(), workload, ring)
    if server.configured():
        _announce(done)


def stop_the_line(reason: Reason, workload: Scope = None, requested_by: By = "", json: Json = False) -> None:
    """Stop every promotion in every ring until the line is resumed; rollback goes on working.

    Example: greenlight stop-the-line --reason "the source double-counts views since Monday"
    """
    by = requested_by or environment.user_name()
    stopped = line.stop(home.store(), home.signer(), _trust(), reason=reason, by=by, scope=_scope(workload))
    screen.show(stopped, stopped.sentence, json=json)


def resume_the_line(
    reason: Reason = "no reason given", workload: Scope = None, requested_by: By = "", json: Json = False
) -> None:
    """Let promotions go on after stop-the-line.

    Example: greenlight resume-the-line --reason "the source was mended and its rows read anew"
    """
    by = requested_by or environment.user_name()
    entry = line.resume(home.store(), home.signer(), _trust(), reason=reason, by=by, scope=_scope(workload))
    still = [stopped.sentence for stopped in line.stops(home.store(), _trust())]
    screen.show(entry, "\n".join((f"the line of {workload or 'every workload'} runs again", *still)), json=json)


def reconcile(
    workload: Annotated[str | None, typer.Argument(metavar="[WORKLOAD]", help="only this one; else all")] = None,
    ring: Annotated[str | None, typer.Option(help="only this ring; else all")] = None,
    json: Json = False,
) -> None:
    """Rebuild what readers see (champion.json, MLflow's versions and aliases) from the ledger.

    An alias that had been moved by hand is moved back, and the ledger records what was found.

    Example: greenlight reconcile channels
    """
    from deployments import mending

    mended = mending.reconcile(workload, ring=ring, by=environment.user_name())
    screen.show(mended, "\n".join(mended.changes) or "nothing to mend", json=json)


def _trust() -> Trust:
    return trusted_keys(home.root() / "keys")


def _scope(workload: str | None) -> str:
    return workloads.get(workload).name if workload else EVERY_WORKLOAD


def _announce(done: RolledBack) -> None:
    """Tell the Prefect server, if there is one: readers see the champion already, scoring is to follow."""
    sys.stdout.flush()
    from prefect.events.worker import EventsWorker

    from tasks.rollback import announce

    announce(done)
    EventsWorker.drain_all(timeout=5)


def _registry_if_any() -> Registry | None:
    """A registry that was never begun has no alias to move, and beginning it would keep readers waiting."""
    begun = settings().mlflow_uri or (home.root() / "mlflow" / "mlflow.db").exists()
    return home.registry() if begun else None
