"""Finds the dossier somebody wants to read, draws its page anew and shows it. It decides nothing and signs nothing."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tasks import workloads
from tasks.adapters import dossier_pages, environment, home, requests
from tasks.adapters.signing import trusted_keys
from tasks.adapters.store import read_bytes
from tasks.core.dossier import Dossier
from tasks.core.page.sheet import Sheet
from tasks.errors import BadRequest


@dataclass(frozen=True)
class Found:
    """A dossier's page: all it says, in a sentence which one it is, and where it lies."""

    sheet: Sheet
    sentence: str
    page: Path
    key: str


def find(workload: str, ring: str | None, version: str | None) -> Found:
    """Return the page of the open request, else of the one asked last; several that are open have to be told apart."""
    spec = workloads.get(workload)
    dossier = _chosen(workload, ring, version)
    sheet = dossier_pages.gather(home.store(), home.root(), spec, dossier, datetime.now(UTC))
    pages = dossier_pages.write(home.store(), sheet)
    came = "open" if sheet.came.state == "open" else f"decided: {sheet.came.state} at {sheet.came.at}"
    said = f"{sheet.question} ({came}; dossier {sheet.digest[: dossier_pages.DIGITS]}) {sheet.answer}"
    return Found(sheet, said, pages.html, pages.html_key)


def copy(found: Found, out: Path) -> None:
    """Write the page to *out*."""
    try:
        out.write_bytes(read_bytes(home.store(), found.key))
    except OSError as error:
        raise BadRequest(f"the page cannot be written to {out}: {error}; name another file with --out") from error


def open_page(page: Path) -> None:
    """Show a page in a browser, where there is a display and the page is a file of this machine."""
    if environment.has_display() and page.exists():
        webbrowser.open(page.resolve().as_uri())


def _chosen(workload: str, ring: str | None, version: str | None) -> Dossier:
    trust = trusted_keys(home.root() / "keys")
    waiting, decided = (
        [each for each in kept(home.store(), trust, workload, ring) if version in (None, each.version)]
        for kept in (requests.open_requests, requests.closed_requests)
    )
    if len(waiting) > 1:
        each_one = "; ".join(f"--ring {each.ring} --version {each.version}" for each in waiting)
        raise BadRequest(f"{len(waiting)} requests of {workload} are open; say which is meant: {each_one}")
    if not waiting and not decided:
        which = "".join((f" in {ring}" if ring else "", f" for {version}" if version else ""))
        raise BadRequest(f"nothing was ever asked about {workload}{which}; look at greenlight status")
    return (waiting or decided)[-1]
