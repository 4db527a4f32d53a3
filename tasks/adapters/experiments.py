"""Experiments on record: signed and made once, at most one at a time in a ring, and the outcomes they are judged on.

An experiment never lets a version answer that was not let out: what the treatment may be is the ledger's and the ring's
policy's word. What outcomes mean is core's part; nothing here changes what serves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import contents, ledger, partitions, policies, predictions, shadows
from tasks.adapters.blobs import describe_blob
from tasks.adapters.signing import Signer, Trust, seal, trusted_keys, unseal
from tasks.adapters.store import Store, read_bytes
from tasks.core import experiments
from tasks.core.digests import plain
from tasks.core.experiments import Analysis, Conclusion, Experiment
from tasks.core.rings import stands_in
from tasks.core.values import Entry
from tasks.errors import AlreadyExists, BadRequest, Conflict, HomeDamaged, NotTrusted
from tasks.workloads.spec import Workload

FORM = "greenlight.experiment/1"
STARTED, CONCLUDED = "started", "concluded"
ENTITY, VALUE = "entity", "value"
Record = TypeVar("Record", Experiment, Conclusion)
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Looked:
    """One look: what may be said, and how many outcomes were of nobody whom the experiment's days answered."""

    experiment: Experiment
    analysis: Analysis
    outcomes: str
    strangers: int


def known(store: Store, trust: Trust, workload: str, ring: str) -> tuple[list[Experiment], list[Conclusion]]:
    """Return every experiment of a ring and every conclusion, oldest first, each verified."""
    return (
        list(_records(store, trust, workload, ring, STARTED, Experiment)),
        list(_records(store, trust, workload, ring, CONCLUDED, Conclusion)),
    )


def concluded(
    store: Store, trust: Trust, workload: str, ring: str | None = None
) -> Iterator[tuple[Experiment, Conclusion]]:
    """Yield every experiment of *workload* (in *ring*) that came to an end, with it."""
    rings = {key.split("/")[2] for key in store.list(f"experiments/{workload}/")}
    for each in sorted(rings if ring is None else rings & {ring}):
        begun, ended = known(store, trust, workload, each)
        by_number = {experiment.number: experiment for experiment in begun}
        yield from ((by_number[end.number], end) for end in ended)


def running(store: Store, trust: Trust, workload: str, ring: str) -> Experiment | None:
    """Return the experiment that runs in a ring, if one does."""
    return experiments.standing(*known(store, trust, workload, ring))


def start(store: Store, keys: Path, signer: Signer, draft: Experiment, champion: Entry) -> Experiment:
    """Record *draft* as the ring's next experiment; its ``number`` and ``control`` are set by the caller's champion.

    Raises BadRequest where one runs already or its treatment may not answer there, Conflict where another came first.
    """
    trust = trusted_keys(keys)
    begun, ended = known(store, trust, draft.workload, draft.ring)
    on = experiments.standing(begun, ended)
    if on is not None:
        raise BadRequest(
            f"experiment {on.name} ({on.control} against {on.treatment}) runs in {on.ring} since {on.at}; conclude it "
            f"first: greenlight experiment conclude {on.workload} --ring {on.ring} --outcomes FILE --reason TEXT"
        )
    problem = why_not(store, trust, champion, draft.treatment)
    if problem:
        raise BadRequest(problem)
    targets = contents.open_verified(store, keys, draft.workload, draft.treatment).manifest.targets
    lacking = [target for target in champion.serves if target not in targets]
    if lacking:
        raise BadRequest(f"{draft.treatment} has no model of {', '.join(lacking)}, which {champion.version} serves")
    _put(store, signer, draft, draft.number, STARTED, draft)
    return draft


def why_not(store: Store, trust: Trust, champion: Entry, treatment: str) -> str:
    """Say why *treatment* may not answer in the champion's ring; empty if it may.

    It may where it was let out there and not rolled back from since; where the policy lets the gates decide alone, also
    if it waits for the ring.
    """
    entries = ledger.read(store, champion.workload, trust)
    if treatment == champion.version:
        return f"{treatment} serves in {champion.ring} already; an experiment needs another version"
    if stands_in(entries, champion.ring, treatment):
        return ""
    automatic = policies.load(champion.ring).decision == "automatic"
    if automatic and treatment in shadows.waiting(store, trust, champion):
        return ""
    rule = "or waits for it in a ring before" if automatic else "because its policy asks a person for each that answers"
    return (
        f"{treatment} may not answer in {champion.ring}: only what was let out there and not rolled back from may, "
        f"{rule}; see: greenlight history {champion.workload} --ring {champion.ring}"
    )


