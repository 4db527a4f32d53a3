"""Scores the accepted rows of a batch in parts of a fixed size: each is a blob, so a killed run goes on at the next.

Memory holds one part at a time. What the models say is core's part; when a day is published, the partitions'.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import polars as pl

from tasks.adapters import contents, frames
from tasks.adapters.blobs import blob_path
from tasks.adapters.bundles import Bundle
from tasks.adapters.memo import remember
from tasks.adapters.parquet import ROW_GROUP_ROWS
from tasks.adapters.signing import Signer
from tasks.adapters.store import Store
from tasks.core.models import Model
from tasks.core.partitions import Table
from tasks.core.scoring import answers
from tasks.core.values import Blob
from tasks.workloads.spec import Workload

# Whole row groups, so that a part reads no other part's rows.
PART_ROWS = 4 * ROW_GROUP_ROWS
VERSION, BUNDLE, RUN = "model_version", "bundle_digest", "run_id"


@dataclass(frozen=True)
class Part:
    """Some of the scored rows; ``not_finite`` counts by target what came out as no number."""

    rows: Blob
    not_finite: Mapping[str, int]


@dataclass(frozen=True)
class ScoredRows:
    """All of the scored rows, in the order of the accepted ones."""

    table: Table
    not_finite: Mapping[str, int]
    reused: bool


@dataclass(frozen=True)
class Scorer:
    """A verified bundle's models, loaded when they are first asked; ``run`` is what their answers are stamped with."""

    spec: Workload
    bundle: Bundle
    targets: tuple[str, ...]
    run: str

    @cached_property
    def models(self) -> Mapping[str, Model]:
        """The model of every target."""
        return {target: contents.model_of(self.bundle, target) for target in self.targets}

    @property
    def reads(self) -> list[str]:
        """The columns the models read."""
        asked = [self.spec.features_for(self.spec.target(target)) for target in self.targets]
        return list(dict.fromkeys(feature.name for features in asked for feature in features))

    @property
    def stamp(self) -> list[pl.Expr]:
        """What says, in every row, who answered it."""
        manifest = self.bundle.manifest
        said = {VERSION: manifest.version, BUNDLE: manifest.digest, RUN: self.run}
        return [pl.lit(value).alias(name) for name, value in said.items()]


def score(store: Store, signer: Signer, scorer: Scorer, accepted: Blob, rows: int, folder: Path) -> ScoredRows:
    """Score the *accepted* rows: entity, event time, every target with its interval, and who said so."""
    spec, digest = scorer.spec, scorer.bundle.manifest.digest
    found = []
    for start in range(0, rows, PART_ROWS):
        inputs = {"accepted": accepted, "bundle": digest, "targets": scorer.targets, "run": scorer.run, "from": start}
        compute = partial(_part, store, scorer, accepted, start, folder)
        found.append(remember(store, signer, spec.name, "score", inputs, Part, compute))
    parts = [each.value for each in found]
    return ScoredRows(
        Table(tuple(part.rows for part in parts), rows),
        {target: sum(part.not_finite[target] for part in parts) for target in scorer.targets},
        all(each.reused for each in found),
    )


def features(store: Store, scorer: Scorer, accepted: Blob) -> pl.LazyFrame:
    """Return what the models read of the accepted rows, as scoring derives it, with entity and event time."""
    spec = scorer.spec
    named = dict.fromkeys([spec.entity, spec.event_time, *scorer.reads])
    return spec.derive(pl.scan_parquet(blob_path(store, accepted))).select(list(named))


def _part(store: Store, scorer: Scorer, accepted: Blob, start: int, folder: Path) -> Part:
    rows = features(store, scorer, accepted).slice(start, PART_ROWS).collect()
    answered = answers(rows, scorer.models)
    kept = rows.select(scorer.spec.entity, scorer.spec.event_time).hstack(answered).with_columns(scorer.stamp)
    broken = {target: int((~answered[target].is_finite()).sum()) for target in scorer.targets}
    return Part(frames.keep(store, kept, folder, "part"), broken)
