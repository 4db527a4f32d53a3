from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from tasks.adapters import portraits
from tasks.core.appraisal import realise
from tasks.core.baselines import baselines
from tasks.core.comparison import compare
from tasks.core.evaluation import evaluate
from tasks.core.metrics import merit
from tasks.core.page.wording import as_words
from tasks.core.splitting import folds, split, units
from tasks.core.values import Scorecard
from tasks.errors import Misdeclared
from tasks.workloads import WORKLOADS
from tasks.workloads.demo import tracks as demo
from tasks.workloads.spec import POLARS_TYPES, Holdout
from tasks.workloads.tracks import TRACKS, derive, lead


def row(**values):
    empty = {column.name: pl.Series([None], dtype=POLARS_TYPES[column.type]) for column in TRACKS.columns}
    given = {name: pl.Series([value], dtype=empty[name].dtype) for name, value in values.items()}
    return derive(pl.DataFrame(empty | given).lazy()).collect().row(0, named=True)


@pytest.fixture(scope="module")
def rows():
    """Return demo tracks without their faults, as a training set has them."""
    names = {"release_date": "released_at", "track_name": "track"}
    whole = demo.truth(1_500, 3)["fault"] == ""
    frame = demo.generate(1_500, 3).filter(whole).rename(names).with_row_index("_row")
    typed = [pl.col("released_at").str.to_datetime("%Y-%m-%d", time_zone="UTC"), pl.col("energy").cast(pl.Float64)]
    return derive(frame.with_columns(*typed).lazy()).collect()


def test_features_are_what_their_names_say():
    found = row(duration_ms=90_000.0, tempo=0.0, mode=1, key=7, released_at=datetime(1987, 5, 3, tzinfo=UTC))
    assert (found["minutes"], found["bpm"], found["scale"], found["pitch"]) == (1.5, None, "major", "7")
    assert (found["release_decade"], found["release_month"]) == (1980.0, 5.0)
    assert row(decade=1960)["release_decade"] == 1960.0


def test_every_declared_feature_comes_out_of_derive():
    assert set(TRACKS.feature_names) <= set(row())


def test_no_artist_is_on_both_sides_of_any_split(rows):
    parts = split(TRACKS, rows, TRACKS.target("popularity"))
    sides = [set(rows["artist"][side]) for side in (parts.train, parts.holdout)]
    assert sides[0] and sides[1] and not sides[0] & sides[1]
    train = rows[parts.train]
    for fold in folds(TRACKS, units(TRACKS, train)):
        assert not set(train["artist"][fold.fit]) & set(train["artist"][fold.judge])


@pytest.mark.parametrize(
    ("artist", "whose"),
    [
        ("Drake Featuring WizKid & Kyla", "Drake"),
        (" Quincy  Jones (feat. The Brothers Johnson)", "Quincy Jones"),
        ("The Lox [Featuring DMX & Lil' Kim]", "The Lox"),
        ("Akon ft Eminem", "Akon"),
        ("JAY-Z feat.UGK", "JAY-Z"),
        ("Little Feat", "Little Feat"),
        ("Earth, Wind & Fire", "Earth, Wind & Fire"),
        ("Daft Punk", "Daft Punk"),
        (None, None),
    ],
)
def test_a_track_is_whose_name_stands_before_its_guests(artist, whose):
    assert pl.select(lead(pl.lit(artist, pl.String))).item() == whose


def test_guests_and_spelling_move_no_track_to_the_other_side(rows):
    guest = [None, " Featuring Guest {}", " (feat. Guest {})", " FT. Guest {}"]
    told = [
        artist + (guest[row % 4] or "").format(row) if row % 3 else f" {artist.upper()}"
        for row, artist in enumerate(rows["artist"])
    ]
    spelled = rows.with_columns(artist=pl.Series(told))
    target = TRACKS.target("popularity")
    parts, plain = split(TRACKS, spelled, target), split(TRACKS, rows, target)
    assert (parts.holdout == plain.holdout).all() and (parts.train == plain.train).all()
    assert units(TRACKS, spelled).equals(units(TRACKS, rows))


def test_styles_are_those_of_artists_under_their_commonest_name(rows, monkeypatch):
    artists = ["Ann", "Ann", "ANN", "Ann Featuring Bob", "Ann feat. Carl", *["Dan"] * 5]
    monkeypatch.setattr(portraits, "_learned_from", lambda *_: rows.head(10).with_columns(artist=pl.Series(artists)))
    found = portraits.styles(None, None, replace(TRACKS, likeness=replace(TRACKS.likeness, styles=("artist",))), "dev")
    assert found.select("group", "rows").collect().rows() == [("Ann", 5), ("Dan", 5)]


def test_a_track_without_an_artist_stays_with_itself(rows):
    few = rows.head(2).with_columns(artist=pl.Series([None, "Ann"], dtype=pl.String))
    assert units(TRACKS, few).to_list() == [few["track_id"][0], "ann"]


