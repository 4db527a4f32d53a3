"""What an operator sees first; every registry here is a real MLflow on SQLite."""

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.adapters import dossiers, incidents, ledger, line, overview, projections, registry_peek, repair, requests
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.journal import append
from tasks.adapters.registry import Registry
from tasks.adapters.signing import trusted_keys
from tasks.core.digests import canonical_json
from tasks.core.dossier import Dossier
from tasks.core.gates import NONE_YET
from tasks.core.incidents import Restraint, Sighting
from tasks.core.run import StageTime
from tasks.core.values import Blob, Entry
from tasks.core.watch import Observation
from tasks.errors import HomeDamaged, Unreachable
from tests.released import Released

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def registry_home(tmp_path_factory):
    """One database for all tests of this file: making it takes seconds. Each test uses a workload of its own."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def shop(registry_home, request):
    workload = request.node.name.removeprefix("test_")[:40]
    made = Released(registry_home / workload, workload, Registry(registry_home / "mlflow"))
    (made.home / "mlflow").symlink_to(registry_home / "mlflow")
    return made


def look(shop, **asked):
    return overview.look(shop.store, shop.home, shop.trust, **asked)


def move_by_hand(shop, version, alias="champion"):
    """As somebody does in MLflow's own UI."""
    shop.aliases._client.set_registered_model_alias(shop.workload, alias, version)


def test_an_empty_home_has_nothing_to_show_and_nothing_wrong(tmp_path):
    store = DirectoryStore(tmp_path / "store")
    assert overview.look(store, tmp_path, trusted_keys(tmp_path / "keys")) == overview.Overview()
    assert list(tmp_path.iterdir()) == []


def test_champions_are_shown_per_ring_with_when_and_by_whom(shop):
    shop.promote("old")
    new = shop.promote("new")
    tried = shop.promote("tried", ring="dev")
    found = look(shop)
    assert [(each.ring, each.version, each.by, each.number) for each in found.champions] == [
        ("dev", tried, "alice", 3),
        ("prod", new, "alice", 2),
    ]
    assert found.champions[1].since == "2026-11-21T01:00:00+00:00"
    assert found.troubles == ()


def test_an_alias_moved_by_hand_is_shown_repaired_and_recorded(shop):
    old, new = shop.promote("old"), shop.promote("new")
    move_by_hand(shop, "1")
    said = f"the registry's alias champion points at {old}, the ledger says {new}"
    mend = f"run: greenlight reconcile {shop.workload} --ring prod"
    assert look(shop).troubles == (f"{shop.workload}: {said}; {mend}",)
    entry = repair.record(shop.store, shop.signer, shop.trust, shop.aliases, shop.workload, "prod", "reconcile by bob")
    assert (entry.kind, entry.version, entry.decided_by) == ("repair", new, "reconcile by bob")
    assert entry.reason == f"{said}: moved by hand, or by another tool; it was moved back"
    projections.reconcile(shop.store, shop.trust, shop.aliases, shop.workload, "prod")
    assert look(shop).troubles == ()
    # A repair changes nothing that serves, and a second hand is a second finding.
    assert ledger.champion(shop.store, shop.workload, "prod").number == 2
    move_by_hand(shop, "1")
    again = repair.record(shop.store, shop.signer, shop.trust, shop.aliases, shop.workload, "prod", "reconcile by bob")
    assert again.number == 4


def test_a_repair_killed_before_it_was_carried_out_is_one_entry(shop):
    shop.promote("old")
    shop.promote("new")
    move_by_hand(shop, "1")
    desk = (shop.store, shop.signer, shop.trust, shop.aliases, shop.workload, "prod")
    first = repair.record(*desk, "reconcile by bob")
    assert repair.record(*desk, "reconcile by bob") == first
    projections.reconcile(shop.store, shop.trust, shop.aliases, shop.workload, "prod")
    assert [entry.kind for entry in shop.entries()] == ["promotion", "promotion", "repair"]


def test_a_promotion_killed_before_its_projections_is_no_hand(shop):
    shop.promote("old")
    aliases, shop.aliases = shop.aliases, None
    copy = shop.store.local_path(projections.champion_key(shop.workload, "prod"))
    before = copy.read_bytes()
    shop.promote("new")
    copy.write_bytes(before)
    assert repair.record(shop.store, shop.signer, shop.trust, aliases, shop.workload, "prod", "bob") is None
    assert len(look(shop).troubles) == 2


