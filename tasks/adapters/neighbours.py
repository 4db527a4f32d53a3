"""Asks what serves for the rows most like one: the likeness in its bundle, verified before it is opened.

How nearness is measured is ``tasks.core.likeness``; what the champion predicts does not belong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tasks.adapters import contents, serving
from tasks.adapters.bundles import Bundle
from tasks.adapters.store import Store
from tasks.core.likeness import Alike
from tasks.errors import BadRequest
from tasks.workloads.spec import Workload


@dataclass(frozen=True)
class Similar:
    """The rows most like the one asked for, nearest first; ``distance`` is in standard deviations.

    ``method`` is exact, or HNSW with the share of true neighbours it was found to return; ``of`` is how many rows
    were searched.
    """

    version: str
    asked: str
    of: int
    method: str
    rows: tuple[Mapping[str, Any], ...]


def opened(store: Store, keys: Path, spec: Workload, ring: str) -> tuple[Bundle, Alike]:
    """Open the likeness of what serves in *ring*; raises BadRequest where nothing does, or it knows none."""
    if spec.likeness is None:
        raise BadRequest(f"{spec.name} declares no likeness, so none of its rows is like another")
    bundle = serving.open_champion(store, keys, spec.name, ring).bundle
    return bundle, contents.likeness_of(bundle)


def similar(bundle: Bundle, alike: Alike, entity: str, k: int) -> Similar:
    """Return the *k* rows most like that of *entity*, which is not one of them; raises BadRequest."""
    place = alike.place_of(entity)
    if k >= alike.rows.height:
        raise BadRequest(f"{k:,} rows like {entity} were asked for, of {alike.rows.height - 1:,} others; lower --k")
    found = alike.nearest(alike.vectors[place], k + 1)
    near = [(int(other), float(d)) for other, d in zip(found.places, found.distances, strict=True) if other != place]
    return _told(bundle, alike, entity, near[:k])


def similar_to_row(bundle: Bundle, alike: Alike, spec: Workload, row: pl.DataFrame, k: int) -> Similar:
    """Return the *k* rows most like *row*, one row as it was read; raises BadRequest."""
    vector = alike.standard.vectors(spec.derive(row.lazy()).collect())[0]
    found = alike.nearest(vector, k)
    near = [(int(place), float(d)) for place, d in zip(found.places, found.distances, strict=True)]
    return _told(bundle, alike, str(row[spec.entity][0] or "the row given"), near)


def _told(bundle: Bundle, alike: Alike, asked: str, near: list[tuple[int, float]]) -> Similar:
    rows = tuple({**alike.rows.row(place, named=True), "distance": round(apart, 4)} for place, apart in near)
    method = f"HNSW, recall@10 {alike.recall:.3f}" if alike.expansion else "exact"
    return Similar(bundle.manifest.version, asked, alike.rows.height, method, rows)
