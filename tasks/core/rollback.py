"""Which version a rollback goes back to, and whether what was observed asks for one. Pure: ledger entries come in.

Appending to the ledger is the adapter's part; what counts as a breach is said by whoever observes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from tasks.core.digests import digest_of
from tasks.core.values import Entry
from tasks.errors import BadRequest

Trigger = Literal["performance_below_floor", "prediction_drift_critical", "scoring_errors"]
LEAST_REASON_CHARACTERS = 10
AUTOMATIC = "automatic rollback"


@dataclass(frozen=True)
class Asked:
    """A rollback somebody asks for; ``version`` may be ``previous``."""

    workload: str
    ring: str
    version: str
    reason: str
    requested_by: str

    @property
    def key(self) -> str:
        """What makes it one and the same wish, however often it is said."""
        return f"rollback {digest_of(self)[:16]}"


@dataclass(frozen=True)
class Observation:
    """One look at a champion: ``champion`` is the number of its ledger entry, ``breached`` whether it was too bad."""

    trigger: Trigger
    champion: int
    at: str
    breached: bool
    found: str
    wanted: str


@dataclass(frozen=True)
class Rule:
    """A trigger of the ring's policy; ``persistence`` is how many looks in a row must be bad."""

    trigger: Trigger
    persistence: int


@dataclass(frozen=True)
class Alarm:
    """A rule that was met, and the newest of the observations that met it."""

    rule: Rule
    newest: Observation

    @property
    def reason(self) -> str:
        """Why, in one sentence with its figures."""
        times = "once" if self.rule.persistence == 1 else f"{self.rule.persistence} times in a row"
        what = self.rule.trigger.replace("_", " ")
        return f"{what}, {times}: found {self.newest.found}, wanted {self.newest.wanted} ({self.newest.at})"


def served(changes: Sequence[Entry], version: str) -> Entry | None:
    """Return the newest of *changes* (oldest first) that let *version* out, None if none ever did."""
    return next((entry for entry in reversed(changes) if entry.version == version), None)


def previous(changes: Sequence[Entry]) -> Entry | None:
    """Return the change that let the champion's predecessor out, None if there is nothing to go back to.

    The predecessor is the newest other version that was not itself rolled back from, so that two rollbacks in a row go
    two versions back instead of to and fro. A version that was let out again counts again.
    """
    abandoned = _abandoned(changes)
    return next((e for e in reversed(changes) if e.version != changes[-1].version and e.version not in abandoned), None)


def alarmed(observations: Iterable[Observation], rules: Iterable[Rule], champion: Entry) -> Alarm | None:
    """Return the first rule that the newest looks at *champion* met, None if none did.

    A champion that came by an automatic rollback is never rolled back from by itself: one is enough, and then a person
    looks. Observations are taken in the order of their time; those of another champion say nothing about this one.
    """
    if champion.kind == "rollback" and champion.decided_by.startswith(AUTOMATIC):
        return None
    looks = sorted((each for each in observations if each.champion == champion.number), key=lambda each: each.at)
    for rule in rules:
        newest = [each for each in looks if each.trigger == rule.trigger][-rule.persistence :]
        if len(newest) == rule.persistence and all(each.breached for each in newest):
            return Alarm(rule, newest[-1])
    return None


def checked_reason(reason: str, least: int = LEAST_REASON_CHARACTERS) -> str:
    """Return *reason* without the space around it; raises BadRequest if it is too short to tell anybody anything."""
    said = " ".join(reason.split())
    if len(said) < least:
        raise BadRequest(
            f"the reason {said!r} has {len(said)} characters, wanted at least {least}: it is what the history will "
            "say in a year; write what was seen"
        )
    return said


def _abandoned(changes: Iterable[Entry]) -> frozenset[str]:
    found: set[str] = set()
    before = ""
    for entry in changes:
        if entry.kind == "rollback":
            found.add(before)
        found.discard(entry.version)
        before = entry.version
    return frozenset(found)
