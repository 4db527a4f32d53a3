"""What keeps a store from growing for ever: versions that never served are retired, blobs that nothing names go."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer

from deployments import screen
from deployments.options import Json
from tasks.adapters import garbage, home
from tasks.adapters.cached import at_its_origin
from tasks.adapters.signing import trusted_keys
from tasks.core.garbage import Collected

Keep = Annotated[
    int | None, typer.Option(metavar="N", help="retire versions beyond the last N that never served; else none")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    app.command()(gc)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list what would go, and change nothing")] = False,
    grace_hours: Annotated[float, typer.Option(min=0, help="how long a blob must have been named by nothing")] = 24,
    keep: Keep = None,
    json: Json = False,
) -> None:
    """Delete blobs that no record names, after a grace: the first run marks them, one that comes later deletes them.

    What ever served, is asked about or is the newest is never retired.

    Example: greenlight gc --keep 20
    """
    trust, grace = trusted_keys(home.root() / "keys"), timedelta(hours=grace_hours)
    found = garbage.collect(at_its_origin(home.store()), trust, grace=grace, keep=keep, dry_run=dry_run)
    waiting = [f"{digest}  named by nothing since {since}" for digest, since in found.waiting.items() if dry_run]
    screen.show(found, "\n".join((*found.retired, *found.deleted, *waiting, _sentence(found))), json=json)


def _sentence(found: Collected) -> str:
    would = "would be " if found.dry_run else ""
    return (
        f"{len(found.retired)} versions {would}retired, {len(found.deleted)} of {found.blobs} blobs {would}deleted "
        f"({found.deleted_bytes:,} bytes); {found.unnamed} were named by nothing"
    )
