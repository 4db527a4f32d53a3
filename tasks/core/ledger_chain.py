"""Whether a ledger is whole: numbered without a gap, each entry holding the digest of the one before it.

Pure: entries come in as values; reading them and checking signatures is the adapter's part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tasks.core.digests import digest_of
from tasks.core.values import Entry

# Entries that change what serves; a decision that is recorded without changing it is none of them.
CHANGES = frozenset({"promotion", "rollback"})


@dataclass(frozen=True)
class Anchor:
    """A number and digest of an entry that were noted elsewhere: the ledger must still have it."""

    number: int
    digest: str


@dataclass(frozen=True)
class Break:
    """The first entry that is not what it should be, and why."""

    number: int
    reason: str


def digest_of_entry(entry: Entry) -> str:
    """Return the digest the next entry must hold."""
    return digest_of(entry)


def link(draft: Entry, head: Entry | None) -> Entry:
    """Return *draft* numbered and chained as the entry after *head*."""
    if head is None:
        return replace(draft, number=1, previous="")
    return replace(draft, number=head.number + 1, previous=digest_of_entry(head))


def first_break(entries: Sequence[Entry], *anchors: Anchor) -> Break | None:
    """Return the first entry where the chain breaks, None if it is whole; *anchors* also catch a cut-off end."""
    before: Entry | None = None
    for position, entry in enumerate(entries, start=1):
        reason = _reason(entry, position, before)
        if reason:
            return Break(position, reason)
        before = entry
    return next(filter(None, (_anchored(entries, anchor) for anchor in anchors)), None)


def same_change(one: Entry, other: Entry) -> bool:
    """Say whether two entries record one and the same decision, whenever each was written.

    A version is let out by a run once, whatever it was asked for; a record that changes nothing belongs to its dossier
    and to what people said: a second hold is another record.
    """
    names = ["workload", "kind", "ring", "version", "manifest_digest", "serves", "run_key"]
    if one.kind not in CHANGES:
        names += ["evidence", "decisions"]
    return all(getattr(one, name) == getattr(other, name) for name in names)


def _reason(entry: Entry, position: int, before: Entry | None) -> str:
    if entry.number != position:
        return f"it says it is number {entry.number}, wanted {position}: an entry was removed or renamed"
    wanted = digest_of_entry(before) if before else ""
    if entry.previous != wanted:
        found = entry.previous[:12] or "none"
        return (
            f"it follows an entry with the digest {found}, wanted {wanted[:12] or 'none'}: one of the two was changed"
        )
    if before and entry.workload != before.workload:
        return f"it belongs to the workload {entry.workload}, wanted {before.workload}"
    return ""


def _anchored(entries: Sequence[Entry], anchor: Anchor) -> Break | None:
    if len(entries) < anchor.number:
        reason = (
            f"the ledger ends at {len(entries)}, but entry {anchor.number} was noted elsewhere: its end was cut off"
        )
        return Break(len(entries) + 1, reason)
    if digest_of_entry(entries[anchor.number - 1]) != anchor.digest:
        return Break(anchor.number, f"it is not the entry noted elsewhere as {anchor.digest[:12]}…")
    return None
