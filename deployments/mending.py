"""Making again what follows from the store: readers' copies, the registry's runs, versions and aliases, notes.

Whoever deleted or moved them by hand finds them as the ledger says; what had been moved by hand is told to the ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from tasks import workloads
from tasks.adapters import (
    anchors,
    contents,
    home,
    ledger,
    mirrors,
    numbering,
    projections,
    repair,
    requests,
    settlement,
)
from tasks.adapters.line import LINE
from tasks.adapters.logged import record_of
from tasks.adapters.signing import Trust, trusted_keys
from tasks.core.ledger_chain import CHANGES
from tasks.core.values import Entry


@dataclass(frozen=True)
class Mended:
    """What was changed, a sentence each."""

    changes: tuple[str, ...]


def reconcile(workload: str | None, *, ring: str | None, by: str) -> Mended:
    """Bring everything that follows from the ledger up to it: of one workload or all, in one ring or all."""
    if workload is not None:
        workloads.get(workload)
    names = [workload] if workload else _workloads()
    return Mended(tuple(change for name in names for change in _reconciled(name, ring, by)))


def _workloads() -> list[str]:
    """Return those that have a ledger, or were asked about before they had one."""
    asked = {each.workload for each in requests.open_requests(home.store(), _trust())}
    return sorted({*ledger.workloads(home.store())} - {LINE} | asked)


def _reconciled(workload: str, ring: str | None, by: str) -> Iterator[str]:
    store, trust = home.store(), _trust()
    with home.hold(workload, "reconcile"):
        noted = anchors.noted(store, home.root() / "keys", workload, trust)
        anchors.refuse_cut(noted, workload, ledger.length(store, workload))
        ledger.refuse_foreign(store, home.signer(), ledger.head_of(store, workload))
        yield from _expired(workload, ring)
        changes = [entry for entry in ledger.read(store, workload, trust) if entry.kind in CHANGES]
        yield from _registered(changes)
        for each in [ring] if ring else _rings(workload, changes):
            found = repair.record(store, home.signer(), trust, home.registry(), workload, each, f"reconcile by {by}")
            if found is not None:
                yield f"{workload}: {found.reason} (recorded as ledger entry {found.number})"
            yield from projections.reconcile(store, trust, home.registry(), workload, each)
            yield from mirrors.follow(store, home.mirrors(), trust, workload, each)
        for entry in changes:
            numbering.show(store, home.registry(), entry)
        yield from _noted(workload)


def _expired(workload: str, ring: str | None) -> Iterator[str]:
    """Close what nobody answered in time: the next promote would, but it may never come."""
    asked = requests.open_requests(home.store(), _trust(), workload, ring)
    for each in sorted({each.ring for each in asked}):
        for late in settlement.expire(home.store(), home.signer(), _trust(), workload, each, datetime.now(UTC)):
            yield f"{workload}: the request for {late.version} in {each} expired at {late.expires_at}; it is closed now"


def _registered(changes: list[Entry]) -> Iterator[str]:
    """Tell a registry that lost them of every version that was ever let out, oldest first, and of its run."""
    for entry in {change.version: change for change in reversed(changes)}.values():
        if home.registry().knows(entry.workload, entry.manifest_digest):
            continue
        bundle = contents.open_verified(home.store(), home.root() / "keys", entry.workload, entry.version)
        run = home.registry().log_run(record_of(contents.evidence_of(bundle), {}))
        tags = {"run_key": entry.run_key}
        version = home.registry().register(bundle.challenger, run, home.store(), tags)
        yield f"{entry.workload}: the registry had lost {entry.version}; it is registered again as version {version}"


def _rings(workload: str, changes: list[Entry]) -> list[str]:
    shown = (key.rpartition("/")[2].removesuffix(".json") for key in home.store().list(f"champions/{workload}/"))
    return sorted({entry.ring for entry in changes} | set(shown))


def _trust() -> Trust:
    return trusted_keys(home.root() / "keys")


def _noted(workload: str) -> Iterator[str]:
    head = ledger.head_of(home.store(), workload)
    written = anchors.note(home.store(), home.signer(), head) if head else ()
    yield from (f"the ledger's end was noted again in {address}" for address in written)
