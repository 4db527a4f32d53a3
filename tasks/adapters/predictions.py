"""Predictions by day, for whoever acts on or watches them: a given or the newest day of a ring, whole and verified.

A day's manifest names the rows that were scored and those that were quarantined with their reasons. A day that was
published in another store is kept here as well, out of sight of whoever lists this one's: its truth comes here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import partitions
from tasks.adapters.signing import Signer, Trust
from tasks.adapters.store import Store
from tasks.core.digests import plain
from tasks.core.partitions import Partition, Table
from tasks.core.scoring import Scored
from tasks.errors import BadRequest, HomeDamaged

KIND, ELSEWHERE = "predictions", "elsewhere"
ANYWHERE = (KIND, ELSEWHERE)
SCORED, QUARANTINED = "scored", "quarantined"
ABOUT: TypeAdapter[Scored] = TypeAdapter(Scored)


@dataclass(frozen=True)
class Day:
    """One published day: what is to be known of it, and its tables."""

    about: Scored
    tables: Mapping[str, Table]


def publish(store: Store, signer: Signer, day: Day, *, source: Store, replaces: str) -> bool:
    """Publish *day*, whose blobs lie in *source*, and say whether that changed what readers see; see ``partitions``."""
    return partitions.publish(store, signer, _partition(day), source=source, replaces=replaces)


def keep(store: Store, signer: Signer, day: Day) -> bool:
    """Keep a *day* that was published in another store, so that it can be held against its truth."""
    about, partition = day.about, _partition(day, ELSEWHERE)
    stood = partitions.standing(store, ELSEWHERE, about.workload, about.date, about.ring)
    return partitions.publish(store, signer, partition, source=store, replaces=stood)


def days(store: Store, workload: str, ring: str, kinds: Sequence[str] = (KIND,)) -> tuple[str, ...]:
    """Return the days of the ring that are published here, oldest first; of *kinds* ``ANYWHERE``, all scored here."""
    found = (day for kind in kinds for day, name in partitions.days(store, kind, workload) if name == ring)
    return tuple(sorted(set(found)))


def read(store: Store, trust: Trust, workload: str, ring: str, day: str = "", kinds: Sequence[str] = (KIND,)) -> Day:
    """Return that *day*, the newest where none is given; raises BadRequest if none was published.

    Readers see only what is published here; of *kinds* ``ANYWHERE``, what is published here comes first.
    """
    known = days(store, workload, ring, kinds)
    wanted = day or (known[-1] if known else "")
    each_kind = (partitions.read(store, trust, kind, workload, wanted, ring) for kind in (kinds if wanted else ()))
    found = next(filter(None, each_kind), None)
    if found is None:
        raise BadRequest(
            f"no predictions of {workload} in {ring} {f'of {day} ' if day else ''}are published in {store.uri}; there "
            f"are those of {', '.join(known[-3:]) or 'no day'}; run: greenlight score {workload} --input PATH"
        )
    try:
        return Day(ABOUT.validate_python(found.about), found.tables)
    except ValidationError as error:
        raise HomeDamaged(
            f"{found.key} is of another format ({error.error_count()} fields differ); score anew"
        ) from error


def rows(store: Store, day: Day, table: str = SCORED) -> pl.LazyFrame:
    """Return the rows of a day: those that were scored, or those that were not."""
    return partitions.scan(store, day.tables[table])


def _partition(day: Day, kind: str = KIND) -> Partition:
    about = day.about
    return Partition(kind, about.workload, about.date, about.ring, about.run, day.tables, plain(about))
