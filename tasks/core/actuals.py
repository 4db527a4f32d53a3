"""Actuals: what came true, as a source tells it, brought to the rows that were predicted. Pure: frames in, frames out.

A label is one value of one target's column; a row without any says nothing. Which days are asked, and where labels are
kept, belongs to the adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tasks.core.appraisal import Appraisal, Arrival, Degraded
from tasks.core.values import Blob, Finding
from tasks.workloads.spec import Workload

NEW = "_new"


@dataclass(frozen=True)
class Actuals:
    """A batch of actuals: ``rows_in`` = ``rows`` that say something + ``repeated`` + ``empty``.

    ``batch`` names its bytes; ``repeated`` rows are said again further down, where the last one counts; ``empty`` ones
    have no entity or no label. ``by_time``: the source says when each row was seen. ``labels`` are the rows as Parquet.
    """

    batch: str
    source: str
    rows_in: int
    rows: int
    repeated: int
    empty: int
    by_time: bool
    labels: Blob
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class Distilled:
    """The rows that say something, one per key, and how many did not."""

    labels: pl.DataFrame
    repeated: int
    empty: int


@dataclass(frozen=True)
class Merged:
    """All labels of a day known so far; how many of them are new, and how many were another before."""

    labels: pl.DataFrame
    new: int
    revised: int


@dataclass(frozen=True)
class Appraised:
    """What came of a batch of actuals: ``known`` are the appraisals of all days of the ring, oldest first.

    ``changed`` are the days this run wrote; ``unmatched`` the batch's rows that no scored row answers to, ``ambiguous``
    those whose entity was scored at several times that day. ``champion`` is the number of the ledger entry that serves.
    """

    workload: str
    ring: str
    champion: int
    version: str
    actuals: Actuals | None
    known: tuple[Appraisal, ...]
    changed: tuple[str, ...]
    unmatched: int
    ambiguous: int
    degraded: Degraded | None

    @property
    def labels(self) -> int:
        """How many labels the batch brought, whenever it was read first."""
        return sum(each.labels for each in self._brought)

    @property
    def revised(self) -> int:
        """How many labels it changed."""
        return sum(each.revised for each in self._brought)

    @property
    def late(self) -> int:
        """How many of its labels came after others of their day."""
        batch = self.actuals.batch if self.actuals else ""
        return sum(each.labels for day in self.known for each in day.arrivals[1:] if each.batch == batch)

    @property
    def missing(self) -> int:
        """How many labels are still waited for, over all targets and days."""
        return sum(each.rows for day in self.known for each in day.expected)

    @property
    def _brought(self) -> list[Arrival]:
        batch = self.actuals.batch if self.actuals else ""
        return [each for day in self.known for each in day.arrivals if each.batch == batch]


def keys_of(spec: Workload) -> list[str]:
    """Return what names a predicted row."""
    return [spec.entity, spec.event_time]


def label_columns(spec: Workload) -> list[str]:
    """Return the columns that hold labels."""
    return list(dict.fromkeys(target.column for target in spec.targets))


def distil(rows: pl.DataFrame, spec: Workload, *, by_time: bool) -> Distilled:
    """Return what *rows* of a source say: one row per entity (and time), with every label that is a number."""
    columns, keys = label_columns(spec), keys_of(spec) if by_time else [spec.entity]
    numbers = [pl.col(name).cast(pl.Float64, strict=False) for name in columns]
    known = rows.select(*keys, *(pl.when(each.is_finite()).then(each) for each in numbers))
    said = known.filter(pl.col(spec.entity).is_not_null() & pl.any_horizontal(pl.col(columns).is_not_null()))
    labels = said.unique(keys, keep="last", maintain_order=True)
    return Distilled(labels, said.height - labels.height, rows.height - said.height)


def matched(scored: pl.DataFrame, labels: pl.DataFrame, spec: Workload) -> pl.DataFrame:
    """Return the *labels* of a day's *scored* rows, with both keys; by entity alone only where that names one row."""
    rows = scored.select(keys_of(spec)).unique(maintain_order=True)
    if spec.event_time in labels.columns:
        return rows.join(labels, on=keys_of(spec), how="inner", maintain_order="left")
    one = rows.filter(pl.len().over(spec.entity) == 1)
    return one.join(labels, on=spec.entity, how="inner", maintain_order="left")


def unanswered(labels: pl.DataFrame, scored: pl.DataFrame, spec: Workload) -> tuple[pl.DataFrame, int]:
    """Return the *labels* that no *scored* row answers to, and how many of them name several rows of that day."""
    answered = matched(scored, labels, spec)
    left = labels.join(answered, on=[name for name in keys_of(spec) if name in labels.columns], how="anti")
    return left, left.join(scored, on=[name for name in keys_of(spec) if name in labels.columns], how="semi").height


def merge(kept: pl.DataFrame | None, arrived: pl.DataFrame, spec: Workload) -> Merged:
    """Add the labels that *arrived* to those that were *kept*: what is said later counts."""
    keys, columns = keys_of(spec), label_columns(spec)
    before = arrived.clear() if kept is None else kept
    both = before.join(arrived, on=keys, how="full", coalesce=True, suffix=NEW)
    new = pl.sum_horizontal((pl.col(name).is_null() & pl.col(name + NEW).is_not_null()).sum() for name in columns)
    revised = pl.sum_horizontal((pl.col(name) != pl.col(name + NEW)).sum() for name in columns)
    labels = both.select(*keys, *(pl.coalesce(name + NEW, name).alias(name) for name in columns)).sort(keys)
    return Merged(labels, *both.select(new.alias("new"), revised.alias("revised")).row(0))


def truth_of(rows: pl.DataFrame, labels: pl.DataFrame, column: str, keys: Sequence[str]) -> pl.Series:
    """Return what is known of each of *rows*, null where nothing is."""
    return rows.select(keys).join(labels.select(*keys, column), on=keys, how="left", maintain_order="left")[column]
