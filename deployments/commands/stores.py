"""What an operator asks of the stores: do all of them show the same, and make them."""

from __future__ import annotations

from datetime import UTC, datetime

import typer
from rich.table import Table

from deployments import screen
from deployments.options import Json
from tasks.adapters import home, mirrors
from tasks.adapters.mirrors import Repaired
from tasks.adapters.signing import trusted_keys
from tasks.adapters.store import Store
from tasks.core.stores import StoreState, divergences, lags
from tasks.errors import BadRequest, GreenlightError

asked = typer.Typer(rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.add_typer(asked, name="stores")


@asked.callback(invoke_without_command=True)
def look(context: typer.Context, json: Json = False) -> None:
    """Print store by store what readers find there; exit code 1 where one differs from the first.

    Example: greenlight stores
    """
    if context.invoked_subcommand is not None:
        return
    trust = trusted_keys(home.root() / "keys")
    found = [mirrors.look(home.store(), each, trust) for each in (home.store(), *home.mirrors())]
    differs = {each.uri: [*divergences(found[0], each)] for each in found}
    if json:
        screen.show({"stores": found, "differs": differs}, "", json=True)
    else:
        screen.console().print(_matrix(found))
        for uri, said in differs.items():
            for sentence in said:
                print(f"! {uri}: {sentence}")
    if any(differs.values()):
        raise typer.Exit(1)


@asked.command()
def repair(json: Json = False) -> None:
    """Copy to every mirror what it lacks or holds otherwise; nothing is deleted, and no ledger entry written over.

    Example: greenlight stores repair
    """
    if not home.mirrors():
        raise BadRequest("there is no mirror to repair: GREENLIGHT_MIRRORS names none")
    healed = [_healed(each) for each in home.mirrors()]
    said = [f"{each.uri}: {each.trouble or f'{each.copied:,} objects, {each.bytes:,} bytes copied'}" for each in healed]
    screen.show(healed, "\n".join(said), json=json)
    if any(each.trouble for each in healed):
        raise typer.Exit(1)


def _healed(mirror: Store) -> Repaired:
    try:
        return mirrors.repair(home.store(), mirror, datetime.now(UTC).isoformat(timespec="seconds"))
    except GreenlightError as error:
        return Repaired(mirror.uri, trouble=str(error))


def _matrix(found: list[StoreState]) -> Table:
    table = Table(
        "store", "workload", "ring", "champion", "digest", "behind", "verified", title="Stores", title_justify="left"
    )
    for each in found:
        behind = lags(found[0], each)
        seen = "not reachable" if each.trouble else each.verified_at
        rows = [
            (shown.workload, shown.ring, shown.version, shown.digest[:12], str(behind.get(shown.workload, 0)))
            for shown in each.shown
        ]
        for number, row in enumerate(rows or [("", "", "nothing", "", "")]):
            table.add_row(each.uri if number == 0 else "", *row, seen if number == 0 else "")
    return table
