"""What predictions were worth: by hand on few rows, and when a champion counts as degraded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tasks.core.appraisal import (
    SMALL,
    Appraisal,
    Arrival,
    Judgement,
    Realised,
    degraded,
    judge,
    observation,
    ratio,
    realise,
    staleness,
    stand_beside,
    witnesses,
)
from tasks.core.values import Interval
from tasks.workloads.spec import Gate

ROWS = pl.DataFrame(
    {
        "entity": ["a", "b", "c", "d"],
        "predicted": [10.0, 20.0, 30.0, 40.0],
        "low": [8.0, 15.0, 29.0, 30.0],
        "high": [12.0, 25.0, 31.0, 50.0],
        "actual": [12.0, 16.0, 36.0, 40.0],
        "naive": [24.0, 24.0, 24.0, 24.0],
        "rival": [11.0, 18.0, 33.0, 40.0],
    }
)
STATED = Interval(10.0, 8.0, 12.0)
FINE = Realised("sales", 500, 400, Interval(11, 10.5, 11.5), Interval(0.5, 0.4, 0.6), Interval(0.9, 0.88, 0.92), STATED)
GOOD, BAD, UNKNOWN = (Judgement("sales", below, "an error of 3", "at most 2") for below in (False, True, None))
DAY = Appraisal("shops", "prod", "2026-11-01", "r", "rows", "1.0.0", 3, 10.0, 500, (), (FINE,), (), (), (), (GOOD,))


def test_the_errors_of_four_rows_are_what_a_pencil_finds():
    found = realise("sales", ROWS, (), None, 0.95)
    assert (found.rows, found.entities, found.mae.value) == (4, 4, 3.0)
    assert found.skill.value == pytest.approx(1 - 12 / (12 + 8 + 12 + 16))
    assert found.coverage.value == 0.75
    assert found.stated is None and not found.surprising
    spread = np.sqrt(((np.array([2, 4, 6, 0]) - 3) ** 2).sum() * 4 / 3) / 4
    assert found.mae.high == pytest.approx(3 + 3.182446 * spread)


def test_a_challenger_with_half_the_error_is_told_so():
    found = stand_beside("sales", "2.0.0", ROWS, 0.95)
    assert (found.mae.value, found.change.value) == (1.5, -0.5)
    assert found.change.low == pytest.approx(-0.5) and found.change.high == pytest.approx(-0.5)


def test_rows_of_one_entity_are_one_witness():
    rows = pl.DataFrame({"entity": ["a", "b"] * 50, "e": [1.0, 3.0] * 50, "one": [1.0] * 100})
    alone = pl.DataFrame({"entity": ["a", "b"], "e": [1.0, 3.0], "one": [1.0] * 2})
    assert ratio(rows, "e", "one", 0.95).high == pytest.approx(ratio(alone, "e", "one", 0.95).high)


def test_rows_of_one_entity_are_held_or_missed_together():
    few, many = (realise("sales", rows, (), None, 0.95).coverage for rows in (ROWS, pl.concat([ROWS] * 50)))
    assert few.value == many.value == 0.75 and many.high - many.low >= few.high - few.low


def test_one_entity_has_no_interval_and_nothing_below_the_line_no_ratio():
    rows = pl.DataFrame({"entity": ["a", "a"], "e": [1.0, 3.0], "none": [0.0, 0.0]})
    assert ratio(rows, "e", "none", 0.95) == Interval(2.0, 2.0, 2.0)
    assert ratio(rows, "none", "none", 0.95).value == 1.0


def test_labels_with_few_rows_are_appraised_together_and_none_is_left_out():
    many = pl.concat([ROWS] * 5).with_columns(pl.Series("town", ["Ayr"] * 12 + ["Bath"] * 5 + ["Cork"] * 3))
    found = realise("sales", many, ("town",), None, 0.95).slices
    assert [(each.label, each.rows) for each in found] == [("Ayr", 12), (SMALL, 8)]
    assert sum(each.rows * each.mae.value for each in found) == pytest.approx(60.0)


@pytest.mark.parametrize(
    ("changed", "below"),
    [
        ({}, False),
        ({"mae": Interval(14, 12.4, 16)}, False),
        ({"mae": Interval(14, 12.6, 16)}, True),
        ({"stated": Interval(10.0, 6.0, 14.0), "mae": Interval(15, 13.5, 16)}, False),
        ({"skill": Interval(-0.2, -0.4, -0.01)}, True),
        ({"skill": Interval(-0.2, -0.4, 0.01)}, False),
        ({"stated": None, "mae": Interval(99, 98, 100)}, False),
        ({"rows": 99, "mae": Interval(99, 98, 100)}, None),
        ({"entities": 19, "mae": Interval(99, 98, 100)}, None),
    ],
)
def test_only_what_is_beyond_its_doubt_and_a_quarter_above_what_was_stated_is_below_the_floor(changed, below):
    assert judge(replace(FINE, **changed), Gate()).below is below


def days(*judged: Judgement, champion: int = 3):
    return [
        replace(DAY, date=f"2026-11-{place + 1:02}", snapshot=str(place), champion=champion, judgements=(each,))
        for place, each in enumerate(judged)
    ]


def test_one_bad_day_is_a_suspicion_and_two_in_a_row_are_a_degraded_champion():
    assert degraded(days(GOOD, BAD), 3) is None
    assert degraded(days(BAD, GOOD, BAD), 3) is None
    told = degraded(days(GOOD, BAD, BAD), 3)
    assert (told.since, told.until) == ("2026-11-02", "2026-11-03")
    assert told.because == "sales: an error of 3, wanted at most 2"


def test_the_same_rows_scored_on_two_days_are_one_bad_day():
    first, second, third = days(BAD, BAD, BAD)
    again = replace(second, snapshot=first.snapshot)
    assert witnesses([first, again], 3) == [first]
    assert degraded([first, again], 3) is None
    assert degraded([first, again, third], 3).until == "2026-11-03"


def test_a_day_of_which_little_is_known_is_passed_over():
    assert degraded(days(BAD, UNKNOWN, BAD, UNKNOWN), 3).until == "2026-11-03"


def test_a_trouble_that_goes_on_keeps_its_name_and_another_has_another():
    first, on, again = (degraded(days(*each), 3) for each in ([BAD] * 2, [BAD] * 5, [BAD, GOOD, BAD, BAD]))
    assert first.incident == on.incident != again.incident
    assert degraded(days(BAD, BAD, champion=4), 4).incident != first.incident


def test_the_days_of_another_champion_say_nothing_of_this_one():
    assert degraded(days(BAD, BAD), 4) is None


def test_a_day_is_one_look_for_the_rings_policy_unless_nothing_is_known_of_it():
    (day,) = days(BAD)
    seen = observation(day)
    assert (seen.trigger, seen.champion, seen.breached) == ("performance_below_floor", 3, True)
    assert (seen.at, seen.found) == ("2026-11-01T00:00:00+00:00", "sales: an error of 3")
    assert observation(*days(UNKNOWN)) is None


def test_what_came_after_the_first_labels_is_late():
    assert replace(DAY, arrivals=(Arrival("x", 40, 0), Arrival("y", 7, 2))).late == 7


def test_an_error_that_grows_by_a_tenth_a_month_is_found_to():
    def day(age):
        return replace(DAY, age_days=age, realised=(replace(FINE, mae=Interval(10 * 1.1 ** (age / 30), 0, 0)),))

    grown = staleness([day(age) for age in (0.0, 30.0, 60.0, 90.0, 120.0)], "sales")
    assert grown.points[2] == (60.0, pytest.approx(1.21))
    assert grown.per_month.value == pytest.approx(0.1)
    assert staleness([day(age) for age in (0.0, 30.0)] * 5, "sales").per_month is None
    assert staleness([], "sales").points == ()
