"""Groups parted so that both sides are alike: by hand on a few, and against the plain split on many."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tasks.core.splitting import in_holdout, split, units
from tasks.core.strata import kept, sides, strata
from tasks.workloads.tracks import TRACKS

REAL = Path(os.environ.get("GREENLIGHT_TEST_DATA", "/nowhere")) / "tracks/spotify_hit_predictor_1960_2019.csv.gz"
SEEDS = range(4)


def demo(rows=6_000):
    made = TRACKS.generate(rows, 3).filter(pl.col("artist").is_not_null())
    return made.with_columns(pl.col("popularity").clip(0, 100)), "popularity"


def public():
    if not REAL.exists():
        pytest.skip(f"{REAL} is not there; GREENLIGHT_TEST_DATA names the folder of real data")
    found = pl.read_csv(REAL, columns=["uri", "artist", "target"]).unique("uri", keep="first", maintain_order=True)
    return found.rename({"uri": "track_id", "target": "hit"}), "hit"


def seeded(seed):
    return replace(TRACKS, holdout=replace(TRACKS.holdout, seed=seed))


def stratified(spec, rows, target):
    found = np.zeros(rows.height, dtype=bool)
    found[split(spec, rows, spec.target(target)).holdout] = True
    return found


def apart(rows, label, held):
    """Return how far both sides are apart: in share, in mean label (standard deviations), by size of artist."""
    values = rows[label].cast(pl.Float64).to_numpy()
    size = rows.select(pl.len().over(units(TRACKS, rows)).log(2).floor().clip(0, 5)).to_series().to_numpy()
    by_size = [(size[held] == each).mean() - (size[~held] == each).mean() for each in np.unique(size)]
    mean = (values[held].mean() - values[~held].mean()) / values.std()
    return held.mean() - TRACKS.holdout.share, mean, np.abs(by_size).sum() / 2


def test_groups_fall_into_classes_of_size_and_within_one_into_bands_of_their_mean_label():
    groups = pl.Series([*"abcde", *"ffgg", *["h"] * 40])
    label = pl.Series([1.0, 2, 3, 4, 4, *[1, 3], *[5, 5], *[0] * 40])
    found = {name: (rows, size, band) for name, rows, _, size, band in strata(groups, label).iter_rows()}
    assert [found[name] for name in "abcde"] == [(1, 0, 0), (1, 0, 1), (1, 0, 2), (1, 0, 3), (1, 0, 3)]
    assert (found["f"], found["g"], found["h"]) == ((2, 1, 0), (2, 1, 2), (40, 5, 0))


def test_of_each_stratum_the_lowest_draws_are_kept_and_the_next_makes_up_for_what_it_took():
    found = pl.DataFrame({"_group": list("abcdefg"), "_rows": [4, 4, 1, 1, 1, 1, 1]})
    found = found.with_columns(_label=pl.lit(0.0), _size=pl.col("_rows") // 2, _band=0)
    draws = np.array([0.9, 0.1, 0.5, 0.4, 0.3, 0.2, 0.1])
    # Of 8 rows 3.2 are wanted and 4 taken; of 5 rows then 2 - 0.8 are wanted and 1 is taken.
    assert kept(found, draws, 0.4).to_list() == ["b", "g"]


def test_between_two_numbers_of_rows_the_labels_decide():
    found = pl.DataFrame({"_group": list("abcde"), "_label": [0.0, 0, 1, 0, 1]})
    found = found.with_columns(_rows=pl.lit(1), _size=0, _band=0)
    # Two rows and a half are wanted: three of them hold half of the labels, two of them nothing.
    assert kept(found, np.arange(5) / 10, 0.5).to_list() == ["a", "b", "c"]


@pytest.mark.parametrize("source", [demo, public])
def test_both_sides_are_more_alike_than_by_a_hash_of_the_artist_alone(source):
    rows, label = source()
    found = [
        [apart(rows, label, held) for held in (in_holdout(units(spec, rows), spec), stratified(spec, rows, label))]
        for spec in map(seeded, SEEDS)
    ]
    plain, alike = np.sqrt(np.mean(np.square(found), axis=0))
    assert (alike < [0.002, 0.005, 0.04]).all()
    assert (alike < plain * [0.1, 0.1, 0.5]).all(), (plain, alike)


def test_no_artist_of_the_public_file_is_on_both_sides_with_guests_or_without():
    rows, label = public()
    parts = split(TRACKS, rows, TRACKS.target(label))
    whose = rows["artist"].str.to_lowercase().str.replace(r" [(\[]?(featuring|feat\.?) .*$", "").str.strip_chars()
    both = set(whose[parts.train]) & set(whose[parts.holdout])
    assert not both and {"drake", "eminem", "quincy jones"} < set(whose)


def test_new_rows_move_few_artists_and_their_order_none():
    rows, label = demo()
    held = stratified(TRACKS, rows, label)
    assert (stratified(TRACKS, rows.reverse(), label)[::-1] == held).all()
    old = np.random.default_rng(1).random(rows.height) < 0.95
    before = stratified(TRACKS, rows.filter(pl.Series(old)), label)
    assert (held[old] != before).mean() < 0.05


def test_a_row_without_a_label_is_on_no_side_and_no_artist_is_on_both():
    rows, label = demo(1_500)
    rows = rows.with_columns(pl.when(pl.int_range(pl.len()) % 3 > 0).then(label).alias(label))
    parts = split(TRACKS, rows, TRACKS.target(label))
    assert rows[label].gather(np.concatenate([parts.train, parts.holdout])).null_count() == 0
    assert not set(rows["artist"].gather(parts.train)) & set(rows["artist"].gather(parts.holdout))
    assert parts.holdout.size / (parts.train.size + parts.holdout.size) == pytest.approx(0.2, abs=0.01)


def test_what_is_told_of_both_sides_is_what_they_are():
    groups, label = pl.Series(list("aabcd")), pl.Series([1.0, 3, 2, 4, 0])
    told = sides(groups, label, np.array([False, False, False, True, True]), named="artist", unit="popularity (points)")
    assert told.head == ("", "training part", "holdout", "apart")
    assert told.lines == (
        ("rows", "3", "2", "40.0% held out"),
        ("artists", "2", "2", "0 on both sides"),
        ("mean popularity (points)", "2", "2", "+0.000 sd"),
        ("of artists of 1 row", "33.3%", "100.0%", "+66.7 points"),
        ("of artists of 2 to 3 rows", "66.7%", "0.0%", "-66.7 points"),
    )
