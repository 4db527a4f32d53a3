"""A real bundle answers a batch in parts: the same after a kill, every row once, as training would have seen it."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from tasks.adapters import batches, bundles, frames, partitions, predictions, scoring, skew, snapshots, sources
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.predictions import Day
from tasks.adapters.scoring import Scorer
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.core.evaluation import evaluate
from tasks.core.manifest import About
from tasks.core.scoring import Asked, Scored, Skew
from tasks.core.training import score_candidate
from tasks.core.values import Contracted, Entry
from tasks.errors import BadRequest
from tasks.workloads.channels import CHANNELS
from tasks.workloads.video_stats import VIDEO_STATS
from tests.builders import quick, shops, shops_spec

RUN = "0123456789abcdef"


def published(folder, spec, rows):
    """Return a store, its signer, and the scorer of a quick model of *rows*."""
    store, signer = DirectoryStore(folder / "store"), service_signer(folder / "keys")
    target = spec.targets[0]
    winner = score_candidate(spec, rows, target, quick("elastic_net")).scorecard
    files = evaluate(spec, rows, target, winner, refit_on_all=False).files
    named = {f"models/{target.name}/{name}": content for name, content in files.items()}
    made = bundles.publish(store, signer, spec.name, named, About((target.name,)))
    bundle = bundles.open_bundle(store, signer.trust(), spec.name, made.version)
    return store, signer, Scorer(spec, bundle, (target.name,), RUN)


@pytest.fixture
def batch(tmp_path, monkeypatch):
    monkeypatch.setattr(scoring, "PART_ROWS", 100)
    store, signer, scorer = published(tmp_path, shops_spec(), shops(240))
    accepted = frames.keep(store, shops(250, seed=2), tmp_path, "accepted")

    def score(by=scorer):
        return scoring.score(store, signer, by, accepted, 250, tmp_path)

    score.store, score.signer, score.scorer, score.folder = store, signer, scorer, tmp_path
    return score


def test_every_row_is_answered_once_in_order_and_says_by_whom(batch):
    done = batch()
    rows = partitions.scan(batch.store, done.table).collect()
    assert (len(done.table.parts), done.table.rows, rows.height, done.reused) == (3, 250, 250, False)
    assert rows["shop"].to_list() == shops(250, seed=2)["shop"].to_list()
    assert rows.columns == [
        "shop", "seen_at", "sales", "sales_low", "sales_high", "model_version", "bundle_digest", "run_id",
    ]  # fmt: skip
    manifest = batch.scorer.bundle.manifest
    said = rows.select("model_version", "bundle_digest", "run_id").unique().row(0)
    assert said == (manifest.version, manifest.digest, RUN)
    assert done.not_finite == {"sales": 0}


def test_a_rerun_after_a_kill_asks_only_for_the_parts_that_are_not_there(batch, monkeypatch):
    answered = []
    answer = scoring.answers

    def dies_at_the_third(rows, models):
        answered.append(rows.height)
        if len(answered) == 3:
            raise KeyboardInterrupt
        return answer(rows, models)

    monkeypatch.setattr(scoring, "answers", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        batch()
    again = batch()
    assert answered == [100, 100, 50, 50]
    monkeypatch.setattr(scoring, "answers", answer)
    assert batch().table == again.table and batch().reused


def test_the_newest_day_of_a_ring_is_read_whole_or_not_at_all(batch):
    done, trust = batch(), trusted_keys(batch.folder / "keys")
    about = Scored(
        "shops", "prod", "2026-11-20", RUN, "v", "m", 1, "s", ("sales",), 250, 250, 0, (), Skew(250, 0, ()), ()
    )
    for date in ("2026-11-20", "2026-11-19"):
        day = Day(replace(about, date=date), {"scored": done.table})
        assert predictions.publish(batch.store, batch.signer, day, source=batch.store, replaces="")
    found = predictions.read(batch.store, trust, "shops", "prod")
    assert found.about == about
    assert predictions.rows(batch.store, found).select(pl.len()).collect().item() == 250
    assert predictions.read(batch.store, trust, "shops", "prod", "2026-11-19").about.date == "2026-11-19"
    with pytest.raises(BadRequest, match="there are those of 2026-11-19, 2026-11-20"):
        predictions.read(batch.store, trust, "shops", "prod", "2026-11-21")
    with pytest.raises(BadRequest, match="no predictions of shops in qa are published"):
        predictions.read(batch.store, trust, "shops", "qa")


def test_a_day_published_elsewhere_is_whole_there(batch, tmp_path):
    about = Scored(
        "shops", "prod", "2026-11-20", RUN, "v", "m", 1, "s", ("sales",), 250, 250, 0, (), Skew(0, 0, ()), ()
    )
    elsewhere = DirectoryStore(tmp_path / "elsewhere")
    day = Day(about, {"scored": batch().table})
    predictions.publish(elsewhere, batch.signer, day, source=batch.store, replaces="")
    found = predictions.read(elsewhere, batch.signer.trust(), "shops", "prod")
    assert predictions.rows(elsewhere, found).collect().equals(predictions.rows(batch.store, day).collect())


@pytest.fixture(scope="module")
def channels(tmp_path_factory):
    """Channels that were accepted, and a scorer of them."""
    folder = tmp_path_factory.mktemp("channels")
    CHANNELS.generate(400, 7).write_csv(folder / "channels.csv")
    sources.read_source(CHANNELS, folder / "channels.csv", folder / "read.parquet")
    accepted = pl.read_parquet(folder / "read.parquet").unique("channel", keep="none", maintain_order=True)
    rows = CHANNELS.derive(accepted.lazy()).collect()
    store, signer, scorer = published(folder, CHANNELS, rows)
    blob = frames.keep(store, accepted, folder, "accepted")
    return folder, store, signer, scorer, Contracted("a" * 64, blob, blob, rows.height, rows.height, 0, ())


def measured(channels, by, tmp_path):
    folder, store, signer, scorer, contracted = channels
    done = scoring.score(store, signer, by, contracted.accepted, contracted.rows_accepted, folder)
    return skew.measure(store, scorer, contracted, done.table, tmp_path)


def test_what_the_offline_store_gives_is_answered_bit_by_bit_the_same(channels, tmp_path):
    found = measured(channels, channels[3], tmp_path)
    assert found == Skew(channels[4].rows_accepted, 0, ())


def test_features_that_training_would_not_have_seen_are_an_alarm(channels, tmp_path):
    def derive_in_thousands(rows):
        return CHANNELS.derive(rows).with_columns(pl.col("uploads_total") / 1_000)

    by = replace(channels[3], spec=replace(CHANNELS, derive=derive_in_thousands), run="f" * 16)
    found = measured(channels, by, tmp_path)
    assert found.differing > found.rows / 2
    assert set(found.columns) == {"subscribers", "subscribers_low", "subscribers_high"}


def test_of_a_source_that_grows_a_window_is_scored_and_is_another_batch_than_the_whole(tmp_path, monkeypatch):
    entry = Entry("video_stats", 1, "promotion", "dev", "v", "m", ("views",), "d", "", "policy", "why", "", "")
    monkeypatch.setattr(batches.serving, "champion", lambda *_: entry)
    monkeypatch.setattr(batches.serving, "opened", lambda *_: None)
    monkeypatch.setattr(batches.contents, "refuse_other_features", lambda *_: None)
    days = ("2026-06-01", "2026-06-02", "2026-06-08", "2026-06-09")
    pl.DataFrame({"video_id": "v", "observed_at": days, "views": range(4)}).write_csv(tmp_path / "looks.csv")
    store = DirectoryStore(tmp_path / "store")

    def opened(window_days):
        of, looks = "video_stats", str(tmp_path / "looks.csv")
        asked = Asked(of, looks, "dev", "2026-06-09", window_days=window_days)
        return batches.open_batch(store, tmp_path / "keys", asked).run

    whole, week = opened(None), opened(7)
    assert whole.key != week.key
    rows = [
        snapshots.take(store, VIDEO_STATS, tmp_path / "looks.csv", run, tmp_path).row_count for run in (whole, week)
    ]
    assert rows == [4, 3]
