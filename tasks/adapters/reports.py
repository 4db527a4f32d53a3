"""A run's report as rows: what was measured and what was set aside, by day, for whoever asks with a query.

Page and dossier are for people and are named only: they tell times and what was said since and are drawn again, while
a table has the bytes of its rows. How they are drawn belongs to ``pages``.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tasks.adapters import dossier_pages, frames, pages, partitions
from tasks.adapters.memo import remember
from tasks.adapters.signing import Signer
from tasks.adapters.store import Store
from tasks.core.digests import canonical_json, plain
from tasks.core.dossier import Dossier
from tasks.core.page.run_report import RunReport
from tasks.core.partitions import Partition, Table, partition_key
from tasks.core.rules import reasons
from tasks.core.values import Blob, Scorecard

KIND = "reports"
FIGURES = ("mae", "rmse", "r2", "log_r2", "spearman", "skill")
SCORES: dict[str, type[pl.DataType] | pl.DataType] = {
    **dict.fromkeys(("target", "algorithm", "params", "status", "reason"), pl.String),
    "tuned": pl.Boolean,
    "rows": pl.Int64,
    **dict.fromkeys(FIGURES, pl.Float64),
    "fold_mae": pl.List(pl.Float64),
}


def manifest_key(dossier: Dossier) -> str:
    """Return where the report of that dossier is published."""
    return partition_key(KIND, dossier.workload, *_day_and_name(dossier))


def publish(store: Store, signer: Signer, report: RunReport, dossier: Dossier, folder: Path) -> bool:
    """Publish the report as that of the day its dossier was asked on, and say whether that changed it.

    ``reports/<workload>/<date>/<ring>-<version>.json``; *folder* is scratch.
    """
    day, name = _day_and_name(dossier)
    held = report.contracted
    tables = {
        "quarantined": Table((held.quarantined,), held.rows_quarantined),
        "scorecards": Table((_scorecards(store, signer, report, dossier, folder),), len(report.scorecards)),
        **{f"holdout {each.target}": Table((each.predictions,), each.rows_holdout) for each in report.evaluations},
    }
    partition = Partition(KIND, dossier.workload, day, name, dossier.run_key, tables, _about(report, dossier))
    stood = partitions.standing(store, KIND, dossier.workload, day, name)
    return partitions.publish(store, signer, partition, source=store, replaces=stood)


def _day_and_name(dossier: Dossier) -> tuple[str, str]:
    return dossier.requested_at[:10], f"{dossier.ring}-{dossier.version}"


def _scorecards(store: Store, signer: Signer, report: RunReport, dossier: Dossier, folder: Path) -> Blob:
    """Remembered, so that a record names the table before the report does."""

    def compute() -> Blob:
        rows = pl.DataFrame([_row(card) for card in report.scorecards], schema=SCORES)
        return frames.keep(store, rows, folder, "scorecards")

    return remember(store, signer, dossier.workload, "report", {"evidence": dossier.evidence}, Blob, compute).value


def _row(card: Scorecard) -> dict[str, object]:
    told = {name: getattr(card, name) for name in SCORES}
    return told | {"params": canonical_json(card.params).decode(), "fold_mae": list(card.fold_mae)}


def _about(report: RunReport, dossier: Dossier) -> dict[str, object]:
    held = report.contracted
    return {
        "outcome": report.outcome,
        "because": report.because,
        "version": report.version,
        "serves": list(report.serves),
        "dossier": dossier.digest,
        "rows_in": held.rows_in,
        "rows_accepted": held.rows_accepted,
        "rows_quarantined": held.rows_quarantined,
        "quarantine_reasons": plain(reasons(held)),
        "pages": {
            "report": pages.page_key(dossier.workload, dossier.version, dossier.ring),
            **dossier_pages.keys(dossier),
        },
    }
