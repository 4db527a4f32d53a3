"""Days of a real champion and what came true of them: matched, counted, kept once, replaced as a whole."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import actuals, appraisals, frames, partitions, predictions, scoring, serving, shadows, tables
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.predictions import SCORED, Day
from tasks.adapters.scoring import Scorer
from tasks.adapters.signing import service_signer
from tasks.core import tables as core_tables
from tasks.core.partitions import Table, partition_key
from tasks.core.scoring import Scored, Skew
from tasks.core.shadow import Cycle
from tasks.errors import BadRequest, SourceUnusable
from tasks.workloads.spec import Gate, Holdout
from tests.builders import shops, shops_spec
from tests.contesting import SPEC, Home
from tests.stores import at_once

SEEN = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "0123456789abcdef"


class Scoring(Home):
    """A home in whose ring dev days are scored by a champion."""

    def __init__(self, folder):
        super().__init__(folder)
        self.signer = service_signer(self.keys)
        self.entry = self.champion(shops(900))
        self.bundle = serving.opened(self.store, self.keys, self.entry)

    def score(self, date, rows, run=RUN):
        kept = frames.keep(self.store, rows.drop("sales"), self.folder, "scored")
        table = self.answered(kept, rows.height, self.bundle, run)
        about = Scored(
            "shops", "dev", date, run, self.entry.version, self.entry.manifest_digest, 1, kept.digest, ("sales",),
            rows.height, rows.height, 0, (), Skew(0, 0, ()), (),
        )  # fmt: skip
        self.day = Day(about, {SCORED: table})
        stood = partitions.standing(self.store, predictions.KIND, "shops", date, "dev")
        predictions.publish(self.store, self.signer, self.day, source=self.store, replaces=stood)
        return self.day

    def answered(self, kept, rows, bundle, run):
        scorer = Scorer(SPEC, bundle, ("sales",), run)
        return scoring.score(self.store, self.signer, scorer, kept, rows, self.folder).table

    def arrive(self, rows, name="actuals", observed_at=SEEN):
        path = self.folder / f"{name}.csv"
        rows.write_csv(path)
        return actuals.read(self.store, SPEC, path, self.folder, observed_at)

    def appraise(self, arrived=None, day=None, gate=SPEC.gate):
        of = appraisals.teacher(self.store, self.keys, SPEC, self.entry.version)
        spec = replace(SPEC, gate=gate)
        return appraisals.appraise(self.store, self.signer, self.keys, spec, of, day or self.day, arrived, self.folder)

    @property
    def record(self):
        return (self.folder / "store" / partition_key(appraisals.KIND, "shops", "2026-11-20", "dev")).read_bytes()


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A scored day of 300 shops; tests that write a record of it are content with its being replaced."""
    made = Scoring(tmp_path_factory.mktemp("appraised"))
    made.score("2026-11-20", ROWS)
    return made


@pytest.fixture
def home(learnt):
    key = partition_key(appraisals.KIND, "shops", "2026-11-20", "dev")
    others = (each for kind in predictions.ANYWHERE for each in learnt.store.list(f"{kind}/shops/"))
    for each in (key, *others):
        learnt.store.delete(each)
    learnt.score("2026-11-20", ROWS)
    return learnt


ROWS = shops(300, seed=3)
TRUTH = ROWS.select("shop", "sales")


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
    of = appraisals.teacher(home.store, home.keys, SPEC, home.entry.version)
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
    of = appraisals.teacher(home.store, home.keys, spec, entry.version)
    assert of.naive.keys() == {"sales"} and of.promises["sales"] is not None


def told(home, name, spec=SPEC):
    heights = tables.of_scored_days(home.store, home.signer, home.keys, spec, home.folder)
    found = pl.read_parquet(home.store.local_path(tables.table_key("shops", name)))
    assert heights[name] == found.height
    return found


def test_a_table_of_predictions_has_each_scored_row_and_its_truth_once_that_has_come(home):
    before = told(home, "predictions")
    assert before.height == 300 and before["actual"].null_count() == 300 and not before["was_learned"].any()
    home.appraise(home.arrive(TRUTH[:200], "first"))
    rows = told(home, "predictions")
    said = predictions.rows(home.store, home.day).collect()
    assert rows["predicted"].to_list() == said["sales"].to_list() and rows["actual"].null_count() == 100
    assert rows["actual"][:200].to_list() == TRUTH["sales"][:200].to_list()
    assert rows.select("ring", "date", "target", "model_version").unique().rows() == [
        ("dev", date(2026, 11, 20), "sales", home.entry.version)
    ]
    worth = told(home, "model_metrics")
    (found,) = worth.rows(named=True)
    errors = (rows["predicted"] - rows["actual"]).drop_nulls().abs()
    held = rows[:200].select(pl.col("actual").is_between("low", "high").mean()).item()
    assert (found["rows"], found["mae"], found["coverage"]) == (200, pytest.approx(errors.mean()), pytest.approx(held))
    # On a log scale, in standard deviations: far from a whole one.
    assert 0 < found["mae_scaled"] < 0.5 and found["mase"] is None
    made = {name: home.store.local_path(tables.table_key("shops", name)) for name in ("predictions", "model_metrics")}
    bytes_made = {name: path.read_bytes() for name, path in made.items()}
    for path in made.values():
        path.unlink()
    told(home, "predictions")
    assert {name: path.read_bytes() for name, path in made.items()} == bytes_made


