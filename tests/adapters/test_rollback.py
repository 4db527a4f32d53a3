import logging
from dataclasses import replace

import pytest

from tasks.adapters import bundles, ledger, line, observations, projections
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.registry import Registry
from tasks.adapters.rollback import roll_back, roll_back_if_alarmed
from tasks.adapters.signing import service_signer
from tasks.core.manifest import About
from tasks.core.rollback import Asked, Observation, Rule
from tasks.errors import BadRequest, HomeDamaged, LedgerMoved, NotTrusted, OutOfSpace, Unreachable
from tests.released import WHY, Released


@pytest.fixture
def shop(tmp_path):
    return Released(tmp_path)


def test_the_previous_version_serves_again_on_the_evidence_it_was_let_out_on(shop):
    old, new = shop.promote("old"), shop.promote("new")
    done = shop.back()
    assert (done.status, done.before, done.entry.version, done.entry.kind) == ("rolled back", new, old, "rollback")
    assert (done.entry.evidence, done.entry.serves) == ("dossier of old", ("sales",))
    assert (done.entry.decided_by, done.entry.reason) == ("bob", WHY)
    assert shop.seen() == old
    assert done.sentence == f"shops in prod: {old} serves again, {new} does not (ledger entry 3)"
    assert ledger.verify(shop.store, shop.trust, "shops") is None


def test_two_rollbacks_for_two_reasons_go_two_versions_back(shop):
    first, second, _ = shop.promote("first"), shop.promote("second"), shop.promote("third")
    assert shop.back().entry.version == second
    assert shop.back("the second is no better").entry.version == first
    with pytest.raises(BadRequest, match="has no version to go back to"):
        shop.back("nor is the first one")


def test_the_same_wish_twice_is_carried_out_once_and_said_so(shop):
    old, _ = shop.promote("old"), shop.promote("new")
    shop.promote("newest")
    first = shop.back()
    again = shop.back()
    assert (again.status, again.entry) == ("already rolled back", first.entry)
    assert "exactly this was done" in again.sentence and "--to" in again.sentence
    assert len(shop.entries()) == 4
    assert old != shop.seen()


