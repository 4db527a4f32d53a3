"""Nothing is learned from a label that nobody knew yet when the first row that is judged was: and it is told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tasks.core import evaluation, training
from tasks.core.encoding import SeriesCode
from tasks.core.evaluation import evaluate
from tasks.core.lateness import HEAD, TITLE
from tasks.core.splitting import folds_of, split
from tasks.core.values import Scorecard
from tasks.errors import DataRejected, Misdeclared
from tasks.workloads.content import CONTENT
from tasks.workloads.content_history import SETTLED_DAYS
from tasks.workloads.demo import content as demo
from tasks.workloads.spec import Column, Holdout
from tests.builders import quick, shops, shops_spec

AT = "seen_at"
HOLDOUT = Holdout(share=0.2, folds=3, repeats=1, block_hours=24, by="time", known_at="told_at", settled_days=2)
PLAIN = shops_spec()
SPEC = replace(
    PLAIN, slices=(), holdout=HOLDOUT, columns=(*PLAIN.columns, Column("told_at", "datetime", "when sales were told"))
)
(TARGET,) = SPEC.targets
WINNER = Scorecard("sales", "elastic_net", quick("elastic_net").params, "scored")


def daily(days: int = 40, after: float = 1.0, silent: int = 7) -> pl.DataFrame:
    """Return ten shops a day, whose sales are told so many days *after*; of one in *silent* nobody says when."""
    moments = [datetime(2026, 1, 1, 9, tzinfo=UTC) + timedelta(days=row // 10) for row in range(days * 10)]
    told = [None if row % silent == 0 else at + timedelta(days=after) for row, at in enumerate(moments)]
    known = pl.Series(told, dtype=pl.Datetime("us", "UTC"))
    return shops(days * 10).with_columns(pl.Series(moments).alias(AT), known.alias("told_at"))


def test_no_generated_video_is_learned_from_before_its_outcome_was_known():
    moments = pl.col("published_at", "counted_at").str.to_datetime(time_zone="UTC", strict=False)
    trend = (pl.col("days_trending") >= demo.TREND_DAYS).cast(pl.Int64).alias("trend")
    rows = demo.generate(2_000, 7).select(moments.dt.cast_time_unit("us"), trend).rename({"counted_at": "known_at"})
    rows = rows.with_row_index("_row").with_columns(known_at=pl.when(pl.col("_row") % 7 > 0).then("known_at"))
    rows = rows.filter(pl.col("published_at").is_not_null())
    parts = split(CONTENT, rows, CONTENT.target("trend"))
    train = rows[parts.train]
    folds = list(folds_of(CONTENT, train))
    learned = [(train, rows[parts.holdout]), *((train[each.fit], train[each.judge]) for each in folds)]
    assert len(folds) == CONTENT.holdout.folds
    settled = pl.col("published_at") + timedelta(days=SETTLED_DAYS)
    for fitted, judged in learned:
        known = fitted.select(pl.max_horizontal("known_at", settled)).to_series()
        assert known.null_count() == 0 and known.max() < judged["published_at"].min()
    late = rows[parts.late].select(pl.max_horizontal("known_at", settled)).to_series()
    assert late.min() >= rows[parts.holdout]["published_at"].min()
    assert late.len() > 50 and parts.train.size + late.len() + parts.holdout.size == rows.height
    assert all(each.late > 50 for each in folds)


def test_a_label_is_late_by_what_the_row_says_or_by_what_is_usual_whichever_is_later():
    soon, later = (split(SPEC, daily(after=days), TARGET) for days in (1.0, 5.0))
    assert (soon.train.size, soon.late.size, soon.holdout.size) == (300, 20, 80)
    assert later.train.max() > 270 and later.late.size == 46
    whole = split(replace(SPEC, holdout=replace(HOLDOUT, known_at="", settled_days=0)), daily(), TARGET)
    assert (whole.train.size, whole.late.size) == (320, 0)


def test_the_oldest_fold_is_none_where_no_label_was_known_yet_and_too_few_folds_are_refused():
    rows = daily(after=9.0, silent=401)[1:]
    train = rows[split(SPEC, rows, TARGET).train]
    assert [each.fold for each in folds_of(SPEC, train)] == [1, 2]
    with pytest.raises(DataRejected, match="'sales' leaves fewer than 2 of 3 folds"):
        split(SPEC, daily(after=16.0, silent=401)[1:], TARGET)
    with pytest.raises(DataRejected, match=r"leaves 0 labelled rows .* Of 319 more the label was not known yet"):
        split(SPEC, daily(after=60.0, silent=401)[1:], TARGET)


def test_what_was_left_out_is_told_and_a_fit_on_all_rows_takes_it(monkeypatch):
    fitted, learn = [], evaluation.learn
    monkeypatch.setattr(
        evaluation, "learn", lambda *given, **named: fitted.append(named["rows"].height) or learn(*given, **named)
    )
    judged = evaluate(SPEC, daily(), TARGET, WINNER, refit_on_all=True).judged
    assert (judged.rows_trained, judged.rows_late, judged.rows_holdout, fitted) == (300, 20, 80, [300, 400])
    (told,) = judged.told
    assert (told.title, told.head) == (TITLE, HEAD)
    assert [line[0] for line in told.lines] == ["fold 1", "fold 2", "fold 3", "holdout"]
    assert told.lines[-1] == ("holdout", "300", "20", "80") and told.lines[0][2] == "20"
    exercises = training.set_exercises(SPEC, daily()[split(SPEC, daily(), TARGET).train], TARGET)
    assert [each.fold.late for each in exercises] == [20, 20, 20]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"known_at": "someday"}, "known_at 'someday' takes a declared column"),
        ({"by": "entity"}, "known_at 'told_at' takes a declared column, and is by time"),
        ({"known_at": ""}, "settled_days of 2 are below zero, or there is no known_at"),
    ],
)
def test_a_misdeclared_one_fails_with_a_sentence(change, sentence):
    with pytest.raises(Misdeclared, match=sentence):
        replace(SPEC, holdout=replace(HOLDOUT, **change))


def test_a_series_nobody_had_when_it_was_learned_is_read_as_none():
    rows = pl.DataFrame({"past": [[1.0, 2.0], None]})
    assert SeriesCode("past", 0, (0.0, 0.0), (1.0, 1.0)).coded(rows).shape == (2, 0)
    assert np.isnan(SeriesCode("past", 1, (0.0, 0.0), (1.0, 1.0)).coded(rows)[1]).all()
