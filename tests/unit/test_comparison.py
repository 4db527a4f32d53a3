"""On which rows a challenger may be held against the champion, and what is said where none are left."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from tasks.core.comparison import Ground, Part, compare, corrected, learned_from, learned_until, standing, unseen
from tasks.core.values import Interval
from tasks.workloads.spec import Gate

TRAINED = pl.DataFrame({"_row": [1, 2, 3, 4], "shop": ["a", "b", "c", "d"], "sales": [1.0, 2.0, None, 4.0]})


def learned(held_out, *, refitted=False, rows=TRAINED):
    return set(learned_from(rows, pl.Series(held_out), entity="shop", label="sales", refitted_on_all=refitted))


def all_of(rows):
    return pl.repeat(True, rows.len(), eager=True)


def test_a_champion_learned_from_the_labelled_entities_it_did_not_hold_out():
    assert learned([4]) == {"a", "b"}


def test_a_champion_refitted_on_all_rows_learned_from_its_holdout_too():
    assert learned([4], refitted=True) == {"a", "b", "d"}


def test_an_entity_that_was_held_out_is_held_out_with_all_its_rows():
    twice = pl.DataFrame({"_row": [1, 2, 3], "shop": ["a", "a", "b"], "sales": [1.0, 2.0, 3.0]})
    assert learned([1], rows=twice) == {"b"}


def test_where_the_label_has_another_name_now_every_row_counts_as_learned_from():
    assert learned([4], rows=TRAINED.rename({"sales": "turnover"})) == {"a", "b", "c"}


def test_only_entities_the_champion_never_saw_are_compared_on_and_the_number_left_out_is_said():
    shops = pl.Series(["a", "x", "b", "x"])
    ground = Ground(shops, unseen(shops, pl.Series(["a", "b"])), all_of(shops))
    assert ground.rows.to_list() == [False, True, False, True]
    assert ground.left_out == "the champion learned from the entities of 2 of 4 holdout rows; they are left out"
    assert Ground(shops, all_of(shops), all_of(shops)).left_out == ""


@pytest.mark.parametrize(
    ("held_out", "refitted", "day"), [([4], False, 2), ([4], True, 4), ([2, 4], False, 1), ([1, 2, 4], False, None)]
)
def test_a_champion_learned_until_the_newest_labelled_row_it_did_not_hold_out(held_out, refitted, day):
    rows = TRAINED.with_columns(seen_at=pl.Series([datetime(2026, 1, each, tzinfo=UTC) for each in (1, 2, 3, 4)]))
    found = learned_until(rows, pl.Series(held_out), moment="seen_at", label="sales", refitted_on_all=refitted)
    assert found == (day and datetime(2026, 1, day, tzinfo=UTC))


@pytest.mark.parametrize(("refitted", "day"), [(False, 2), (True, 9)])
def test_a_champion_fitted_on_all_rows_learned_until_the_last_label_was_known(refitted, day):
    days = {name: pl.Series([datetime(2026, 1, each, tzinfo=UTC) for each in of])
            for name, of in {"seen_at": (1, 2, 3, 4), "told_at": (1, 9, 9, 5)}.items()}  # fmt: skip
    asked = {"moment": "seen_at", "label": "sales", "known_at": "told_at"}
    found = learned_until(TRAINED.with_columns(**days), pl.Series([4]), refitted_on_all=refitted, **asked)
    assert found == datetime(2026, 1, day, tzinfo=UTC)


@pytest.mark.parametrize(("entities", "enough"), [(19, False), (20, True)])
def test_fewer_than_twenty_entities_are_too_few(entities, enough):
    shops = pl.Series([f"shop {number}" for number in range(entities)] * 2)
    reason = Ground(shops, all_of(shops), all_of(shops)).too_few
    assert (reason == "") == enough
    assert enough or reason == "19 entities are left to compare on, at least 20 are wanted"


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ((-0.1, -0.2, -0.01), "better"),
        ((-0.1, -0.2, 0.0), "non_inferior"),
        ((0.0, -0.02, 0.02), "non_inferior"),
        ((0.01, 0.005, 0.015), "non_inferior"),
        ((0.0, -0.02, 0.03), "inconclusive"),
        ((0.02, 0.01, 0.03), "worse"),
        ((0.3, 0.2, 0.4), "worse"),
    ],
)
def test_below_zero_the_challenger_is_better(change, wanted):
    assert standing(Interval(*change), 0.02) == wanted


def test_a_prediction_that_is_no_number_is_a_comparison_without_a_result():
    actual, wrong = np.arange(3.0), np.array([0.0, np.nan, np.inf])
    found = compare(actual, wrong, actual, target="sales", champion="old", margin=0.02, confidence=0.95, seed=1)
    assert (found.outcome, found.change, found.rows) == ("inconclusive", None, 0)
    assert found.reason == "2 of 3 rows have a label or a prediction that is no number"


def test_a_regression_of_a_tenth_is_blocked_and_equals_are_not_called_worse():
    chance, blocked = np.random.default_rng(3), 0
    for seed in range(40):
        actual = chance.lognormal(0, 1, 200)
        noise = chance.normal(0, 0.3, 200)
        found = compare(
            actual, actual + noise, actual + 1.1 * noise,
            target="sales", champion="old", margin=0.02, confidence=0.95, seed=seed, draws=400,
        )  # fmt: skip
        blocked += found.outcome in ("worse", "inconclusive")
    assert blocked == 40


def test_blocks_of_time_are_counted_where_they_are_drawn():
    rows = pl.Series(["a", "b"] * 50)
    hours = pl.Series([number // 10 for number in range(100)])
    ground = Ground(rows, all_of(rows), all_of(rows), blocks=hours)
    assert ground.too_few == "10 blocks of time are left to compare on, at least 20 are wanted"


def compared(ratio=1.0, *, gate=None, parts=(), entities=None, seed=5, rows=400):
    chance = np.random.default_rng(seed)
    actual = chance.lognormal(0, 1, rows)
    error = chance.normal(0, 0.3, rows)
    worse = np.where(parts[0].rows, ratio, 1.0) if parts else ratio
    other = worse * error * chance.lognormal(0, 0.05, rows)
    return compare(
        actual, actual + error, actual + other,
        target=f"sales {seed}", champion="old", margin=0.02, confidence=0.95, seed=1,
        gate=gate, parts=parts, entities=entities,
    )  # fmt: skip


def test_a_comparison_states_its_error_rate_and_what_it_would_notice():
    found = compared(gate=Gate())
    assert (found.alpha, found.odds.alpha, found.odds.regression, found.units) == (0.025, 0.025, 0.05, 400)
    assert found.odds.false_better.low <= 0.025 <= found.odds.false_better.high
    assert found.odds.detected > 0.99 and found.odds.smallest_detected < 0.05
    assert compared().odds is None and compared().slices is None


def test_whole_entities_are_drawn():
    found = compared(entities=np.arange(400) // 8)
    assert (found.rows, found.units) == (400, 50)


AYR = Part("town", "Ayr", np.arange(400) < 120)
CORK = Part("town", "Cork", np.arange(400) >= 380)


def test_a_slice_that_got_worse_is_found_and_one_of_few_rows_is_shown_and_not_judged():
    found = compared(1.5, gate=Gate(), parts=(AYR, CORK))
    ayr, cork = found.slices
    assert (ayr.label, ayr.rows, ayr.judged, cork.rows, cork.judged) == ("Ayr", 120, True, 20, False)
    assert ayr.change.low > 0.4 and ayr.p_worse < 1e-6
    assert -0.1 < cork.change.value < 0.1


def test_slices_of_few_entities_are_not_judged_however_many_rows_they_have():
    found = compared(1.5, gate=Gate(), parts=(AYR,), entities=np.arange(400) // 10)
    assert (found.slices[0].rows, found.slices[0].judged) == (120, False)


def test_the_more_targets_the_surer_better_must_be():
    """One bound of 2.5 % is met by p = 0.02; among three targets it takes less than 0.0083."""
    slightly = replace(compared(0.9), p_better=0.02, outcome="better")
    others = [replace(compared(seed=seed), p_better=0.5, outcome="non_inferior") for seed in (6, 7)]
    assert corrected([slightly])[0].outcome == "better"
    first, *rest = corrected([slightly, *others])
    assert (first.outcome, first.p_better) == ("non_inferior", pytest.approx(0.06))
    assert [each.outcome for each in rest] == ["non_inferior", "non_inferior"]
    assert corrected([replace(slightly, p_better=0.008), *others])[0].outcome == "better"


def test_slices_of_all_targets_are_corrected_together_and_those_not_judged_do_not_count():
    one, two = (compared(gate=Gate(), parts=(AYR, CORK), seed=seed) for seed in (5, 6))
    one = replace(one, slices=(replace(one.slices[0], p_worse=0.01), replace(one.slices[1], p_worse=0.01)))
    two = replace(two, slices=(replace(two.slices[0], p_worse=0.5), two.slices[1]))
    first, second = corrected([one, two])
    assert [part.p_worse for part in first.slices] == [0.02, 0.01]
    assert second.slices[0].p_worse == 0.5


def test_nothing_to_correct_is_nothing():
    assert corrected([]) == ()


def test_equal_copies_of_what_is_drawn_whole_make_no_interval_narrower():
    chance = np.random.default_rng(3)
    was, now = chance.normal(0, 1.0, 60), chance.normal(0, 0.9, 60)
    told = {"target": "hit", "champion": "old", "margin": 0.02, "confidence": 0.95, "seed": 1}
    alone = compare(np.zeros(60), was, now, **told)
    fifths = [np.tile(each, 5) for each in (np.zeros(60), was, now)]
    copies = compare(*fifths, entities=np.tile(np.arange(60), 5), **told)
    assert copies.units == alone.units == 60 and copies.rows == 300
    assert (copies.change.low, copies.change.high) == pytest.approx((alone.change.low, alone.change.high))
    by_row = compare(*fifths, **told).change
    assert by_row.high - by_row.low < 0.6 * (alone.change.high - alone.change.low)
