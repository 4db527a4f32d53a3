"""What the rule must find within two batches, what it must leave alone, and how rarely it errs, on worlds known.

The rates at full size are in ``test_drift_acceptance``.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks.core.drift import compare
from tests.drift_worlds import BLOCK, NUMBERS, SHAPE, batch, drawn_counts, reference, rows

CHANCE = np.random.default_rng(404)
BESIDE = reference(rows(20_000, CHANCE))


def shifted(name, by):
    return lambda frame: frame.with_columns(pl.col(name) + by * frame[name].std())


def where(share, name, value):
    """Replace a share of a column."""
    return lambda frame: frame.with_columns(
        pl.when(pl.Series(CHANCE.random(frame.height) < share)).then(value).otherwise(pl.col(name)).alias(name)
    )


def swapped(name, step):
    """Give a fifth of the rows another category."""
    many = int(name.removeprefix("kind"))
    return where(0.2, name, ((pl.col(name).cast(pl.Int64) + step) % many).cast(pl.String))


def wider(name):
    return lambda frame: frame.with_columns((pl.col(name) - frame[name].mean()) * 1.5**0.5 + frame[name].mean())


def unrelated(frame):
    return frame.with_columns(pl.Series("east", CHANCE.permutation(frame["east"].to_numpy())))


def less_related(frame):
    shape = np.linalg.cholesky(0.4 ** np.abs(np.subtract.outer(np.arange(4), np.arange(4))))
    drawn = CHANCE.normal(size=(frame.height, 4)) @ shape.T
    return frame.with_columns(pl.Series(name, drawn[:, place]) for place, name in enumerate(BLOCK))


FOUND = {
    "a quarter of a standard deviation": (5000, shifted("plain", 0.25)),
    "the same of a correlated column": (5000, shifted("south", 0.25)),
    "the same of a heavy tail": (5000, shifted("longer", 0.25)),
    "half a standard deviation in 500 rows": (500, shifted("far", 0.5)),
    "a fifth of the rows in another of twelve categories": (5000, swapped("kind12", 1)),
    "a fifth of the rows in another of four": (5000, swapped("kind4", 2)),
    "a fifth of the rows in another of 150": (5000, swapped("kind150", 7)),
    "five per cent more missing": (5000, where(0.05, "plain", None)),
    "five per cent more missing of a category": (5000, where(0.05, "kind12", None)),
    "two per cent of a new category": (5000, where(0.02, "kind12", pl.lit("never seen"))),
    "half as much variance again": (5000, wider("plain")),
    "half as much again of a correlated one": (5000, wider("north")),
    "a unit changed by a hundred": (5000, lambda frame: frame.with_columns(pl.col("tail") * 100)),
    "a constant": (5000, lambda frame: frame.with_columns(plain=pl.lit(10.0))),
    "a constant category": (5000, lambda frame: frame.with_columns(kind4=pl.lit("0"))),
    "nothing in a column": (5000, lambda frame: frame.with_columns(plain=pl.lit(None, pl.Float64))),
    "no column": (5000, lambda frame: frame.drop("plain")),
    "words for numbers": (5000, lambda frame: frame.with_columns(plain=pl.lit("ten"))),
    "a correlation gone": (5000, unrelated),
    "a correlation of 0.4 for 0.6": (5000, less_related),
}
SMOOTH = ("north", "east", "south", "west", "plain", "far", "tail", "longer", "gaps")


def nudged(frame):
    """Move every continuous column by a chance 0.02 standard deviations, as one batch differs from another."""
    return frame.with_columns(pl.col(name) + CHANCE.normal(0, 0.02) * frame[name].std() for name in SMOOTH)


def of_a_weekday(frame):
    """Let the batch be of a weekday: two columns 0.05 standard deviations off, one category up by two rows in 100."""
    busy = where(0.02, "kind12", pl.lit("0"))(frame)
    return busy.with_columns(pl.col(name) + 0.05 * frame[name].std() for name in ("plain", "tail"))


LEFT_ALONE = {
    "a batch effect": nudged,
    "a weekday": of_a_weekday,
    "rounding": lambda frame: frame.with_columns(pl.col("plain", "north", "tail").round(1)),
    "another order": lambda frame: frame.sample(fraction=1, shuffle=True, seed=3),
    "one rare new value": lambda frame: frame.with_columns(
        pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("never seen")).otherwise("kind12").alias("kind12")
    ),
}


@pytest.mark.parametrize("name", FOUND)
def test_a_change_that_matters_is_critical_in_two_batches_in_a_row(name):
    count, change = FOUND[name]
    for _ in range(2):
        assert compare(BESIDE, batch(change(rows(count, CHANCE)), BESIDE), {}).severity == "critical"


@pytest.mark.parametrize("count", [500, 5000])
@pytest.mark.parametrize("name", LEFT_ALONE)
def test_a_change_that_does_not_matter_is_never_critical(name, count):
    found = compare(BESIDE, batch(LEFT_ALONE[name](rows(count, CHANCE)), BESIDE), {})
    assert found.severity != "critical", found.because


def test_a_batch_effect_is_not_critical_though_so_many_rows_prove_it():
    found = compare(BESIDE, batch(nudged(rows(100_000, CHANCE)), BESIDE), {})
    assert found.severity != "critical", found.because


@pytest.mark.parametrize("per_entity", [1, 10])
def test_counts_drawn_at_once_look_like_those_of_rows(per_entity):
    beside = reference(rows(20_000, CHANCE, per_entity))
    one, other = (
        compare(beside, found, {})
        for found in (batch(rows(5000, CHANCE, per_entity), beside), drawn_counts(5000, CHANCE, beside, per_entity))
    )
    assert one.independent == other.independent == 5000 // per_entity
    assert [each.name for each in sorted(one.columns, key=lambda each: each.name)] == sorted(
        [*BLOCK, *NUMBERS, *beside["categories"]]
    )
    assert one.severity != "critical" and other.severity != "critical"
    assert SHAPE.shape == (4, 4)


def test_rows_of_the_same_world_are_hardly_ever_critical():
    fired = sum(
        compare(BESIDE, drawn_counts(count, CHANCE, BESIDE), {}).severity == "critical"
        for count in (500, 5000)
        for _ in range(20)
    )
    assert fired == 0


def test_few_rows_are_insufficient_and_an_empty_batch_is_no_crash():
    assert compare(BESIDE, batch(rows(100, CHANCE), BESIDE), {}).severity == "insufficient"
    assert compare(BESIDE, batch(rows(100, CHANCE)[:0], BESIDE), {}).severity == "insufficient"


def test_a_column_the_model_does_without_warns_and_never_alarms():
    found = batch(shifted("plain", 1.0)(rows(5000, CHANCE)), BESIDE)
    assert compare(BESIDE, found, {"plain": 0.005, "far": 0.995}).severity == "warn"
    assert compare(BESIDE, found, {"plain": 0.02, "far": 0.98}).severity == "critical"
    heaviest = compare(BESIDE, batch(shifted("far", 0.3)(shifted("plain", 1.0)(rows(5000, CHANCE))), BESIDE),
                       {"plain": 0.1, "far": 0.9})  # fmt: skip
    assert [each.name for each in heaviest.columns[:2]] == ["far", "plain"]


def test_labels_that_are_not_there_yet_alarm_nobody():
    late = batch(rows(5000, CHANCE).with_columns(plain=pl.lit(None, pl.Float64)), BESIDE)
    assert compare(BESIDE, late, {}, labels={"plain"}).severity == "none"


def test_what_the_contract_rejects_is_a_change_too():
    was, now = BESIDE | {"rows_in": 20_500, "rejected": 500}, batch(rows(5000, CHANCE), BESIDE)
    assert compare(was, now | {"rows_in": 5125, "rejected": 125}, {}).severity == "none"
    assert compare(was, now | {"rows_in": 10_000, "rejected": 5000}, {}).because.startswith("rows the contract rejects")
