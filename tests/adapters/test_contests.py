"""Challenger and champion as real bundles of the same workload: fair, or without a result and with the reason."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from tasks.adapters import bundles, contests, frames
from tasks.adapters.directory import DirectoryStore
from tasks.core.evidence import Evidence
from tasks.errors import Unreachable
from tasks.workloads.spec import Column, Feature, Gate, Holdout
from tests.builders import shops, shops_spec
from tests.contesting import SPEC, Home


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def held_out(evidence: Evidence) -> int:
    return evidence.evaluations[0].rows_holdout


def test_on_the_same_rows_a_model_is_no_worse_than_itself(home):
    challenger = home.learnt(shops(240))
    found = home.compared(challenger, home.champion(shops(240)))
    assert (found.outcome, found.rows, found.reason) == ("non_inferior", held_out(challenger), "")
    assert (found.change.low, found.change.high) == (0.0, 0.0)


def test_a_champion_refitted_on_all_rows_is_never_compared_on_rows_it_saw(home):
    challenger = home.learnt(shops(240))
    found = home.compared(challenger, home.champion(shops(240), refit=True))
    rows = held_out(challenger)
    assert (found.outcome, found.change, found.rows) == ("inconclusive", None, 0)
    assert found.reason == (
        f"the champion learned from the entities of {rows} of {rows} holdout rows; they are left out; "
        "0 entities are left to compare on, at least 20 are wanted"
    )


def test_a_champion_with_another_holdout_is_compared_on_the_rows_neither_saw(home):
    other = shops_spec(holdout=Holdout(share=0.4, folds=3, repeats=2, seed=8))
    challenger = home.learnt(shops(400))
    found = home.compared(challenger, home.champion(shops(400), other))
    assert 20 <= found.rows < held_out(challenger)
    assert found.reason == (
        f"the champion learned from the entities of {held_out(challenger) - found.rows} of {held_out(challenger)} "
        "holdout rows; they are left out"
    )


def test_entities_the_champion_never_met_are_fair_even_to_one_refitted_on_all_rows(home):
    fresh = shops(240, seed=2).with_columns(shop=pl.col("shop") + " of next year")
    challenger = home.learnt(fresh)
    found = home.compared(challenger, home.champion(shops(240), refit=True))
    assert found.rows == held_out(challenger)
    assert found.change is not None


RENAMED = shops_spec(
    features=(
        Feature("visitors", "float", "visitors"),
        Feature("floor_area", "float", "floor area"),
        Feature("town", "category", "town"),
    ),
    columns=tuple(replace(each, name="floor_area") if each.name == "area" else each for each in SPEC.columns),
    slices=(),
    always_known=("town",),
)


def test_a_champion_of_other_features_answers_the_rows_it_was_given_itself(home):
    challenger = home.learnt(shops(240).rename({"area": "floor_area"}), RENAMED)
    found = home.compared(challenger, home.champion(shops(240)), RENAMED)
    assert (found.rows, found.reason) == (held_out(challenger), "")
    assert found.outcome == "non_inferior"


def test_a_champion_of_other_features_is_inconclusive_where_it_was_given_none_of_the_rows(home):
    fresh = shops(240, seed=2).with_columns(shop=pl.col("shop") + " of next year").rename({"area": "floor_area"})
    challenger = home.learnt(fresh, RENAMED)
    found = home.compared(challenger, home.champion(shops(240)), RENAMED)
    rows = held_out(challenger)
    assert (found.outcome, found.change, found.rows) == ("inconclusive", None, 0)
    assert found.reason == (
        f"the champion was taught other features and not given {rows} of {rows} holdout rows; they are left out; "
        "0 entities are left to compare on, at least 20 are wanted"
    )


def test_a_champion_that_cannot_score_is_inconclusive_and_says_why(home):
    champion, challenger = home.champion(shops(240)), home.learnt(shops(240))
    rows = frames.read(home.store, challenger.training_set.rows).drop("area")
    poorer = replace(challenger.training_set, rows=frames.keep(home.store, rows, home.folder, "poorer"))
    found = home.compared(replace(challenger, training_set=poorer), champion)
    assert (found.outcome, found.change) == ("inconclusive", None)
    assert found.reason.startswith("the champion could not be asked: ") and "area" in found.reason


def test_a_damaged_champion_is_inconclusive_and_stops_nothing(home):
    champion = home.champion(shops(240))
    challenger = home.learnt(shops(240, seed=3))
    path = home.store.local_path(bundles.bundle_key("shops", champion.version))
    path.write_bytes(path.read_bytes()[:-50])
    found = home.compared(challenger, champion)
    assert found.outcome == "inconclusive" and "HomeDamaged" in found.reason


def test_every_slice_the_challenger_was_judged_on_is_compared_and_the_odds_are_stated(home):
    challenger = home.learnt(shops(400))
    found = home.compared(challenger, home.champion(shops(400)))
    judged = {(each.slice, each.label) for each in challenger.evaluations[0].slices}
    compared = {(each.slice, each.label) for each in found.slices}
    assert compared and compared <= judged
    assert found.units == found.rows and found.odds.trials == 400


def test_rows_that_follow_one_another_are_compared_by_blocks_of_time(home):
    hour = pl.datetime(2026, 1, 1, time_zone="UTC") + pl.duration(hours=pl.col("_row"))
    rows = shops(400).with_columns(seen_at=hour)
    champion, challenger = home.champion(rows), home.learnt(rows)
    daily, weekly = (shops_spec(holdout=replace(SPEC.holdout, block_hours=hours)) for hours in (8, 168))
    found = home.compared(challenger, champion, daily)
    assert 20 <= found.units <= 51 < found.rows
    few = home.compared(challenger, champion, weekly)
    assert few.change is None and few.reason.endswith("blocks of time are left to compare on, at least 20 are wanted")


def test_by_time_a_champion_is_compared_on_what_came_after_all_it_learned_from(home):
    by_time = shops_spec(holdout=Holdout(share=0.25, folds=3, repeats=1, block_hours=8, by="time"))
    hour = pl.datetime(2026, 1, 1, time_zone="UTC") + pl.duration(hours=pl.col("_row"))
    rows = shops(800).with_columns(seen_at=hour, shop=pl.concat_str(pl.lit("shop "), pl.col("_row") % 5))
    old, challenger = rows.head(640), home.learnt(rows, by_time)
    found = home.compared(challenger, home.champion(old, by_time), by_time)
    assert (found.rows, found.reason) == (held_out(challenger), "")
    late = home.compared(challenger, home.champion(old, by_time, refit=True), by_time)
    assert found.rows > late.rows == 160
    assert late.reason == (
        f"the champion learned from the time of {found.rows - 160} of {found.rows} holdout rows; they are left out"
    )


def test_a_champion_parted_by_spelling_has_learned_from_an_owner_it_met_under_any(home):
    named = Column("owner", "text", "whose it is")
    before = shops_spec(columns=(*SPEC.columns, named), holdout=replace(SPEC.holdout, share=0.4, within="owner"))
    spec = replace(before, holdout=replace(before.holdout, goes_by=lambda name: name.str.replace(" with .*", "")))
    guest = pl.when(pl.col("_row") % 2 == 0).then(pl.lit(" with a friend")).otherwise(pl.lit(""))
    rows = shops(400).with_columns(owner=pl.concat_str(pl.lit("Owner "), pl.col("_row") // 4, guest))
    kept = frames.read(home.store, home.learnt(rows, before).evaluations[0].predictions)["row"]
    learned = set(rows.filter(~pl.col("_row").is_in(kept.implode()))["owner"].str.replace(" with .*", ""))
    challenger, champion = home.learnt(rows, spec), home.champion(rows, before)
    fair = contests.side_by_side(home.store, home.keys, spec, Gate(), challenger, champion, ["sales"])["sales"]
    held = rows.filter(pl.col("_row").is_in(frames.read(home.store, challenger.evaluations[0].predictions)["row"]))
    owners = set(held["owner"].str.replace(" with .*", ""))
    assert set(fair["entity"]) == {owner.lower() for owner in owners - learned} and owners & learned


def test_a_target_the_champion_does_not_serve_is_not_compared(home):
    champion = replace(home.champion(shops(240)), serves=())
    assert contests.held_against(home.store, home.keys, SPEC, Gate(), home.learnt(shops(240)), champion) == ()


class Silent(DirectoryStore):
    """A store that does not answer."""

    def open(self, key, start=0):
        raise Unreachable("the store did not answer")


def test_a_store_that_does_not_answer_is_asked_again_and_decides_nothing(home):
    challenger, champion = home.learnt(shops(240)), home.champion(shops(240))
    silent = Silent(home.store.root)
    with pytest.raises(Unreachable):
        contests.held_against(silent, home.keys, SPEC, Gate(), challenger, champion)
