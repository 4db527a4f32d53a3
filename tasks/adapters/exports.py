"""What was published or recorded, as rows for another tool: predictions, metrics of versions, the ledger.

Everything is verified before the first row is handed out. Which file they end in belongs to ``export_files``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sized
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from tasks.adapters import bundles, contents, history, partitions, predictions
from tasks.adapters.signing import Trust, trusted_keys
from tasks.adapters.store import Store
from tasks.core.values import Interval
from tasks.errors import BadRequest

FIGURES = ("mae", "rmse", "r2", "log_r2", "spearman", "skill", "coverage")


def days(
    store: Store, trust: Trust, workload: str, ring: str, since: str | None = None, until: str | None = None
) -> pl.LazyFrame:
    """Return the predictions from *since* to *until*, else of the newest day, each row with its ``date`` and ``ring``.

    Every signature and digest is verified here. Raises BadRequest where no such day was published.
    """
    chosen = [""] if since is None and until is None else _between(store, workload, ring, since, until)
    found = [predictions.read(store, trust, workload, ring, day) for day in chosen]
    return pl.concat([_dated(store, day) for day in found], how="diagonal_relaxed")


def metrics(store: Store, trust: Trust, workload: str) -> pl.LazyFrame:
    """Return how every candidate of every version did in cross-validation, and every winner on the holdout.

    Signature and evidence of every version are verified here; ``_low`` and ``_high`` are the ends of an interval.
    """
    prefix = f"bundles/{workload}/"
    versions = [key.removeprefix(prefix).removesuffix(".json") for key in store.list(prefix)]
    rows = [row for version in versions for row in _scorecards(store, trust, workload, version)]
    _refuse_nothing(rows, f"no version of {workload} is published in {store.uri}")
    return pl.DataFrame(rows, infer_schema_length=None).lazy()


def ledger(store: Store, keys: Path, workload: str, ring: str | None = None) -> pl.LazyFrame:
    """Return one row per ledger entry (of *ring*), oldest first; the whole chain is verified here."""
    history.verified(store, keys, workload)
    events = history.events(store, trusted_keys(keys), workload, ring)
    _refuse_nothing(events, f"the ledger of {workload} has no entry {f'of {ring} ' if ring else ''}in {store.uri}")
    rows = [{**asdict(event), "serves": " ".join(event.serves)} for event in events]
    return pl.DataFrame(rows, infer_schema_length=None).lazy()


def _between(store: Store, workload: str, ring: str, since: str | None, until: str | None) -> list[str]:
    there = [day for day, name in partitions.days(store, predictions.KIND, workload) if name == ring]
    chosen = [day for day in there if (since or day) <= day <= (until or day)]
    known = f"there are {len(there)}, from {there[0]} to {there[-1]}" if there else "there is none at all"
    _refuse_nothing(
        chosen,
        f"no day of predictions of {workload} in {ring} from {since or 'the first'} to {until or 'the last'} is "
        f"published in {store.uri} ({known})",
    )
    return chosen


def _dated(store: Store, day: predictions.Day) -> pl.LazyFrame:
    about = day.about
    return predictions.rows(store, day).select(pl.lit(about.date).alias("date"), pl.lit(about.ring).alias("ring"), "*")


def _scorecards(store: Store, trust: Trust, workload: str, version: str) -> Iterator[dict[str, Any]]:
    manifest = bundles.read_manifest(store, trust, workload, version)
    evidence = contents.evidence_of(bundles.Bundle(store, manifest))
    for card in evidence.scorecards:
        told = {"status": card.status, "reason": card.reason, "rows": card.rows, "tuned": card.tuned}
        yield _measured(version, card, "cross-validation") | told
    for judged in evidence.evaluations:
        told = {"status": "winner", "reason": "", "rows": judged.rows_holdout, "baseline": judged.baseline}
        yield _measured(version, judged, "holdout") | told


def _measured(version: str, found: Any, on: str) -> dict[str, Any]:
    """Return the figures of a scorecard or an evaluation as one flat row."""
    row: dict[str, Any] = {"version": version, "target": found.target, "algorithm": found.algorithm, "measured_on": on}
    for name in FIGURES:
        figure = getattr(found, name, None)
        if isinstance(figure, Interval):
            row |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        else:
            row[name] = figure
    return row


def _refuse_nothing(found: Sized, sentence: str) -> None:
    if not len(found):
        raise BadRequest(f"{sentence}, so no file was written; see: greenlight status")
