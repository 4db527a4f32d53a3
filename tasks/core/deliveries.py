"""What of a delivered batch is new: every row taken once, however often and in whatever order files bring it.

Pure: rows and what is known already are handed in. Where files land, and what is kept, belongs to the adapters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from tasks.core.values import Blob
from tasks.workloads.spec import Workload

WHY = "_why"
UNPARSED = "_unparsed"
KNOWN, LATE, AHEAD, UNREADABLE = "known", "late", "ahead", "unreadable"
# Clocks are a little off, and a zone may be mistaken for UTC; what is only asked about lies a week ahead at most.
SEEN_AHEAD, ASKED_AHEAD = timedelta(days=1), timedelta(days=7)


@dataclass(frozen=True)
class Delivery:
    """One file, taken in: rows in = taken + aside: ``known``, too ``late``, too far ``ahead``, or ``unreadable``.

    ``digest`` is the file's; ``newest`` the moment of its newest row that somebody saw, ``watermark`` what it was held
    against, ``earliest`` and ``latest`` the moments of its first and last row taken, whoever saw them (ISO 8601, empty
    for none, or not known); ``undated`` counts the rows taken without one. ``taken`` and ``aside`` are Parquet blobs; a
    row aside says why in ``_why``.
    """

    workload: str
    digest: str
    file: str
    rows_in: int
    rows_taken: int
    known: int
    late: int
    unreadable: int
    newest: str
    watermark: str
    taken: Blob
    aside: Blob
    latest: str = ""
    ahead: int = 0
    earliest: str = ""
    undated: int = 0


@dataclass(frozen=True)
class Span:
    """The moments of the first and the last of some rows, None where no row has one; and how many have none."""

    first: datetime | None
    last: datetime | None
    undated: int = 0


@dataclass(frozen=True)
class Sorted:
    """The rows to take, in their order, and those set aside, each with why."""

    taken: pl.DataFrame
    aside: pl.DataFrame


def sort_out(
    spec: Workload, rows: pl.DataFrame, known: pl.DataFrame, watermark: datetime | None, now: datetime
) -> Sorted:
    """Part *rows* (with ``_unparsed``): new ones from those *known* word for word, late, ahead of *now*, or unreadable.

    Rows from before *watermark* are late: whatever was made of their time stands. Rows nobody can have seen yet have a
    broken clock, and would be the newest for years. Two different rows of one entity and moment are both taken; the
    contract holds both back.
    """
    columns = [column.name for column in spec.columns]
    late = pl.lit(False) if watermark is None else (pl.col(spec.event_time) < watermark).fill_null(False)
    seen = known.select(columns).unique().with_columns(pl.lit(True).alias("_seen"))
    joined = rows.join(seen, on=columns, how="left", nulls_equal=True, maintain_order="left")
    again = pl.col("_seen").is_not_null() | ~pl.struct(columns).is_first_distinct()
    why = pl.when(pl.col(UNPARSED).is_not_null()).then(pl.lit(UNREADABLE)).when(again).then(pl.lit(KNOWN))
    told = joined.with_columns(why.when(late).then(pl.lit(LATE)).when(_ahead(spec, now)).then(pl.lit(AHEAD)).alias(WHY))
    taken = told.filter(pl.col(WHY).is_null()).select(columns)
    return Sorted(taken, told.filter(pl.col(WHY).is_not_null()).select(*columns, UNPARSED, WHY))


def newest_seen(spec: Workload, rows: pl.DataFrame, now: datetime) -> datetime | None:
    """Return the newest moment, not after *now*, of a row with a label: a broken clock must make no other row late."""
    found = rows.filter(_seen(spec) & (pl.col(spec.event_time) <= now))[spec.event_time].max()
    return found if isinstance(found, datetime) else None


def _seen(spec: Workload) -> pl.Expr:
    return pl.any_horizontal(pl.col(target.column).is_not_null() for target in spec.targets)


def _ahead(spec: Workload, now: datetime) -> pl.Expr:
    latest = pl.when(_seen(spec)).then(pl.lit(now + SEEN_AHEAD)).otherwise(pl.lit(now + ASKED_AHEAD))
    return (pl.col(spec.event_time) > latest).fill_null(False)


def span(spec: Workload, rows: pl.DataFrame) -> Span:
    """Return the first and the last moment of the rows, and how many have none."""
    at = rows[spec.event_time]
    first, last = at.min(), at.max()
    if isinstance(first, datetime) and isinstance(last, datetime):
        return Span(first, last, at.null_count())
    return Span(None, None, at.null_count())


def may_share(delivery: Delivery, rows: Span, watermark: datetime | None) -> bool:
    """Say whether any row of *delivery* from the *watermark* on may lie within the span of other *rows*.

    A row without a moment is never late and may be in any delivery that has some.
    """
    if rows.undated and delivery.undated:
        return True
    since = max((each for each in (rows.first, watermark) if each), default=None)
    before = bool(since and delivery.latest and datetime.fromisoformat(delivery.latest) < since)
    after = bool(rows.last and delivery.earliest and datetime.fromisoformat(delivery.earliest) > rows.last)
    return not before and not after


def newest_of(deliveries: Iterable[Delivery]) -> str:
    """Return the newest moment of a row that somebody saw in any of *deliveries*, empty where there is none."""
    known = [datetime.fromisoformat(each.newest) for each in deliveries if each.newest]
    return max(known).isoformat() if known else ""


def watermark(newest: str, lateness_hours: float) -> datetime | None:
    """Return the moment before which rows come too late, given the newest that is known; None at first."""
    return datetime.fromisoformat(newest) - timedelta(hours=lateness_hours) if newest else None
