"""The holdout and the folds: by entity, the same everywhere."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tasks.core.splitting import folds, hash_shares, in_holdout, split, stopping_rows, units
from tasks.errors import DataRejected
from tasks.workloads.spec import Holdout
from tests.builders import shops, shops_spec

SPEC = shops_spec()
TARGET = SPEC.targets[0]
EXPECTED = [0.829796, 0.970647, 0.829796]


def test_a_hash_is_the_number_it_was_when_this_was_written():
    assert hash_shares(pl.Series(["shop 0", "shop 1", "shop 0"]), "holdout 7").round(6).tolist() == EXPECTED


def test_another_process_with_another_hash_seed_agrees():
    code = (
        "import polars as pl; from tasks.core.splitting import hash_shares;"
        "print(hash_shares(pl.Series(['shop 0', 'shop 1', 'shop 0']), 'holdout 7').round(6).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": "99"}, capture_output=True, check=True)
    assert done.stdout.decode().strip() == str(EXPECTED)


def test_about_a_quarter_is_held_out_where_a_quarter_is_asked_for():
    rows = shops(4000)
    assert in_holdout(rows["shop"], SPEC).mean() == pytest.approx(0.25, abs=0.03)


def test_all_rows_of_an_entity_are_on_one_side_of_everything():
    rows = pl.concat([shops(100), shops(100, seed=2), shops(100, seed=3)])
    parts = split(SPEC, rows, TARGET)
    shop = rows["shop"].to_numpy()
    assert not set(shop[parts.train]) & set(shop[parts.holdout])
    train = rows["shop"][parts.train]
    for fold in folds(SPEC, train):
        assert not set(train[fold.fit]) & set(train[fold.judge])
    stop = stopping_rows(train, 7)
    assert not set(train.filter(pl.Series(stop))) & set(train.filter(pl.Series(~stop)))


def test_the_order_of_rows_moves_nobody():
    rows = shops(200)
    held = set(rows["shop"].filter(pl.Series(in_holdout(rows["shop"], SPEC))))
    turned = rows.reverse()
    assert held == set(turned["shop"].filter(pl.Series(in_holdout(turned["shop"], SPEC))))


def test_a_new_row_moves_no_old_one_across():
    few, many = shops(100), shops(300)
    assert in_holdout(few["shop"], SPEC).tolist() == in_holdout(many["shop"], SPEC)[:100].tolist()


def test_every_row_is_judged_once_per_repeat_and_folds_are_even():
    names = shops(100)["shop"]
    made = list(folds(SPEC, names))
    assert [(fold.repeat, fold.fold) for fold in made] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    for repeat in (0, 1):
        judged = np.concatenate([fold.judge for fold in made if fold.repeat == repeat])
        assert sorted(judged.tolist()) == list(range(100))
        assert {fold.judge.size for fold in made if fold.repeat == repeat} == {33, 34}
    assert made[0].judge.tolist() != made[3].judge.tolist()


def test_many_rows_are_judged_once():
    assert {fold.repeat for fold in folds(SPEC, shops(5000)["shop"])} == {0}


def test_a_missing_label_is_neither_learned_from_nor_judged_on():
    rows = shops(200).with_columns(sales=pl.when(pl.col("_row") % 2 == 0).then(pl.col("sales")))
    parts = split(SPEC, rows, TARGET)
    assert parts.train.size + parts.holdout.size == 100
    assert rows["sales"][np.concatenate([parts.train, parts.holdout])].null_count() == 0


def test_fewer_rows_than_folds_are_refused_with_both_numbers():
    with pytest.raises(DataRejected, match=r"'sales' has 2 labelled rows of 2 entities.*3 folds need at least 15 rows"):
        split(SPEC, shops(2), TARGET)


def test_a_holdout_of_next_to_nothing_is_refused():
    spec = shops_spec(holdout=Holdout(share=0.01, folds=3, repeats=1))
    with pytest.raises(DataRejected, match=r"labelled rows to learn from and [0-4] to be judged on"):
        split(spec, shops(60), TARGET)


def test_a_constant_target_is_refused_with_its_value():
    with pytest.raises(DataRejected, match="'sales' is 7 in all 60 labelled rows"):
        split(SPEC, shops(60).with_columns(sales=pl.lit(7.0)), TARGET)


BY_TIME = replace(SPEC, holdout=Holdout(share=0.2, folds=3, repeats=1, block_hours=24, by="time"))


def daily(days: int, per_day: int = 3) -> pl.DataFrame:
    """Return rows of a few shops, so many a day, the oldest first."""
    first = datetime(2026, 1, 1, 18, tzinfo=UTC)
    moments = [first + timedelta(days=day, hours=hour) for day in range(days) for hour in range(per_day)]
    return shops(days * per_day).with_columns(
        shop=pl.concat_str(pl.lit("shop "), pl.col("_row") % 2), seen_at=pl.Series(moments)
    )


def test_by_time_the_newest_fifth_of_the_days_is_kept_whole_whatever_the_order_of_the_rows():
    rows = daily(20)
    parts = split(BY_TIME, rows, TARGET)
    assert (parts.train.tolist(), parts.holdout.tolist()) == (list(range(48)), list(range(48, 60)))
    turned = split(BY_TIME, rows.reverse(), TARGET)
    assert turned.holdout.tolist() == list(range(12))


def test_by_time_each_fold_is_judged_on_whole_days_after_all_it_learned_from():
    days = units(BY_TIME, daily(8))
    found = [(fold.repeat, fold.fold, fold.fit.tolist(), fold.judge.tolist()) for fold in folds(BY_TIME, days)]
    assert found == [
        (0, 0, list(range(6)), list(range(6, 12))),
        (0, 1, list(range(12)), list(range(12, 18))),
        (0, 2, list(range(18)), list(range(18, 24))),
    ]


def test_by_time_a_label_that_began_late_is_parted_within_its_own_time():
    rows = daily(40).with_columns(sales=pl.when(pl.col("_row") > 60).then("sales"))
    parts = split(BY_TIME, rows, TARGET)
    assert (parts.train.size, parts.holdout.size) == (48, 12)
    assert parts.train.min() == 60


def test_by_time_fewer_days_than_folds_need_are_refused_with_both_numbers():
    with pytest.raises(DataRejected, match=r"20 labelled rows of 4 blocks of time.*of 5 blocks of time"):
        split(BY_TIME, daily(4, per_day=5), TARGET)
