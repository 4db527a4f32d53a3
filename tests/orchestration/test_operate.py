"""What an operator does with the command line: real processes, a home whose versions were let out before."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tasks.adapters import line, requests
from tasks.adapters.registry import Registry
from tests.command_line import CommandLine, ask_api, eventually, unforeign
from tests.deciding import dossier
from tests.released import Released

pytestmark = pytest.mark.timeout(1200)
WHY = ("--reason", "predicts negative earnings")


@pytest.fixture
def shop(tmp_path):
    return Released(tmp_path / "home", "channels")


@pytest.fixture
def greenlight(checkout, tmp_path):
    """The command line on that home, with no server anywhere."""
    (tmp_path / "cwd").mkdir()
    return CommandLine(checkout, tmp_path / "cwd", tmp_path / "home")


def entries(shop):
    return [(entry.kind, entry.version) for entry in shop.entries()]


def test_an_operator_rolls_back_and_finds_it_in_status_and_history(shop, greenlight):
    old, new = shop.promote("old"), shop.promote("new")
    done = greenlight("rollback", "channels", *WHY, "--requested-by", "bob", "--json")
    assert done.rc == 0, done.err
    assert (done.value["status"], done.value["before"], done.value["entry"]["version"]) == ("rolled back", new, old)
    assert shop.seen() == old
    status, shown, told = greenlight.each(
        ("status", "--json"), ("status",), ("history", "channels", "--ring", "prod", "--json")
    )
    assert [(each["version"], each["by"], each["kind"]) for each in status.value["champions"]] == [
        (old, "bob", "rollback")
    ]
    assert f"channels │ prod │ {old}" in shown.out
    assert [(each["kind"], each["reason"]) for each in told.value][-1] == ("rollback", WHY[1])


def test_a_rollback_starts_no_server_and_loads_no_orchestrator(shop, greenlight):
    shop.promote("old")
    shop.promote("new")
    loaded = (
        "import sys; sys.argv = ['greenlight', 'rollback', 'channels', *sys.argv[1:]]\n"
        "from deployments.cli import main; main()\n"
        "sys.exit(str({'prefect', 'mlflow'} & set(sys.modules) or ''))"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded, *WHY],
        cwd=greenlight.cwd,
        env=greenlight.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (1, ""), done.stderr
    assert entries(shop)[-1][0] == "rollback"


REFUSED = (
    (("rollback", "chanels", *WHY), "chanels"),
    (("rollback", "_line", *WHY), "_line"),
    (("rollback", "channels"), "Missing option '--reason'"),
    (("rollback", "channels", "--reason", "bad"), "wanted at least 10"),
    (("rollback", "channels", *WHY, "--ring", "qa"), "nothing in qa to roll back; it serves in: prod"),
    (("rollback", "channels", *WHY, "--to", "nonsense"), "has no version 'nonsense'"),
    (("resume-the-line", *WHY), "is not stopped"),
    (("history", "channels", "--ring", "pord"), "known rings: "),
    (("monitor", "run", "channels", "--input", "nowhere.csv", "--ring", "pord"), "known rings: "),
    (("monitor", "run", "channels", "--input", "nowhere.csv"), "there is no batch at nowhere.csv"),
    (("monitor", "actuals", "channels", "--source", "nowhere.csv"), "there are no actuals at nowhere.csv"),
    (("stop-the-line", *WHY, "--workload", "chanels"), "chanels"),
    (("ledger", "verify", "--workload", "chanels"), "'chanels' has no ledger; there are: channels"),
    (("ledger", "verify", "--anchor", "nonsense"), "is no anchor"),
    (("ledger", "export", "--format", "xml"), "'xml' is not one of"),
)


def test_what_cannot_be_done_is_refused_in_one_sentence(shop, greenlight):
    shop.promote("old")
    shop.promote("new")
    for (asked, said), done in zip(REFUSED, greenlight.each(*(asked for asked, _ in REFUSED)), strict=True):
        assert done.rc == 2, asked
        assert said in done.err and "Traceback" not in done.err and done.out == "", (asked, done)
    assert len(shop.entries()) == 2


def test_the_line_is_stopped_shown_and_resumed(shop, greenlight):
    old, _ = shop.promote("old"), shop.promote("new")
    done = stopped, status, back, resumed, later, told = greenlight.each(
        ("stop-the-line", "--reason", "the source double-counts"),
        ("status",),
        ("rollback", "channels", *WHY),
        ("resume-the-line",),
        ("status", "--json"),
        ("history", "channels", "--json"),
    )
    assert [each.rc for each in done] == [0] * 6, (stopped.err, back.err, resumed.err)
    assert "the line was stopped by" in status.out
    assert shop.seen() == old
    assert later.value["stops"] == []
    kinds = [each["kind"] for each in told.value]
    assert sorted(kinds) == ["promotion", "promotion", "resume", "rollback", "stop"]


def test_an_audit_ends_with_exit_code_one_and_the_first_broken_entry(shop, greenlight, tmp_path):
    for name in ("one", "two", "three"):
        shop.promote(name)
    whole, heads = greenlight.each(("ledger", "verify"), ("ledger", "anchor"))
    assert (whole.rc, whole.out) == (0, "channels: 3 entries hold\n")
    (tmp_path / "heads.txt").write_text(heads.out)
    export = tmp_path / "ledger.csv"
    verified, shown, written = greenlight.each(
        ("ledger", "verify", "--anchor", tmp_path / "heads.txt"),
        ("ledger", "export"),
        ("ledger", "export", "--format", "csv", "--out", export),
    )
    assert (verified.rc, len(shown.value), written.rc) == (0, 3, 0)
    assert len(export.read_text().splitlines()) == 4
    path = shop.home / "store/ledger/channels/000002.json"
    path.write_bytes(path.read_bytes().replace(b"alice", b"malic"))
    broken = greenlight("ledger", "verify", "--json")
    assert (broken.rc, broken.value["error"], broken.value["exit_code"]) == (1, "LedgerBroken", 1)
    assert "the ledger of channels is broken at entry 2" in broken.value["message"]


def test_a_head_noted_elsewhere_finds_what_was_cut_off_everywhere(shop, greenlight):
    shop.promote("one")
    shop.promote("two")
    noted = greenlight("ledger", "anchor", "--workload", "channels").out.strip()
    for left in ("store/ledger/channels/000002.json", "store/anchors/channels.json", "keys/anchors/channels.json"):
        (shop.home / left).unlink()
    (shop.home / "store/champions/channels/prod.json").unlink()
    whole, cut = greenlight.each(("ledger", "verify"), ("ledger", "verify", "--anchor", noted))
    assert whole.rc == 0
    assert cut.rc == 1 and "the ledger ends at 1, but entry 2 was noted elsewhere: its end was cut off" in cut.err


@pytest.mark.slow
def test_a_rollback_killed_at_any_instant_ends_in_one_entry(shop, greenlight):
    old, new = shop.promote("old"), shop.promote("new")
    shop.promote("newest")
    entry = shop.home / "store/ledger/channels/000004.json"
    copy = shop.home / "store/champions/channels/prod.json"
    shown = copy.read_bytes()
    # Before anything, right after the commit, and right after readers were shown.
    for instant in (lambda: True, entry.exists, lambda: copy.read_bytes() != shown):
        with greenlight.started("rollback", "channels", *WHY) as child:
            while child.poll() is None and not instant():
                time.sleep(0.0005)
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
    assert greenlight("rollback", "channels", *WHY).rc == 0
    assert [version for _, version in entries(shop)][3:] == [new]
    assert shop.seen() == new != old
    assert greenlight("ledger", "verify").rc == 0


AT_ONCE = {
    "command": "import sys, deployments.cli as cli, deployments.commands.operate; ready(); "
    "sys.argv = ['greenlight', 'rollback', 'channels', '--requested-by', who, '--reason', why]; cli.main()",
    "flow": "from flows.rollback import rollback; ready(); rollback('channels', why, requested_by=who)",
}
READY = "import sys; ready = lambda: (print(flush=True), sys.stdin.readline()); who, why = sys.argv[1:]; "


def rolled_back_at_once(greenlight, how, *wishes):
    """Have rollbacks begin at the same instant, each with who and why, and return their exit codes."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = greenlight.seeing(PYTHONPATH=str(greenlight.checkout)).environment()
    command = [sys.executable, "-c", READY + AT_ONCE[how]]
    begun = [subprocess.Popen([*command, *wish], cwd=greenlight.cwd, env=environment, **pipes) for wish in wishes]
    for child in begun:
        assert child.stdout.readline() == "\n"
    for child in begun:
        child.stdin.write("\n")
        child.stdin.flush()
    for child in begun:
        child.communicate(timeout=900)
    return [child.returncode for child in begun]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["command", "flow"])