def test_what_is_scored_again_on_a_later_day_is_in_the_table_once_with_what_came_true(home):
    home.score("2026-11-21", shops(350, seed=3))
    home.score("2026-11-22", shops(350, seed=3))
    rows = told(home, "predictions")
    days = rows.group_by("date").len().sort("date")["len"].to_list()
    assert days == [300, 50] and rows.select("shop", "target").n_unique() == 350
    stages = home.folder / "store" / "stages" / "shops" / "tabulate"
    before = len(list(stages.iterdir()))
    home.appraise(
        home.arrive(TRUTH), day=predictions.read(home.store, home.signer.trust(), "shops", "dev", "2026-11-20")
    )
    assert told(home, "predictions").filter(pl.col("actual").is_not_null()).height == 300
    # What came true of a day makes no other day's share anew.
    assert len(list(stages.iterdir())) == before + 1


def test_tables_made_by_two_at_once_or_again_after_a_kill_at_any_write_are_those_of_one(home, monkeypatch):
    names = ("predictions", "model_metrics")
    wanted = {name: told(home, name) for name in names}
    keys = [key for kind in ("tables/shops/", "stages/shops/tabulate/") for key in home.store.list(kind)]

    def forget():
        for key in keys:
            home.store.delete(key)

    forget()
    rooms = [Path(home.folder, f"room {who}") for who in range(2)]
    for room in rooms:
        room.mkdir()

    def make(who):
        return tables.of_scored_days(home.store, home.signer, home.keys, SPEC, rooms[who])

    assert at_once(make, 2) == [{"predictions": 300, "model_metrics": 0}] * 2
    assert all(told(home, name).equals(wanted[name]) for name in names)
    for dies_at in range(20):
        forget()
        with monkeypatch.context() as patched, suppress(KeyboardInterrupt):
            patched.setattr(home.store, "put", dying(home.store.put, dies_at))
            make(0)
            break
        assert all(told(home, name).equals(wanted[name]) for name in names)
    # A share, and two tables.
    assert dies_at == 3


def dying(put, writes):
    """Return *put* for so many *writes*, after which whoever writes is killed."""
    left = [writes]

    def once(*rest, **how):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return put(*rest, **how)

    return once


def test_where_time_parts_the_rows_what_a_version_learned_from_is_none_of_its_figures(home):
    home.appraise(home.arrive(TRUTH))
    holdout = Holdout(share=0.25, folds=3, repeats=1, block_hours=12, by="time")
    targets = tuple(replace(each, previous="visitors") for each in SPEC.targets)
    spec = replace(SPEC, holdout=holdout, targets=targets, name="shops")
    scored = predictions.rows(home.store, home.day).collect()
    labels = TRUTH.with_columns(seen_at=pl.lit(SEEN))
    before = ROWS.select("shop", "seen_at", "visitors").with_columns(pl.col("visitors").fill_null(1.0))
    rows = core_tables.predicted_rows(spec, scored, labels, before, "dev", "2026-11-20")
    for until, learned in ((SEEN, True), (SEEN - timedelta(days=1), False)):
        versions = {home.entry.version: core_tables.taught(spec, ROWS.select("sales"), until)}
        marked = core_tables.learned_from(spec, rows, versions)
        assert marked["was_learned"].to_list() == [learned] * 300
        worth = core_tables.metrics_rows(spec, marked, versions)
        assert worth.height == (0 if learned else 1)
    last = (rows["last_value"] - rows["actual"]).abs().mean()
    assert worth["mase"].item() == pytest.approx(worth["mae"].item() / last)
    of = appraisals.teacher(home.store, home.keys, SPEC, home.entry.version)
    for until, realised in ((SEEN - timedelta(days=1), [300]), (SEEN, [])):
        taught, again = replace(of, trained_until=until), home.score("2026-11-20", ROWS, run=f"{len(realised):016}")
        given = (
            home.store,
            home.signer,
            home.keys,
            replace(spec, targets=SPEC.targets),
            taught,
            again,
            None,
            home.folder,
        )
        assert [each.rows for each in appraisals.appraise(*given)[0].realised] == realised
