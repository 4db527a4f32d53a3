"""Incidents in a real store: whoever is first is the only one, in this process and among others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tasks.adapters.directory import DirectoryStore
from tasks.adapters.incidents import (
    admit,
    note_failed,
    note_recovered,
    note_retrained,
    read_notes,
    standing,
    swallowed,
)
from tasks.core.incidents import Restraint, Sighting
from tasks.errors import HomeDamaged

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
RESTRAINT = Restraint()


def seen(run, minutes=0, incident="workload.drifted:a"):
    return Sighting("channels", incident, run, NOON + timedelta(minutes=minutes))


@pytest.fixture
def store(tmp_path):
    return DirectoryStore(tmp_path / "store")


def test_of_fifty_at_once_exactly_one_is_admitted_and_the_others_leave_their_reason(store):
    with ThreadPoolExecutor(16) as pool:
        told = list(pool.map(lambda number: admit(store, seen(f"run{number}"), RESTRAINT), range(50)))
    assert sorted(admission.answer for admission in told) == ["admitted"] + 49 * ["swallowed"]
    assert len(read_notes(store, "channels")) == 1
    records = swallowed(store, "channels", newest=100)
    assert len(records) == 49
    assert {record.because.split(":")[0] for record in records} == {"swallowed by the cooldown until 2026-11-03T12"}


def test_two_confirmations_at_once_from_the_same_suspicion_are_one(store):
    twice = Restraint(confirm_after=2)
    assert admit(store, seen("first"), twice).answer == "suspected"
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda number: admit(store, seen(f"run{number}"), twice).answer, range(8)))
    assert sorted(told) == ["admitted"] + 7 * ["swallowed"]


def test_a_recovery_lets_a_new_drift_start_a_second_one(store):
    assert admit(store, seen("one"), RESTRAINT).answer == "admitted"
    note_retrained(store, seen("one", 5))
    assert standing(store, "channels", NOON + timedelta(minutes=6)).state == "COOLDOWN"
    assert note_recovered(store, seen("monitor", 7))
    assert not note_recovered(store, seen("monitor", 8))
    assert admit(store, seen("two", 9, "workload.drifted:b"), RESTRAINT).answer == "admitted"
    assert [note.kind for note in read_notes(store, "channels")] == ["confirmed", "retrained", "recovered", "confirmed"]


def test_after_a_retrain_that_failed_the_next_event_starts_another(store):
    admit(store, seen("one"), RESTRAINT)
    for _ in range(2):
        note_failed(store, seen("one", 1))
    assert admit(store, seen("two", 2), RESTRAINT).answer == "admitted"
    assert [note.kind for note in read_notes(store, "channels")] == ["confirmed", "failed", "confirmed"]


def test_the_newest_that_started_nothing_come_first(store):
    admit(store, seen("one"), RESTRAINT)
    for minute in range(1, 4):
        admit(store, seen(f"run{minute}", minute), RESTRAINT)
    assert [record.run for record in swallowed(store, "channels", newest=2)] == ["run3", "run2"]


def test_the_same_run_asked_twice_is_admitted_twice_and_noted_once(store):
    told = [admit(store, seen("one", minute), RESTRAINT).answer for minute in (0, 1)]
    assert told == ["admitted", "admitted"]
    assert len(read_notes(store, "channels")) == 1


def test_a_note_that_is_gone_or_unreadable_is_said(store):
    admit(store, seen("one"), RESTRAINT)
    note_recovered(store, seen("monitor", 1))
    (store.root / "incidents/channels/notes/000001.json").unlink()
    with pytest.raises(HomeDamaged, match="incident note 1 of channels is gone"):
        read_notes(store, "channels")
    store.put("incidents/channels/notes/000001.json", b"{")
    with pytest.raises(HomeDamaged, match=r"000001\.json in .* cannot be read"):
        read_notes(store, "channels")
