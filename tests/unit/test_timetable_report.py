"""What a timetable comes to, on figures that can be added up by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tasks.core.digests import canonical_json
from tasks.core.timetable.report import CURRENT, NEW, changes_of, frames, summary
from tests.timetable_plans import evening, week


def figure(plan, timetable, goal):
    return frames(plan)["totals"].filter(timetable=timetable, goal=goal).row(0, named=True)


def test_totals_are_the_sums_of_the_slots_and_an_interval_adds_within_a_day():
    # A at 20:00 brings 40 ± 4, B at 21:00 30 ± 3 the same day, A the next evening 10 ± 1: ± √((4 + 3)² + 1²).
    revenue = figure(evening(), NEW, "revenue")
    assert revenue["value"] == 80
    assert revenue["low"] == pytest.approx(80 - 50**0.5)
    assert revenue["high"] == pytest.approx(80 + 50**0.5)


def test_each_slot_has_its_programme_its_interval_and_its_idle_minutes():
    rows = frames(evening())["timetable"].to_dicts()
    assert [row["programme"] for row in rows] == ["A", "B", "A"]
    assert (rows[1]["genre"], rows[1]["idle_minutes"], rows[1]["revenue_low"], rows[1]["revenue_high"]) == (
        "drama",
        10,
        27,
        pytest.approx(33),
    )


def test_what_changes_says_the_gain_of_the_slot_and_why():
    first, third = changes_of(evening())
    assert (first.before, first.after, first.revenue, first.audience) == ("C", "A", 10, 100)
    assert first.why == "more revenue and audience in this slot"
    assert (third.slot, third.revenue) == ("three", 4)


def test_a_rule_the_current_timetable_breaks_is_the_reason_before_any_gain():
    first, second, third = changes_of(replace(evening(), current=("B", "C", "B")))
    assert first.broke == third.broke == "'B' is shown 2 times, at most 1"
    assert third.why == "the rules: 'B' is shown 2 times, at most 1"
    assert second.broke == ""


def test_a_slot_that_loses_says_where_its_programme_is_worth_more():
    plan = evening()
    found = replace(plan, timetable=replace(plan.timetable, schedule=("C", "B", "A")), current=("A", "B", None))
    first, third = changes_of(found)
    assert first.why == "worth more elsewhere: A is shown Tue 20:00"
    assert third.why == "the slot was empty"


def test_what_was_never_predicted_counts_nothing_and_has_no_gain():
    plan = replace(evening(), current=("X", "B", "C"))
    assert figure(plan, CURRENT, "revenue")["value"] == 36
    assert changes_of(plan)[0].revenue is None
    unknown = plan.predicted.revenue.copy()
    unknown[2, 2] = np.nan
    blind = replace(plan, predicted=replace(plan.predicted, revenue=unknown))
    assert figure(blind, CURRENT, "revenue")["value"] == 30


def test_an_alternative_says_in_how_many_slots_it_differs():
    plan = replace(evening(), alternatives=(("C", "B", "A"),))
    assert figure(plan, "alternative 1", "slots that differ")["value"] == 1
    assert figure(plan, "alternative 1", "revenue")["value"] == 70
    assert frames(plan)["alternatives"].filter("differs")["programme"].to_list() == ["C"]


def test_the_twin_is_plain_json_with_the_honest_number_in_it():
    twin = summary(week())
    assert canonical_json(twin) == canonical_json(summary(week()))
    assert twin["honest"]["revenue"]["held_out"] < twin["honest"]["revenue"]["own"]
    assert sum(row["chosen"] for row in twin["front"]) <= 1
    assert pl.DataFrame(twin["timetable"]).height == 20
