"""Dossier: draw the page a decision is made on and its twin, keep both, and link them where people look."""

from __future__ import annotations

from datetime import UTC, datetime

from prefect.artifacts import create_markdown_artifact

from tasks import workloads
from tasks.adapters import dossier_pages
from tasks.adapters.home import registry, root, store
from tasks.core.dossier import Dossier
from tasks.core.page.sheet import Sheet
from tasks.core.page.verdicts import verdict_table
from tasks.core.run import Hearing
from tasks.patience import patient
from tasks.stages import stage


@patient(name="write dossier {hearing.workload} {hearing.version}")
def write_dossier(hearing: Hearing, dossier: Dossier) -> str:
    """Draw page and twin of what was just asked, and return the page's address."""
    with stage(hearing, "write dossier") as told:
        sheet = dossier_pages.gather(store(), root(), workloads.get(hearing.workload), dossier, datetime.now(UTC))
        pages = dossier_pages.write(store(), sheet)
        for file in (pages.html, pages.json):
            registry().attach(hearing.workload, hearing.run_key, file)
        _link(sheet, str(pages.html))
        told.note = str(pages.html)
    return str(pages.html)


def _link(sheet: Sheet, address: str) -> None:
    lines = [f"# {sheet.question}", "", sheet.answer, "", f"[The dossier]({address})", ""]
    # A key of an artifact has no room for the underscore of a workload's name.
    key = f"dossier-{sheet.dossier.workload}-{sheet.digest[: dossier_pages.DIGITS]}".lower().replace("_", "-")
    table = verdict_table(sheet.dossier.verdicts)
    create_markdown_artifact("\n".join((*lines, *table)), key=key, description=sheet.question)
