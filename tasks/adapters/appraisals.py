"""Appraisals in the store: per scored day and ring one signed record of what is known of its truth so far.

A record is a partition with the day's labels as its table: a later batch of actuals replaces it as a whole, the same
batch never, so a killed run is finished by its rerun. What a day was worth is worked out in ``worth``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import frames, partitions, predictions, shadows, worth
from tasks.adapters.predictions import Day
from tasks.adapters.signing import Signer, trusted_keys
from tasks.adapters.store import Store, address
from tasks.core.actuals import Actuals, Appraised, keys_of, label_columns, matched, merge, unanswered
from tasks.core.appraisal import Appraisal, Arrival, degraded
from tasks.core.digests import plain
from tasks.core.partitions import Partition, Table
from tasks.core.values import Entry
from tasks.errors import BadRequest, Conflict, HomeDamaged
from tasks.workloads.spec import Workload

KIND, LABELS = "appraisals", "labels"
APPRAISAL: TypeAdapter[Appraisal] = TypeAdapter(Appraisal)
# Two years of days: as many as are read, asked and drawn.
NEWEST = 730
TRIES = 20


@dataclass(frozen=True)
class Kept:
    """A record with the labels it was made from."""

    about: Appraisal
    labels: pl.DataFrame


def known(store: Store, keys: Path, workload: str, ring: str) -> tuple[Appraisal, ...]:
    """Return the appraisals of the ring's days, oldest first."""
    days = [(day, name) for day, name in partitions.days(store, KIND, workload) if name == ring][-NEWEST:]
    return of_days(store, keys, workload, days)


def of_days(store: Store, keys: Path, workload: str, days: Iterable[tuple[str, str]]) -> tuple[Appraisal, ...]:
    """Return the appraisals of *days*, each a day and its ring; one that nobody appraised is left out."""
    found = (_record(store, keys, workload, ring, day) for day, ring in days)
    return tuple(_about(each) for each in found if each is not None)


def appraise_all(
    store: Store,
    signer: Signer,
    keys: Path,
    spec: Workload,
    champion: Entry,
    actuals: Actuals | None,
    only: str | None,
    folder: Path,
) -> Appraised:
    """Appraise the scored days of the champion's ring, the day *only* where one is named; *folder* is scratch.

    Raises BadRequest where nothing was scored then, or actuals without times name no day.
    """
    ring = champion.ring
    days = _asked(store, spec, ring, actuals, only)
    teachers: dict[str, worth.Teacher] = {}
    left = frames.read(store, actuals.labels) if actuals else None
    changed: list[str] = []
    ambiguous = 0
    for date_of in days:
        day = predictions.read(store, trusted_keys(keys), spec.name, ring, date_of, predictions.ANYWHERE)
        version = day.about.version
        if version not in teachers:
            teachers[version] = worth.teacher(store, keys, spec, version)
        if appraise(store, signer, keys, spec, teachers[version], day, actuals, folder)[1]:
            changed.append(date_of)
        if actuals and left is not None:
            scored = predictions.rows(store, day).select(keys_of(spec)).collect()
            left, several = unanswered(left, scored, spec)
            ambiguous += several
    found = known(store, keys, spec.name, ring)
    return Appraised(
        workload=spec.name,
        ring=ring,
        champion=champion.number,
        version=champion.version,
        actuals=actuals,
        known=found,
        changed=tuple(changed),
        unmatched=left.height - ambiguous if left is not None else 0,
        ambiguous=ambiguous,
        degraded=degraded(found, champion.number),
    )


def _asked(store: Store, spec: Workload, ring: str, actuals: Actuals | None, only: str | None) -> tuple[str, ...]:
    days = predictions.days(store, spec.name, ring, predictions.ANYWHERE)[-NEWEST:]
    if not days or (only and only not in days):
        raise BadRequest(
            f"no predictions of {spec.name} in {ring} {f'of {only} ' if only else ''}are published in {store.uri}; "
            f"there are those of {', '.join(days[-3:]) or 'no day'}; run: greenlight score {spec.name} --input PATH"
        )
    if actuals and not actuals.by_time and not only:
        raise BadRequest(
            f"{actuals.source} does not say when its {actuals.rows_in} rows were seen, so it is not known which of the "
            f"{len(days)} scored days they are the truth of; name the day with --date, or their time with --observed-at"
        )
    return (only,) if only else days


