"""The demo airings carry the truth that was planted in them, and nothing else."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks.workloads.demo.broadcast import generate, truth
from tasks.workloads.demo.broadcast_world import FAULTS, HOURS, OFF_HOUR, REPEAT

COLUMNS = {"audience": "viewers", "rating": "rating_18_49", "revenue": "revenue", "engagement": "engagement"}


def numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with its audiences as numbers; what is no number is null."""
    return frame.with_columns(pl.col("viewers").cast(pl.Float64, strict=False))


def broken(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one flag per kind of fault, by the rule a reader of the declaration would write."""
    flags = numbers(frame).select(
        airing_twice=pl.struct("programme", "airdate", "slot_start").is_duplicated() & (pl.col("programme") != " "),
        negative_audience=pl.col("viewers") < 0,
        rating_above_everybody=pl.col("rating_18_49") > 100,
        negative_revenue=pl.col("revenue") < 0,
        engagement_above_everybody=pl.col("engagement") > 100,
        endless_slot=pl.col("slot_minutes") > 1_440,
        no_programme=pl.col("programme") == " ",
        clock_beyond_the_day=pl.col("slot_start") == "27:00",
        unparseable_number=pl.col("viewers").is_null() & frame["viewers"].is_not_null(),
    )
    return flags.select(pl.all().fill_null(False))


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    assert generate(300, 5).equals(generate(300, 5))
    assert not generate(300, 5).equals(generate(300, 6))


def test_rows_are_as_many_as_asked_for_and_oldest_first():
    for rows in (1, 12, 301, 4_000):
        found, clean = generate(rows, 1), truth(rows, 1)["fault"] == ""
        assert found.height == rows and found["airdate"].filter(clean).is_sorted()


def test_every_planted_fault_breaks_its_own_rule_and_no_other_row_breaks_any():
    planted, found = truth(4_000, 11)["fault"], broken(generate(4_000, 11))
    for kind in FAULTS:
        assert found[kind].to_list() == (planted == kind).to_list(), kind
    assert (planted == "").sum() == 4_000 - 9 * 12


def test_a_handful_of_rows_is_clean():
    assert truth(40, 1)["fault"].unique().to_list() == [""]


def test_what_is_expected_explains_nine_tenths_of_each_log_target():
    frame, planted = numbers(generate(8_000, 9)), truth(8_000, 9)
    for name, column in COLUMNS.items():
        known = (planted["fault"] == "") & frame[column].is_not_null()
        actual = np.log(frame[column].filter(known).to_numpy())
        expected = planted[f"expected_log_{name}"].filter(known).to_numpy()
        explained = 1 - np.mean((actual - expected) ** 2) / actual.var()
        assert 0.9 < explained < 0.995, (name, explained)
        assert abs(np.mean(actual - expected)) < 0.02, name


def test_the_hour_and_the_kind_are_worth_what_the_tables_say():
    frame, planted = numbers(generate(20_000, 3)), truth(20_000, 3)
    rows = frame.with_columns(expected=planted["expected_log_audience"]).filter(planted["fault"] == "")
    news = rows.filter(pl.col("genre") == "News", pl.col("kind").is_not_null(), pl.col("slot_start").is_not_null())
    table = news.select(
        "programme",
        log=pl.col("viewers").log(),
        repeat=pl.col("kind") == "repeat",
        hour=pl.col("slot_start").str.head(2).cast(pl.Int64),
    ).drop_nulls()
    means = table.group_by("programme", "hour", "repeat").agg(pl.col("log").mean())
    by_hour = means.filter(~pl.col("repeat")).pivot(on="hour", index="programme", values="log").drop_nulls(["18", "22"])
    wanted = HOURS[22] - HOURS[18] + OFF_HOUR * (22 - 18) ** 2
    assert (by_hour["22"] - by_hour["18"]).median() == pytest.approx(wanted, abs=0.12)
    by_kind = means.pivot(on="repeat", index=["programme", "hour"], values="log").drop_nulls()
    assert (by_kind["true"] - by_kind["false"]).median() == pytest.approx(REPEAT, abs=0.05)


def test_about_an_eighth_of_ratings_are_missing_and_small_audiences_more_often():
    frame, planted = generate(8_000, 4), truth(8_000, 4)
    missing = frame["rating_18_49"].is_null()
    expected = planted["expected_log_audience"]
    assert 0.09 < missing.mean() < 0.17
    assert expected.filter(missing).mean() < expected.filter(~missing).mean() - 0.3


def test_drifts_are_as_large_as_they_say():
    plain = generate(8_000, 1)
    swapped = (plain["genre"] != generate(8_000, 1, "swap")["genre"]).mean()
    assert swapped == pytest.approx(0.2, abs=0.02)
    lost = generate(8_000, 1, "nulls")["promo_spots"].null_count() - plain["promo_spots"].null_count()
    assert lost / 8_000 == pytest.approx(0.05, abs=0.01)
    log, shifted = (
        np.log1p(each["promo_spots"].drop_nulls().to_numpy()) for each in (plain, generate(8_000, 1, "shift"))
    )
    assert np.mean(shifted) - np.mean(log) == pytest.approx(0.5 * log.std(), rel=0.2)
    clean = truth(500, 1)["fault"] == ""
    small, large = (numbers(generate(500, 1, drift))["viewers"].filter(clean) for drift in (None, "unit"))
    assert large.to_list() == (small * 100).to_list()
    level = truth(8_000, 1)["expected_log_audience"] - truth(8_000, 1, "concept")["expected_log_audience"]
    assert level.std() > 0.1
