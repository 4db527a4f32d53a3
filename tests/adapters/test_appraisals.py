"""Days of a real champion and what came true of them: matched, counted, kept once, replaced as a whole."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from tasks.adapters import actuals, appraisals, frames, predictions, shadows
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.predictions import SCORED, Day
from tasks.adapters.worth import teacher
from tasks.core.appraisal import ratio
from tasks.core.partitions import Table, partition_key
from tasks.core.shadow import Cycle
from tasks.errors import BadRequest, SourceUnusable
from tasks.workloads.spec import Gate
from tests.builders import shops, shops_spec
from tests.contesting import SPEC, Home
from tests.scored_days import ROWS, RUN, TRUTH


@pytest.fixture
def home(learnt):
    return learnt.anew()


def test_before_any_label_the_error_is_stated_and_afterwards_it_stands_beside_the_realised_one(home):
    before, news = home.appraise()
    assert news and before.realised == () and before.because == "no truth is known yet"
    (stated,) = before.expected
    assert stated.rows == 300
    after, news = home.appraise(home.arrive(TRUTH))
    (found,) = after.realised
    assert news and after.expected == () and (found.rows, found.entities) == (300, 300)
    assert found.stated == stated.mae and not found.surprising
    said = predictions.rows(home.store, home.day).select("sales", "sales_low", "sales_high").collect()
    assert found.mae.value == pytest.approx((said["sales"] - TRUTH["sales"]).abs().mean())
    held = TRUTH["sales"].is_between(said["sales_low"], said["sales_high"]).mean()
    assert found.coverage.value == pytest.approx(held)
    assert 0.4 < found.skill.value < 1 and after.below is False
    assert after.age_days == (datetime(2026, 11, 20) - datetime(2026, 1, 1)).days


def test_rows_that_resemble_each_other_across_entities_are_drawn_as_one(home):
    spec = replace(SPEC, holdout=replace(SPEC.holdout, within="town"))
    of = teacher(home.store, home.keys, spec, home.entry.version)
    arrived = home.arrive(TRUTH)
    made, _ = appraisals.appraise(home.store, home.signer, home.keys, spec, of, home.day, arrived, home.folder)
    (found,) = made.realised
    said = predictions.rows(home.store, home.day).select("sales").collect()["sales"]
    # A shop whose town is not known stands for itself.
    towns = ROWS.select(entity=pl.coalesce("town", "shop"), error=(said - TRUTH["sales"]).abs(), one=pl.lit(1.0))
    assert found.entities == towns["entity"].n_unique() == 4 + ROWS["town"].null_count()
    by_town = ratio(towns, "error", "one", spec.gate.confidence)
    assert (found.mae.low, found.mae.high) == (pytest.approx(by_town.low), pytest.approx(by_town.high))
    alone = teacher(home.store, home.keys, SPEC, home.entry.version).promises["sales"]
    assert len(of.promises["sales"].pulls) < len(alone.pulls)


def test_what_another_version_answered_in_an_experiment_is_no_error_of_the_champion(home):
    rows = predictions.rows(home.store, home.day).with_row_index("place").collect()
    other = pl.col("place") % 2 == 1
    mixed = rows.with_columns(
        model_version=pl.when(other).then(pl.lit("other")).otherwise("model_version"),
        sales=pl.when(other).then(1e12).otherwise("sales"),
    )
    blob = frames.keep(home.store, mixed.drop("place"), home.folder, "mixed")
    day = Day(replace(home.day.about, experiment="1-shops-dev"), {SCORED: Table((blob,), 300)})
    (found,) = home.appraise(home.arrive(TRUTH), day=day)[0].realised
    assert found.rows == 150 and found.mae.value < 1e6


def test_every_slice_is_there_with_all_of_its_rows(home):
    (found,) = home.appraise(home.arrive(TRUTH))[0].realised
    assert {each.slice for each in found.slices} == {"town", "size"}
    assert sum(each.rows for each in found.slices if each.slice == "town") == 300
    assert {each.label for each in found.slices if each.slice == "size"} == {"small", "large"}


def test_a_target_that_has_a_value_before_is_held_against_it_too(home):
    spec = replace(SPEC, targets=tuple(replace(each, previous="visitors") for each in SPEC.targets))
    of = teacher(home.store, home.keys, SPEC, home.entry.version)
    arrived = home.arrive(TRUTH)
    made, _ = appraisals.appraise(home.store, home.signer, home.keys, spec, of, home.day, arrived, home.folder)
    assert [(each.target, each.rows) for each in made.realised] == [("sales", 300)]


def test_the_same_actuals_again_change_nothing_and_more_of_them_replace_the_record(home):
    first = home.arrive(TRUTH[:200], "first")
    made, _ = home.appraise(first)
    kept = home.record
    assert home.appraise(first) == (made, False)
    assert (made.realised[0].rows, made.expected[0].rows) == (200, 100)
    more, news = home.appraise(home.arrive(TRUTH, "more"))
    assert news and [each.labels for each in more.arrivals] == [200, 100] and more.late == 100
    assert more.realised[0].rows == 300 and home.record != kept
    assert home.appraise(first) == (more, False)


def test_a_label_said_anew_counts_as_it_was_said_last(home):
    home.appraise(home.arrive(TRUTH, "first"))
    other = TRUTH[:10].with_columns(pl.col("sales") * 100)
    made, _ = home.appraise(home.arrive(other, "other"))
    assert (made.arrivals[-1].labels, made.arrivals[-1].revised) == (0, 10)
    assert made.realised[0].rows == 300 and made.realised[0].mae.value > 1000


def test_killed_before_the_record_it_ends_in_the_same_bytes(home):
    one, two = home.arrive(TRUTH[:200], "first"), home.arrive(TRUTH, "more")
    home.appraise(one), home.appraise(two)
    whole = home.record
    home.store.delete(partition_key(appraisals.KIND, "shops", "2026-11-20", "dev"))
    home.appraise(), home.appraise(one), home.appraise(two)
    assert home.record == whole


def test_a_day_scored_anew_is_appraised_anew_with_the_labels_known(home):
    home.appraise(home.arrive(TRUTH))
    again = home.score("2026-11-20", ROWS[:250], run="fedcba9876543210")
    made, news = home.appraise(day=again)
    assert news and made.realised[0].rows == 250 and made.run == "fedcba9876543210"


def test_what_is_repeated_empty_or_of_nobody_is_counted(home):
    messy = pl.concat([
        TRUTH[:5],
        TRUTH[:2].with_columns(sales=1.0),
        pl.DataFrame({"shop": ["shop 7", None, "nobody"], "sales": [None, 5.0, 5.0]}),
    ])  # fmt: skip
    found = home.arrive(messy, "messy")
    assert (found.rows_in, found.rows, found.repeated, found.empty) == (10, 6, 2, 2)
    answered = appraisals.answering(home.store, SPEC, home.day, found)
    assert answered["shop"].to_list() == [f"shop {number}" for number in range(5)]
    assert answered["sales"].to_list()[:2] == [1.0, 1.0]


def test_labels_of_another_time_are_of_other_rows_and_without_times_they_go_by_entity(home):
    later = home.arrive(TRUTH, "later", datetime(2026, 2, 1, tzinfo=UTC))
    assert appraisals.answering(home.store, SPEC, home.day, later).is_empty()
    undated = home.arrive(TRUTH, "undated", None)
    assert not undated.by_time and later.by_time
    assert appraisals.answering(home.store, SPEC, home.day, undated).height == 300


def test_a_champion_whose_world_changed_is_below_its_floor(home):
    made, _ = home.appraise(home.arrive(TRUTH.with_columns(pl.col("sales") * 3), "tripled"))
    assert made.below and made.realised[0].surprising
    assert "wanted at most" in made.because


def test_too_few_labels_judge_nobody(home):
    made, _ = home.appraise(home.arrive(TRUTH[:60].with_columns(pl.col("sales") * 3), "few"), gate=Gate())
    assert made.below is None and made.realised[0].surprising
    assert made.because == "sales: 60 labels of 60 entities, wanted 100 labels of 20 entities"


def test_a_challenger_in_the_shadow_stands_on_the_same_rows(home):
    kept = frames.keep(home.store, ROWS.drop("sales"), home.folder, "scored")
    table = home.answered(kept, 300, home.bundle, "another")
    cycle = Cycle("shops", "dev", "2026-11-20", RUN, "s", home.entry.version, "new-1", 300, (), ())
    shadows.keep(home.store, home.signer, cycle, table)
    (found,) = home.appraise(home.arrive(TRUTH))[0].beside
    assert (found.version, found.rows, found.change.value) == ("new-1", 300, 0.0)
    shadows.keep(home.store, home.signer, replace(cycle, run="of another scoring"), table)
    made, news = home.appraise()
    assert news and made.beside == () and made.realised[0].rows == 300


def test_a_day_published_in_another_store_is_appraised_from_here_even_when_that_store_is_gone(home, tmp_path):
    there, trust = DirectoryStore(tmp_path / "there"), home.signer.trust()
    day = replace(home.day, about=replace(home.day.about, date="2026-11-19", run="fedcba9876543210"))
    predictions.publish(there, home.signer, day, source=home.store, replaces="")
    assert predictions.keep(home.store, home.signer, day) and not predictions.keep(home.store, home.signer, day)
    shutil.rmtree(tmp_path / "there")
    assert predictions.days(home.store, "shops", "dev", predictions.ANYWHERE) == ("2026-11-19", "2026-11-20")
    # Whoever acts on predictions reads those that were published here.
    assert predictions.days(home.store, "shops", "dev") == ("2026-11-20",)
    with pytest.raises(BadRequest, match="of 2026-11-19 are published"):
        predictions.read(home.store, trust, "shops", "dev", "2026-11-19")

    def appraise_all(only=None):
        given = home.store, home.signer, home.keys, SPEC, home.entry, home.arrive(TRUTH), only, home.folder
        return appraisals.appraise_all(*given)

    assert appraise_all("2026-11-19").changed == ("2026-11-19",)
    found = appraise_all()
    assert found.changed == ("2026-11-20",) and [each.realised[0].rows for each in found.known] == [300, 300]
    here = home.score("2026-11-19", ROWS[:250])
    assert predictions.read(home.store, trust, "shops", "dev", "2026-11-19") == here


def test_a_source_that_says_nothing_is_refused_in_one_sentence(home, tmp_path):
    with pytest.raises(BadRequest, match="there are no actuals at"):
        actuals.read(home.store, SPEC, tmp_path / "nowhere.csv", tmp_path, None)
    with pytest.raises(SourceUnusable, match=r"none of the 300 rows .* names a shop and a value of sales"):
        home.arrive(TRUTH.with_columns(pl.lit(None).alias("sales")), "blank")


def test_a_workload_without_a_group_or_slices_is_appraised_too(tmp_path):
    spec = shops_spec(group="", slices=(), targets=SPEC.targets)
    home = Home(tmp_path)
    entry = home.champion(shops(400), spec)
    of = teacher(home.store, home.keys, spec, entry.version)
    assert of.naive.keys() == {"sales"} and of.promises["sales"] is not None
