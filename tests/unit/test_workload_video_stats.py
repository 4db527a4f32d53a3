"""What a look is told of earlier ones, on numbers that can be checked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import e, expm1, isfinite, log

import polars as pl
import pytest

from tasks.core.digests import digest_of
from tasks.core.intervals import UNITS_LEAST
from tasks.core.splitting import split, units
from tasks.workloads.spec import FEATURE_TYPES, POLARS_TYPES
from tasks.workloads.video_stats import STEPS, VIDEO_STATS, WIDTH, derive, hourly, processed

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)


def looks(*rows: dict) -> list[dict]:
    """Return the features of *rows*; what a row does not say is missing, its video is V."""
    schema = {column.name: POLARS_TYPES[column.type] for column in VIDEO_STATS.columns}
    frame = pl.DataFrame([{"video_id": "V"} | row for row in rows], schema=schema)
    found = derive(frame.lazy()).collect()
    assert found.select(VIDEO_STATS.feature_names).schema == {
        f.name: FEATURE_TYPES[f.type] for f in VIDEO_STATS.features
    }
    return found.to_dicts()


def at(hours: float, **values) -> dict:
    return {"observed_at": MONDAY + timedelta(hours=hours)} | values


def grown(logarithm: float) -> int:
    return round(expm1(logarithm))


def test_a_look_is_told_the_look_before_and_never_its_own_counts():
    first, second, third = looks(at(0, views=100, likes=9), at(5, views=200, likes=None), at(8, views=400))
    assert (first["previous_views"], first["hours_ahead"], first["history"]) == (None, None, None)
    assert (second["previous_views"], second["previous_likes"], second["hours_ahead"]) == (100, 9, 5)
    assert (third["previous_views"], third["previous_likes"], third["looks_before"]) == (200, 9, 2)


def test_growth_is_by_elapsed_hours_however_many_rows_lie_between():
    rows = [at(0, views=grown(10)), at(1, views=grown(10.5)), at(9, views=grown(12)), at(10, views=grown(12.1)), at(20)]
    asked = looks(*rows)[-1]
    assert asked["growth_views"] == pytest.approx(0.1, abs=1e-3)
    # Six hours before the look at 10 lies 4; the newest look by then was at 1.
    assert asked["growth_views_6h"] == pytest.approx(1.6 / 9, abs=1e-3)
    assert asked["views_per_hour_6h"] == pytest.approx((grown(12.1) - grown(10.5)) / 9)
    assert asked["growth_views_24h"] is None and asked["trend_state"] is None


def test_a_trend_grows_on_as_the_last_six_hours_did_and_not_without_end():
    soon, late = looks(at(0, views=grown(5)), at(10, views=grown(6)), at(20), at(900))[2:]
    assert soon["trend_views"] == pytest.approx(grown(6) * e, rel=2e-2)
    assert late["trend_views"] == pytest.approx(10 * grown(6))


def test_moments_that_are_only_asked_for_are_told_the_same_and_teach_nothing():
    one, two = looks(at(0, views=100), at(6), at(12))[1:]
    assert (one["previous_views"], two["previous_views"]) == (100, 100)
    assert (one["hours_ahead"], two["hours_ahead"], two["looks_before"]) == (6, 12, 1)


def test_rows_that_come_late_are_put_where_they_belong_and_the_rows_keep_their_order():
    early, late, other = looks(at(8, views=400), at(5, views=200), at(9, views=7, video_id="W"))
    assert (early["previous_views"], late["previous_views"], other["previous_views"]) == (200, None, None)


def test_a_history_holds_the_last_twenty_looks_of_its_own_video_oldest_first():
    rows = [at(hour, views=grown(hour / 10), video_id=video) for video in "VW" for hour in range(30)]
    found = looks(*rows)
    assert len(found[2]["history"]) == 2 * WIDTH and found[30]["history"] is None
    last = found[29]["history"]
    assert len(last) == STEPS * WIDTH
    assert last[-WIDTH] == pytest.approx(log(1 + grown(2.8))) and last[0] == pytest.approx(log(1 + grown(0.9)))


def test_growth_that_picks_up_is_rising_and_growth_that_slackens_fading():
    steady = [at(hour, views=grown(5 + hour / 20)) for hour in range(0, 31, 6)]
    faster = [*steady[:-1], at(30, views=grown(7))]
    slower = [*steady[:-1], at(30, views=grown(6.21))]
    said = [looks(*rows, at(31))[-1]["trend_state"] for rows in (steady, faster, slower)]
    assert said == ["steady", "rising", "fading"]


def test_counts_that_fall_ever_faster_are_fading():
    steady = [at(hour, views=grown(12 - hour / 20)) for hour in range(0, 31, 6)]
    faster = [*steady[:-1], at(30, views=grown(10))]
    said = [looks(*rows, at(31))[-1]["trend_state"] for rows in (steady, faster)]
    assert said == ["steady", "fading"]


def test_looks_seconds_apart_and_counts_that_fall_to_nothing_leave_every_feature_a_number():
    instant = 1 / 3600 / 1000
    asked = looks(at(0, views=100, likes=5), at(instant, views=101, likes=5), at(6, views=0), at(900))[1:]
    assert asked[1]["growth_views"] == pytest.approx(60 * log(102 / 101))
    assert asked[0]["hours_ahead"] == pytest.approx(instant)
    for found in asked:
        said = [*(found["history"] or ()), *(each for each in found.values() if isinstance(each, float))]
        assert all(isfinite(each) for each in said if each is not None)
    assert asked[2]["trend_views"] == 0


def test_of_two_looks_at_one_moment_one_is_in_the_tables_and_neither_makes_a_gain_without_end():
    rows = [at(0.9, views=5), at(0.9, views=7), at(0.9999999, views=8), at(1, views=9)]
    schema = {column.name: POLARS_TYPES[column.type] for column in VIDEO_STATS.columns}
    frame = pl.DataFrame([{"video_id": "V"} | row for row in rows], schema=schema).lazy()
    assert processed(frame).select("views").collect()["views"].to_list() == [7, 8, 9]
    told = hourly(frame).select("looks", "views", "views_gained_per_hour").collect().rows()
    assert told == [(2, 8, None), (1, 9, pytest.approx(60))]


def test_a_gain_is_by_the_time_between_the_looks_that_have_that_count():
    rows = [at(0.1, views=1000, likes=100), at(0.9, views=1100), at(2.1, views=1220, likes=150), at(2.5, views=1300)]
    schema = {column.name: POLARS_TYPES[column.type] for column in VIDEO_STATS.columns}
    frame = pl.DataFrame([{"video_id": "V"} | row for row in rows], schema=schema).lazy()
    (_, told) = hourly(frame).select("views_gained_per_hour", "likes_gained_per_hour").collect().rows()
    assert told == (pytest.approx(200 / 1.6), pytest.approx(50 / 2))


def test_the_next_count_is_learned_as_a_change_and_held_against_the_last_value_and_the_trend():
    for target in VIDEO_STATS.targets:
        assert target.as_change and (target.previous, target.trend) == (
            f"previous_{target.name}",
            f"trend_{target.name}",
        )


def test_the_declaration_has_a_digest_by_which_runs_are_named():
    assert len(digest_of(VIDEO_STATS)) == 64


@pytest.mark.parametrize("every", [1, 6])
def test_a_week_of_looks_keeps_enough_blocks_of_time_to_be_judged_on(every):
    week = [{"video_id": video, "views": 100 + hour} | at(hour) for hour in range(1, 168, every) for video in "ABCD"]
    schema = {column.name: POLARS_TYPES[column.type] for column in VIDEO_STATS.columns}
    rows = derive(pl.LazyFrame(week, schema=schema)).collect()
    held = rows[split(VIDEO_STATS, rows, VIDEO_STATS.targets[0]).holdout]
    assert units(VIDEO_STATS, held).n_unique() >= UNITS_LEAST