def test_a_chance_is_judged_by_brier_and_stays_between_zero_and_one(rows):
    target = TRACKS.target("hit")
    winner = Scorecard("hit", "xgboost", {"rounds": 40, "depth": 3, "learning_rate": 0.1}, "scored")
    found = evaluate(TRACKS, rows, target, winner, refit_on_all=False)
    said, judged = found.predictions, found.judged
    assert (
        min(said["low"].min(), said["predicted"].min()) >= 0 and max(said["high"].max(), said["predicted"].max()) <= 1
    )
    assert said["predicted"].equals(said["expected"].alias("predicted"))
    assert judged.mae.value == pytest.approx(((said["actual"] - said["predicted"]) ** 2).mean())
    assert judged.rmse_interval.low < judged.rmse < judged.rmse_interval.high
    assert judged.spearman_interval.value == pytest.approx(judged.spearman)
    assert judged.skill.value > 0 and {"rule", "random"} <= {each.name for each in judged.baselines}
    (sides,) = judged.told
    assert sides.lines[0] == ("rows", f"{judged.rows_trained:,}", f"{judged.rows_holdout:,}", "19.9% held out")
    assert sides.lines[2][0] == "mean hit (chance)" and abs(float(sides.lines[2][3].split()[0])) < 0.02


def test_the_brier_score_rewards_the_true_chance_where_the_absolute_error_would_not():
    actual = np.array([1.0, 0, 0, 0, 0])
    honest, sure = np.full(5, 0.2), np.zeros(5)
    by_brier = [merit(actual, said, said, log=False, chance=True).mae for said in (honest, sure)]
    assert by_brier == pytest.approx([0.16, 0.2])


def test_the_rule_of_thumb_guesses_alike_what_meets_as_many_rules():
    target = replace(TRACKS.target("popularity"), rule=(("energy", "high", 0.5), ("minutes", "low", 4.0)))
    train = pl.DataFrame(
        {"energy": [0.9] * 5 + [0.1] * 5, "minutes": [3.0] * 5 + [9.0] * 5, "popularity": [60.0] * 5 + [20.0] * 5}
    )
    judge = pl.DataFrame({"energy": [0.5, 0.4, 0.9], "minutes": [4.0, 5.0, None]})
    guesses = baselines(replace(TRACKS, group="", targets=(target,)), train, judge, target)
    assert guesses["rule"].tolist() == [60.0, 20.0, 40.0]
    assert set(guesses["random"]) <= {20.0, 60.0}


def test_the_generator_keeps_what_it_says_it_planted():
    planted, frame = demo.truth(3_000, 7), demo.generate(3_000, 7)
    assert set(planted["fault"]) == {"", *demo.FAULTS}
    whole = planted["fault"] == ""
    left = (frame["popularity"] - planted["expected_popularity"]).filter(whole)
    assert abs(left.mean()) < 0.6 and 7.5 < left.std() < 9.5
    assert abs((frame["hit"] - planted["chance_of_hit"]).mean()) < 0.03
    assert frame["track_id"].n_unique() == 3_000 - (planted["fault"] == "duplicate_track").sum() // 2


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"holdout": Holdout(within="label")}, "a holdout within 'label' takes a declared column"),
        ({"holdout": Holdout(goes_by=lead)}, "names no column they are within"),
        ({"targets": (replace(TRACKS.targets[0], rule=(("mood", "high", 1.0),)),)}, "rule on mood"),
    ],
)
def test_a_misdeclared_split_or_rule_fails_with_a_sentence(change, sentence):
    with pytest.raises(Misdeclared, match=sentence):
        replace(TRACKS, **change)


def test_a_champion_and_a_challenger_are_compared_by_the_brier_score():
    actual = np.tile([1.0, 0, 0, 0, 0], 200)
    sure, honest = np.zeros(1_000), np.full(1_000, 0.2)
    told = {"target": "hit", "champion": "old", "margin": 0.02, "confidence": 0.95, "seed": 1}
    assert compare(actual, sure, honest, **told, chance=True).outcome == "better"
    # The absolute error would have kept the one that never says yes.
    assert compare(actual, sure, honest, **told).outcome == "worse"


def test_what_came_true_of_a_chance_is_told_as_its_brier_score():
    rows = pl.DataFrame(
        {
            "entity": [f"t{number}" for number in range(10)],
            "predicted": [0.2] * 10,
            "low": [0.0] * 10,
            "high": [1.0] * 10,
            "actual": [1.0, 1.0, *[0.0] * 8],
            "naive": [0.5] * 10,
        }
    )
    found = realise("hit", rows, (), None, 0.95, chance=True)
    assert found.mae.value == pytest.approx(0.16) and found.skill.value == pytest.approx(1 - 0.16 / 0.25)


def test_no_name_that_pages_show_as_words_breaks_off_in_the_middle():
    named = [feature.name for workload in WORKLOADS.values() for feature in workload.features]
    assert [name for name in named if as_words(name).endswith((" of", " in", " at", " by", " to", " per"))] == []
