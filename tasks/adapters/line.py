"""Stop-the-line: while it is stopped nothing is promoted, in any ring; rollback goes on working.

A ledger of its own, named ``_line``: who stopped what and why, signed and chained like everything that was decided.
An entry's ``ring`` says what it stops: every workload, or the one it names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tasks.adapters import ledger
from tasks.adapters.signing import Signer, Trust
from tasks.adapters.store import Store
from tasks.core.rollback import checked_reason
from tasks.core.values import Entry
from tasks.errors import BadRequest

LINE = "_line"
EVERY_WORKLOAD = "*"


@dataclass(frozen=True)
class Stopped:
    """A line that stands still: what, since when, by whom and why."""

    scope: str
    number: int
    since: str
    by: str
    reason: str

    @property
    def sentence(self) -> str:
        """What a person reads who wanted to promote."""
        what = "the line" if self.scope == EVERY_WORKLOAD else f"the line of {self.scope}"
        only = "" if self.scope == EVERY_WORKLOAD else f" --workload {self.scope}"
        return (
            f"{what} was stopped by {self.by} at {self.since}: {self.reason}; nothing is promoted until: "
            f"greenlight resume-the-line{only} --reason …"
        )


def running(store: Store, trust: Trust, workload: str) -> Stopped | None:
    """Return what stops promotions of *workload*, None if its line runs; raises NotTrusted or HomeDamaged."""
    return next((each for each in stops(store, trust) if each.scope in (EVERY_WORKLOAD, workload)), None)


def stops(store: Store, trust: Trust) -> tuple[Stopped, ...]:
    """Return everything that is stopped now, the whole line first."""
    return tuple(_standing(entry) for _, entry in sorted(_newest(store, trust).items()) if entry.kind == "stop")


def stop(store: Store, signer: Signer, trust: Trust, *, reason: str, by: str, scope: str = EVERY_WORKLOAD) -> Stopped:
    """Stop the line and return what stops it; a line that stands already is left as it is."""
    said, newest = checked_reason(reason), _newest(store, trust).get(scope)
    if newest is not None and newest.kind == "stop":
        return _standing(newest)
    return _standing(ledger.append(store, signer, _draft("stop", said, by, scope, newest), 0))


def resume(store: Store, signer: Signer, trust: Trust, *, reason: str, by: str, scope: str = EVERY_WORKLOAD) -> Entry:
    """Let the line run again; raises BadRequest if it was not stopped, naming what is."""
    said, newest = checked_reason(reason), _newest(store, trust).get(scope)
    if newest is None or newest.kind == "resume":
        still = "; ".join(each.sentence for each in stops(store, trust)) or "nothing is stopped"
        raise BadRequest(f"{_named(scope)} is not stopped, so there is nothing to resume: {still}")
    return ledger.append(store, signer, _draft("resume", said, by, scope, newest), 0)


def _newest(store: Store, trust: Trust) -> dict[str, Entry]:
    return {entry.ring: entry for entry in ledger.read(store, LINE, trust)}


def _standing(entry: Entry) -> Stopped:
    return Stopped(entry.ring, entry.number, entry.at, entry.decided_by, entry.reason)


def _named(scope: str) -> str:
    return "the line as a whole" if scope == EVERY_WORKLOAD else f"the line of {scope}"


def _draft(kind: Literal["stop", "resume"], reason: str, by: str, scope: str, newest: Entry | None) -> Entry:
    return Entry(
        workload=LINE,
        number=0,
        kind=kind,
        ring=scope,
        version="",
        manifest_digest="",
        serves=(),
        evidence="",
        policy="",
        decided_by=by,
        reason=reason,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        previous="",
        # What it answers: said twice at once it is appended once, and the next stop is another one.
        run_key=f"{kind} after entry {ledger.number_of(newest)}",
    )
