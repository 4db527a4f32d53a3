"""Studies on the real library: deterministic, stopped early, never on the holdout, and a kill costs one trial."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import studies
from tasks.adapters.studies import Place, Search, look
from tasks.core import tuning
from tasks.core.splitting import split
from tasks.core.training import score_candidate, set_exercises, training_rows
from tasks.core.tuning import Space, Tuning
from tasks.core.values import Blob
from tasks.errors import BadRequest, HomeDamaged, OutOfSpace, Unreachable
from tasks.workloads.spans import Log, Span, Whole
from tasks.workloads.spec import Candidate, Holdout
from tests import postgresql
from tests.builders import quick, shops, shops_spec

SPACE = Space({"x": Span(-4, 4), "n": Whole(1, 9), "rate": Log(0.001, 1)}, {"x": 3.0, "n": 8, "rate": 0.5})
FOLDS = 5


def valley(found, goes_on):
    """A number that is least at x = 1 and n = 3, told fold by fold."""
    value = (found["x"] - 1) ** 2 + abs(found["n"] - 3) + found["rate"]
    for step in range(FOLDS - 1):
        if not goes_on(step, value):
            return None
    return value


def wanted(trials=25, judge=valley, **budget):
    return Search(SPACE, Tuning(trials=trials, **budget), lambda trial: 1000 + trial, judge)


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "studies", "shops-sales-valley-1")


def test_a_study_begins_with_what_is_declared_and_finds_better(place):
    found = look(wanted(), place)
    assert json.loads(found.trials["params"][0]) == {"n": 8, "rate": 0.5, "x": 3.0}
    assert found.trials["mae"][0] == 4 + 5 + 0.5
    study = found.told(Blob("a" * 64, 1))
    assert (study.trials, study.declared_mae) == (25, 9.5)
    assert study.mae == found.trials["mae"].min() < 2
    assert valley(found.found, lambda *_: True) == study.mae


def test_poor_trials_are_stopped_early_but_none_of_the_first(place):
    found = look(wanted(), place)
    states = found.trials["state"].to_list()
    assert states[:5] == ["complete"] * 5
    assert found.told(Blob("a" * 64, 1)).pruned == states.count("pruned") > 3
    assert found.trials.filter(pl.col("state") == "pruned")["mae"].null_count() == states.count("pruned")


@pytest.mark.parametrize("database", ["", pytest.param("sqlite:///{}/studies.db", marks=pytest.mark.slow)])
def test_equal_studies_are_equal_to_the_last_digit_wherever_they_are_kept(tmp_path, place, database):
    first, found = (look(wanted(), each) for each in (place, Place(tmp_path, "other", database.format(tmp_path))))
    assert found.trials.equals(first.trials) and found.found == first.found


def test_more_trials_go_on_where_fewer_ended(place):
    few = look(wanted(8), place)
    judged = []
    more = look(wanted(12, lambda found, goes_on: (judged.append(found), valley(found, goes_on))[1]), place)
    assert len(judged) == 4
    assert more.trials[:8].equals(few.trials)
    assert look(wanted(8), place).trials.equals(few.trials)


def test_a_trial_that_fails_says_why_and_costs_only_itself(place):
    def fragile(found, goes_on):
        if found["n"] > 6:
            raise MemoryError("8 EiB asked for")
        return valley(found, goes_on)

    found = look(wanted(12, fragile), place)
    told = found.told(Blob("a" * 64, 1))
    assert found.trials.height == 12 and told.failed == found.trials["reason"].to_list().count(
        "MemoryError: 8 EiB asked for"
    )
    assert told.failed > 0 and told.declared_mae is None and found.found["n"] <= 6


def test_a_study_of_failures_alone_has_found_nothing_and_says_each_reason_once(place):
    def broken(found, goes_on):
        raise ArithmeticError("the predictions are not finite")

    found = look(wanted(3, broken), place)
    assert found.found is None and found.reasons == "ArithmeticError: the predictions are not finite"


def test_seconds_that_are_spent_end_a_study_after_what_is_declared(place):
    assert look(wanted(1000, seconds=1e-9), place).trials.height == 1
    assert look(wanted(1000, seconds=1e-9), place).trials.height == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.adapters.test_studies import Place, look, valley, wanted
done = []
def until(found, goes_on):
    if len(done) == int(sys.argv[2]):
        goes_on(0, 1.0)
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(found)
    return valley(found, goes_on)
look(wanted(judge=until), Place(Path(sys.argv[1]), "shops-sales-valley-1", sys.argv[3]))
"""


def kill(place: Place, after: int) -> None:
    asked = [sys.executable, "-c", KILLED, str(place.folder), str(after), place.database]
    ended = subprocess.run(asked, cwd=Path(__file__).parents[2], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["journal", "sqlite", "postgresql"])
