"""Experiments on record: one at a time, only of what may answer, and judged on whom their days answered."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from tasks.adapters import arms, experiments, frames, ledger, partitions, predictions, scoring
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.predictions import SCORED, Day
from tasks.adapters.scoring import ScoredRows
from tasks.adapters.signing import service_signer
from tasks.core import experiments as core
from tasks.core.experiments import Conclusion, Experiment
from tasks.core.partitions import Table
from tasks.core.scoring import Scored, Skew
from tasks.errors import BadRequest, Conflict, HomeDamaged, NotTrusted
from tests.builders import shops_spec
from tests.released import Released

DRAFT = Experiment(
    "shops", "prod", 1, "", "", 1.0, 2.0, 0.05, 0.8, "higher", 1_000, "is it better?", "bob", "2026-11-21"
)
SPEC = shops_spec()


class Office(Released):
    """A home whose prod ring was served by *old* and is served by *new*."""

    def __init__(self, folder):
        super().__init__(folder)
        self.old, self.new = self.promote("old"), self.promote("new")

    @property
    def champion(self):
        return ledger.champion(self.store, "shops", "prod", self.trust)

    def start(self, **changes):
        draft = replace(DRAFT, **({"control": self.new, "treatment": self.old} | changes))
        return experiments.start(self.store, self.keys, self.signer, draft, self.champion)

    def end(self, number=1):
        few = core.Moments(1, 0.0, 0.0)
        conclusion = Conclusion(number, core.analyse(DRAFT, few, few), "d", "bob", "done", "2026-11-22")
        return experiments.conclude(self.store, self.signer, replace(DRAFT, number=number), conclusion)

    def running(self):
        return experiments.running(self.store, self.trust, "shops", "prod")

    def at_work(self):
        return experiments.at_work(self.store, self.trust, self.champion)

    def answer(self, day, shops, experiment):
        frame = pl.DataFrame({"shop": shops}).with_columns(core.arms(pl.Series(shops), experiment))
        skew = Skew(0, 0, ())
        about = Scored("shops", "prod", day, "r", self.new, "b", 2, "s", (), 1, 1, 0, (), skew, (), experiment)
        (self.home / "scratch").mkdir(exist_ok=True)
        part = frames.keep(self.store, frame, self.home / "scratch", day)
        found = Day(about, {SCORED: Table((part,), len(shops))})
        predictions.publish(self.store, self.signer, found, source=self.store, replaces="")


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path / "home")


def test_one_experiment_runs_at_a_time_and_its_record_is_signed(office):
    begun = office.start()
    assert office.running() == office.at_work() == begun
    with pytest.raises(BadRequest, match=r"1-shops-prod .* runs in prod since 2026-11-21; conclude it"):
        office.start(number=2)
    office.end()
    assert office.running() is None
    assert office.start(number=2).name == "2-shops-prod"
    key = "experiments/shops/prod/000002.started.json"
    service = service_signer(office.home / "stranger")
    office.store.put(key, experiments.seal(service, experiments.FORM, {"key": key, "record": {}}))
    with pytest.raises(NotTrusted):
        office.running()
    office.store.put(key, experiments.seal(office.signer, experiments.FORM, {"key": key, "record": {}}))
    with pytest.raises(HomeDamaged, match="fields are missing"):
        office.running()


def test_of_two_that_start_or_conclude_at_once_one_is_told(office, monkeypatch):
    monkeypatch.setattr(experiments, "known", lambda *_: ([], []))
    office.start()
    with pytest.raises(Conflict, match="somebody else meanwhile"):
        office.start()
    office.end()
    with pytest.raises(Conflict, match="somebody else meanwhile"):
        office.end()


def test_only_what_was_let_out_in_the_ring_may_answer_there(office):
    with pytest.raises(BadRequest, match="serves in prod already"):
        office.start(treatment=office.new)
    waits = office.promote("third", "preprod")
    with pytest.raises(BadRequest, match=r"may not answer in prod: .*asks a person"):
        office.start(treatment=waits)
    office.back()
    with pytest.raises(BadRequest, match=r"may not answer in prod"):
        office.start(control=office.old, treatment=office.new)
    assert office.running() is None


def test_an_experiment_whose_champion_or_treatment_changed_is_left_out_and_that_is_said(office, caplog):
    office.start()
    office.promote("third")
    assert office.running() is not None and office.at_work() is None
    assert "serves by now" in caplog.text and "conclude it" in caplog.text


def test_a_look_counts_whom_the_experiments_days_answered(office, tmp_path):
    begun = office.start()
    shops = [f"shop {number}" for number in range(400)]
    office.answer("2026-11-21", shops[:300], begun.name)
    office.answer("2026-11-22", shops[200:], begun.name)
    office.answer("2026-11-20", ["before"], "")
    arm = core.arms(pl.Series(shops), begun.name)
    values = [10.0 + 3.0 * (side == "treatment") + number % 2 for number, side in enumerate(arm)]
    told = pl.DataFrame({"shop": [*shops, "before"], "value": [*values, 99.0]})
    told.write_csv(tmp_path / "outcomes.csv")
    found = experiments.look(office.store, office.trust, SPEC, begun, tmp_path / "outcomes.csv")
    assert found.strangers == 1
    assert found.analysis.control.units + found.analysis.treatment.units == 400
    assert found.analysis.lift.low < 3.0 < found.analysis.lift.high and found.analysis.verdict == "treatment"
    told.rename({"shop": "entity"}).reverse().write_parquet(tmp_path / "outcomes.parquet")
    again = experiments.look(office.store, office.trust, SPEC, begun, tmp_path / "outcomes.parquet")
    assert again.analysis == found.analysis and again.outcomes != found.outcomes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no table of outcomes"),
        ("entity,worth\na,1\n", "with the columns entity .or shop. and value"),
        ("entity,value\n", "has 0 rows"),
        ("entity,value\na,1\na,2\n", "1 of an entity that has one already"),
        ("entity,value\na,much\n,1\nb,inf\n", "3 of them without an entity or a number"),
    ],
)
def test_what_is_no_outcome_is_refused_with_numbers(office, tmp_path, text, said):
    (tmp_path / "outcomes.csv").write_text(text)
    with pytest.raises(BadRequest, match=said):
        experiments.look(office.store, office.trust, SPEC, office.start(), tmp_path / "outcomes.csv")


def test_a_look_before_anything_was_scored_says_what_to_do(office, tmp_path):
    (tmp_path / "outcomes.csv").write_text("entity,value\na,1\n")
    with pytest.raises(BadRequest, match="no day of shops in prod was published by experiment 1-shops-prod"):
        experiments.look(office.store, office.trust, SPEC, office.start(), tmp_path / "outcomes.csv")


def test_each_row_has_the_whole_answer_of_its_arm_and_says_which(tmp_path):
    store = DirectoryStore(tmp_path / "store")
    shops = [f"shop {number}" for number in range(50)]

    def scored(version, by):
        frame = pl.DataFrame(
            {
                "shop": shops,
                "seen_at": [1] * 50,
                "sales": [float(n) * by for n in range(50)],
                scoring.VERSION: [version] * 50,
            }
        )
        parts = tuple(frames.keep(store, frame[at : at + 30], tmp_path, "part") for at in (0, 30))
        return ScoredRows(Table(parts, 50), {"sales": 0}, False)

    done = arms.given(store, SPEC, DRAFT, scored("ours", 1), scored("theirs", float("nan")), tmp_path)
    rows = partitions.scan(store, done.table).collect()
    assert (
        rows["shop"].to_list() == shops and rows["arm"].to_list() == core.arms(pl.Series(shops), DRAFT.name).to_list()
    )
    assert rows["model_version"].to_list() == ["theirs" if arm == "treatment" else "ours" for arm in rows["arm"]]
    assert rows.filter(pl.col("arm") == "control")["sales"].is_finite().all()
    assert done.not_finite == {"sales": rows.filter(pl.col("arm") == "treatment").height}
    assert done == arms.given(store, SPEC, DRAFT, scored("ours", 1), scored("theirs", float("nan")), tmp_path)
