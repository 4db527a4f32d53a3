from dataclasses import replace

import pytest

from tasks.core.rollback import AUTOMATIC, Asked, Observation, Rule, alarmed, checked_reason, previous, served
from tasks.core.values import Entry
from tasks.errors import BadRequest

DRIFT = Rule("prediction_drift_critical", 2)


def change(version, kind="promotion", number=1, by="policy prod"):
    return Entry("shops", number, kind, "prod", version, version * 2, ("sales",), "e", "p", by, "why", "now", "")


def history(*said):
    """``v1`` is a promotion, ``<v1`` a rollback to it."""
    return [
        change(each.lstrip("<"), "rollback" if each.startswith("<") else "promotion", number)
        for number, each in enumerate(said, start=1)
    ]


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (("v1", "v2"), "v1"),
        (("v1", "v2", "v3"), "v2"),
        (("v1", "v2", "v3", "<v2"), "v1"),
        (("v1", "v2", "v3", "<v2", "v4"), "v2"),
        (("v1", "v2", "<v1", "v3"), "v1"),
        (("v1", "v2", "<v1", "v2"), "v1"),
        (("v1", "v2", "v3", "<v1", "<v2"), None),
        (("v1",), None),
        (("v1", "v2", "<v1"), None),
        (("v1", "v1"), None),
    ],
)
def test_previous_is_the_newest_other_version_that_was_not_rolled_back_from(said, wanted):
    found = previous(history(*said))
    assert (found.version if found else None) == wanted


def test_a_version_is_gone_back_to_as_it_was_last_let_out():
    assert served(history("v1", "v2", "v1", "v3"), "v1").number == 3
    assert served(history("v1"), "v2") is None


def look(breached, at, champion=1, trigger="prediction_drift_critical"):
    return Observation(trigger, champion, f"2026-11-{at:02}", breached, "PSI 0.41", "below 0.25")


def test_only_as_many_bad_looks_in_a_row_as_the_policy_asks_for_raise_the_alarm():
    champion = change("v1")
    assert alarmed([look(True, 1)], [DRIFT], champion) is None
    assert alarmed([look(True, 1), look(False, 2), look(True, 3)], [DRIFT], champion) is None
    found = alarmed([look(True, 3), look(False, 1), look(True, 2)], [DRIFT], champion)
    assert found.newest.at == "2026-11-03"
    assert found.reason == (
        "prediction drift critical, 2 times in a row: found PSI 0.41, wanted below 0.25 (2026-11-03)"
    )


def test_what_was_seen_of_another_champion_or_of_another_trigger_raises_no_alarm():
    assert alarmed([look(True, 1, champion=7), look(True, 2)], [DRIFT], change("v1")) is None
    assert alarmed([look(True, 1), look(True, 2, trigger="scoring_errors")], [DRIFT], change("v1")) is None
    assert alarmed([look(True, 1), look(True, 2)], [], change("v1")) is None


def test_what_came_by_an_automatic_rollback_is_never_rolled_back_from_automatically():
    looks = [look(True, 1), look(True, 2)]
    assert alarmed(looks, [DRIFT], change("v1", "rollback", by=f"{AUTOMATIC}: scoring_errors in prod")) is None
    assert alarmed(looks, [DRIFT], change("v1", "rollback", by="alice")) is not None


@pytest.mark.parametrize("reason", ["", "   ", "bad model", "a  b  c   d"])
def test_a_reason_that_tells_nobody_anything_is_refused(reason):
    with pytest.raises(BadRequest, match="wanted at least 10"):
        checked_reason(reason)


def test_a_reason_is_kept_without_the_space_around_it():
    assert checked_reason("  scores are\n negative ") == "scores are negative"


def test_the_same_wish_has_the_same_key_and_another_reason_another():
    asked = Asked("shops", "prod", "previous", "scores are negative", "alice")
    assert asked.key == replace(asked).key
    assert asked.key != replace(asked, reason="scores are all zero").key
