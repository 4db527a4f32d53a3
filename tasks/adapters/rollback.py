"""Rolling back: the one emergency step that needs no gate, no person and no running line, only a whole bundle.

What it goes back to is core's word; the commit is one ledger entry, bound to the champion that was looked at. Readers
of the store see it at once; the registry comes last, because it takes seconds to wake and may be what is broken.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Protocol

from tasks.adapters import bundles, ledger, line, projections
from tasks.adapters.signing import Signer, Trust
from tasks.adapters.store import Store
from tasks.core import rollback as rules
from tasks.core.ledger_chain import CHANGES
from tasks.core.rollback import Alarm, Asked, Observation, Rule
from tasks.core.values import Entry
from tasks.errors import BadRequest, GreenlightError, NotTrusted

PREVIOUS = "previous"
log = logging.getLogger(__name__)


class Aliases(projections.Aliases, Protocol):
    """The model registry, which can also be asked where an alias points."""

    def alias(self, workload: str, alias: str) -> str | None:
        """Return the bundle *alias* points at, None if it points nowhere."""


@dataclass(frozen=True)
class RolledBack:
    """What came of a rollback; ``before`` is the version it took away, ``changes`` what readers had to be shown."""

    workload: str
    ring: str
    status: Literal["rolled back", "already rolled back"]
    before: str
    entry: Entry
    changes: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """What a person reads."""
        where = f"{self.workload} in {self.ring}"
        if self.status == "already rolled back":
            return (
                f"{where}: exactly this was done at {self.entry.at} (entry {self.entry.number}) and "
                f"{self.entry.version} serves; nothing more was done. To go further back, give the new reason or --to"
            )
        return f"{where}: {self.entry.version} serves again, {self.before} does not (ledger entry {self.entry.number})"


def roll_back(store: Store, signer: Signer, trust: Trust, aliases: Aliases | None, asked: Asked) -> RolledBack:
    """Let the version *asked* for serve again, verified before; the same wish twice in a row is carried out once.

    Raises BadRequest where there is nothing to go back to, NotTrusted or HomeDamaged for a damaged bundle, LedgerMoved
    if something else was let out meanwhile. Nothing a registry says or does is a reason to go on serving a bad model.
    """
    asked = replace(asked, reason=rules.checked_reason(asked.reason))
    return _carried_out(store, signer, trust, aliases, asked, asked.requested_by)


def roll_back_if_alarmed(
    store: Store,
    signer: Signer,
    trust: Trust,
    aliases: Aliases | None,
    workload: str,
    ring: str,
    observations: Iterable[Observation],
    wanted: Iterable[Rule],
) -> tuple[Alarm, RolledBack | None] | None:
    """Stop the workload's line and roll back, if what was observed of the champion meets a rule of the policy.

    The line is stopped first: killed in between, the rerun finds it so and goes on. Without a version to go back to
    the line alone is stopped.
    """
    changes = changes_of(store, trust, workload, ring)
    alarm = rules.alarmed(observations, wanted, changes[-1]) if changes else None
    if alarm is None:
        return None
    by = f"{rules.AUTOMATIC}: {alarm.rule.trigger} in {ring}"
    line.stop(store, signer, trust, reason=alarm.reason, by=by, scope=workload)
    if rules.previous(changes) is None:
        return alarm, None
    asked = Asked(workload, ring, PREVIOUS, alarm.reason, by)
    return alarm, _carried_out(store, signer, trust, aliases, asked, by)


def changes_of(store: Store, trust: Trust, workload: str, ring: str) -> tuple[Entry, ...]:
    """Return what ever served in *ring*, oldest first; the whole chain is verified on the way."""
    return tuple(e for e in ledger.read(store, workload, trust) if e.ring == ring and e.kind in CHANGES)


def _carried_out(
    store: Store, signer: Signer, trust: Trust, aliases: Aliases | None, asked: Asked, by: str
) -> RolledBack:
    changes = changes_of(store, trust, asked.workload, asked.ring)
    if not changes:
        raise _nothing_serves(store, trust, asked)
    champion = changes[-1]
    if champion.kind == "rollback" and champion.run_key == asked.key:
        before = changes[-2].version
        again = RolledBack(asked.workload, asked.ring, "already rolled back", before, champion, ())
        return _shown(store, trust, aliases, again)
    target = _target(store, changes, asked)
    _verify(store, trust, target)
    entry = ledger.append(store, signer, _draft(target, asked, by), champion.number)
    done = RolledBack(asked.workload, asked.ring, "rolled back", champion.version, entry, ())
    return _shown(store, trust, aliases, done)


def _target(store: Store, changes: Sequence[Entry], asked: Asked) -> Entry:
    serving = changes[-1].version
    if asked.version == serving:
        raise BadRequest(
            f"{asked.workload} in {asked.ring} serves {serving} already (entry {changes[-1].number}): nothing to do"
        )
    previous = asked.version == PREVIOUS
    target = rules.previous(changes) if previous else rules.served(changes, asked.version)
    if target is not None:
        return target
    known = ", ".join(sorted({entry.version for entry in changes} - {serving})) or "none"
    if previous:
        raise BadRequest(
            f"{asked.workload} in {asked.ring} has no version to go back to: {serving} serves, and of the others that "
            f"ever did ({known}) none is left that was not rolled back from; name one with --to, or stop the line"
        )
    if store.head(bundles.bundle_key(asked.workload, asked.version)) is None:
        raise BadRequest(f"{asked.workload} has no version {asked.version!r}; let out in {asked.ring} were: {known}")
    raise BadRequest(
        f"{asked.version} of {asked.workload} was never let out in {asked.ring}, so it cannot be gone back to; were: "
        f"{known}. To let it out there first: greenlight promote {asked.workload} --to-ring {asked.ring}"
    )


def _verify(store: Store, trust: Trust, target: Entry) -> None:
    found = bundles.open_bundle(store, trust, target.workload, target.version).manifest.digest
    if found != target.manifest_digest:
        raise NotTrusted(
            f"the bundle {target.version} of {target.workload} has the digest {found[:12]}…, the ledger let out "
            f"{target.manifest_digest[:12]}…: nothing was rolled back; restore it, or name another version with --to"
        )


def _shown(store: Store, trust: Trust, aliases: Aliases | None, done: RolledBack) -> RolledBack:
    readers = projections.reconcile(store, trust, None, done.workload, done.ring)
    try:
        registry = projections.reconcile(store, trust, aliases, done.workload, done.ring) if aliases else ()
    except GreenlightError as error:
        registry = ()
        log.warning("the registry's alias stays where it was (%s); when that is mended: greenlight reconcile", error)
    return replace(done, changes=(*readers, *registry))


def _draft(target: Entry, asked: Asked, by: str) -> Entry:
    """The target as it was let out: what it serves, and the evidence and policy it was let out on."""
    return replace(
        target,
        number=0,
        kind="rollback",
        decided_by=by,
        reason=asked.reason,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        previous="",
        run_key=asked.key,
    )


def _nothing_serves(store: Store, trust: Trust, asked: Asked) -> BadRequest:
    rings = sorted({entry.ring for entry in ledger.read(store, asked.workload, trust) if entry.kind in CHANGES})
    where = f"it serves in: {', '.join(rings)} (--ring)" if rings else "it never served anywhere"
    return BadRequest(f"{asked.workload} has nothing in {asked.ring} to roll back; {where}")
