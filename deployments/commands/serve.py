"""The commands that serve a team: ``up`` runs the servers and a worker, ``deploy`` tells them what is ours."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments import screen, server
from deployments.options import Json
from tasks.adapters import home
from tasks.adapters.settings import settings
from tasks.errors import BadRequest, Unreachable

if TYPE_CHECKING:
    from deployments.registration import Registered

ROOT = Path(__file__).parents[2]
PREFECT_FILE = ROOT / "prefect.yaml"
Port = Annotated[int, typer.Option(min=0, max=65535, help="of the Prefect server; 0: any that is free")]
MlflowPort = Annotated[int, typer.Option(min=0, max=65535, help="of the MLflow server; 0: any that is free")]


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(up)
    app.command()(deploy)


def up(port: Port = 4200, mlflow_port: MlflowPort = 5000, json: Json = False) -> None:
    """Run a Prefect server, an MLflow server and a worker on this machine until Ctrl-C; prints where they answer.

    Databases are SQLite in the home, or what PREFECT_SERVER_DATABASE_CONNECTION_URL and MLFLOW_BACKEND_STORE_URI name.
    Everything listens on loopback only.

    Example: greenlight up
    """
    from deployments import processes, stack

    # From here on in a child that is told when this process ends, however it ends.
    to_end = processes.guard()
    root = home.root()
    progress = screen.Progress()
    with stack.alone(root):
        addresses = stack.addresses_at(port, mlflow_port)
        running = stack.Stack(root, to_end)
        try:
            progress.say(f"starting on the home {root}; logs are in {root / 'logs'}")
            running.start(stack.parts(root, addresses, settings().mlflow_backend.get_secret_value()), progress.say)
            stack.remember(root, addresses)
            sentence = f"Prefect  {addresses.prefect}\nMLflow   {addresses.mlflow}\nAPI      {addresses.api}"
            screen.show(addresses, f"{sentence}\nNext: greenlight deploy. Ctrl-C stops all of it.", json=json)
            # Whoever reads them through a pipe waits for them now, not at the end.
            sys.stdout.flush()
            running.watch()
        finally:
            running.stop()
            progress.say("all of it is stopped")


def deploy(
    file: Annotated[Path, typer.Option("--file", help="the deployments")] = PREFECT_FILE,
    automations: Annotated[Path, typer.Option("--automations", help="what the server does by itself")] = ROOT
    / "deployments"
    / "automations.yaml",
    json: Json = False,
) -> None:
    """Register every deployment, schedule, trigger, limit and automation; remove those of ours that left the files.

    On the server PREFECT_API_URL names, else on the one that up runs on this home. The same files again change nothing.

    Example: greenlight deploy
    """
    from deployments import registration

    if file == PREFECT_FILE and not file.exists():
        raise BadRequest(
            f"{file} is not there: an installed package brings no deployments, a checkout of the sources does; run "
            "this there, or name your own with --file PATH and --automations PATH"
        )
    done = registration.deploy(_api(), file, automations)
    screen.show(done, _table(done), json=json)


def _api() -> str:
    api = server.known(home.root())
    if not api:
        raise Unreachable(
            f"no Prefect server is known: PREFECT_API_URL is not set, and greenlight up does not run on the home "
            f"{home.root()}; start it in another terminal, then run again"
        )
    return api


def _table(done: tuple[Registered, ...]) -> str:
    rows = [("", "deployment", "schedules", "events", "at once"), *map(_cells, done)]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _cells(each: Registered) -> tuple[str, ...]:
    name = each.name if each.kind == "deployment" else f"{each.kind}: {each.name}"
    return each.done, name, ", ".join(each.schedules), ", ".join(each.triggers), each.limit
