"""An alias somebody moved by hand: found, told, and recorded before it is moved back.

A registry lets anybody move an alias and keeps no trace of who did. The ledger is the truth, so readers of the alias
are brought back to it; that they were led elsewhere meanwhile is something an auditor should find.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from tasks.adapters import ledger, projections
from tasks.adapters.rollback import Aliases, changes_of
from tasks.adapters.signing import Signer, Trust
from tasks.adapters.store import Store
from tasks.core.manifest import VERSION_DIGITS
from tasks.core.values import Entry
from tasks.errors import HomeDamaged, NotTrusted


def named(digest: str) -> str:
    """Return how people call the bundle an alias points at."""
    return digest[:VERSION_DIGITS] or "a version without a bundle"


def strayed(ring: str, found: str | None, champion: Entry | None) -> str:
    """Say that the ring's alias, found at the bundle *found*, is not where the ledger says; empty if it is."""
    wanted = champion.version if champion else "nothing"
    if found is None or (champion is not None and found == champion.manifest_digest):
        return ""
    return f"the registry's alias {projections.alias_of(ring)} points at {named(found)}, the ledger says {wanted}"


def record(
    store: Store, signer: Signer, trust: Trust, aliases: Aliases, workload: str, ring: str, by: str
) -> Entry | None:
    """Append what was found to the ledger, if the ring's alias was moved by hand; None if there is nothing to tell.

    A promotion killed before it reached its projections left file and alias at the version before: that is no hand.
    """
    changes = changes_of(store, trust, workload, ring)
    found = aliases.alias(workload, projections.alias_of(ring)) if changes else None
    said = strayed(ring, found, changes[-1]) if changes else ""
    if not said or _lags(store, trust, changes, found):
        return None
    champion, reason = changes[-1], f"{said}: moved by hand, or by another tool; it was moved back"
    # Killed after this was recorded and before it was carried out, it is the same finding still.
    for known in ledger.repairs(store, workload, ring, trust)[:1]:
        if known.reason == reason and store.head(projections.repaired_key(known)) is None:
            return known
    draft = replace(
        champion,
        number=0,
        kind="repair",
        decided_by=by,
        reason=reason,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        previous="",
        run_key=f"alias at {named(found or '')} after entry {ledger.length(store, workload)}",
    )
    return ledger.append(store, signer, draft, champion.number)


def _lags(store: Store, trust: Trust, changes: tuple[Entry, ...], found: str | None) -> bool:
    try:
        seen = projections.serving(store, trust, changes[-1].workload, changes[-1].ring)
    except (HomeDamaged, NotTrusted):
        return False
    return len(changes) > 1 and seen == changes[-2] and found == changes[-2].manifest_digest