def test_a_rollback_killed_after_its_commit_is_shown_to_readers_by_the_rerun(shop, monkeypatch):
    old, new = shop.promote("old"), shop.promote("new")
    with monkeypatch.context() as killed:
        killed.setattr(projections, "reconcile", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            shop.back()
    assert shop.seen() == new
    assert shop.back().status == "already rolled back"
    assert shop.seen() == old
    assert [entry.kind for entry in shop.entries()] == ["promotion", "promotion", "rollback"]


def test_any_version_that_was_let_out_in_the_ring_can_be_named(shop):
    first, _, third = shop.promote("first"), shop.promote("second"), shop.promote("third")
    assert shop.back(to=first).before == third
    assert shop.back("the first is older still", to=third).entry.version == third


@pytest.mark.parametrize(
    ("to", "said"),
    [
        ("nonsense", "has no version 'nonsense'; let out in prod were: "),
        ("../../keys", "cannot name an object"),
    ],
)
def test_an_unknown_version_is_refused(shop, to, said):
    shop.promote("old")
    shop.promote("new")
    with pytest.raises(BadRequest, match=said):
        shop.back(to=to)


def test_a_version_that_was_never_let_out_in_the_ring_is_refused(shop):
    shop.promote("old")
    tried = shop.promote("tried in dev only", ring="dev")
    with pytest.raises(BadRequest, match=f"{tried} of shops was never let out in prod"):
        shop.back(to=tried)


def test_what_serves_already_is_refused(shop):
    shop.promote("old")
    new = shop.promote("new")
    with pytest.raises(BadRequest, match=f"serves {new} already"):
        shop.back(to=new)


def test_a_ring_where_nothing_serves_is_refused_and_the_others_are_named(shop):
    shop.promote("old", ring="dev")
    with pytest.raises(BadRequest, match=r"nothing in prod to roll back; it serves in: dev"):
        shop.back()


def test_a_damaged_bundle_is_refused_and_nothing_is_changed(shop):
    shop.promote("old")
    new = shop.promote("new")
    for path in (shop.home / "store/blobs").rglob("*"):
        if path.is_file() and path.read_bytes() == b"old":
            path.write_bytes(b"bad")
    with pytest.raises(HomeDamaged, match=r"model\.txt of the bundle"):
        shop.back()
    assert shop.seen() == new
    assert len(shop.entries()) == 2


def test_a_manifest_signed_by_a_stranger_is_refused(shop, tmp_path):
    old, new = shop.promote("old"), shop.promote("new")
    shop.store.delete(bundles.bundle_key("shops", old))
    bundles.publish(shop.store, service_signer(tmp_path / "other"), "shops", {"model.txt": b"old"}, About(("sales",)))
    with pytest.raises(NotTrusted, match="none of the 1 trusted"):
        shop.back()
    assert shop.seen() == new


def test_a_short_reason_is_refused(shop):
    shop.promote("old")
    shop.promote("new")
    with pytest.raises(BadRequest, match="wanted at least 10"):
        shop.back("bad")


class Rival(DirectoryStore):
    """A store in which a promotion comes first, after the rollback has looked."""

    shop = None

    def put(self, key, source, **conditions):
        if key.startswith("ledger/") and self.shop:
            shop, self.shop = self.shop, None
            shop.promote("rival")
        return super().put(key, source, **conditions)


def test_of_a_promotion_and_a_rollback_at_once_one_wins_and_the_other_hears_that_the_ledger_moved(shop):
    shop.promote("old")
    shop.promote("new")
    racing = Rival(shop.store.root)
    racing.shop = shop
    with pytest.raises(LedgerMoved):
        roll_back(racing, shop.signer, shop.trust, None, Asked("shops", "prod", "previous", WHY, "bob"))
    assert [entry.kind for entry in shop.entries()] == ["promotion"] * 3
    assert shop.seen() == shop.entries()[-1].version


def test_a_stopped_line_stops_no_rollback(shop):
    old, _ = shop.promote("old"), shop.promote("new")
    line.stop(shop.store, shop.signer, shop.trust, reason="we look at the data first", by="alice")
    assert shop.back().entry.version == old


class Broken:
    """A registry that cannot be asked, and remembers what readers of the store saw when it was."""

    def __init__(self, shop, error):
        self.shop = shop
        self.error = error
        self.seen = []

    def alias(self, workload, alias):
        return self.knows(workload, "")

    def knows(self, workload, manifest_digest):
        self.seen.append(self.shop.seen())
        raise self.error


@pytest.mark.parametrize("kind", [Unreachable, HomeDamaged, BadRequest, OutOfSpace])
def test_no_registry_stops_or_delays_a_rollback(shop, caplog, kind):
    old, _ = shop.promote("old"), shop.promote("new")
    registry = Broken(shop, kind("MLflow is of no use today"))
    with caplog.at_level(logging.WARNING):
        assert shop.back(aliases=registry).entry.version == old
        assert shop.back(aliases=registry).status == "already rolled back"
    assert registry.seen == [old, old]
    assert "MLflow is of no use today" in caplog.text and "greenlight reconcile" in caplog.text


def test_a_damaged_mlflow_database_stops_no_rollback(shop, tmp_path):
    old, _ = shop.promote("old"), shop.promote("new")
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow/mlflow.db").write_bytes(b"garbage" * 1000)
    assert shop.back(aliases=Registry(tmp_path / "mlflow")).entry.version == old
    assert shop.seen() == old


def bad(champion, times=2):
    return [
        Observation("scoring_errors", champion, f"2026-11-2{day}", True, "7 % failed", "at most 1 %")
        for day in range(times)
    ]


RULES = [Rule("scoring_errors", 2)]


def alarmed(shop, champion, times=2):
    return roll_back_if_alarmed(shop.store, shop.signer, shop.trust, None, "shops", "prod", bad(champion, times), RULES)


def test_a_persistent_breach_rolls_back_once_and_stops_the_line(shop):
    old, _ = shop.promote("old"), shop.promote("new")
    assert alarmed(shop, 2, times=1) is None
    alarm, done = alarmed(shop, 2)
    assert done.entry.version == old
    assert done.entry.decided_by == "automatic rollback: scoring_errors in prod"
    stopped = line.running(shop.store, shop.trust, "shops")
    assert (
        stopped.reason
        == alarm.reason
        == ("scoring errors, 2 times in a row: found 7 % failed, wanted at most 1 % (2026-11-21)")
    )
    assert line.running(shop.store, shop.trust, "other") is None
    # What was seen of the version that is gone, and what is seen of the one that came back, changes nothing more.
    assert alarmed(shop, 2) is None
    assert alarmed(shop, 3) is None
    assert len(shop.entries()) == 3


def test_an_automatic_rollback_killed_after_stopping_the_line_goes_on_in_the_rerun(shop, monkeypatch):
    old, new = shop.promote("old"), shop.promote("new")
    with monkeypatch.context() as killed:
        killed.setattr(bundles, "open_bundle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            alarmed(shop, 2)
    assert shop.seen() == new
    alarmed(shop, 2)
    assert shop.seen() == old
    assert ledger.length(shop.store, line.LINE) == 1


def test_without_a_version_to_go_back_to_the_line_alone_is_stopped(shop):
    only = shop.promote("only")
    assert alarmed(shop, 1)[1] is None
    assert line.running(shop.store, shop.trust, "shops") is not None
    assert shop.seen() == only


def test_the_whole_line_and_one_workload_are_stopped_and_resumed_apart(shop):
    desk = (shop.store, shop.signer, shop.trust)
    line.stop(*desk, reason="the source is wrong", by="alice", scope="shops")
    line.stop(*desk, reason="the cluster is moving", by="bob")
    assert line.running(shop.store, shop.trust, "shops").by == "bob"
    line.resume(*desk, reason="the cluster has moved", by="bob")
    assert line.running(shop.store, shop.trust, "shops").by == "alice"
    assert line.running(shop.store, shop.trust, "other") is None
    with pytest.raises(BadRequest, match=r"the line as a whole is not stopped.*--workload shops"):
        line.resume(*desk, reason="everything is fine", by="bob")
    line.resume(*desk, reason="the source was mended", by="alice", scope="shops")
    assert line.stops(shop.store, shop.trust) == ()


def test_a_stopped_line_is_stopped_once_and_can_be_stopped_again_after_it_ran(shop):
    desk = (shop.store, shop.signer, shop.trust)
    first = line.stop(*desk, reason="the source is wrong", by="alice")
    assert line.stop(*desk, reason="stop it, somebody!", by="bob") == first
    line.resume(*desk, reason="it was mended today", by="alice")
    assert line.running(shop.store, shop.trust, "shops") is None
    again = line.stop(*desk, reason="the source is wrong", by="alice")
    assert (first.number, again.number) == (1, 3)
    assert ledger.verify(shop.store, shop.trust, line.LINE) is None


def test_a_forged_resume_does_not_let_the_line_run(shop, tmp_path):
    desk = (shop.store, shop.signer, shop.trust)
    line.stop(*desk, reason="the source is wrong", by="alice")
    stranger = service_signer(tmp_path / "stranger")
    with pytest.raises(NotTrusted, match="nothing was written"):
        line.resume(shop.store, stranger, shop.trust, reason="nothing to see here", by="eve")
    (stop,) = ledger.read(shop.store, line.LINE)
    forged = ledger.link(replace(stop, kind="resume", run_key="resume after entry 1"), stop)
    shop.store.put(ledger.entry_key(line.LINE, 2), ledger.sealed(stranger, forged))
    with pytest.raises(NotTrusted):
        line.running(shop.store, shop.trust, "shops")


def test_what_was_observed_is_kept_once_in_the_order_of_time_and_by_champion(shop):
    one, two = bad(2)
    late = replace(one, at="2026-11-20T23:30:00-01:00")
    for seen in (two, late, two, replace(one, champion=1)):
        observations.record(
            shop.store, "shops", "prod", replace(seen, at=seen.at if "T" in seen.at else f"{seen.at}T00:00:00Z")
        )
    found = observations.of_champion(shop.store, "shops", "prod", 2, RULES)
    assert [each.at for each in found] == ["2026-11-21T00:00:00.000000+00:00", "2026-11-21T00:30:00.000000+00:00"]
    observations.record(shop.store, "shops", "prod", replace(late, breached=False))
    assert [each.breached for each in observations.of_champion(shop.store, "shops", "prod", 2, RULES)] == [True, False]
    with pytest.raises(BadRequest, match="names no time zone"):
        observations.record(shop.store, "shops", "prod", replace(one, at="2026-11-20T23:30:00"))
    with pytest.raises(BadRequest, match="is no moment"):
        observations.record(shop.store, "shops", "prod", replace(one, at="yesterday"))


def test_no_more_is_read_of_a_champion_than_its_rules_look_back_on(shop):
    for hour in range(9):
        at = f"2026-11-21T0{hour}:00:00Z"
        observations.record(shop.store, "shops", "prod", Observation("scoring_errors", 2, at, True, "7 %", "1 %"))
    early = next(iter(shop.store.list("observations/")))
    shop.store.put(early, b"cut")
    found = observations.of_champion(shop.store, "shops", "prod", 2, [*RULES, Rule("prediction_drift_critical", 3)])
    assert [each.at[11:13] for each in found] == ["07", "08"]
