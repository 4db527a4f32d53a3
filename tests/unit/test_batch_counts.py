"""A batch is counted at its reference's edges; batches add up to what all their rows together would give."""

from __future__ import annotations

import json
import zlib
from functools import reduce

import numpy as np
import polars as pl
import pytest

from tasks.core.batch_counts import MOST_NEW_VALUES, count_rows, merge, oddities
from tasks.core.profile import build_profile, correlations
from tests.builders import shops, shops_spec

SPEC = shops_spec()
ROWS = shops(2000)
PREDICTED = {"sales": pl.DataFrame({"actual": ROWS["sales"], "predicted": ROWS["visitors"].fill_null(0.0)})}
REFERENCE = json.loads(build_profile(ROWS, SPEC, PREDICTED))


def counted(rows: pl.DataFrame) -> dict:
    found = count_rows(rows, {"sales": rows["sales"]} if "sales" in rows.columns else {}, REFERENCE)
    numeric = [name for name in REFERENCE["spearman"]["columns"] if name in rows.columns]
    return found | {"entities": rows.height, "spearman": correlations(rows.select(numeric))}


def test_two_batches_add_up_to_what_all_their_rows_give():
    rows = shops(900, seed=5)
    whole, parts = counted(rows), merge(counted(rows[:300]), counted(rows[300:]))
    assert (parts["rows"], parts["entities"]) == (900, 900)
    for name, number in whole["numbers"].items():
        for key in ("n", "nulls", "infinite", "min", "max", "counts"):
            assert parts["numbers"][name][key] == number[key]
        assert parts["numbers"][name]["mean"] == pytest.approx(number["mean"])
        assert parts["numbers"][name]["sd"] == pytest.approx(number["sd"])
    assert parts["categories"]["town"]["counts"] == whole["categories"]["town"]["counts"]
    assert parts["targets"]["sales"]["predicted"]["counts"] == whole["targets"]["sales"]["predicted"]["counts"]
    assert parts["spearman"]["matrix"][1][0] == pytest.approx(whole["spearman"]["matrix"][1][0], abs=0.03)


def test_an_empty_batch_changes_no_other_and_is_said_to_be_empty():
    rows = shops(300, seed=5)
    assert merge(counted(rows[:0]), counted(rows))["numbers"] == counted(rows)["numbers"]
    assert [each.code for each in oddities(counted(rows[:0]), REFERENCE)] == ["batch_empty"]


@pytest.mark.parametrize(
    ("change", "codes"),
    [
        (lambda rows: rows.drop("visitors"), ["all_missing"]),
        (lambda rows: rows.with_columns(more=1), []),
        (lambda rows: rows.with_columns(area=pl.lit(float("nan"))), ["all_missing"]),
        (lambda rows: rows.with_columns(area=pl.lit(float("inf"))), ["infinite", "all_missing"]),
        (lambda rows: rows.with_columns(area=pl.lit(7.0)), ["constant"]),
        (lambda rows: rows.with_columns(area=pl.lit("seven")), ["all_missing"]),
        (lambda rows: rows.with_columns(area=pl.col("area").cast(pl.String)), []),
        (lambda rows: rows.with_columns(town=pl.int_range(pl.len()).cast(pl.String)), ["new_values"]),
        (lambda rows: rows.with_columns(town=pl.int_range(pl.len())), ["new_values"]),
        (lambda rows: rows.with_columns(town=pl.lit(None, pl.String)), ["all_missing"]),
    ],
)
def test_whatever_is_wrong_with_a_batch_is_counted_and_said(change, codes):
    found = count_rows(change(shops(300, seed=5)), {}, REFERENCE)
    assert [each.code for each in oddities(found, REFERENCE)] == codes
    assert found["rows"] == 300


def test_a_hundred_thousand_new_values_stay_small():
    rows = pl.DataFrame({"town": [f"town {number}" for number in range(100_000)]})
    found = count_rows(rows, {}, REFERENCE)["categories"]["town"]
    assert (len(found["counts"]), found["other"], found["new"]) == (MOST_NEW_VALUES, 99_950, 100_000)


def test_new_values_that_come_again_in_every_part_are_counted_once():
    same = [count_rows(pl.DataFrame({"town": [f"new {number}" for number in range(3)]}), {}, REFERENCE)] * 40
    assert "new_values" not in {each.code for each in oddities(reduce(merge, same), REFERENCE)}
    other = [count_rows(pl.DataFrame({"town": [f"new {number}"] * 2}), {}, REFERENCE) for number in range(60)]
    (found,) = [each for each in oddities(reduce(merge, other), REFERENCE) if each.code == "new_values"]
    assert found.count == 60


def test_a_reference_of_thirty_columns_stays_below_a_hundred_kilobytes():
    chance, rows = np.random.default_rng(3), 60_000
    columns = {
        **{f"n{place}": chance.normal(size=rows) for place in range(10)},
        **{f"l{place}": chance.lognormal(10, 1, size=rows) for place in range(10)},
        **{f"c{place}": chance.integers(0, 5 * 10 ** (place % 4), rows).astype(str) for place in range(10)},
    }
    features = [feature(name) for name in columns]
    spec = shops_spec(features=tuple(features), slices=(), always_known=(), group="")
    rows_of = pl.DataFrame({**columns, "sales": columns["l0"]})
    taught = {"sales": pl.DataFrame({"actual": columns["l0"], "predicted": columns["l1"]})}
    assert len(zlib.compress(build_profile(rows_of, spec, taught))) < 100_000


def feature(name: str):
    from tasks.workloads.spec import Feature

    return Feature(name, "category" if name.startswith("c") else "float", name)
