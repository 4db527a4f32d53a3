"""What an airing is told of earlier ones, on numbers that can be checked by hand."""

from __future__ import annotations

from datetime import UTC, datetime

import polars as pl
import pytest

from tasks.workloads.broadcast import BROADCAST, LABELS, derive
from tasks.workloads.checks import ALGORITHMS
from tasks.workloads.spec import POLARS_TYPES


def airings(*rows: dict) -> list[dict]:
    """Return the features of *rows*; what a row does not say is missing, its network is N and its programme P."""
    schema = {column.name: POLARS_TYPES[column.type] for column in BROADCAST.columns}
    given = [{"programme": "P", "network": "N"} | row for row in rows]
    return derive(pl.DataFrame(given, schema=schema).lazy()).collect().to_dicts()


def on(day: int, hour: int = 20, minute: int = 0, **values) -> dict:
    clock = f"{hour:02d}:{minute:02d}"
    return {"airs_at": datetime(2026, 5, day, hour, minute, tzinfo=UTC), "slot_start": clock} | values


def test_an_airing_knows_the_last_known_figures_of_earlier_days_and_never_its_own():
    first, second, third = airings(on(1, audience=100), on(8, audience=None), on(15, audience=300))
    assert (first["previous_audience"], second["previous_audience"], third["previous_audience"]) == (None, 100, 100)
    assert (first["days_since_previous"], third["days_since_previous"]) == (None, 7)
    assert [each["airings_before"] for each in (first, second, third)] == [0, 1, 2]


def test_what_was_aired_the_same_evening_is_not_known_yet():
    found = airings(on(1, 20, rating=1.0), on(8, 20, rating=2.0), on(8, 23, rating=4.0), on(9, 1, rating=8.0), on(15))
    # One at night belongs to the evening before.
    assert [each["previous_rating"] for each in found] == [None, 1.0, 1.0, 1.0, 8.0]
    assert [each["hour"] for each in found] == [20, 20, 23, 25, 20]
    assert found[3]["weekday"] == "Fri"


def test_recent_is_the_mean_of_the_last_four_days_it_aired():
    found = airings(*(on(day, revenue=float(day)) for day in (1, 2, 3, 4, 5, 6)))
    assert [each["recent_revenue"] for each in found] == [None, 1.0, 1.5, 2.0, 2.5, 3.5]


def test_a_slot_is_network_weekday_and_hour_and_remembers_whoever_aired_in_it():
    found = airings(
        on(1, engagement=2.0, programme="A"),
        on(1, engagement=6.0, programme="B", network="M"),
        on(8, 20, 30, engagement=4.0, programme="C"),
        on(15, programme="D"),
    )
    assert [each["slot"] for each in found] == ["N Fri 20", "M Fri 20", "N Fri 20", "N Fri 20"]
    assert [each["slot_engagement"] for each in found] == [None, None, 2.0, 3.0]


def test_a_lead_in_is_known_by_its_earlier_days_only():
    found = airings(
        on(1, 19, programme="A", genre="News", audience=500),
        on(8, 19, programme="A", genre="News", audience=900),
        on(8, 20, programme="B", audience=700),
        on(8, 23, programme="B"),
        on(9, 19, programme="C"),
    )
    assert [each["lead_in_genre"] for each in found] == [None, None, "News", None, None]
    assert (found[2]["lead_in_audience"], found[2]["lead_in_rating"]) == (500, None)


def test_the_lead_in_is_on_the_same_network_and_not_half_a_day_before():
    found = airings(on(1, 19, genre="News", network="M"), on(1, 20), on(1, 10, genre="Quiz"), on(1, 15, programme="B"))
    assert all(each["lead_in_genre"] is None for each in found)


def test_without_its_time_of_day_an_airing_has_a_day_and_no_slot():
    (found,) = airings({"airs_at": datetime(2026, 5, 1, tzinfo=UTC)})
    assert (found["weekday"], found["hour"], found["slot"], found["lead_in_genre"]) == ("Fri", None, None, None)
    (dated,) = airings({"airs_at": datetime(2026, 5, 1, 21, 30, tzinfo=UTC)})
    assert (dated["hour"], dated["slot"]) == (21.5, "N Fri 21")


def test_rows_keep_their_order_and_rows_of_later_days_change_nothing_of_earlier_ones():
    rows = [
        on(day, hour, programme=name, audience=100 * day) for day in (8, 1, 15) for hour, name in ((20, "A"), (21, "B"))
    ]
    few, many = airings(*rows[:4]), airings(*rows)
    assert many[:4] == few
    assert [each["airs_at"].day for each in many] == [8, 8, 1, 1, 15, 15]


def test_every_declared_feature_comes_out_of_derive_and_no_label_is_one():
    (found,) = airings(on(1))
    assert set(BROADCAST.feature_names) <= set(found)
    assert not set(BROADCAST.feature_names) & set(LABELS)


def test_a_programme_that_never_aired_has_all_that_is_always_known():
    (found,) = airings(on(1, country="US", genre="News", kind="premiere", slot_minutes=30.0))
    assert all(found[name] is not None for name in BROADCAST.always_known)


def test_it_is_twenty_four_candidates_judged_by_time_against_the_previous_airing():
    assert {each.algorithm for each in BROADCAST.candidates} == set(ALGORITHMS) - {"lstm", "transformer", "tfidf"}
    assert len(BROADCAST.candidates) * len(BROADCAST.targets) == 24
    assert (BROADCAST.holdout.by, BROADCAST.group, BROADCAST.gate.min_r2) == ("time", "slot", 0.7)
    assert [each.previous for each in BROADCAST.targets] == [f"previous_{each.column}" for each in BROADCAST.targets]


@pytest.mark.parametrize("name", LABELS)
def test_a_future_airing_without_labels_still_knows_the_past(name):
    value = 5 if name == "audience" else 5.0
    assert airings(on(1, **{name: value}), on(29))[1][f"previous_{name}"] == 5
