"""The point-in-time join: to each entity row, what was known at its time, by as-of joins in parts of the keys.

A feature row is seen by an entity row when ``event - ttl <= feature time <= event``: Feast's own rule, both ends
included. Of several, the newest wins; then the newest created; then the one written last. Reading what Feast declares
and handing the answer back do not belong here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from tasks.adapters.feast_answer import ROW
from tasks.adapters.feast_parts import Cut, by_hash, filtered, height, key_of, part_count
from tasks.adapters.feast_sources import micros, moment
from tasks.errors import BadRequest

ON = "__on"
# Earlier than any feature, so that an entity row without a time keeps its place and sees nothing.
BEFORE_ALL = -(2**55)


@dataclass(frozen=True)
class View:
    """What one feature view contributes: its source, its keys (entity's name → source's name) and its columns."""

    name: str
    rows: pl.LazyFrame
    keys: Mapping[str, str]
    timestamp: str
    created: str
    columns: Mapping[str, str]
    ttl: timedelta | None
    source: tuple[Any, ...]

    @property
    def joined_by(self) -> tuple[Any, ...]:
        """Return what two views must share to be one join."""
        return self.source, tuple(self.keys.items()), self.timestamp, self.created, self.ttl


@dataclass(frozen=True)
class Asked:
    """How many entity rows a question has, and the times they span."""

    rows: int
    first: datetime | None
    last: datetime | None


def asked_of(entities: pl.LazyFrame, event: str) -> Asked:
    """Count the entity rows, and find the first and last of their times."""
    found = entities.select(pl.len().alias("n"), pl.col(event).min().alias("a"), pl.col(event).max().alias("b"))
    rows, first, last = found.collect(engine="streaming").row(0)
    return Asked(rows, first, last)


@dataclass(frozen=True)
class Join:
    """Entity rows that carry their position in ``ROW``, and the views to join to them in so many parts by the key."""

    left: pl.LazyFrame
    views: Sequence[View]
    asked: Asked
    part_count: int
    columns: Sequence[str]

    def parts(self, cut: Cut = filtered) -> Iterator[pl.LazyFrame]:
        """Return the answer in disjoint parts, both sides cut alike."""
        names = self.views[0].keys if self.views else ()
        sides = [cut(self.left, self._by(self.left, names), self.part_count)]
        for view in self.views:
            sides.append(cut(_needed(view), self._by(view.rows, view.keys.values()), self.part_count))
        for left, *known in zip(*sides, strict=True):
            views = [replace(view, rows=rows) for view, rows in zip(self.views, known, strict=True)]
            yield _part(left, views, self.asked).select(self.columns)

    def _by(self, rows: pl.LazyFrame, names: Iterable[str]) -> pl.Expr:
        return by_hash([key_of(rows, name) for name in names], self.part_count)


def joined(entities: pl.LazyFrame, event: str, views: Sequence[View], asked: Asked, bucket_rows: int) -> Join:
    """Declare the join; one part unless the rows are many."""
    _refuse_collisions(entities, views)
    left = entities.with_row_index(ROW).with_columns(pl.col(event).dt.timestamp("us").fill_null(BEFORE_ALL).alias(ON))
    shared = {tuple(view.keys) for view in views}
    most = max([asked.rows, *(height(view.rows) for view in views)])
    # Views with different keys cannot be cut along one of them.
    parts = part_count(most, bucket_rows) if len(shared) == 1 else 1
    columns = [ROW, *entities.collect_schema().names(), *(name for view in views for name in view.columns.values())]
    return Join(left, _united(views), asked, parts, columns)


def _needed(view: View) -> pl.LazyFrame:
    schema = view.rows.collect_schema()
    names = [*view.keys.values(), view.timestamp, view.created, *view.columns]
    return view.rows.select(name for name in dict.fromkeys(names) if name in schema)


def _united(views: Sequence[View]) -> list[View]:
    """Make one view of those that would read the same rows in the same way."""
    united: dict[tuple[Any, ...], View] = {}
    for view in views:
        other = united.get(view.joined_by)
        if other is None:
            united[view.joined_by] = view
        elif other.columns.keys().isdisjoint(view.columns):
            united[view.joined_by] = replace(other, columns={**other.columns, **view.columns})
        else:
            united[(*view.joined_by, view.name, len(united))] = view
    return list(united.values())


def _refuse_collisions(entities: pl.LazyFrame, views: Sequence[View]) -> None:
    names = [*entities.collect_schema().names(), *(name for view in views for name in view.columns.values())]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise BadRequest(
            f"{len(twice)} columns would appear twice: {', '.join(twice)}; rename them in the entity rows, or ask for "
            "full feature names"
        )


def _part(left: pl.LazyFrame, views: Sequence[View], asked: Asked) -> pl.LazyFrame:
    answer = left
    for view in views:
        answer = answer.with_columns(key_of(left, name).alias(f"__key{n}") for n, name in enumerate(view.keys))
        answer = _as_of(answer, view, _known(view, asked))
    return answer


def _as_of(answer: pl.LazyFrame, view: View, known: pl.LazyFrame) -> pl.LazyFrame:
    keys = [f"__key{n}" for n in range(len(view.keys))]
    return (
        answer.sort(ON, maintain_order=True)
        .join_asof(
            known,
            on=ON,
            by=keys,
            strategy="backward",
            tolerance=int(view.ttl / timedelta(microseconds=1)) if view.ttl else None,
            check_sortedness=False,
        )
        .drop(keys)
    )


def _known(view: View, asked: Asked) -> pl.LazyFrame:
    """Return the view's rows that any of the entity rows could see, oldest first, with the join's own key columns."""
    schema = view.rows.collect_schema()
    rows = view.rows.with_columns(
        micros(view.timestamp, schema[view.timestamp]).alias(ON),
        (micros(view.created, schema[view.created]) if view.created else pl.lit(0, pl.Int64)).alias("__created"),
        *(key_of(view.rows, own).alias(f"__key{n}") for n, own in enumerate(view.keys.values())),
    )
    keys = [f"__key{n}" for n in range(len(view.keys))]
    columns = [pl.col(name).alias(output) for name, output in view.columns.items()]
    rows = rows.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in [ON, *keys]))
    if asked.last is not None:
        rows = rows.filter(pl.col(ON) <= moment(asked.last))
    if asked.first is not None and view.ttl:
        rows = rows.filter(pl.col(ON) >= moment(asked.first - view.ttl))
    ordered = rows.select(ON, "__created", *keys, *columns).sort(ON, "__created", maintain_order=True, nulls_last=False)
    return ordered.drop("__created")


def newest(rows: pl.LazyFrame, keys: Sequence[str], order: Sequence[str]) -> pl.LazyFrame:
    """Return the newest row of each key, by *order*, in the order of the keys."""
    ordered = rows.sort([*keys, *order], maintain_order=True, nulls_last=False)
    last = pl.int_range(pl.len()) == pl.len() - 1
    return ordered.filter(pl.any_horizontal(last, *(pl.col(key).ne_missing(pl.col(key).shift(-1)) for key in keys)))
