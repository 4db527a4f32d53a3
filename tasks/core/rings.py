"""Whether a version stands in a ring, by what its ledger says. Pure: entries come in; the rings' order is policy."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.core.ledger_chain import CHANGES
from tasks.core.values import Entry


def stands_in(entries: Iterable[Entry], ring: str, version: str) -> bool:
    """Say whether *version* is, or has been, let out in *ring* and was not rolled back from since (oldest first)."""
    changes = _changes(entries, ring)
    return any(entry.version == version for entry in changes) and rolled_back_by(changes, ring, version) is None


def rolled_back_by(entries: Iterable[Entry], ring: str, version: str) -> Entry | None:
    """Return the newest rollback in *ring* away from *version*, None if it was let out again since, or never left."""
    serving, away = "", None
    for entry in _changes(entries, ring):
        if entry.kind == "rollback" and serving == version:
            away = entry
        serving = entry.version
        if serving == version:
            away = None
    return away


def _changes(entries: Iterable[Entry], ring: str) -> list[Entry]:
    return [entry for entry in entries if entry.ring == ring and entry.kind in CHANGES]
