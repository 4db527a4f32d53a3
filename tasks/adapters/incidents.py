"""Incidents in the store, where all workers see them: a numbered note is made by create-if-absent, or not at all.

Whoever loses the race for a number reads what the winner wrote and asks again, so of any number of runs that saw one
drift exactly one is admitted. The others leave a record of why they were not; what may happen is decided in core.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from tasks.adapters.store import Store, read_bytes
from tasks.core import incidents
from tasks.core.digests import canonical_json
from tasks.core.incidents import Admission, Note, Restraint, Sighting, Standing
from tasks.errors import AlreadyExists, Conflict, HomeDamaged

T = TypeVar("T")
NOTE: TypeAdapter[Note] = TypeAdapter(Note)
# Each loser of a race for a number has lost to somebody, and in one incident there are few numbers to race for.
TRIES = 100
# Object stores list a thousand keys at a time; nobody reads more of them.
NEWEST = 20


@dataclass(frozen=True)
class Swallowed:
    """An event that started nothing, and why."""

    workload: str
    incident: str
    run: str
    at: str
    because: str


SWALLOWED: TypeAdapter[Swallowed] = TypeAdapter(Swallowed)


def admit(store: Store, sighting: Sighting, restraint: Restraint) -> Admission:
    """Say whether the run that saw *sighting* retrains; exactly one of those that saw the same is told *admitted*."""
    for _ in range(TRIES):
        known = read_notes(store, sighting.workload)
        admission = incidents.admit(known, sighting, restraint)
        if admission.note is None or _written(store, admission.note):
            if admission.answer == "swallowed":
                _record(store, sighting, admission.because, len(known))
            return admission
    raise _contended(sighting)


def note_retrained(store: Store, sighting: Sighting) -> None:
    """Note that the run that was admitted ended; said twice, or by another run, it changes nothing."""
    _append(store, sighting, incidents.retrained)


def note_failed(store: Store, sighting: Sighting) -> None:
    """Note that the run that was admitted came to nothing, so that the next event may start another."""
    _append(store, sighting, incidents.failed)


def note_recovered(store: Store, sighting: Sighting) -> bool:
    """Note that the trouble is over; return whether there was any."""
    return _append(store, sighting, incidents.recovered)


def read_notes(store: Store, workload: str) -> tuple[Note, ...]:
    """Return a workload's notes, oldest first; raises HomeDamaged if one is unreadable or missing."""
    notes = tuple(_read(store, key, NOTE) for key in store.list(f"incidents/{workload}/notes/"))
    for number, note in enumerate(notes, start=1):
        if note.number != number:
            raise HomeDamaged(
                f"incident note {number} of {workload} is gone from {store.uri}: {note.number} was found in its "
                "place; restore it from a backup, or delete those after it to forget them"
            )
    return notes


def standing(store: Store, workload: str, now: datetime) -> Standing:
    """Return where the workload's incidents stand."""
    return incidents.standing(read_notes(store, workload), now)


def swallowed(store: Store, workload: str, newest: int = NEWEST) -> tuple[Swallowed, ...]:
    """Return the *newest* events of the workload that started nothing, newest first, each with its reason."""
    keys = sorted(store.list(f"incidents/{workload}/swallowed/"), reverse=True)[:newest]
    return tuple(_read(store, key, SWALLOWED) for key in keys)


def _append(store: Store, sighting: Sighting, note_of: Callable[[tuple[Note, ...], Sighting], Note | None]) -> bool:
    for _ in range(TRIES):
        note = note_of(read_notes(store, sighting.workload), sighting)
        if note is None:
            return False
        if _written(store, note):
            return True
    raise _contended(sighting)


def _written(store: Store, note: Note) -> bool:
    try:
        store.put(f"incidents/{note.workload}/notes/{note.number:06}.json", canonical_json(note), if_absent=True)
    except AlreadyExists:
        # A reply that was lost: the note is ours, word for word.
        return note == read_notes(store, note.workload)[note.number - 1]
    return True


def _record(store: Store, sighting: Sighting, because: str, after: int) -> None:
    at = sighting.at.isoformat()
    record = Swallowed(sighting.workload, sighting.incident, sighting.run, at, because)
    name = f"{after:06}-{sighting.at:%Y%m%dT%H%M%S}-{sighting.run}"
    store.put(f"incidents/{sighting.workload}/swallowed/{name}.json", canonical_json(record))


def _read(store: Store, key: str, adapter: TypeAdapter[T]) -> T:
    try:
        return adapter.validate_json(read_bytes(store, key))
    except ValidationError as error:
        raise HomeDamaged(f"{key} in {store.uri} cannot be read: restore it from a backup, or delete it") from error


def _contended(sighting: Sighting) -> Conflict:
    return Conflict(
        f"{sighting.workload}: others wrote incident notes {TRIES} times while {sighting.incident} was to be noted; "
        "run again"
    )
