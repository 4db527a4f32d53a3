"""What is remembered of each batch that was held against a champion, and when that becomes an alarm.

Pure: observations come in, oldest first, and the next one comes out. One critical batch is a suspicion; a drift is
critical batches in a row, because whatever fires once in a hundred batches fires in a year. Where observations are kept
is the adapter's part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from tasks.core.digests import digest_of
from tasks.core.drift import Severity
from tasks.core.values import Blob, Finding

Told = Literal["", "workload.drifted", "workload.recovered"]

# How many critical batches in a row are a drift, and how many that are not end it; a clean one ends it at once.
PERSISTENCE = 2


@dataclass(frozen=True)
class Counted:
    """A batch as it was read: ``name`` names its bytes, ``rows`` those the contract accepts, ``counts`` all of them.

    Whatever is wrong with it is a finding; one that cannot be read at all has no counts.
    """

    name: str
    source: str
    rows_in: int
    rows: int
    findings: tuple[Finding, ...]
    counts: Blob | None = None


@dataclass(frozen=True)
class Observation:
    """One look at a batch: what it was compared with, what was found, and what was told of it.

    ``champion`` is the number of the ledger entry, ``batch`` names the bytes; ``pooled`` are the numbers of the earlier
    batches it was looked at with. ``incident`` names the drift it belongs to, empty where there is none. ``counts`` is
    the batch counted at ``reference``, None where nothing could be read.
    """

    workload: str
    ring: str
    number: int
    champion: int
    version: str
    batch: str
    source: str
    at: str
    rows_in: int
    rows: int
    severity: Severity
    because: str
    moved: tuple[str, ...]
    findings: tuple[Finding, ...]
    reference: Blob
    counts: Blob | None = None
    report: Blob | None = None
    pooled: tuple[int, ...] = ()
    told: Told = ""
    incident: str = ""


@dataclass(frozen=True)
class Watched:
    """Where the watch over one ring stands: its newest batch, and what that counts with.

    ``critical_in_a_row`` counts the newest batches that were large enough to tell, ``pooled`` are the earlier ones the
    newest was looked at with, ``waiting`` those too small that wait for the next; ``incident`` is the drift that goes
    on, empty if none does. ``version`` served when it was seen, and ``champion`` is its ledger entry's number.
    """

    workload: str
    ring: str
    batch: int
    source: str
    at: str
    champion: int
    version: str
    severity: Severity
    because: str
    critical_in_a_row: int
    pooled: tuple[int, ...]
    waiting: tuple[int, ...]
    incident: str


def standing(known: Sequence[Observation]) -> Watched | None:
    """Return where the watch stands after what is *known* of one ring, None before its first batch."""
    if not known:
        return None
    last = known[-1]
    beside = [each.severity for each in _evaluated(known) if each.champion == last.champion]
    return Watched(
        workload=last.workload,
        ring=last.ring,
        batch=last.number,
        source=last.source,
        at=last.at,
        champion=last.champion,
        version=last.version,
        severity=last.severity,
        because=last.because,
        critical_in_a_row=sum(1 for _ in takewhile(lambda severity: severity == "critical", reversed(beside))),
        pooled=last.pooled,
        waiting=tuple(each.number for each in waiting(known, last.champion)),
        incident=going_on(known),
    )


def seen_before(known: Sequence[Observation], champion: int, batch: str) -> Observation | None:
    """Return what was noted of the same batch beside the same champion."""
    return next((each for each in reversed(known) if (each.champion, each.batch) == (champion, batch)), None)


def waiting(known: Sequence[Observation], champion: int) -> tuple[Observation, ...]:
    """Return the newest observations beside *champion* that were too small and wait to be looked at with the next."""
    few: list[Observation] = []
    for each in reversed(known):
        if each.champion != champion or each.severity != "insufficient":
            break
        few.append(each)
    return tuple(each for each in reversed(few) if each.counts is not None)


def newest_telling(known: Sequence[Observation]) -> tuple[Observation, ...]:
    """Return the newest batch that was large enough to tell, after those it was pooled with; empty if none was."""
    newest = next(iter(_evaluated(known)[::-1]), None)
    return tuple(each for each in known if newest and each.number in (*newest.pooled, newest.number))


def next_told(
    known: Sequence[Observation], champion: int, severity: Severity, moved: Sequence[str]
) -> tuple[Told, str]:
    """Return what the next batch's *severity* makes known, and of which incident.

    A drift that goes on is told again with every batch, under the name it began with: whoever was busy hears it then.
    """
    open_incident = going_on(known)
    if severity == "insufficient":
        return "", open_incident
    if severity == "critical":
        before = [each.severity for each in _evaluated(known) if each.champion == champion][-(PERSISTENCE - 1) :]
        if open_incident or before == ["critical"] * (PERSISTENCE - 1):
            return "workload.drifted", open_incident or _named(known, champion, moved)
        return "", ""
    calm = [each.severity for each in _evaluated(known)][-(PERSISTENCE - 1) :]
    if open_incident and (severity == "none" or "critical" not in calm):
        return "workload.recovered", open_incident
    return "", open_incident


def going_on(known: Sequence[Observation]) -> str:
    """Return the incident that is open, empty if none is."""
    return known[-1].incident if known and known[-1].told != "workload.recovered" else ""


def _evaluated(known: Sequence[Observation]) -> list[Observation]:
    return [each for each in known if each.severity != "insufficient"]


def _named(known: Sequence[Observation], champion: int, moved: Sequence[str]) -> str:
    """Name a drift by what it is and which batch began it; no time and no run, so that every worker names it alike."""
    begun = {"champion": champion, "columns": sorted(moved), "batch": known[-1].number + 1}
    return digest_of(begun)[:16]
