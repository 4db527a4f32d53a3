"""What the rows a champion learned from say of their groups: trends over the months, distances between styles.

The rows are those its verified bundle names. How either is computed is ``tasks.core.trends`` and ``tasks.core.styles``.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tasks.adapters import contents, frames, serving
from tasks.adapters.store import Store
from tasks.core.likeness import standardise
from tasks.core.splitting import called, witness_of
from tasks.core.styles import find_styles
from tasks.core.trends import find_trends
from tasks.errors import BadRequest
from tasks.workloads.likeness import Likeness
from tasks.workloads.spec import Workload


def trends(store: Store, keys: Path, spec: Workload, ring: str) -> pl.LazyFrame:
    """Return each group's months; raises BadRequest where the workload follows none, DataRejected for too few."""
    likeness = _declared(spec)
    if not likeness.trend:
        raise BadRequest(f"{spec.name} follows no trend: its likeness names no moment and no group")
    rows = _learned_from(store, keys, spec, ring)
    return find_trends(rows, likeness.moment, likeness.trend, likeness.features).lazy()


def styles(store: Store, keys: Path, spec: Workload, ring: str) -> pl.LazyFrame:
    """Return the nearest others of each group of each declared column that has groups large enough."""
    likeness = _declared(spec)
    rows = _learned_from(store, keys, spec, ring)
    known = [by for by in likeness.styles if rows[by].null_count() < rows.height]
    if not known:
        raise BadRequest(
            f"none of {', '.join(likeness.styles) or 'its styles'} is filled in what {spec.name} learned from"
        )
    standard = standardise(rows, likeness.features)
    return pl.concat(find_styles(_spelled_alike(spec, rows, by), by, standard) for by in known).lazy()


def _spelled_alike(spec: Workload, rows: pl.DataFrame, by: str) -> pl.DataFrame:
    """Return *rows* with each group that stays together in a split under one name: its commonest."""
    if by != spec.holdout.within:
        return rows
    return rows.with_columns(called(spec).mode().sort().first().over(witness_of(spec, rows)).alias(by))


def _declared(spec: Workload) -> Likeness:
    if spec.likeness is None:
        raise BadRequest(f"{spec.name} declares no likeness, so its rows have neither trends nor styles")
    return spec.likeness


def _learned_from(store: Store, keys: Path, spec: Workload, ring: str) -> pl.DataFrame:
    bundle = serving.open_champion(store, keys, spec.name, ring).bundle
    contents.refuse_other_features(bundle, spec)
    accepted = frames.read(store, contents.evidence_of(bundle).contracted.accepted)
    return spec.derive(accepted.lazy()).collect()
