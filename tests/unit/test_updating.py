"""A champion that goes on learning: what it may learn from, what it remembers, and when the update is undone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tasks.core.experience import experience
from tasks.core.learners.niched import Niched
from tasks.core.models import learn
from tasks.core.scales import label_unit
from tasks.core.splitting import split
from tasks.core.updating import HELD, Champion, first_experience, grow
from tasks.errors import UpdateRefused
from tasks.workloads.spec import Candidate, Gate, Holdout
from tests.builders import shops, shops_spec

HOLDOUT, GATE = Holdout(share=0.25, folds=3, repeats=1, seed=7), Gate(non_inferiority_margin=0.1)
SPEC = shops_spec(always_known=(), slices=(), holdout=HOLDOUT, gate=GATE)
(TARGET,) = SPEC.targets
PARAMS = {"dimension": 8, "hidden": 8, "epochs": 12, "learning_rate": 0.03, "batch": 64}
UPDATE = Candidate("transformer", PARAMS | {"update": "v1"})


def later(count: int, factor: float = 4.0, noise: float = 0.0) -> pl.DataFrame:
    """Return shops of a month later, in a town that nobody has seen, which sell *factor* times as much."""
    chance = np.random.default_rng(9)
    return shops(count, 9).with_columns(
        pl.concat_str(pl.lit("new "), "shop").alias("shop"),
        pl.lit(datetime(2026, 2, 1, tzinfo=UTC)).alias("seen_at"),
        pl.lit("Esk").alias("town"),
        pl.col("sales") * factor * pl.Series(chance.lognormal(0.0, noise, count)),
        pl.col("_row") + 10_000,
    )


@pytest.fixture(scope="module")
def champion() -> Champion:
    seen = shops(400)[split(SPEC, shops(400), TARGET).train]
    unit = label_unit(TARGET, seen["sales"].to_numpy())
    learned = learn(SPEC, seen, TARGET, Candidate("transformer", PARAMS), unit=unit)
    return Champion("v1", learned, first_experience(SPEC, seen), seen)


def test_an_update_learns_what_is_new_and_keeps_what_is_old(champion):
    today = pl.concat([shops(400), later(300)])
    grown = grow(SPEC, today, TARGET, UPDATE, champion)
    (table,) = grown.learned.estimator.told()
    assert table.title == "The update of the champion: accepted"
    assert [line[0] for line in table.lines] == ["new rows", "old rows"]
    new = later(300)
    before, after = (np.abs(np.log1p(new["sales"].to_numpy() / each.scale.unit) - each.link(new)).mean()
                     for each in (champion.learned, grown.learned))  # fmt: skip
    assert after < 0.95 * before
    card = grown.scored.scorecard
    assert card.status == "scored" and card.rows == grown.scored.out_of_fold.height
    holdout = set(today[split(SPEC, today, TARGET).holdout]["shop"])
    assert not holdout & set(grown.buffer["shop"]) and grown.buffer[HELD].any()


def test_an_update_is_refused_with_its_reason(champion):
    old, noise = shops(400), pl.concat([shops(400), later(300, 1.0, noise=3.0)])
    refitted = replace(champion, refitted=True)
    sighted = replace(champion, seen=old)
    several = Niched(
        champion.learned.estimator, 2, ("Ayr", "Bath", "Cork", "Deal"), {"Ayr": champion.learned.estimator.weights}
    )
    parted = replace(champion, learned=replace(champion.learned, estimator=several))
    for rows, who, reason in (
        (old, champion, "0 rows are new to the champion v1; at least 60 are needed"),
        (noise, refitted, "has seen the holdout .* it was fitted again on all rows"),
        (noise, sighted, r"has seen the holdout .* \d+ rows of it are of units it learned from"),
        (
            noise,
            parted,
            r"none of its 2 networks, .* common: rolled back, .* Ayr: too few rows, \d+ of 30 new rows to fit on",
        ),
        (noise, champion, "rolled back, the loss over .* new rows does not surely fall"),
    ):
        with pytest.raises(UpdateRefused, match=reason):
            grow(SPEC, rows, TARGET, UPDATE, who)


def test_the_buffer_is_bounded_of_late_and_the_same_however_the_rows_came():
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    days = [begin + timedelta(days=number) for number in range(400)]
    rows = pl.DataFrame({"shop": [f"shop {n}" for n in range(400)], "seen_at": days, "sales": np.arange(400.0)})
    rows = rows.with_columns(pl.col("seen_at").cast(pl.Datetime("us", "UTC")))
    keys = ("shop", "seen_at")
    whole = experience([rows], keys, "seen_at", most=100)
    first = experience([rows[::2]], keys, "seen_at", most=100)
    assert experience([rows[1::2], first, rows[:7]], keys, "seen_at", most=100).equals(whole)
    age = (days[-1] - whole["seen_at"]).dt.total_days()
    assert whole.height == 100 and age.median() < 60 and age.max() > 60
    changed = experience([whole, whole[:1].with_columns(sales=pl.lit(-1.0))], keys, "seen_at", most=100)
    assert changed["sales"].min() == -1.0 and changed.height == 100
