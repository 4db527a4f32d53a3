"""The tables of what was predicted, made of days of a real champion: each prediction once, with its truth."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import appraisals, predictions, tables
from tasks.adapters.worth import teacher
from tasks.core import tables as core_tables
from tasks.workloads.spec import Holdout
from tests.builders import shops
from tests.contesting import SPEC
from tests.scored_days import ROWS, SEEN, TRUTH
from tests.stores import at_once


@pytest.fixture
def home(learnt):
    return learnt.anew()


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
    of = teacher(home.store, home.keys, SPEC, home.entry.version)
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
