from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from tasks.core.incidents import Restraint, Sighting, admit, failed, recovered, retrained, standing

NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)
DAILY = Restraint(cooldown_hours=24)


def seen(run, hours=0.0, incident="workload.drifted:a"):
    return Sighting("channels", incident, run, NOON + timedelta(hours=hours))


def told(sightings, restraint=DAILY, notes=()):
    """Return the answers to *sightings* one after the other, and the notes they left."""
    answers, notes = [], list(notes)
    for sighting in sightings:
        admission = admit(notes, sighting, restraint)
        answers.append(admission.answer)
        notes += [admission.note] if admission.note else []
    return answers, notes


def test_fifty_sightings_of_one_drift_are_one_retrain():
    answers, notes = told([seen(f"run{number}", number / 60) for number in range(50)])
    assert answers == ["admitted"] + 49 * ["swallowed"]
    assert [note.kind for note in notes] == ["confirmed"]


def test_a_sighting_in_the_cooldown_is_told_until_when_and_who_answers():
    _, notes = told([seen("one")])
    because = admit(notes, seen("two", 1, "performance.degraded:x"), DAILY).because
    assert because == "swallowed by the cooldown until 2026-11-03T12:00:00+00:00: run one answers this drift"


def test_the_run_that_was_killed_after_it_was_admitted_is_admitted_again():
    _, notes = told([seen("one")])
    again = admit(notes, seen("one", 2), DAILY)
    assert (again.answer, again.note) == ("admitted", None)


def test_a_drift_that_outlasts_the_cooldown_starts_another_retrain():
    assert told([seen("one"), seen("two", 23.9), seen("three", 24)])[0] == ["admitted", "swallowed", "admitted"]


def test_a_recovery_and_a_new_drift_start_a_second_retrain_within_the_cooldown():
    _, notes = told([seen("one")])
    notes.append(recovered(notes, seen("monitor", 1)))
    assert told([seen("two", 2, "workload.drifted:b")], notes=notes)[0] == ["admitted"]


def test_a_late_event_of_an_incident_that_is_over_starts_nothing():
    _, notes = told([seen("one")])
    notes.append(recovered(notes, seen("monitor", 1)))
    late = admit(notes, seen("two", 2), DAILY)
    assert late.answer == "swallowed" and "was over before this event came" in late.because


def test_an_incident_without_a_name_is_a_new_one_after_a_recovery():
    _, notes = told([seen("one", incident="workload.drifted:")])
    notes.append(recovered(notes, seen("monitor", 1)))
    assert told([seen("two", 2, "workload.drifted:")], notes=notes)[0] == ["admitted"]


def test_a_recovery_where_there_was_no_trouble_is_no_news():
    assert recovered([], seen("monitor")) is None
    _, notes = told([seen("one")])
    notes.append(recovered(notes, seen("monitor", 1)))
    assert recovered(notes, seen("monitor", 2)) is None


def test_the_months_budget_swallows_what_goes_beyond_it_and_ends_with_the_month():
    hourly = Restraint(cooldown_hours=1, monthly_retrains=2)
    days = [0, 24, 48, 29 * 24]  # 2, 3 and 4 November, 1 December
    answers, notes = told([seen(f"run{hours}", hours) for hours in days], hourly)
    assert answers == ["admitted", "admitted", "swallowed", "admitted"]
    assert (
        "swallowed by the budget: events started 2 retrains this month"
        in admit(notes[:2], seen("x", 48), hourly).because
    )


def test_a_budget_of_none_starts_nothing():
    assert told([seen("one")], Restraint(monthly_retrains=0))[0] == ["swallowed"]


def test_a_drift_is_suspected_until_it_was_seen_often_enough_by_different_runs():
    thrice = Restraint(confirm_after=3, cooldown_hours=24)
    sightings = [seen("one"), seen("one", 1), seen("two", 2), seen("three", 3)]
    assert told(sightings, thrice)[0] == ["suspected", "suspected", "suspected", "admitted"]


