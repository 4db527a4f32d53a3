"""What a video is told of itself and of what went before, on numbers that can be checked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import log1p

import numpy as np
import polars as pl
import pytest

from tasks.core.reading import EXTRA, SHORT, typed
from tasks.workloads.content import CONTENT, derive
from tasks.workloads.content_history import SETTLED_DAYS, STEPS, WIDTH
from tasks.workloads.demo import content as demo
from tasks.workloads.demo.content_world import HELPFUL, NICHES
from tasks.workloads.spec import FEATURE_TYPES, POLARS_TYPES

JUNE = datetime(2026, 6, 1, 12, tzinfo=UTC)


def videos(*rows: dict) -> list[dict]:
    """Return the features of *rows*; what a row does not say is missing, its channel is Ann, its niche is gaming."""
    schema = {column.name: POLARS_TYPES[column.type] for column in CONTENT.columns}
    given = [{"channel": "Ann", "category": "gaming", "title": "One"} | row for row in rows]
    found = derive(pl.DataFrame(given, schema=schema).lazy()).collect()
    wanted = {feature.name: FEATURE_TYPES[feature.type] for feature in CONTENT.features}
    assert found.select(CONTENT.feature_names).schema == wanted
    return found.to_dicts()


def on(day: float, **values) -> dict:
    at = JUNE + timedelta(days=day)
    return {"published_at": at, "known_at": at + timedelta(days=2)} | values


def read(**cells: str) -> dict:
    """Return a row as the reader hands it on, labels made."""
    raw = pl.DataFrame({column.name: [cells.get(column.name)] for column in CONTENT.columns}, schema_overrides={
        column.name: pl.String for column in CONTENT.columns
    }).with_columns(pl.lit(False).alias(SHORT), pl.lit(False).alias(EXTRA))  # fmt: skip
    return typed(raw, CONTENT.columns).frame.row(0, named=True)


def test_a_title_and_tags_are_counted():
    (found,) = videos(on(0, title="WHY nobody (2) wins?! 🎉", tags='wins|"Big boss"|'))
    assert [found[f"title_{name}"] for name in ("words", "digits", "asks", "exclaims", "marks", "emoji")] == [
        4, 1, 1, 1, 2, 1,
    ]  # fmt: skip
    assert found["title_capitals"] == pytest.approx(3 / 13)
    assert (found["tag_count"], found["tag_chars"], found["tags_in_title"]) == (2, 6, 0.25)
    assert (found["hour"], found["weekday"]) == (12, "Mon")


def test_a_title_without_letters_and_a_video_without_tags_break_nothing():
    (found,) = videos({"published_at": datetime(2026, 6, 2, tzinfo=UTC), "title": "???"})
    assert (found["title_capitals"], found["tag_count"], found["tag_chars"], found["hour"]) == (None, 0, None, None)


def test_an_outcome_is_told_only_to_videos_published_after_it_was_known():
    rows = [on(0, trend=1, likes=5, views=9), on(1), on(2), on(2.1)]
    assert [found["channel_trend"] for found in videos(*rows)] == [None, None, None, 1.0]
    assert [found["channel_videos"] for found in videos(*rows)] == [0, 0, 0, 1]
    late = {"published_at": JUNE, "trend": 1}
    asked = videos(late, on(SETTLED_DAYS - 1), on(SETTLED_DAYS + 1))
    assert [found["channel_trend"] for found in asked] == [None, None, 1.0]


def test_no_row_s_own_outcome_or_a_later_one_changes_what_it_is_told():
    rows = [on(day, trend=day % 2, like_rate=day / 100, views=10 * day + 1, likes=1) for day in range(12)]
    whole = videos(*rows)
    changed = videos(*rows[:6], *({**row, "trend": 1, "like_rate": 9.0, "views": 999} for row in rows[6:]))
    history = [name for name in CONTENT.feature_names if name.startswith(("channel", "category", "results"))]
    # Row 8 is the first to be told of row 6's outcome... strictly after it was known, so row 9 is.
    assert [{name: row[name] for name in history} for row in whole[:9]] == [
        {name: row[name] for name in history} for row in changed[:9]
    ]
    assert whole[9]["channel_like_rate"] != changed[9]["channel_like_rate"]


def test_a_channel_that_is_new_is_told_the_results_of_its_niche():
    old = [
        on(day, channel="Bob", trend=1, views=99, days_trending=7, like_rate=0.5, comment_rate=0.1) for day in range(3)
    ]
    found = videos(*old, on(30, channel="New"), on(31, channel="New", category="music"))
    assert found[3]["channel_trend"] is None and found[3]["category_trend"] == 1.0
    assert found[3]["results"] == [log1p(99), log1p(7), 0.5, 0.1] * 3
    assert found[4]["results"] is None and found[4]["channel_pause"] == 1.0


def test_a_series_is_the_last_results_oldest_first():
    found = videos(*(on(3 * day, trend=0, views=day, days_trending=0) for day in range(STEPS + 3)))[-1]["results"]
    assert len(found) == STEPS * WIDTH
    assert found[::WIDTH] == pytest.approx([log1p(day) for day in range(2, STEPS + 2)])


def test_labels_are_made_of_counts_and_hidden_likes_are_missing():
    cells = {"video_id": "a", "country": "GB", "views": "200", "likes": "30", "dislikes": "10", "comments": "4"}
    found = read(**cells, days_trending="5")
    assert (found["video"], found["trend"], found["like_rate"], found["comment_rate"], found["quality"]) == (
        "GB/a", 1, 0.15, 0.02, 0.75,
    )  # fmt: skip
    hidden = read(video_id="a", views="200", likes="0", dislikes="0", comments="0")
    assert [hidden[name] for name in ("video", "trend", "like_rate", "comment_rate", "quality")] == ["a"] + [None] * 4
    assert read(video_id="a", trend="1", days_trending="0")["trend"] == 1


def test_whether_a_video_trended_is_not_known_before_the_list_was_looked_at_for_a_week():
    early, late = ({"published_at": day, "observed_until": "2017-10-22"} for day in ("2017-10-15", "2017-10-16"))
    assert [read(**early, days_trending=days)["trend"] for days in ("2", "5")] == [0, 1]
    assert [read(**late, days_trending=days)["trend"] for days in ("2", "5")] == [None, None]


def test_the_generator_keeps_what_it_says_it_planted():
    planted, frame = demo.truth(3_000, 7), demo.generate(3_000, 7)
    assert set(planted["fault"]) == {"", *demo.FAULTS}
    trended = frame["days_trending"] >= demo.TREND_DAYS
    assert abs((trended - planted["chance"]).mean()) < 0.03
    order = planted["chance"].to_frame().with_columns(planted["order"]).group_by("order").mean().sort("order")
    assert order["chance"].to_list() == sorted(order["chance"]) and order["chance"][2] - order["chance"][0] > 0.2
    assert demo.generate(200, 7).equals(demo.generate(200, 7)) and not demo.generate(200, 7).equals(
        demo.generate(200, 8)
    )


def test_a_word_that_helps_one_niche_hurts_another():
    frame, chance = demo.generate(6_000, 5), demo.truth(6_000, 5)["chance"]
    told = frame.with_columns(chance, said=pl.col("title").str.to_lowercase().str.contains("speedrun"))
    mean = {row[:2]: row[2] for row in told.group_by("category", "said").agg(pl.col("chance").mean()).iter_rows()}
    lifted = [mean[niche, True] - mean[niche, False] for niche in ("gaming", "education")]
    assert np.sign(lifted).tolist() == np.sign(HELPFUL["speedrun"][:2]).tolist() == [1, -1]
    assert set(NICHES) >= {niche for niche, _ in mean if niche}
