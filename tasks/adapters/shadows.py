"""Shadow cycles: which challengers score a ring's batch besides its champion, and what is kept of each time they did.

A cycle is a signed partition of its own (``shadows/<workload>/<date>/<ring>-<version>.json``), so a rerun of the day
replaces it and is not counted twice. The champion's own scoring is one, too. What makes a cycle clean is core's word,
how many are enough the policy's.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import ledger, partitions, policies
from tasks.adapters.blobs import blob_path
from tasks.adapters.predictions import SCORED, Day
from tasks.adapters.scoring import ScoredRows, Scorer
from tasks.adapters.signing import Signer, Trust
from tasks.adapters.store import Store
from tasks.core.digests import plain
from tasks.core.evaluation import slice_labels
from tasks.core.partitions import Partition, Table
from tasks.core.rings import rolled_back_by
from tasks.core.scoring import ALARMS, columns_of
from tasks.core.shadow import COMPARED_ROWS_MOST, Cycle, Difference, clean_in_a_row, compare, faults_of
from tasks.core.values import Blob, Entry
from tasks.errors import HomeDamaged, NotTrusted
from tasks.workloads.spec import Workload

KIND = "shadows"
CYCLE: TypeAdapter[Cycle] = TypeAdapter(Cycle)
PLACE = "_place"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Soaked:
    """A version that has as many clean cycles behind it as *ring* wants; ``evidence`` is what let it out so far."""

    version: str
    ring: str
    clean: int
    evidence: str


def waiting(store: Store, trust: Trust, champion: Entry) -> tuple[str, ...]:
    """Return the versions that may come to serve in the champion's ring: what serves in the rings before it.

    What was rolled back from there waits no more.
    """
    workload, ring = champion.workload, champion.ring
    row = policies.rings()
    before = (ledger.champion(store, workload, each, trust) for each in row[: row.index(ring)])
    entries = ledger.read(store, workload, trust)
    versions = dict.fromkeys(entry.version for entry in before if entry is not None)
    return tuple(each for each in versions if each != champion.version and not rolled_back_by(entries, ring, each))


def differences(store: Store, scorer: Scorer, accepted: Blob, day: Day, beside: Table) -> tuple[Difference, ...]:
    """Compare what the challenger's *scorer* said with the champion's *day*, on evenly spread rows of both."""
    step = -(-day.about.rows_scored // COMPARED_ROWS_MOST)
    spec, shared = scorer.spec, [target for target in scorer.targets if target in day.about.targets]
    sliced = [part.column for part in spec.slices]
    derived = spec.derive(pl.scan_parquet(blob_path(store, accepted))).select(list(dict.fromkeys(sliced)))
    rows = _spread(derived, step)
    labels = [slice_labels(part, rows) for part in spec.slices]
    return tuple(
        compare(target, _side_by_side(store, spec.entity, target, day, beside, step), labels) for target in shared
    )


def own_cycle(day: Day) -> Cycle:
    """Return what came of the champion's own scoring, in which there is nobody to compare it with."""
    return cycle(day, day.about.version, (), tuple(each.message for each in day.about.findings if each.code in ALARMS))


def unlike(spec: Workload, ring: str, found: Iterable[Difference]) -> tuple[str, ...]:
    """Say where a challenger is further from the champion than the ring's policy takes for a clean cycle."""
    limits = policies.of(spec, ring).shadow_limits
    return tuple(fault for each in found for fault in faults_of(each, limits))


def cycle(day: Day, version: str, found: tuple[Difference, ...], faults: tuple[str, ...]) -> Cycle:
    """Return what came of one batch: *faults* say why it is not clean."""
    about = day.about
    return Cycle(
        about.workload,
        about.ring,
        about.date,
        about.run,
        about.snapshot,
        about.version,
        version,
        about.rows_scored,
        found,
        faults,
    )


def broken(scored: ScoredRows) -> tuple[str, ...]:
    """Say which targets came out as no numbers."""
    return tuple(f"{target}: {rows} rows are no numbers" for target, rows in scored.not_finite.items() if rows)


def keep(store: Store, signer: Signer, done: Cycle, beside: Table | None) -> bool:
    """Keep a cycle with what the challenger said; the newest of a day stands."""
    name = f"{done.ring}-{done.challenger}"
    tables = {} if beside is None else {SCORED: beside}
    partition = Partition(KIND, done.workload, done.date, name, done.run, tables, plain(done))
    stood = partitions.standing(store, KIND, done.workload, done.date, name)
    return partitions.publish(store, signer, partition, source=store, replaces=stood)


