"""Drift incidents: fifty sightings of one trouble are one retrain, whoever saw them and however often.

A workload's incidents are numbered notes; what may happen next follows from the notes, the clock's time and the
restraint, all handed in. How notes are kept, and that no two are the same number, is the adapter's part.

OK ─ sighting ─► SUSPECTED ─ seen often enough ─► CONFIRMED (one retrain) ─ it ended ─► COOLDOWN ─ its time is up ─► OK
A recovery leads back to OK from anywhere, and closes the incident: a late event of it starts nothing any more. A
retrain that failed answered nothing: its cooldown and its share of the budget are given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

State = Literal["OK", "SUSPECTED", "CONFIRMED", "COOLDOWN"]
NoteKind = Literal["suspected", "confirmed", "retrained", "failed", "recovered"]
Answer = Literal["admitted", "suspected", "swallowed"]

STATES: dict[NoteKind, State] = {
    "suspected": "SUSPECTED",
    "confirmed": "CONFIRMED",
    "retrained": "COOLDOWN",
    "recovered": "OK",
}


class Restraint(BaseModel):
    """How eagerly events may start retrains; what a person or a schedule asks for is not held back by it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confirm_after: int = Field(default=1, ge=1, le=20, description="how many sightings confirm a drift")
    cooldown_hours: float = Field(
        default=24,
        gt=0,
        le=24 * 90,
        description="how long after an event's retrain further events start none, unless the drift recovered meanwhile",
    )
    monthly_retrains: int = Field(
        default=8, ge=0, le=1000, description="how many retrains events may start per calendar month (UTC)"
    )


RESTRAINT = Restraint()


@dataclass(frozen=True)
class Sighting:
    """An event that asks for a retrain. ``incident`` is what the event calls the trouble; ``run`` is who asks."""

    workload: str
    incident: str
    run: str
    at: datetime


@dataclass(frozen=True)
class Note:
    """One step of a workload's incidents; ``until`` is when a confirmed one's cooldown ends. Times are ISO, in UTC."""

    workload: str
    number: int
    kind: NoteKind
    incident: str
    run: str
    at: str
    until: str = ""


@dataclass(frozen=True)
class Admission:
    """The answer to a sighting: ``note`` is to be written before it counts, None if nothing changes by it."""

    answer: Answer
    because: str
    note: Note | None = None


@dataclass(frozen=True)
class Standing:
    """Where a workload's incidents stand: the state, since and until when (ISO), and the month's event retrains."""

    state: State
    incident: str = ""
    since: str = ""
    until: str = ""
    retrains_this_month: int = 0


def standing(notes: Sequence[Note], now: datetime) -> Standing:
    """Return where the incidents of a workload stand at *now*."""
    spent, counting = _spent(notes, now), _counting(notes)
    if not counting:
        return Standing("OK", retrains_this_month=spent)
    newest, until = counting[-1], _until(notes)
    if newest.kind in ("confirmed", "retrained") and now.isoformat() >= until:
        return Standing("OK", newest.incident, until, "", spent)
    return Standing(STATES[newest.kind], newest.incident, newest.at, until, spent)


def admit(notes: Sequence[Note], sighting: Sighting, restraint: Restraint) -> Admission:
    """Say whether the run that saw *sighting* retrains, and why; a run that was admitted before goes on."""
    if any(note.kind == "confirmed" and note.run == sighting.run for note in _counting(notes)):
        return Admission("admitted", f"run {sighting.run} was admitted before and goes on")
    held_back = _held_back(notes, sighting, restraint)
    if held_back:
        return Admission("swallowed", held_back)
    suspecting = _suspecting(notes, sighting, restraint)
    seen = len(suspecting | {sighting.run})
    if seen < restraint.confirm_after:
        because = f"sighting {seen} of {restraint.confirm_after} that confirm a drift"
        noted_before = sighting.run in suspecting
        return Admission("suspected", because, None if noted_before else _note(notes, sighting, "suspected"))
    until = (sighting.at + timedelta(hours=restraint.cooldown_hours)).isoformat()
    number = _spent(notes, sighting.at) + 1
    because = f"event retrain {number} of at most {restraint.monthly_retrains} this month; cooldown until {until}"
    return Admission("admitted", because, _note(notes, sighting, "confirmed", until))


