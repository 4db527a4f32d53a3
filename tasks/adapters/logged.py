"""What the registry is told of a challenger's making, out of the evidence in its bundle alone.

So a registry that was lost can be told again, years later, without the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from tasks.adapters import frames
from tasks.adapters.parquet import write_parquet
from tasks.adapters.registry import Record, trial_of
from tasks.adapters.store import Store
from tasks.core.evidence import Evidence


def record_of(evidence: Evidence, tags: Mapping[str, str]) -> Record:
    """Return the run that made the challenger, with a trial per candidate; *tags* are what only the run knows."""
    measured = {
        f"{each.target}.{name}": getattr(each, name).value
        for each in evidence.evaluations
        for name in ("mae", "r2", "skill", "coverage")
    }
    return Record(
        workload=evidence.workload,
        run_key=evidence.run_key,
        name=f"{evidence.workload} {evidence.run_key}",
        params={each.target: each.algorithm for each in evidence.evaluations},
        metrics={
            **measured,
            "rows_in": evidence.contracted.rows_in,
            "rows_quarantined": evidence.contracted.rows_quarantined,
        },
        tags=tags,
        datasets={"snapshot": evidence.snapshot.digest, "training": evidence.training_set.rows.digest},
        trials=tuple(trial_of(card) for card in evidence.scorecards),
    )


def studies_of(store: Store, evidence: Evidence, folder: Path) -> Path | None:
    """Write every trial of every study as one line of ``studies.parquet`` in *folder*; None if nothing was tuned."""
    tables = [
        frames.read(store, card.study.table).with_columns(target=pl.lit(card.target), algorithm=pl.lit(card.algorithm))
        for card in evidence.scorecards
        if card.study and card.study.table
    ]
    if not tables:
        return None
    file = folder / "studies.parquet"
    write_parquet(pl.concat(tables).lazy(), file)
    return file
