"""What was not learned from because nobody knew its label yet when the first row to be judged was: told, never silent.

Which rows those are is decided in splitting.
"""

from __future__ import annotations

import polars as pl

from tasks.core.splitting import Split, folds_of
from tasks.core.values import Table
from tasks.workloads.spec import Workload

TITLE = "Rows whose label was not known when the first row to be judged was"
HEAD = ("", "learned from", "left out", "judged on")


def late_rows(spec: Workload, parts: Split, validated: pl.DataFrame | None) -> tuple[Table, ...]:
    """Return how many rows were left out of the training part, and of each fold of the *validated* rows, if any were.

    Nothing where no row can be late.
    """
    if not spec.holdout.known_at:
        return ()
    counts: list[tuple[str, tuple[int, ...]]] = [("holdout", (parts.train.size, parts.late.size, parts.holdout.size))]
    if validated is not None:
        made: dict[int, tuple[int, ...]] = {
            each.fold: (each.fit.size, each.late, each.judge.size) for each in folds_of(spec, validated)
        }
        counts[:0] = [(f"fold {number + 1}", made.get(number, ())) for number in range(spec.holdout.folds)]
    lines = ((name, *(f"{each:,}" for each in of)) if of else (name, "too few", "", "none") for name, of in counts)
    return (Table(TITLE, HEAD, tuple(lines)),)