def test_a_study_killed_thrice_ends_like_one_never_killed_and_repeats_no_trial(place, tmp_path, kept, request):
    if kept == "sqlite":
        place = replace(place, database=f"sqlite:///{tmp_path / 'studies.db'}")
    if kept == "postgresql":
        port = request.getfixturevalue("postgres")
        place = replace(place, database=f"postgresql+psycopg2://{postgresql.address(port, 'mlflow')}")
    # In the first trial; before any is stopped early; after.
    for ended in (0, 4, 7):
        kill(place, ended)
    judged = []
    found = look(wanted(judge=lambda found, goes_on: (judged.append(found), valley(found, goes_on))[1]), place)
    assert len(judged) == 25 - 11
    never = look(wanted(), Place(tmp_path / "never", "never"))
    assert found.trials.equals(never.trials) and found.found == never.found


@pytest.fixture(scope="module")
def postgres():
    with postgresql.running() as port:
        yield port


def test_a_line_that_a_power_cut_tore_and_a_lock_left_behind_hold_nothing_up(place):
    few = look(wanted(6), place)
    journal = place.folder / f"{place.name}.journal"
    with journal.open("ab") as torn:
        torn.write(b'{"op_code":4,"worker')
    os.symlink(journal, f"{journal}.lock")
    more = look(wanted(7), place)
    assert more.trials[:6].equals(few.trials) and more.trials.height == 7


def test_a_journal_that_is_none_is_named(place):
    place.folder.mkdir()
    (place.folder / f"{place.name}.journal").write_text("no journal\nat all\n")
    with pytest.raises(HomeDamaged, match=r"shops-sales-valley-1\.journal cannot be read .* delete it"):
        look(wanted(3), place)


def test_a_home_that_cannot_be_written_is_said(place):
    place.folder.write_text("a file where the folder should be")
    with pytest.raises(OutOfSpace, match="the study shops-sales-valley-1 cannot be written"):
        look(wanted(3), place)


@pytest.mark.parametrize(
    ("address", "error"),
    [("postgresql+psycopg2://me:hush@127.0.0.1:1/none", Unreachable), ("hush", BadRequest), ("x://hush", BadRequest)],
)
def test_a_database_that_is_none_is_said_without_its_password(place, address, error):
    with pytest.raises(error, match="GREENLIGHT_TUNING_STORAGE") as said:
        look(wanted(3), replace(place, database=address))
    assert "hush" not in str(said.value)


BY_TIME = shops_spec(holdout=Holdout(share=0.25, folds=3, repeats=1, by="time", block_hours=24))


def days(rows: int) -> pl.DataFrame:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    return shops(rows).with_columns(seen_at=pl.Series([begun + timedelta(days=row // 4) for row in range(rows)]))


def tuned(spec, rows, folder: Path, candidate: Candidate, trials: int = 7):
    target = spec.targets[0]
    exercises = set_exercises(spec, training_rows(spec, rows, target), target)
    judge = tuning.judge_of(spec, rows, target, candidate, exercises)
    seeds = partial(tuning.seed, spec, target, candidate)
    return look(Search(tuning.space(candidate), Tuning(trials=trials), seeds, judge), Place(folder, "study"))


@pytest.mark.parametrize(
    ("spec", "made", "garbage"),
    [(shops_spec(), shops, 1e12), (BY_TIME, days, 1e-9)],
    ids=["by entity", "by time"],
)
def test_the_holdout_never_influences_a_study(tmp_path, spec, made, garbage):
    rows, candidate = made(160), quick("elastic_net")
    held = split(spec, rows, spec.targets[0]).holdout
    everywhere = pl.int_range(pl.len()).is_in(held.tolist())
    spoilt = rows.with_columns(
        sales=pl.when(everywhere).then(garbage).otherwise("sales"),
        visitors=pl.when(everywhere).then(-garbage).otherwise("visitors"),
        area=pl.when(everywhere).then(garbage).otherwise("area"),
    )
    assert len(held) >= 30 and not spoilt.equals(rows)
    clean, other = (tuned(spec, each, tmp_path / name, candidate) for name, each in (("a", rows), ("b", spoilt)))
    assert clean.trials.equals(other.trials)
    assert clean.found == other.found
    # And yet the training part does: what is changed there changes the study.
    moved = tuned(spec, rows.with_columns(sales=pl.col("sales") * pl.col("area")), tmp_path / "c", candidate, 1)
    assert moved.trials["mae"][0] != clean.trials["mae"][0]


@pytest.mark.slow
def test_fifteen_trials_mend_a_candidate_that_was_declared_badly_and_never_make_one_worse(tmp_path):
    spec, rows = shops_spec(), shops(240)
    target = spec.targets[0]
    planted = Candidate("elastic_net", {"alpha": 3.0, "l1_ratio": 1.0})
    found = tuned(spec, rows, tmp_path, planted, trials=15)
    before, after = (
        score_candidate(spec, rows, target, each).scorecard
        for each in (planted, tuning.with_params(planted, found.found))
    )
    told = found.told(Blob("a" * 64, 1))
    assert (before.mae, after.mae) == (told.declared_mae, told.mae)
    assert before.skill < 0.1 and after.skill > 0.3


def test_optuna_is_asked_only_where_something_is_tuned():
    code = "import sys, tasks.adapters.studies; sys.exit('optuna' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
    assert studies.library().startswith("optuna 5")
