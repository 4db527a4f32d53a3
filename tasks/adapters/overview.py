"""Everything an operator looks at first, gathered from the store and the home in one look: read, never mended.

What is broken is told among the rest and stops nothing: a status that fails is no help when something is wrong. How it
is drawn belongs to the command line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from tasks.adapters import (
    incidents,
    journal,
    ledger,
    line,
    numbering,
    policies,
    projections,
    registry_peek,
    repair,
    requests,
    settlement,
    watch,
)
from tasks.adapters.incidents import Swallowed
from tasks.adapters.line import LINE, Stopped
from tasks.adapters.policies import BREAK_GLASS
from tasks.adapters.signing import Trust
from tasks.adapters.store import Store, read_bytes
from tasks.core.dossier import Dossier
from tasks.core.incidents import Standing
from tasks.core.ledger_chain import CHANGES
from tasks.core.values import Entry
from tasks.core.watch import Watched, standing
from tasks.errors import GreenlightError
from tasks.workloads import WORKLOADS

T = TypeVar("T")
RUNS_SHOWN = 3
SWALLOWED_SHOWN = 3
# Where an alias of a workload points: the bundle's digest, None if nowhere.
Pointed = Callable[[str, str], str | None]


@dataclass(frozen=True)
class Serving:
    """What serves in one ring, since when, and by whose word."""

    workload: str
    ring: str
    version: str
    semantic_version: str
    since: str
    by: str
    kind: str
    number: int


@dataclass(frozen=True)
class Waiting:
    """A request that waits for a person; ``expires_at`` is empty where it never ends, ``expired`` says that it has."""

    workload: str
    ring: str
    version: str
    recommendation: str
    requested_by: str
    requested_at: str
    expires_at: str
    wanted: str
    dossier: str
    expired: bool


@dataclass(frozen=True)
class LastRun:
    """A run, when it was last heard of, and what came of it."""

    workload: str
    key: str
    at: str
    outcome: str


@dataclass(frozen=True)
class Incident:
    """Where a workload's drift incidents stand, and the newest events that started nothing, each with its reason."""

    workload: str
    standing: Standing
    swallowed: tuple[Swallowed, ...]