def at_work(store: Store, trust: Trust, champion: Entry) -> Experiment | None:
    """Return the experiment by which the champion's ring is to be answered; None, and why, where it may not go on."""
    found = running(store, trust, champion.workload, champion.ring)
    if found is None:
        return None
    other = f"{champion.version} serves by now and not {found.control}" if champion.version != found.control else ""
    problem = other or why_not(store, trust, champion, found.treatment)
    if problem:
        log.warning("experiment %s is left out, all is answered by the champion: %s; conclude it", found.name, problem)
        return None
    return found


def look(store: Store, trust: Trust, spec: Workload, experiment: Experiment, outcomes: Path) -> Looked:
    """Judge *experiment* by a file of outcomes, a row per entity, for whomever its published days answered."""
    told = _outcomes(spec, outcomes)
    answered = _answered(store, trust, spec, experiment)
    found = told.join(answered, on=ENTITY, how="inner")
    by_arm = [
        experiments.moments(found.filter(pl.col("arm") == arm)[VALUE].sort().to_numpy().astype(np.float64))
        for arm in (experiments.CONTROL, experiments.TREATMENT)
    ]
    digest = describe_blob(outcomes).digest
    return Looked(experiment, experiments.analyse(experiment, *by_arm), digest, told.height - found.height)


def conclude(store: Store, signer: Signer, experiment: Experiment, conclusion: Conclusion) -> Conclusion:
    """Record the end of *experiment*; raises Conflict where somebody else concluded it meanwhile."""
    _put(store, signer, experiment, experiment.number, CONCLUDED, conclusion)
    return conclusion


def _answered(store: Store, trust: Trust, spec: Workload, experiment: Experiment) -> pl.DataFrame:
    """Return whom the experiment's published days answered, once each, and in which arm."""
    tables = []
    for day, name in partitions.days(store, predictions.KIND, spec.name):
        if name != experiment.ring:
            continue
        found = predictions.read(store, trust, spec.name, name, day)
        if found.about.experiment == experiment.name:
            tables.append(predictions.rows(store, found).select(pl.col(spec.entity).alias(ENTITY), "arm"))
    if not tables:
        raise BadRequest(
            f"no day of {spec.name} in {experiment.ring} was published by experiment {experiment.name} in {store.uri}; "
            f"run: greenlight score {spec.name} --ring {experiment.ring} --input PATH"
        )
    return pl.concat(tables).unique().collect(engine="streaming")


def _outcomes(spec: Workload, path: Path) -> pl.DataFrame:
    """Return ``entity`` and ``value`` out of a file; raises BadRequest for anything that is no outcome."""
    try:
        found = pl.read_parquet(path) if path.suffix == ".parquet" else pl.read_csv(path, infer_schema=False)
        found = found.rename(
            {spec.entity: ENTITY} if ENTITY not in found.columns and spec.entity in found.columns else {}
        )
        told = found.select(pl.col(ENTITY).cast(pl.String), pl.col(VALUE).cast(pl.Float64, strict=False))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadRequest(
            f"{path} is no table of outcomes ({str(error).splitlines()[0]}); wanted: CSV or Parquet with the columns "
            f"{ENTITY} (or {spec.entity}) and {VALUE}"
        ) from error
    bad = int((told[ENTITY].is_null() | ~told[VALUE].is_finite().fill_null(False)).sum())
    repeated = told.height - told[ENTITY].n_unique()
    if bad or repeated or not told.height:
        raise BadRequest(
            f"{path} has {told.height:,} rows, {bad:,} of them without an entity or a number, and {repeated:,} of an "
            "entity that has one already; wanted is one outcome per entity: add up or leave out before"
        )
    return told


def _key(workload: str, ring: str, number: int, what: str) -> str:
    return f"experiments/{workload}/{ring}/{number:06}.{what}.json"


def _put(store: Store, signer: Signer, of: Experiment, number: int, what: str, record: Experiment | Conclusion) -> None:
    key = _key(of.workload, of.ring, number, what)
    try:
        store.put(key, seal(signer, FORM, {"key": key, "record": plain(record)}), if_absent=True)
    except AlreadyExists as error:
        raise Conflict(
            f"{key} was written by somebody else meanwhile; see: greenlight experiment status {of.workload}"
        ) from error


def _records(store: Store, trust: Trust, workload: str, ring: str, what: str, kind: type[Record]) -> Iterator[Record]:
    for key in store.list(f"experiments/{workload}/{ring}/"):
        if not key.endswith(f".{what}.json"):
            continue
        found: Mapping[str, Any] = unseal(trust, FORM, read_bytes(store, key), key)
        if found.get("key") != key:
            raise NotTrusted(f"{key} holds the record {found.get('key')!r}: it was put in another's place; restore it")
        try:
            yield TypeAdapter(kind).validate_python(found.get("record"))
        except ValidationError as error:
            raise HomeDamaged(
                f"{key} is garbled: {error.error_count()} fields are missing or wrong; restore it"
            ) from error
