"""Which challengers wait for a ring, and which of their cycles count there, out of real ledgers and signed records."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.adapters import ledger, policies, shadows
from tasks.adapters.signing import service_signer
from tasks.core.partitions import partition_key
from tasks.core.shadow import Cycle, Difference
from tasks.workloads.channels import CHANNELS
from tests.released import Released

CLEAN = Cycle("shops", "prod", "2026-11-20", "r", "s1", "old", "new-1", 250, (), ())


@pytest.fixture
def home(tmp_path):
    return Released(tmp_path)


def waiting(home, ring):
    return shadows.waiting(home.store, home.trust, ledger.champion(home.store, "shops", ring, home.trust))


def test_what_serves_in_the_rings_before_waits_and_the_champion_does_not(home):
    first = home.promote("first", "dev")
    for ring in ("qa", "preprod", "prod"):
        assert home.promote("first", ring) == first
    assert waiting(home, "prod") == ()
    second, third = home.promote("second", "qa"), home.promote("third", "dev")
    assert waiting(home, "prod") == (third, second)
    assert waiting(home, "qa") == (third,)
    assert waiting(home, "dev") == ()


def test_what_was_rolled_back_from_in_the_ring_waits_for_it_no_more(home):
    home.promote("first", "preprod"), home.promote("first")
    home.promote("second", "preprod"), home.promote("second")
    home.back()
    assert waiting(home, "prod") == ()


def count(home, ring="preprod"):
    return shadows.clean_cycles(home.store, home.trust, "shops", "new-1", ring)


def test_where_nothing_serves_yet_a_version_soaks_in_the_rings_before(home):
    own = replace(CLEAN, ring="qa", champion="new-1")
    shadows.keep(home.store, home.signer, own, None)
    shadows.keep(home.store, home.signer, replace(own, date="2026-11-21", snapshot="s2"), None)
    assert count(home) == 2
    home.promote("another", "prod")
    assert count(home) == 0


def test_cycles_beside_the_champion_of_the_ring_or_a_later_one_count(home):
    for ring in ("qa", "preprod", "prod"):
        home.promote("old", ring)
    assert count(home) == 0
    for number, ring in enumerate(("qa", "preprod", "prod")):
        shadows.keep(home.store, home.signer, replace(CLEAN, ring=ring, date=f"2026-11-2{number}", snapshot=ring), None)
    assert (count(home, "qa"), count(home), count(home, "prod")) == (3, 2, 1)
    assert shadows.clean_cycles(home.store, home.trust, "shops", "other", "dev") == 0


def test_a_version_is_ripe_for_the_next_ring_with_the_cycle_it_lacked_and_not_again(home, tmp_path, monkeypatch):
    for ring, asks in (("dev", ""), ("qa", "after: dev\n"), ("prod", "after: qa\nsoak_cycles: 2\n")):
        (tmp_path / f"{ring}.yaml").write_text(f"ring: {ring}\nautomatic: true\n{asks}")
    monkeypatch.setattr(policies, "policies_folder", lambda: tmp_path)
    spec = replace(CHANNELS, name="shops")
    home.promote("old", "prod")
    version = home.promote("new", "dev")
    ripe = []
    for day in range(18, 23):
        if day == 19:
            home.promote("new", "qa")
        done = replace(CLEAN, challenger=version, date=f"2026-11-{day}", snapshot=f"s{day}")
        shadows.keep(home.store, home.signer, done, None)
        ripe.append(shadows.soaked(home.store, home.trust, spec, version))
    # It asked for nothing in qa; by the day it stood there its second cycle was clean.
    assert ripe == [None, shadows.Soaked(version, "prod", 2, "dossier of new"), None, None, None]
    assert shadows.soaked(home.store, home.trust, spec, "never let out") is None
    assert home.promote("new", "prod") == version
    assert shadows.soaked(home.store, home.trust, spec, version) is None


def test_what_was_rolled_back_from_is_not_asked_about_by_its_soak(home, tmp_path, monkeypatch):
    for ring, asks in (("dev", ""), ("prod", "after: dev\nsoak_cycles: 1\n")):
        (tmp_path / f"{ring}.yaml").write_text(f"ring: {ring}\nautomatic: true\n{asks}")
    monkeypatch.setattr(policies, "policies_folder", lambda: tmp_path)
    home.promote("old", "prod")
    version = home.promote("new", "dev")
    shadows.keep(home.store, home.signer, replace(CLEAN, challenger=version), None)
    spec = replace(CHANNELS, name="shops")
    assert shadows.soaked(home.store, home.trust, spec, version) is not None
    assert home.promote("new", "prod") == version
    home.back()
    assert shadows.soaked(home.store, home.trust, spec, version) is None


def test_a_day_scored_again_replaces_its_cycle(home):
    assert shadows.keep(home.store, home.signer, CLEAN, None)
    assert not shadows.keep(home.store, home.signer, CLEAN, None)
    assert count(home) == 1
    assert shadows.keep(home.store, home.signer, replace(CLEAN, faults=("sales: 3 rows are no numbers",)), None)
    assert count(home) == 0


def test_the_champions_ring_says_how_far_a_challenger_may_be_in_its_shadow(tmp_path, monkeypatch):
    for ring, asks in (("dev", ""), ("prod", "after: dev\nshadow_flip_rate_most: 0.05\n")):
        (tmp_path / f"{ring}.yaml").write_text(f"ring: {ring}\nautomatic: true\n{asks}")
    monkeypatch.setattr(policies, "policies_folder", lambda: tmp_path)
    found = [Difference(target, 250, 0.06, 0.0, rank, 10, 0.0, (), ()) for target, rank in (("a", 0.7), ("b", 0.69))]
    order = "b: the ranks correlate by 0.69, wanted 0.7"
    left = "{}: 6% of the rows left the champion's interval, at most 5% may"
    assert shadows.unlike(CHANNELS, "dev", found) == (order,)
    assert shadows.unlike(CHANNELS, "prod", found) == (left.format("a"), left.format("b"), order)


def test_a_cycle_that_nobody_trusted_signed_is_not_clean(home, tmp_path, caplog):
    shadows.keep(home.store, home.signer, CLEAN, None)
    shadows.keep(home.store, service_signer(tmp_path / "stranger"), replace(CLEAN, date="2026-11-21"), None)
    assert count(home) == 0
    assert "counts as not clean" in caplog.text
    key = partition_key("shadows", "shops", "2026-11-21", "prod-new-1")
    home.store.delete(key)
    assert count(home) == 1


def test_the_newest_batch_both_answered_is_found_up_to_a_day(home):
    told = Difference("sales", 250, 0.0, 0.0, 1.0, 10, 0.0, (), ())

    def kept(ring, day, **changes):
        done = replace(CLEAN, ring=ring, date=day, differences=(told,), **changes)
        shadows.keep(home.store, home.signer, done, None)
        return done

    def newest(until, ring="preprod", champion="old"):
        return shadows.newest_beside(home.store, home.trust, "shops", "new-1", champion, ring, until)

    first, second = kept("prod", "2026-11-18"), kept("preprod", "2026-11-19")
    kept("prod", "2026-11-20", champion="another")
    shadows.keep(home.store, home.signer, replace(CLEAN, date="2026-11-21"), None)
    assert newest("2026-11-30") == second
    assert newest("2026-11-18") == newest("2026-11-30", ring="prod") == first
    assert newest("2026-11-17") is newest("2026-11-30", champion="none") is None
