"""What an auditor asks of the ledger: is it whole, what is its head, a copy for another tool. Nothing is written."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from deployments import screen
from deployments.options import Json
from tasks.adapters import history, home, ledger
from tasks.adapters.signing import trusted_keys
from tasks.core import anchors
from tasks.core.ledger_chain import Anchor
from tasks.errors import BadRequest, OutOfSpace

Only = Annotated[str | None, typer.Option("--workload", metavar="WORKLOAD", help="only this ledger; else every one")]
audited = typer.Typer(help="Verify, anchor or export the ledger.", rich_markup_mode=None)


class Format(StrEnum):
    """What an export is written as."""

    json = "json"
    csv = "csv"


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.add_typer(audited, name="ledger")


@audited.command()
def verify(
    workload: Only = None,
    anchor: Annotated[
        str | None,
        typer.Option(metavar="[WORKLOAD:]NUMBER:DIGEST|FILE", help="what was noted elsewhere, or a file of it"),
    ] = None,
    json: Json = False,
) -> None:
    """Check every signature, number and link of the ledger; exit code 1 names the first broken entry.

    That its newest entries were cut off shows against what was noted of its end: by us, and by you (--anchor).

    Example: greenlight ledger verify --anchor heads.txt
    """
    known = None if anchor is None else anchors.parsed(_lines(anchor), workload)
    found = history.verified(home.store(), home.root() / "keys", _known(workload, known), known)
    said = [f"{each.workload}: {_counted(each.entries)}{_noted(each.workload, known)}" for each in found]
    screen.show(found, "\n".join(said) or "there is no ledger yet", json=json)


@audited.command("anchor")
def head(workload: Only = None, json: Json = False) -> None:
    """Print the verified head of every ledger, to be noted where whoever can write the store cannot.

    Example: greenlight ledger anchor > heads.txt
    """
    found = history.verified(home.store(), home.root() / "keys", _known(workload, None))
    heads = [anchors.spelt(each.workload, each.head) for each in found if each.head]
    screen.show(heads, "\n".join(heads), json=json)


@audited.command()
def export(
    form: Annotated[Format, typer.Option("--format", help="json or csv")] = Format.json,
    workload: Only = None,
    out: Annotated[Path | None, typer.Option("--out", help="file to write; else standard output")] = None,
    json: Json = False,
) -> None:
    """Write every entry with its digest, for another tool.

    Example: greenlight ledger export --format csv --out ledger.csv
    """
    entries = history.entries(home.store(), trusted_keys(home.root() / "keys"), _known(workload, None))
    # Asked for JSON on standard output, there is one kind of it.
    as_csv = form is Format.csv and not (json and out is None)
    text = history.as_csv(entries) if as_csv else history.as_json(entries)
    if out is None:
        sys.stdout.write(text)
        return
    try:
        out.write_text(text, "utf-8", newline="")
    except OSError as error:
        raise OutOfSpace(f"{out} cannot be written: {error.strerror}; name another file with --out") from error
    screen.show({"entries": len(entries), "path": str(out)}, f"{len(entries):,} entries in {out}", json=json)


def _known(workload: str | None, told: dict[str, Anchor] | None) -> str | None:
    """Return *workload* if it has a ledger, or something was noted of it; a misspelt one would look whole."""
    names = sorted({*ledger.workloads(home.store()), *(told or {})})
    if workload is not None and workload not in names:
        raise BadRequest(f"{workload!r} has no ledger; there are: {', '.join(names) or 'none'}")
    return workload


def _counted(entries: int) -> str:
    return f"{entries:,} entries hold" if entries != 1 else "1 entry holds"


def _noted(workload: str, told: dict[str, Anchor] | None) -> str:
    return f", up to the entry {told[workload].number} you noted and beyond" if told and workload in told else ""


def _lines(anchor: str) -> list[str]:
    path = Path(anchor)
    if not path.is_file():
        return [anchor]
    try:
        return path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"the anchors in {path} cannot be read: {error}") from error
