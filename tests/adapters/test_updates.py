"""An update through the store: of what the ledger says serves, out of its verified bundle; and what it leaves."""

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from tasks import evaluate as evaluating
from tasks import workloads
from tasks.adapters import frames, home, ledger, updates
from tasks.adapters.blobs import read_blob
from tasks.adapters.settings import settings
from tasks.core.learners import niched
from tasks.core.run import Run
from tasks.core.splitting import split
from tasks.core.updating import HELD
from tasks.core.values import TrainingSet
from tasks.errors import HomeDamaged
from tasks.train import cross_validate
from tasks.workloads.spec import Candidate
from tests.builders import shops
from tests.contesting import Home
from tests.towns import towns
from tests.unit import test_known_at
from tests.unit.test_updating import PARAMS, SPEC, TARGET, later

RUN = Run("shops", "s", "d", "run", "c", "p", "2026-02-02")
WHOLE, UPDATE = Candidate("transformer", PARAMS), Candidate("transformer", PARAMS | {"update": True})
# Too short a fit to find out that one town is another world.
BY_TOWN = Candidate("transformer", PARAMS | {"niches": "town", "epochs": 2})
VERSIONED = Candidate("transformer", PARAMS | {"update": "v1"})


@pytest.fixture
def place(monkeypatch, tmp_path):
    """A home in which nothing serves yet."""
    monkeypatch.setenv("GREENLIGHT_HOME", str(tmp_path))
    monkeypatch.setattr(workloads, "get", lambda name: SPEC)
    settings.cache_clear()
    made = Home(tmp_path)
    assert home.store().uri == made.store.uri
    yield made
    settings.cache_clear()


def today(place, rows: pl.DataFrame) -> TrainingSet:
    return TrainingSet(
        "shops", frames.keep(place.store, rows, place.folder, "today"), rows.height, "s", "d", rows.height
    )


def test_where_nothing_serves_an_update_is_a_failed_scorecard(place):
    asked = updates.pinned(RUN, UPDATE)
    assert asked.params["update"] == "" and updates.pinned(RUN, WHOLE) is WHOLE
    card = cross_validate(RUN, today(place, shops(400)), TARGET, asked)
    assert card.status == "failed" and "nothing serves in dev yet" in card.reason
    assert card.title == "transformer updated"
    assert updates.has_ground(RUN, TARGET, WHOLE) and not updates.has_ground(RUN, TARGET, UPDATE)


def test_a_champion_that_cannot_be_read_any_more_stops_its_update_and_nothing_else(place, monkeypatch):
    def damaged(*given):
        raise HomeDamaged("the evidence of shops v1 is of another format")

    monkeypatch.setattr(updates, "pinned", lambda run, candidate: VERSIONED)
    monkeypatch.setattr(updates.contents, "open_verified", damaged)
    assert updates.has_ground(RUN, TARGET, UPDATE)
    card = updates.judged(RUN, today(place, shops(100)), TARGET, VERSIONED)
    assert card.status == "failed" and "of another format" in card.reason


def test_what_a_champion_was_not_to_learn_from_yet_is_new_to_it(place, monkeypatch):
    monkeypatch.setattr(workloads, "get", lambda name: test_known_at.SPEC)
    entry = place.champion(test_known_at.daily(), test_known_at.SPEC)
    champion = updates._champion(RUN, test_known_at.TARGET, entry.version)
    learned = test_known_at.daily()[split(test_known_at.SPEC, test_known_at.daily(), test_known_at.TARGET).train]
    assert champion.seen["_row"].to_list() == learned["_row"].to_list() and learned.height == 300


@pytest.mark.parametrize(("known", "candidate"), [(shops(400), WHOLE), (towns(1_200), BY_TOWN)], ids=["one", "niches"])
def test_an_update_of_what_serves_is_judged_evaluated_and_leaves_its_experience(place, known, candidate):
    entry = place.champion(known, SPEC, candidate=candidate)
    ledger.append(place.store, home.signer(), replace(entry, number=0), 0)
    assert updates.has_ground(RUN, TARGET, UPDATE)
    assert not updates.has_ground(RUN, TARGET, replace(UPDATE, algorithm="lstm"))
    rows = today(place, pl.concat([known, later(300)]))
    card = cross_validate(RUN, rows, TARGET, updates.pinned(RUN, UPDATE))
    assert (card.status, card.params["update"]) == ("scored", entry.version), card.reason
    found = evaluating._evaluate(RUN, SPEC, rows, TARGET, card, True)
    assert found.describes == "shipped" and found.told[0].title.startswith("The update of the champion: accepted")
    buffer = frames.read(place.store, found.files["experience/sales.parquet"])
    assert buffer[HELD].any() and buffer["seen_at"].n_unique() == 2
    back = niched.from_bytes(read_blob(place.store, found.files["models/sales/estimator.safetensors"]))
    assert isinstance(back, niched.Niched) == (candidate is BY_TOWN)
