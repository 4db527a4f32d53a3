from __future__ import annotations

import json
import zlib

import numpy as np
import polars as pl
import pytest
from scipy.stats import spearmanr

from tasks.core.profile import MOST_VALUES, build_profile, profile_category, profile_number
from tasks.workloads.channels import CHANNELS


def rows(n: int = 500, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    numbers = {f.name: np.exp(draw.normal(size=n)) for f in CHANNELS.features if f.type == "float"}
    texts = {f.name: draw.choice(["Music", "Comedy", "Gaming"], n) for f in CHANNELS.features if f.type == "category"}
    targets = {t.column: np.exp(draw.normal(size=n)) for t in CHANNELS.targets}
    return pl.DataFrame({**numbers, **texts, **targets, "channel": [f"secret {i}" for i in range(n)]})


PREDICTED = {"growth": pl.DataFrame({"actual": [1.0, 3.0, None], "predicted": [2.0, 1.0, 5.0]})}


def test_a_small_column_is_counted_by_hand():
    found = profile_number(pl.Series([1.0, 2.0, 3.0, 4.0, None, float("nan"), float("inf")]), most_bins=4)
    assert (found["n"], found["nulls"], found["infinite"]) == (4, 2, 1)
    assert found["edges"] == [1.0, 2.0, 3.0]
    assert found["counts"] == [1, 1, 1, 1]
    assert found["mean"] == 2.5
    assert found["sd"] == pytest.approx(1.2909944487)
    assert (found["min"], found["max"]) == (1.0, 4.0)


def test_a_value_many_rows_share_is_one_edge_and_counts_stay_exact():
    found = profile_number(pl.Series([0] * 90 + list(range(1, 11))))
    assert sum(found["counts"]) == 100
    assert found["edges"][0] == 0
    assert found["counts"][0] == 90


@pytest.mark.parametrize("values", [[], [None, None], [5.0], [5.0, 5.0]])
def test_empty_and_constant_columns_are_profiled(values):
    found = profile_number(pl.Series(values, dtype=pl.Float64))
    assert sum(found["counts"]) == found["n"]
    assert len(found["counts"]) == len(found["edges"]) + 1


def test_bins_add_up_over_batches():
    whole = np.random.default_rng(1).normal(size=400)
    found = profile_number(pl.Series(whole))
    parts = [np.diff([0, *np.searchsorted(np.sort(p), found["edges"], "right"), len(p)]) for p in np.split(whole, 4)]
    assert np.sum(parts, axis=0).tolist() == found["counts"]
    assert len(found["counts"]) == 50


def test_rare_values_beyond_the_commonest_are_counted_as_other():
    values = [f"v{i:03}" for i in range(MOST_VALUES + 10)] + ["v000", None]
    found = profile_category(pl.Series(values))
    assert found["counts"]["v000"] == 2
    assert (len(found["counts"]), found["other"], found["distinct"], found["nulls"]) == (200, 10, 210, 1)


def test_rank_correlations_agree_with_scipy_on_the_rows_where_both_are_known():
    frame = rows().with_columns(age_years=pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise("age_years"))
    found = json.loads(build_profile(frame, CHANNELS, {}))["spearman"]
    i, j = found["columns"].index("views_total"), found["columns"].index("age_years")
    known = frame.drop_nulls("age_years")
    wanted = spearmanr(known["views_total"].to_numpy(), known["age_years"].to_numpy()).statistic
    assert found["matrix"][max(i, j)][min(i, j)] == pytest.approx(wanted, abs=1e-6)


def test_predictions_and_residuals_are_profiled_per_target():
    found = json.loads(build_profile(rows(), CHANNELS, PREDICTED))["targets"]["growth"]
    assert found["predicted"]["n"] == 3
    assert found["residual"]["mean"] == 0.5  # (1 − 2 + 3 − 1) / 2
    assert found["residual"]["n"] == 2


def test_the_same_rows_give_the_same_bytes_and_the_bytes_are_small_and_hold_no_row():
    one, two = (build_profile(rows(), CHANNELS, PREDICTED) for _ in range(2))
    assert one == two
    assert json.loads(one)["format"] == 1
    assert len(zlib.compress(one)) < 100_000
    assert b"secret" not in one


def test_a_column_the_rows_lack_is_left_out():
    found = json.loads(build_profile(rows().drop("views_total", "category"), CHANNELS, {}))
    assert "views_total" not in found["numbers"]
    assert "category" not in found["categories"]