def test_a_copy_that_readers_have_and_the_ledger_has_not_is_shown(shop):
    old, new = shop.promote("old"), shop.promote("new")
    copy = shop.store.local_path(projections.champion_key(shop.workload, "prod"))
    copy.write_bytes(shop.store.local_path(ledger.entry_key(shop.workload, 1)).read_bytes())
    (said,) = look(shop).troubles
    assert f"readers in prod see {old} (entry 1), the ledger says {new} (entry 2)" in said
    copy.write_bytes(b"{}")
    assert "truncated or garbled" in look(shop).troubles[0]


def test_a_broken_ledger_is_told_and_the_rest_is_shown(shop):
    shop.promote("old")
    shop.promote("new")
    line.stop(shop.store, shop.signer, shop.trust, reason="the source is wrong", by="alice")
    path = shop.store.local_path(ledger.entry_key(shop.workload, 1))
    path.write_bytes(path.read_bytes().replace(b"every gate", b"every gat3"))
    found = look(shop)
    assert found.champions == ()
    assert "was changed after it was signed" in found.troubles[0]
    assert [stopped.by for stopped in found.stops] == ["alice"]


def test_a_database_that_is_none_of_mlflows_is_told(tmp_path):
    shop = Released(tmp_path, "shops")
    shop.promote("old")
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow/mlflow.db").write_bytes(b"no database at all, but long enough to be looked at" * 20)
    assert "move it away, then run: greenlight reconcile" in look(shop).troubles[0]
    with pytest.raises(HomeDamaged):
        registry_peek.aliases(tmp_path / "mlflow/mlflow.db")


def test_a_registry_on_a_server_is_asked_where_its_aliases_point(tmp_path):
    shop = Released(tmp_path, "shops")
    shop.promote("old")
    asked = []

    def server(workload, alias):
        asked.append((workload, alias))
        return "f" * 64

    (said,) = look(shop, server=server).troubles
    assert "alias champion points at ffffffffffff" in said
    assert asked == [("shops", "champion")]


def test_the_last_runs_are_shown_with_what_came_of_them(tmp_path):
    shop = Released(tmp_path, "shops")
    append(tmp_path, "shops", "key1", StageTime("train", 1.0, 1.0))
    (run,) = look(shop).runs
    assert (run.workload, run.key, run.outcome) == ("shops", "key1", "not finished; last stage: train")
    shop.store.put("runs/shops/key1.json", b'{"promotion": {"status": "promoted"}}')
    assert look(shop).runs[0].outcome == "promoted"