@dataclass(frozen=True)
class Overview:
    """One look at everything; ``troubles`` are sentences that say what to do."""

    champions: tuple[Serving, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    runs: tuple[LastRun, ...] = ()
    stops: tuple[Stopped, ...] = ()
    incidents: tuple[Incident, ...] = ()
    watched: tuple[Watched, ...] = ()
    unreviewed: tuple[Entry, ...] = ()
    troubles: tuple[str, ...] = ()


def look(store: Store, root: Path, trust: Trust, server: Pointed | None = None) -> Overview:
    """Return what is to be seen; *server* is asked where aliases point, else MLflow's own file in the home is."""
    troubles: list[str] = []
    ledgers = dict(_ledgers(store, trust, troubles))
    champions = [entry for entries in ledgers.values() for entry in _champions(entries)]
    # A registry that fails once is not asked again: each answer that does not come takes its time.
    troubles += _told(lambda: tuple(said for each in champions for said in _alias_astray(root, each, server)), troubles)
    for entry in champions:
        troubles += _told(partial(_copy_astray, store, trust, entry), troubles)
    watched = [seen for entry in champions for seen in _told(partial(_watched, store, entry), troubles)]
    return Overview(
        champions=tuple(_serving(store, entry) for entry in champions),
        waiting=_told(lambda: tuple(_waiting(store, trust)), troubles),
        runs=tuple(_runs(store, root)),
        stops=_told(lambda: line.stops(store, trust), troubles),
        incidents=_told(partial(_incidents, store), troubles),
        watched=tuple(watched),
        unreviewed=tuple(entry for entries in ledgers.values() for entry in unreviewed(entries)),
        troubles=tuple(dict.fromkeys(troubles)),
    )


def unreviewed(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Yield what was let out by breaking the glass and nobody has reviewed since; a review names the same dossier.

    The entry says so itself, signed: a dossier that somebody deletes takes no flag with it.
    """
    reviewed = {entry.evidence for entry in entries if entry.kind == "review"}
    for entry in entries:
        if entry.kind == "promotion" and entry.evidence not in reviewed and entry.decided_by.startswith(BREAK_GLASS):
            yield entry


def _ledgers(store: Store, trust: Trust, troubles: list[str]) -> Iterator[tuple[str, tuple[Entry, ...]]]:
    for workload in ledger.workloads(store):
        if workload != LINE:
            yield workload, _told(partial(ledger.read, store, workload, trust), troubles)


def _told(ask: Callable[[], tuple[T, ...]], troubles: list[str]) -> tuple[T, ...]:
    try:
        return ask()
    except GreenlightError as error:
        troubles.append(str(error))
        return ()


def _champions(entries: Sequence[Entry]) -> list[Entry]:
    newest = {entry.ring: entry for entry in entries if entry.kind in CHANGES}
    return [newest[ring] for ring in sorted(newest)]


def _alias_astray(root: Path, champion: Entry, server: Pointed | None) -> tuple[str, ...]:
    alias = projections.alias_of(champion.ring)
    found = server(champion.workload, alias) if server else _embedded(root).get((champion.workload, alias))
    said = repair.strayed(champion.ring, found, champion)
    return (f"{champion.workload}: {said}; {_mend(champion)}",) if said else ()


def _embedded(root: Path) -> Mapping[tuple[str, str], str]:
    database = root / "mlflow" / "mlflow.db"
    return registry_peek.aliases(database) if database.exists() else {}


def _copy_astray(store: Store, trust: Trust, champion: Entry) -> tuple[str, ...]:
    seen = projections.serving(store, trust, champion.workload, champion.ring)
    if seen == champion:
        return ()
    shown = f"{seen.version} (entry {seen.number})" if seen else "nothing"
    return (
        f"{champion.workload}: readers in {champion.ring} see {shown}, the ledger says {champion.version} "
        f"(entry {champion.number}); {_mend(champion)}",
    )


def _mend(champion: Entry) -> str:
    return f"run: greenlight reconcile {champion.workload} --ring {champion.ring}"


def _serving(store: Store, entry: Entry) -> Serving:
    named = (entry.version, numbering.of_entry(store, entry))
    return Serving(entry.workload, entry.ring, *named, entry.at, entry.decided_by, entry.kind, entry.number)


def _waiting(store: Store, trust: Trust) -> Iterator[Waiting]:
    now = datetime.now(UTC)
    for asked in requests.open_requests(store, trust):
        yield Waiting(
            asked.workload,
            asked.ring,
            asked.version,
            asked.recommendation,
            asked.requested_by,
            asked.requested_at,
            asked.expires_at,
            _wanted(asked),
            asked.digest,
            settlement.is_late(asked, now),
        )


def _wanted(asked: Dossier) -> str:
    """Say who must decide, by the ring's policy as it stands; the decision itself asks the policy again."""
    try:
        policy = policies.load(BREAK_GLASS if asked.break_glass else asked.ring)
    except GreenlightError as error:
        return str(error)
    roles = " or ".join(policy.roles) or "anybody"
    people = f"{policy.approvals} × {roles}" if policy.approvals > 1 else roles
    return f"{people}, but not {asked.requested_by}{', signed' if policy.decision == 'signed' else ''}"


def _incidents(store: Store) -> tuple[Incident, ...]:
    now = datetime.now(UTC)
    found = (
        Incident(name, incidents.standing(store, name, now), incidents.swallowed(store, name, SWALLOWED_SHOWN))
        for name in WORKLOADS
    )
    return tuple(each for each in found if each.standing != Standing("OK") or each.swallowed)


def _watched(store: Store, champion: Entry) -> tuple[Watched, ...]:
    seen = standing(watch.known(store, champion.workload, champion.ring))
    return (seen,) if seen else ()


def _runs(store: Store, root: Path) -> Iterator[LastRun]:
    journals = sorted((root / "runs").glob("*/*.jsonl"), key=lambda path: path.stat().st_mtime, reverse=True)
    for workload in sorted({path.parent.name for path in journals}):
        for path in [path for path in journals if path.parent.name == workload][:RUNS_SHOWN]:
            at = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat(timespec="seconds")
            yield LastRun(workload, path.stem, at, _outcome(store, root, workload, path.stem))


def _outcome(store: Store, root: Path, workload: str, key: str) -> str:
    summary = f"runs/{workload}/{key}.json"
    if store.head(summary) is not None:
        try:
            return str(json.loads(read_bytes(store, summary))["promotion"]["status"])
        except (ValueError, KeyError, TypeError):
            return f"{summary} is garbled; the next run of it writes it anew"
    times = journal.read(root, workload, key)
    return f"not finished; last stage: {times[-1].stage}" if times else "not finished"