def clean_cycles(store: Store, trust: Trust, workload: str, version: str, ring: str) -> int:
    """Return how many clean cycles in a row *version* has behind it: beside what serves in *ring* or one after it.

    Where nothing serves there yet it has nobody to be compared with; then those count in which it served before.
    """
    row = policies.rings()
    onwards = row[row.index(ring) :]
    serving = any(ledger.champion(store, workload, each, trust) for each in onwards)
    return clean_in_a_row(_cycles(store, trust, workload, version, onwards if serving else row))


def answers(store: Store, trust: Trust, day: Day) -> Iterator[tuple[str, Table]]:
    """Yield each challenger that answered just that scoring, with its rows in the order of the day's."""
    about = day.about
    for key in store.list(f"{KIND}/{about.workload}/{about.date}/"):
        name = key.rpartition("/")[2].removesuffix(".json")
        cycle = _read(store, trust, about.workload, about.date, name)
        if (cycle.ring, cycle.run) != (about.ring, about.run) or cycle.challenger == about.version:
            continue
        found = partitions.read(store, trust, KIND, about.workload, about.date, name)
        if found and SCORED in found.tables and found.tables[SCORED].rows == about.rows_scored:
            yield cycle.challenger, found.tables[SCORED]


def soaked(store: Store, trust: Trust, spec: Workload, version: str) -> Soaked | None:
    """Return the ring *version* has with its newest cycle soaked long enough for, None if for none or for long.

    It is the ring after the last one that it serves in; what was rolled back from there is not asked about again.
    """
    serving = {ring: ledger.champion(store, spec.name, ring, trust) for ring in policies.rings()}
    stands = [(ring, entry) for ring, entry in serving.items() if entry is not None and entry.version == version]
    following = policies.next_ring(stands[-1][0]) if stands else None
    if following is None or rolled_back_by(ledger.read(store, spec.name, trust), following, version):
        return None
    wanted = policies.of(spec, following).soak_cycles
    clean = clean_cycles(store, trust, spec.name, version, following) if wanted else 0
    return Soaked(version, following, clean, stands[-1][1].evidence) if wanted and clean == wanted else None


def newest_beside(
    store: Store, trust: Trust, workload: str, version: str, champion: str, ring: str, until: str
) -> Cycle | None:
    """Return the newest cycle up to the day *until* in which *version* answered what *champion* did, if there is one.

    It counts in *ring* or one that comes after it.
    """
    row = policies.rings()
    found = _cycles(store, trust, workload, version, row[row.index(ring) :])
    fit = (each for each in found if each.champion == champion and each.differences and each.date <= until)
    return max(fit, key=lambda each: (each.date, row.index(each.ring)), default=None)


def days(store: Store, workload: str, version: str, ring: str) -> Iterator[tuple[str, str]]:
    """Yield day and ring of all that *version* answered in *ring* or one after it, oldest first."""
    row = policies.rings()
    yield from _days(store, workload, version, row[row.index(ring) :])


def _cycles(store: Store, trust: Trust, workload: str, version: str, rings: tuple[str, ...]) -> Iterator[Cycle]:
    for day, ring in _days(store, workload, version, rings):
        yield _read(store, trust, workload, day, f"{ring}-{version}")


def _days(store: Store, workload: str, version: str, rings: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    names = {f"{ring}-{version}": ring for ring in rings}
    yield from ((day, names[name]) for day, name in partitions.days(store, KIND, workload) if name in names)


def _read(store: Store, trust: Trust, workload: str, day: str, name: str) -> Cycle:
    """Return a kept cycle; one that cannot be read is one that was not clean, and no dead end."""
    try:
        found = partitions.read(store, trust, KIND, workload, day, name)
        return CYCLE.validate_python(found.about if found else {})
    except (HomeDamaged, NotTrusted, ValidationError) as error:
        log.warning("the shadow cycle %s of %s on %s counts as not clean: %s", name, workload, day, error)
        ring, _, version = name.rpartition("-")
        return Cycle(workload, ring, day, "", "", "", version, 0, (), ("it cannot be read",))


def _spread(rows: pl.LazyFrame, step: int) -> pl.DataFrame:
    """Return every *step*-th row."""
    numbered = rows.with_row_index(PLACE).filter(pl.col(PLACE) % step == 0)
    return numbered.drop(PLACE).collect(engine="streaming")


def _side_by_side(store: Store, entity: str, target: str, day: Day, beside: Table, step: int) -> pl.DataFrame:
    was, low, high = columns_of(target)
    named = [pl.col(name).alias(to) for name, to in ((entity, "entity"), (was, "was"), (low, "low"), (high, "high"))]
    ours = _spread(partitions.scan(store, day.tables[SCORED]).select(named), step)
    theirs = _spread(partitions.scan(store, beside).select(pl.col(was).alias("now")), step)
    return ours.hstack(theirs)