def retrained(notes: Sequence[Note], sighting: Sighting) -> Note | None:
    """Return the note that an admitted run ended, None if it is no news."""
    newest = notes[-1] if notes else None
    if newest is None or newest.kind != "confirmed" or newest.run != sighting.run:
        return None
    return _note(notes, sighting, "retrained", newest.until)


def failed(notes: Sequence[Note], sighting: Sighting) -> Note | None:
    """Return the note that an admitted run came to nothing, None if it was not admitted or has ended already."""
    own = [note.kind for note in notes if note.run == sighting.run and note.kind != "suspected"]
    return _note(notes, sighting, "failed") if own[-1:] == ["confirmed"] else None


def recovered(notes: Sequence[Note], sighting: Sighting) -> Note | None:
    """Return the note that the trouble is over, None if there was none."""
    told = [note.kind for note in notes if note.kind != "failed"]
    if not told or told[-1] == "recovered":
        return None
    return _note(notes, sighting, "recovered")


def _held_back(notes: Sequence[Note], sighting: Sighting, restraint: Restraint) -> str:
    now, until = sighting.at.isoformat(), _until(notes)
    if sighting.incident in _closed(notes):
        return f"swallowed: the incident {sighting.incident} was over before this event came"
    if until and now < until:
        return f"swallowed by the cooldown until {until}: run {_confirmed(notes)[-1].run} answers this drift"
    spent = _spent(notes, sighting.at)
    if spent >= restraint.monthly_retrains:
        return (
            f"swallowed by the budget: events started {spent} retrains this month, at most "
            f"{restraint.monthly_retrains} are wanted; raise monthly_retrains, or start a retrain by hand"
        )
    return ""


def _counting(notes: Sequence[Note]) -> list[Note]:
    """Return *notes* without the confirmations whose run failed, and without their failures."""
    failures = [note for note in notes if note.kind == "failed"]
    void = {
        note.number
        for each in failures
        for note in notes
        if note.run == each.run and note.kind == "confirmed" and note.number < each.number
    }
    return [note for note in notes if note.kind != "failed" and note.number not in void]


def _suspecting(notes: Sequence[Note], sighting: Sighting, restraint: Restraint) -> set[str]:
    """Return the runs whose sightings count: since the last change, and no older than a cooldown."""
    oldest = (sighting.at - timedelta(hours=restraint.cooldown_hours)).isoformat()
    counting = _counting(notes)
    since = max((note.number for note in counting if note.kind != "suspected"), default=0)
    return {note.run for note in counting if note.number > since and note.at >= oldest}


def _since_recovery(notes: Sequence[Note]) -> Sequence[Note]:
    last = max((note.number for note in notes if note.kind == "recovered"), default=0)
    return [note for note in notes if note.number > last]


def _closed(notes: Sequence[Note]) -> set[str]:
    """Return the incidents that a recovery ended; one that has no name of its own (``event:``) is never the same."""
    going_on = {note.number for note in _since_recovery(notes)}
    return {note.incident for note in notes if note.number not in going_on and not note.incident.endswith(":")}


def _confirmed(notes: Sequence[Note]) -> list[Note]:
    return [note for note in _since_recovery(_counting(notes)) if note.kind == "confirmed"]


def _until(notes: Sequence[Note]) -> str:
    confirmed = _confirmed(notes)
    return confirmed[-1].until if confirmed else ""


def _spent(notes: Sequence[Note], now: datetime) -> int:
    month = now.isoformat()[:7]
    return sum(note.kind == "confirmed" and note.at[:7] == month for note in _counting(notes))


def _note(notes: Sequence[Note], sighting: Sighting, kind: NoteKind, until: str = "") -> Note:
    return Note(
        workload=sighting.workload,
        number=len(notes) + 1,
        kind=kind,
        incident=sighting.incident,
        run=sighting.run,
        at=sighting.at.isoformat(),
        until=until,
    )