def appraise(
    store: Store,
    signer: Signer,
    keys: Path,
    spec: Workload,
    of: worth.Teacher,
    day: Day,
    actuals: Actuals | None,
    folder: Path,
) -> tuple[Appraisal, bool]:
    """Return what is known of *day* with what the *actuals* say of it, and whether that was news.

    *spec* holds the gate numbers of the day's ring. Raises Conflict where others keep replacing the record.
    """
    about = day.about
    for _ in range(TRIES):
        stood = partitions.standing(store, KIND, spec.name, about.date, about.ring)
        before = _read(store, keys, spec.name, about.ring, about.date)
        labels, arrivals = _with(store, spec, before, day, actuals)
        rivals = tuple(shadows.answers(store, trusted_keys(keys), day))
        named = tuple(version for version, _ in rivals)
        if before is not None and (before.about.run, before.about.arrivals, before.about.beside_runs) == (
            about.run,
            arrivals,
            named,
        ):
            return before.about, False
        made = worth.worked_out(store, spec, of, day, labels, rivals)
        made = replace(made, arrivals=arrivals, beside_runs=named)
        table = Table((frames.keep(store, labels, folder, "labels"),), labels.height)
        record = Partition(KIND, spec.name, about.date, about.ring, about.run, {LABELS: table}, plain(made))
        try:
            return made, partitions.publish(store, signer, record, source=store, replaces=stood)
        except Conflict:
            continue
    raise Conflict(f"{spec.name} in {about.ring}: others appraised {about.date} {TRIES} times meanwhile; run again")


def keep_page(store: Store, appraised: Appraised, html: str) -> str:
    """Keep the page of a ring's errors and return where people find it."""
    store.put(_page_key(appraised), html.encode())
    return where_page(store, appraised)


def where_page(store: Store, appraised: Appraised) -> str:
    """Return where people find the page."""
    return address(store, _page_key(appraised))


def answering(store: Store, spec: Workload, day: Day, actuals: Actuals) -> pl.DataFrame:
    """Return the labels of *actuals* that rows of the day answer to, with their keys."""
    scored = predictions.rows(store, day).select(keys_of(spec)).collect()
    return matched(scored, frames.read(store, actuals.labels), spec)


def _with(
    store: Store, spec: Workload, before: Kept | None, day: Day, actuals: Actuals | None
) -> tuple[pl.DataFrame, tuple[Arrival, ...]]:
    """Return all labels of the day and the batches they came with; a batch that brought none is not among them."""
    kept, arrivals = (before.labels, before.about.arrivals) if before else (None, ())
    if kept is None:
        kept = predictions.rows(store, day).select(keys_of(spec)).limit(0).collect()
        kept = kept.with_columns(pl.lit(None, pl.Float64).alias(name) for name in label_columns(spec))
    if actuals is None or any(each.batch == actuals.batch for each in arrivals):
        return kept, arrivals
    merged = merge(kept, answering(store, spec, day, actuals), spec)
    if not merged.new and not merged.revised:
        return kept, arrivals
    return merged.labels, (*arrivals, Arrival(actuals.batch, merged.new, merged.revised))


def _page_key(appraised: Appraised) -> str:
    return f"reports/{appraised.workload}/errors-{appraised.ring}.html"


def _read(store: Store, keys: Path, workload: str, ring: str, day: str) -> Kept | None:
    found = _record(store, keys, workload, ring, day)
    return Kept(_about(found), partitions.scan(store, found.tables[LABELS]).collect()) if found else None


def _record(store: Store, keys: Path, workload: str, ring: str, day: str) -> Partition | None:
    return partitions.read(store, trusted_keys(keys), KIND, workload, day, ring)


def _about(found: Partition) -> Appraisal:
    try:
        return APPRAISAL.validate_python(found.about)
    except ValidationError as error:
        raise HomeDamaged(
            f"{found.key} is of another format ({error.error_count()} fields differ); delete it, then run again with "
            "every batch of actuals"
        ) from error
