"""Stated and realised errors on what happened: a model of 2011's bicycles on 2012. Skipped where the data is not."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks.core import evaluation
from tasks.core.appraisal import judge, realise
from tasks.core.promise import promise_of
from tasks.core.training import score_candidate
from tasks.workloads.spec import Candidate, Column, Feature, Gate, Holdout, Target, Workload

pytestmark = pytest.mark.slow

HOURS = Path(os.environ.get("GREENLIGHT_TEST_DATA", "/nowhere")) / "drift/bike_sharing_hour.csv.gz"
NUMBERS, WORDS = ("temp", "hum", "windspeed", "hr"), ("weekday", "season", "weathersit", "workingday")
BICYCLES = Workload(
    name="bicycles",
    title="Bicycles",
    entity="dteday",
    event_time="seen_at",
    columns=(
        Column("dteday", "text", "the day"),
        Column("seen_at", "datetime", "the day"),
        Column("cnt", "float", "bicycles hired"),
        *(Column(name, "float", name) for name in NUMBERS),
        *(Column(name, "category", name) for name in WORDS),
    ),
    features=(
        *(Feature(name, "float", name) for name in NUMBERS), *(Feature(name, "category", name) for name in WORDS),
    ),
    targets=(Target("hired", "cnt", "bicycles hired in an hour", "bicycles"),),
    derive=lambda rows: rows,
    generate=lambda rows, seed: pl.DataFrame(),
    candidates=(Candidate("hist_gradient_boosting", {"rounds": 60, "learning_rate": 0.2, "leaves": 15}),),
    holdout=Holdout(share=0.25, folds=3, repeats=1, seed=7),
)  # fmt: skip


@pytest.fixture(scope="module")
def hours():
    if not HOURS.exists():
        pytest.skip(f"{HOURS} is not there; GREENLIGHT_TEST_DATA names the folder of real data")
    rows = pl.read_csv(HOURS, infer_schema_length=None).with_row_index("_row", 1)
    return rows.with_columns(
        pl.col("cnt", *NUMBERS).cast(pl.Float64),
        pl.col(WORDS).cast(pl.String),
        seen_at=pl.lit(datetime(2011, 1, 1, tzinfo=UTC)),
    )


@pytest.fixture(scope="module")
def learnt(hours):
    """A model of three quarters of 2011's days, and what the other quarter of them promises."""
    year = hours.filter(pl.col("yr") == 0)
    target = BICYCLES.targets[0]
    winner = score_candidate(BICYCLES, year, target, BICYCLES.candidates[0]).scorecard
    done = evaluation.evaluate(BICYCLES, year, target, winner, refit_on_all=False)
    held = done.predictions.join(year.select(row="_row", entity="dteday"), on="row", maintain_order="left")
    return done.model, held, year


def of(model, rows, naive):
    said = model.score(rows).with_columns(entity=rows["dteday"], actual=rows["cnt"])
    return said.with_columns(naive=pl.lit(naive))


def test_other_days_of_the_same_year_err_as_was_stated(learnt):
    _, held, _ = learnt
    days = held["entity"].unique(maintain_order=True).to_list()
    odd = held.filter(pl.col("entity").is_in(days[::2]))
    found = realise("hired", odd.with_columns(naive=pl.lit(100.0)), (),
                    promise_of(held.filter(~pl.col("entity").is_in(days[::2]))), 0.95)  # fmt: skip
    assert not found.surprising


def test_a_year_in_which_bicycles_became_popular_is_outside_of_what_was_stated_and_below_the_floor(learnt, hours):
    model, held, year = learnt
    later = of(model, hours.filter(pl.col("yr") == 1), float(year["cnt"].median()))
    found = realise("hired", later, (), promise_of(held), 0.95)
    assert found.surprising and found.mae.value > 1.5 * found.stated.high
    assert judge(found, Gate()).below