def test_sightings_older_than_a_cooldown_confirm_nothing():
    twice = Restraint(confirm_after=2, cooldown_hours=24)
    assert told([seen("one"), seen("two", 25), seen("three", 26)], twice)[0] == ["suspected", "suspected", "admitted"]


def test_the_states_follow_one_another():
    twice = Restraint(confirm_after=2, cooldown_hours=24)
    states, notes = [standing([], NOON).state], []
    for step in (
        lambda: admit(notes, seen("one"), twice).note,
        lambda: admit(notes, seen("two", 1), twice).note,
        lambda: retrained(notes, seen("two", 2)),
    ):
        notes.append(step())
        states.append(standing(notes, NOON + timedelta(hours=3)).state)
    states.append(standing(notes, NOON + timedelta(hours=25)).state)
    assert states == ["OK", "SUSPECTED", "CONFIRMED", "COOLDOWN", "OK"]
    assert standing(notes, NOON).retrains_this_month == 1


def test_only_the_admitted_run_ends_its_incident_and_only_once():
    _, notes = told([seen("one")])
    assert retrained(notes, seen("two", 1)) is None
    notes.append(retrained(notes, seen("one", 1)))
    assert retrained(notes, seen("one", 2)) is None
    assert told([seen("two", 3)], notes=notes)[0] == ["swallowed"]


def test_a_retrain_that_failed_gives_its_cooldown_and_its_share_of_the_budget_back():
    once = Restraint(monthly_retrains=1)
    _, notes = told([seen("one")], once)
    notes.append(failed(notes, seen("one", 1)))
    assert standing(notes, NOON + timedelta(hours=2)).state == "OK"
    assert standing(notes, NOON).retrains_this_month == 0
    assert told([seen("two", 2), seen("three", 3)], once, notes)[0] == ["admitted", "swallowed"]


def test_the_run_that_failed_may_be_rerun_and_is_noted_anew():
    _, notes = told([seen("one")])
    notes.append(failed(notes, seen("one", 1)))
    answers, notes = told([seen("one", 2)], notes=notes)
    assert (answers, notes[-1].kind, notes[-1].number) == (["admitted"], "confirmed", 3)
    notes.append(retrained(notes, seen("one", 3)))
    assert told([seen("two", 4)], notes=notes)[0] == ["swallowed"]


def test_what_was_suspected_before_a_failed_retrain_is_suspected_still():
    twice = Restraint(confirm_after=2)
    _, notes = told([seen("one"), seen("two", 1)], twice)
    notes.append(failed(notes, seen("two", 2)))
    assert standing(notes, NOON).state == "SUSPECTED"
    assert told([seen("three", 3)], twice, notes)[0] == ["admitted"]


def test_only_a_run_that_was_admitted_and_has_not_ended_can_fail():
    _, notes = told([seen("one")])
    assert failed(notes, seen("two", 1)) is None
    assert failed([*notes, retrained(notes, seen("one", 1))], seen("one", 2)) is None
    notes.append(failed(notes, seen("one", 1)))
    assert failed(notes, seen("one", 2)) is None


def test_a_recovery_closes_the_incident_whose_retrain_failed():
    _, notes = told([seen("one")])
    notes.append(failed(notes, seen("one", 1)))
    notes.append(recovered(notes, seen("monitor", 2)))
    assert recovered(notes, seen("monitor", 3)) is None
    assert told([seen("two", 4)], notes=notes)[0] == ["swallowed"]


@pytest.mark.parametrize(
    "numbers", [{"cooldown_hours": 0}, {"monthly_retrains": -1}, {"confirm_after": 0}, {"cooldown_hour": 2}]
)
def test_a_restraint_out_of_bounds_or_misspelt_is_refused(numbers):
    with pytest.raises(ValidationError):
        Restraint(**numbers)
