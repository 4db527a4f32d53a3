"""The nearest of 57,718 tracks: the bundle's index against looking at every track, in CPU seconds on one thread.

Told, not asserted: milliseconds. Asserted: what the index finds, and that it is no slower than what it replaces.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from tasks.core import likeness
from tasks.workloads.tracks import TRACKS, derive

TRACKS_KNOWN = 57_718
QUERIES = 400
TYPED = [pl.col("release_date").str.to_datetime("%Y-%m-%d", time_zone="UTC").alias("released_at")]


@pytest.mark.slow
def test_the_index_finds_what_brute_force_finds_and_sooner(capsys: pytest.CaptureFixture[str]) -> None:
    whole = [*TYPED, pl.col("energy").cast(pl.Float64, strict=False), pl.col("track_name").alias("track")]
    rows = derive(TRACKS.generate(TRACKS_KNOWN, 7).with_columns(*whole).lazy()).collect()
    assert TRACKS.likeness is not None
    began = time.process_time()
    made = likeness.find_likeness(rows, TRACKS.likeness, TRACKS.entity, 7)
    built = time.process_time() - began
    read = likeness.from_files(likeness.to_files(made))
    places = np.random.default_rng(3).choice(TRACKS_KNOWN, QUERIES, replace=False)
    by_index = _milliseconds(lambda vector: read.nearest(vector, 10), read.vectors[places])
    by_hand = _milliseconds(lambda vector: likeness.exact(read.vectors, vector, 10), read.vectors[places])
    found = likeness.recall(read, places)
    with capsys.disabled():
        print(f"\n{TRACKS_KNOWN:,} tracks: built in {built:.1f} CPU s, recall@10 {found:.4f}, width {read.expansion}")
        for name, taken in (("index", by_index), ("every track", by_hand)):
            print(f"  {name}: p50 {np.quantile(taken, 0.5):.2f} ms, p95 {np.quantile(taken, 0.95):.2f} ms of CPU")
    assert read.expansion > 0 and found >= 0.98
    assert np.sum(by_index) < np.sum(by_hand)


def _milliseconds(ask: Callable[[likeness.Floats32], object], vectors: likeness.Floats32) -> list[float]:
    ask(vectors[0])
    taken = []
    for vector in vectors:
        began = time.process_time()
        ask(vector)
        taken.append(1_000 * (time.process_time() - began))
    return taken
