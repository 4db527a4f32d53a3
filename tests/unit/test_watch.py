"""When what was seen of batches becomes an alarm, under which name, and when it is over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.core.values import Blob
from tasks.core.watch import Observation, newest_telling, next_told, seen_before, standing, waiting

REFERENCE, COUNTS = Blob("a" * 64, 9), Blob("b" * 64, 9)


def seen(severities: str, champion: int = 1, known: tuple[Observation, ...] = ()) -> tuple[Observation, ...]:
    """Observe one batch per letter: n(one), w(arn), c(ritical), i(nsufficient)."""
    words = {"n": "none", "w": "warn", "c": "critical", "i": "insufficient"}
    for letter in severities:
        number = len(known) + 1
        told, incident = next_told(known, champion, words[letter], ("visitors",))
        known += (
            Observation(
                "shops", "prod", number, champion, "v", f"batch {number}", "rows.csv", "2026-11-21T10:00:00+00:00",
                900, 900, words[letter], "", ("visitors",), (), REFERENCE, COUNTS, told=told, incident=incident,
            ),
        )  # fmt: skip
    return known


def told(severities: str) -> list[str]:
    return [each.told.removeprefix("workload.") for each in seen(severities)]


@pytest.mark.parametrize(
    ("severities", "wanted"),
    [
        ("nwnw", ["", "", "", ""]),
        ("nc", ["", ""]),
        ("cnc", ["", "", ""]),
        ("cwc", ["", "", ""]),
        ("cc", ["", "drifted"]),
        ("cic", ["", "", "drifted"]),
        ("ccc", ["", "drifted", "drifted"]),
        ("ccn", ["", "drifted", "recovered"]),
        ("ccwc", ["", "drifted", "", "drifted"]),
        ("ccww", ["", "drifted", "", "recovered"]),
        ("ccnn", ["", "drifted", "recovered", ""]),
        ("ccncc", ["", "drifted", "recovered", "", "drifted"]),
    ],
)
def test_critical_batches_in_a_row_are_a_drift_and_a_clean_one_ends_it(severities, wanted):
    assert told(severities) == wanted


def test_a_drift_that_goes_on_keeps_its_name_and_a_second_one_has_another():
    first, again, _, _, second = (each.incident for each in seen("cccnccc")[1:6])
    assert first == again != ""
    assert second not in ("", first)


def test_another_champion_begins_anew_and_what_the_last_one_left_open_ends():
    known = seen("c")
    assert seen("c", 2, known)[-1].told == ""
    assert seen("n", 2, seen("cc"))[-1].told == "workload.recovered"


def test_small_batches_wait_for_the_next_beside_the_same_champion():
    assert [each.number for each in waiting(seen("nii"), 1)] == [2, 3]
    assert waiting(seen("nii"), 2) == ()
    assert waiting(seen("iin"), 1) == ()


def test_the_same_batch_beside_the_same_champion_was_seen_before():
    known = seen("nn")
    assert seen_before(known, 1, "batch 1") == known[0]
    assert seen_before(known, 2, "batch 1") is None


def test_where_the_watch_stands_is_its_newest_batch_and_what_that_counts_with():
    assert standing(()) is None
    known = seen("ncciii")
    stands = standing(known)
    assert (stands.batch, stands.severity, stands.critical_in_a_row) == (6, "insufficient", 2)
    assert (stands.waiting, stands.incident) == ((4, 5, 6), known[2].incident)
    over = standing(seen("n", known=known))
    assert (over.batch, over.severity, over.critical_in_a_row, over.waiting, over.incident) == (7, "none", 0, (), "")


def test_what_was_critical_beside_another_champion_is_not_in_a_row():
    stands = standing(seen("c", 2, seen("cc")))
    assert (stands.champion, stands.critical_in_a_row) == (2, 1)


def test_the_newest_batch_of_enough_rows_comes_with_those_it_was_pooled_with():
    known = seen("niwi")
    known = (*known[:2], replace(known[2], pooled=(2,)), known[3])
    assert [each.number for each in newest_telling(known)] == [2, 3]
    assert newest_telling(seen("ii")) == newest_telling(()) == ()