def test_rollbacks_at_once_are_one_entry_or_follow_one_upon_the_other(shop, greenlight, api, how):
    if how == "flow":
        greenlight = greenlight.seeing(PREFECT_API_URL=api)
    versions = [shop.promote(name) for name in ("first", "second", "third", "fourth", "fifth")]
    same = rolled_back_at_once(greenlight, how, ("bob", WHY[1]), ("bob", WHY[1]))
    assert (same, [kind for kind, _ in entries(shop)[5:]]) == ([0, 0], ["rollback"])
    assert shop.seen() == versions[3]
    # Whoever comes second hears that the ledger moved, or looked after it did: then it goes back one further.
    others = rolled_back_at_once(greenlight, how, ("bob", "negative earnings"), ("ann", "negative subscribers"))
    moved = len(others) - others.count(0)
    assert set(others) <= {0, 5 if how == "command" else 1} and moved < 2
    assert [version for _, version in entries(shop)[6:]] == [versions[2], versions[1]][: 2 - moved]
    assert shop.seen() == entries(shop)[-1][1]
    assert greenlight("ledger", "verify").rc == 0


@pytest.mark.slow
def test_the_flow_does_what_the_command_does_and_says_that_the_champion_changed(shop, checkout, api, tmp_path):
    old, new = shop.promote("old"), shop.promote("new")
    Registry(shop.home / "mlflow").alias("channels", "champion")
    flow = (
        "from flows.rollback import rollback\n"
        "for _ in range(2): print(rollback('channels', 'predicts negative earnings', requested_by='bob').status)"
    )
    settings = {"PREFECT_API_URL": api, "PYTHONPATH": str(checkout), "GREENLIGHT_HOME": str(shop.home)}
    done = subprocess.run(
        [sys.executable, "-c", flow],
        cwd=tmp_path,
        env=unforeign() | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == ["rolled back", "already rolled back"]
    assert entries(shop) == [("promotion", old), ("promotion", new), ("rollback", old)]
    assert Registry(shop.home / "mlflow").alias("channels", "champion") == shop.entries()[0].manifest_digest

    def told():
        found = ask_api(api, "/events/filter", {"filter": {"event": {"name": ["champion.changed"]}}})["events"]
        return [each["payload"] for each in found if each["payload"]["version"] == old]

    eventually(told, seconds=300)
    assert told() == [{"version": old, "ring": "prod", "serves": ["sales"]}]


@pytest.mark.slow
def test_the_command_tells_a_prefect_server_where_there_is_one_and_needs_none(shop, greenlight, api):
    first, second = shop.promote("told by the command"), shop.promote("new")

    def told():
        found = ask_api(api, "/events/filter", {"filter": {"event": {"name": ["champion.changed"]}}})["events"]
        return [each["payload"]["ring"] for each in found if each["payload"]["version"] == first]

    assert greenlight.seeing(PREFECT_API_URL=api)("rollback", "channels", *WHY).rc == 0
    eventually(told, seconds=300)
    assert told() == ["prod"]
    gone = greenlight.seeing(PREFECT_API_URL="http://127.0.0.1:1/api")
    done = gone("rollback", "channels", *WHY, "--to", second, "--json")
    assert (done.rc, done.value["status"]) == (0, "rolled back"), done.err
    assert "Traceback" not in done.err


OBSERVED = """
import sys
from prefect import flow
from tasks.core.rollback import Observation
from tasks.rollback import observe

@flow
def monitor(at):
    seen = Observation("scoring_errors", 2, at, True, "7 % failed", "at most 1 %")
    return observe("channels", "prod", (seen,))

done = monitor(sys.argv[1])
print(done.status if done else "nothing")
"""


@pytest.mark.slow
def test_flow_runs_that_see_the_same_trouble_again_roll_back_once(shop, checkout, api, tmp_path):
    old, new = shop.promote("old"), shop.promote("new")
    sources = tmp_path / "sources"
    shutil.copytree(checkout, sources)
    with (sources / "deployments/policies/prod.yaml").open("a") as policy:
        policy.write("automatic_rollback: [{trigger: scoring_errors, persistence: 2}]\n")
    settings = {"PREFECT_API_URL": api, "PYTHONPATH": str(sources), "GREENLIGHT_HOME": str(shop.home)}

    def monitored(at):
        asked = [sys.executable, "-c", OBSERVED, f"2026-11-21T{at}:00+00:00"]
        done = subprocess.run(
            asked, cwd=tmp_path, env=unforeign() | settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout.strip()

    assert [monitored(at) for at in ("10:00", "10:00", "11:00", "12:00")] == [
        "nothing",
        "nothing",
        "rolled back",
        "nothing",
    ]
    assert entries(shop) == [("promotion", old), ("promotion", new), ("rollback", old)]
    stopped = line.running(shop.store, shop.trust, "channels")
    assert stopped is not None and "scoring errors, 2 times in a row: found 7 % failed" in stopped.reason


@pytest.mark.slow
def test_an_alias_moved_by_hand_is_told_by_status_mended_by_reconcile_and_recorded(greenlight, tmp_path):
    registry = Registry(tmp_path / "home" / "mlflow")
    shop = Released(tmp_path / "home", "channels", registry)
    old, new = shop.promote("old"), shop.promote("new")
    registry._client.set_registered_model_alias("channels", "champion", "1")
    said = f"the registry's alias champion points at {old}, the ledger says {new}"
    assert f"{said}; run: greenlight reconcile channels --ring prod" in greenlight("status").out
    mended = greenlight("reconcile")
    assert mended.rc == 0, mended.err
    assert said in mended.out and "recorded as ledger entry 3" in mended.out
    assert registry.alias("channels", "champion") == shop.entries()[1].manifest_digest
    assert greenlight("status", "--json").value["troubles"] == []
    assert greenlight("history", "channels", "--json").value[-1]["kind"] == "repair"
    assert greenlight("reconcile").out == "nothing to mend\n"
    assert (shop.seen(), greenlight("ledger", "verify").rc) == (new, 0)


def test_a_request_nobody_answered_in_time_is_shown_as_expired_and_closed_by_reconcile(shop, greenlight):
    late = dossier(
        workload="channels", requested_at="2025-01-01T00:00:00+00:00", expires_at="2025-01-02T00:00:00+00:00"
    )
    requests.open_request(shop.store, shop.signer, shop.trust, late)
    assert "expired 2025-01-02" in re.sub(r"\s+", " ", greenlight("status").out)
    mended = greenlight("reconcile")
    assert mended.rc == 0, mended.err
    said = f"channels: the request for {late.version} in {late.ring} expired at 2025-01-02T00:00:00+00:00; it is closed"
    assert said in mended.out
    assert [(entry.kind, entry.ring) for entry in shop.entries()] == [("expiry", late.ring)]
    assert requests.open_requests(shop.store, shop.trust) == ()
    assert greenlight("reconcile").out == "nothing to mend\n"