def test_looking_at_a_registry_in_the_home_imports_no_mlflow(shop):
    shop.promote("old")
    code = (
        "import sys; from pathlib import Path\n"
        "from tasks.adapters import overview\n"
        "from tasks.adapters.directory import DirectoryStore\n"
        "from tasks.adapters.signing import trusted_keys\n"
        "home = Path(sys.argv[1])\n"
        "found = overview.look(DirectoryStore(home / 'store'), home, trusted_keys(home / 'keys'))\n"
        "assert found.champions and not found.troubles, found\n"
        "sys.exit(str({'mlflow', 'prefect', 'sqlalchemy'} & set(sys.modules) or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(shop.home)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr.strip() == "", done.stderr


def asked(**changes):
    whole = Dossier(
        workload="shops",
        ring="prod",
        version="new",
        run_key="k",
        requested_by="carol",
        requested_at="2026-11-21T10:00:00+00:00",
        expires_at="2026-11-24T10:00:00+00:00",
        nonce="n",
        manifest="",
        evidence="",
        snapshot="",
        definitions="",
        policy="",
        champion=NONE_YET,
        rollback=None,
        comparisons=(),
        verdicts=(),
        serves=("sales",),
        rehearsal=None,
        recommendation="hold",
        because="the gate is not sure",
    )
    return replace(whole, **changes)


def test_open_requests_are_shown_with_who_must_decide_and_until_when(tmp_path):
    shop = Released(tmp_path, "shops")
    requests.open_request(shop.store, shop.signer, shop.trust, asked())
    (waiting,) = look(shop).waiting
    assert (waiting.workload, waiting.ring, waiting.version, waiting.recommendation) == ("shops", "prod", "new", "hold")
    assert waiting.expires_at == "2026-11-24T10:00:00+00:00"
    assert waiting.wanted == "approver or release-manager, but not carol, signed"


def test_a_request_that_nobody_answered_in_time_is_shown_as_expired(tmp_path):
    shop = Released(tmp_path, "shops")
    requests.open_request(shop.store, shop.signer, shop.trust, asked(expires_at="2026-11-20T10:00:00+00:00"))
    requests.open_request(shop.store, shop.signer, shop.trust, asked(ring="qa", version="next", expires_at=""))
    assert {each.ring: each.expired for each in look(shop).waiting} == {"prod": True, "qa": False}


def test_what_broke_the_glass_is_flagged_until_somebody_reviewed_it(tmp_path):
    shop = Released(tmp_path, "shops")
    broken = asked(break_glass="the source is on fire and nobody is there")
    dossiers.keep(shop.store, broken)
    by = ("break-glass by alice, bob", "the source is on fire", "now", "")
    draft = Entry("shops", 0, "promotion", "prod", "new", "m", ("sales",), broken.digest, "p", *by)
    let_out = ledger.append(shop.store, shop.signer, draft, 0)
    assert look(shop).unreviewed == (let_out,)
    review = replace(let_out, kind="review", decided_by="dave", reason="it was right")
    ledger.append(shop.store, shop.signer, review, let_out.number)
    assert look(shop).unreviewed == ()


def test_incidents_are_shown_and_what_they_swallowed_with_the_reason(tmp_path):
    shop = Released(tmp_path, "channels")
    now = datetime.now(UTC)
    for run in ("first", "second"):
        incidents.admit(shop.store, Sighting("channels", "event:1", run, now), Restraint())
    (found,) = look(shop).incidents
    assert (found.workload, found.standing.state, found.standing.retrains_this_month) == ("channels", "CONFIRMED", 1)
    assert "swallowed by the cooldown until" in found.swallowed[0].because


def observed(shop, ring, number, severity, **changes):
    about = (1, "old", f"batch {number}", "rows.csv", "2026-11-21T10:00:00+00:00", 900, 900)
    seen = Observation("shops", ring, number, *about, severity, "it moved", (), (), Blob("a" * 64, 9), **changes)
    shop.store.put(f"drift/shops/{ring}/{number:06}.json", canonical_json(seen), if_absent=True)


def test_the_watch_over_each_ring_is_shown_and_a_damaged_one_is_told(tmp_path):
    shop = Released(tmp_path, "shops")
    for ring in ("dev", "prod"):
        shop.promote("old", ring=ring)
    observed(shop, "dev", 1, "none")
    for number, told in ((1, ""), (2, "workload.drifted")):
        observed(shop, "prod", number, "critical", told=told, incident="wet" if told else "")
    observed(shop, "prod", 3, "insufficient", counts=Blob("b" * 64, 9), incident="wet", pooled=())
    dev, prod = look(shop).watched
    assert (dev.ring, dev.batch, dev.severity, dev.critical_in_a_row) == ("dev", 1, "none", 0)
    assert (prod.batch, prod.severity, prod.critical_in_a_row) == (3, "insufficient", 2)
    assert (prod.waiting, prod.incident, prod.version) == ((3,), "wet", "old")
    shop.store.local_path("drift/shops/dev/000001.json").write_bytes(b"{}")
    found = look(shop)
    assert [each.ring for each in found.watched] == ["prod"]
    assert "drift/shops/dev/000001.json" in found.troubles[0] and "restore it from a backup" in found.troubles[0]


def test_a_registry_that_does_not_answer_is_asked_once_for_all_champions(shop):
    shop.promote("old")
    shop.promote("tried", ring="dev")
    asked = []

    def server(workload, alias):
        asked.append(alias)
        raise Unreachable("no route to MLflow")

    assert look(shop, server=server).troubles == ("no route to MLflow",)
    assert asked == ["champion-dev"]
