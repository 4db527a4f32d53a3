"""Measuring the champion's networks: what is said where there is nothing to measure, each time with what to do."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.adapters import home, ledger, network_costs, variants
from tasks.adapters.settings import settings
from tasks.errors import BadRequest
from tests.builders import quick, shops
from tests.contesting import SPEC, Home


@pytest.fixture
def place(monkeypatch, tmp_path) -> Home:
    """A home in which nothing serves yet."""
    monkeypatch.setenv("GREENLIGHT_HOME", str(tmp_path))
    settings.cache_clear()
    return Home(tmp_path)


def refused(place: Home, ring: str = "dev") -> str:
    with pytest.raises(BadRequest) as told:
        network_costs.measure(place.store, place.keys, SPEC, ring, "cpu", place.folder)
    assert told.value.exit_code == 2
    return str(told.value)


def let_out(place: Home, algorithm: str) -> str:
    entry = place.champion(shops(400), SPEC, candidate=quick(algorithm))
    ledger.append(place.store, home.signer(), replace(entry, number=0), 0)
    return entry.version


def test_where_nothing_serves_it_says_where_it_looked_and_how_to_let_something_out(place):
    said = refused(place)
    assert f"shops has no champion in dev in {place.store.uri}" in said and "greenlight run shops --source" in said
    assert "no policy for the ring 'nowhere'" in refused(place, "nowhere")


def test_a_champion_without_a_network_is_named_with_who_answers_instead(place):
    version = let_out(place, "elastic_net")
    said = refused(place)
    assert f"no network of shops serves in dev, version {version}: it answers sales by elastic_net" in said
    assert "what can be measured is lstm, transformer; name another ring with --ring" in said


def test_a_network_that_answers_too_few_rows_is_not_measured_and_says_so(place, monkeypatch):
    let_out(place, "transformer")
    monkeypatch.setattr(variants, "try_variants", lambda *given: [])
    assert "answer fewer than 50 holdout rows of sales: too few to measure" in refused(place)
