"""Page: draw the run's one HTML page, publish the same as rows, and link the page where people look."""

from __future__ import annotations

from dataclasses import replace

from prefect.artifacts import create_markdown_artifact

from tasks import workloads
from tasks.adapters import dossier_pages, home, mirrors, pages, reports
from tasks.adapters.home import registry, root, scratch, signer, store
from tasks.adapters.signing import trusted_keys
from tasks.core.dossier import Dossier
from tasks.core.page.report import render
from tasks.core.page.verdicts import verdict_table
from tasks.core.run import Hearing, Promotion
from tasks.patience import patient
from tasks.stages import stage


@patient(name="write page {hearing.workload} {hearing.version}")
def write_page(hearing: Hearing, dossier: Dossier, promotion: Promotion) -> Promotion:
    """Draw the page from the dossier, publish its rows, and return the promotion with the page's address."""
    with stage(hearing, "write page") as told, scratch(hearing.workload, "report") as folder:
        report = pages.gather(store(), root(), workloads.get(hearing.workload), dossier, promotion)
        page = pages.keep(store(), dossier, render(report))
        reports.publish(store(), signer(), report, dossier, folder)
        behind = _carried(dossier)
        registry().attach(hearing.workload, hearing.run_key, page)
        _link(hearing, promotion, str(page))
        told.note = "; ".join((str(page), *behind))
    return replace(promotion, page=str(page))


def _carried(dossier: Dossier) -> tuple[str, ...]:
    """Give mirrors the report and the pages people open; return those that stay behind."""
    drawn = (pages.page_key(dossier.workload, dossier.version, dossier.ring), *dossier_pages.keys(dossier).values())
    trust, there = trusted_keys(root() / "keys"), [key for key in drawn if store().head(key)]
    return mirrors.carry(store(), home.mirrors(), trust, reports.manifest_key(dossier), there)


def _link(hearing: Hearing, promotion: Promotion, address: str) -> None:
    lines = [
        f"# {promotion.status}: {hearing.workload} {hearing.version}",
        "",
        promotion.because,
        "",
        f"[The page]({address})",
        "",
    ]
    lines += verdict_table(promotion.verdicts)
    # A key of an artifact has no room for the underscore of a workload's name.
    key = f"{hearing.workload}-{hearing.version}-{hearing.ring}".lower().replace("_", "-")
    create_markdown_artifact("\n".join(lines), key=key, description=promotion.because)
