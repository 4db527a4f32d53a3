"""Whether the LSTM knows more of generated looks than the last value does, on rows it answers itself."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks.core.models import label_unit, learn
from tasks.core.reading import EXTRA, SHORT, match_columns, typed
from tasks.core.training import training_rows
from tasks.workloads.demo.video_stats import generate, truth
from tasks.workloads.spec import Candidate
from tasks.workloads.video_stats import VIDEO_STATS


@pytest.fixture(scope="module")
def looks() -> pl.DataFrame:
    """Return generated looks without their faults, oldest first, as a training set has them."""
    frame = generate(4_000, 7).filter(truth(4_000, 7)["fault"] == "")
    places = match_columns(frame.columns, VIDEO_STATS.columns, "generated looks").positions
    raw = frame.select(*(pl.nth(place).alias(name) for name, place in places.items()))
    absent = (pl.lit(None, pl.String).alias(each.name) for each in VIDEO_STATS.columns if each.name not in places)
    raw = raw.with_columns(*absent, pl.lit(False).alias(SHORT), pl.lit(False).alias(EXTRA))
    read = typed(raw, VIDEO_STATS.columns).frame.with_row_index("_row")
    return VIDEO_STATS.derive(read.lazy()).collect().sort("observed_at")


def alone() -> Candidate:
    """Return the LSTM that learns one target, as it is declared."""
    return next(each for each in VIDEO_STATS.candidates if each.algorithm == "lstm" and "joint" not in each.params)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["views", "likes", "comments"])
def test_of_rows_it_answers_the_lstm_is_nearer_than_the_last_value(looks, name):
    target = VIDEO_STATS.target(name)
    rows = training_rows(VIDEO_STATS, looks, target)
    seen, later = rows[: rows.height * 3 // 4], rows[rows.height * 3 // 4 :]
    unit = label_unit(target, seen[name].cast(pl.Float64).to_numpy())
    learned = learn(VIDEO_STATS, seen, target, alone(), unit=unit)
    own = later.filter(pl.Series(learned.scored_by(later)) == "lstm")
    counts, last = own[name].to_numpy(), own[f"previous_{name}"].to_numpy()
    missed = np.abs(learned.scale.label(learned.link(own)) - counts).mean()
    # Its error over the last value's, MASE; it comes to 0.43, 0.49 and 0.61.
    assert own.height > 300 and missed / np.abs(last - counts).mean() < 0.8
