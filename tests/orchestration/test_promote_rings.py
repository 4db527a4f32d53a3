"""From ring to ring at the command line: in order, never past a no, killed anywhere, and nothing altered on the way."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tasks.adapters import approvers, bundles, decisions, dossiers, key_files, ledger, policies, requests, tokens
from tasks.adapters.blobs import blob_key
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.core.manifest import About
from tests.command_line import CommandLine, said_plainly
from tests.deciding import decision

# The first test of all waits for a server and a whole run.
pytestmark = pytest.mark.timeout(1800)

WHY = "holdout better, shadow clean"
PROD = {"after": "dev", "decision": "signed", "roles": ["approver"], "min_reason_characters": 10}
STAGES = ("judge", "open request", "write dossier", "decide", "project", "write page", "close request")


class Road:
    """A home in which a challenger serves in dev, and production is the next ring."""

    def __init__(self, line: CommandLine, checkout: Path) -> None:
        self.home, self.checkout = line.home, checkout
        self.list = line.home.parent / "approvers.yaml"
        self.line = line.seeing(PYTHONPATH=str(checkout), GREENLIGHT_APPROVERS=str(self.list))
        self.store, self.trust = DirectoryStore(line.home / "store"), trusted_keys(line.home / "keys")
        self.list.write_text("approvers:\n")
        self.key = key_files.make(line.home.parent / "alice", "alice")
        self.list.write_text("approvers:\n" + approvers.entry("alice", (line.home.parent / "alice.pub").read_text()))

    def promote(self, *asked: str):
        return self.line("promote", "channels", "--to-ring", "prod", "--requested-by", "carol", *asked, "--json")

    @property
    def question(self):
        (asked,) = requests.open_requests(self.store, self.trust, "channels", "prod")
        return asked

    def approve(self) -> None:
        """Record alice's approval, and leave it to others to act on it."""
        asked, now = self.question, datetime.now(UTC)
        token = tokens.sign(self.key, decision(asked, at=now.isoformat(timespec="seconds"), reason=WHY))
        rules = decisions.Rules(approvers.load(self.list), policies.Policy(ring="prod", **PROD).wants, self.trust)
        service = service_signer(self.home / "keys")
        assert decisions.submit(self.store, service, asked, token, rules, now) == ()

    def kill_at(self, stage: str) -> None:
        """Promote, and have that killed with SIGKILL as soon as it says that *stage* is done."""
        died = self.line.dying_after(stage)("promote", "channels", "--to-ring", "prod")
        assert died.rc == -signal.SIGKILL, (stage, died.err)

    def entries(self) -> list[tuple[str, str, str]]:
        found = ledger.read(self.store, "channels", self.trust)
        return [(each.kind, each.ring, each.decided_by.partition(" (")[0]) for each in found]


DEV_ALONE = [("promotion", "dev", "policy dev")]
LET_OUT = [*DEV_ALONE, ("promotion", "prod", "alice")]


@contextlib.contextmanager
def altered(path: Path):
    """Change one byte of *path* meanwhile."""
    whole, mode, middle = path.read_bytes(), path.stat().st_mode, path.stat().st_size // 2
    path.chmod(0o644)
    path.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    try:
        yield
    finally:
        path.write_bytes(whole)
        path.chmod(mode)


@pytest.fixture
def road(first_run, checkout, api, tmp_path):
    """A copy of the finished home, and sources of its own, with production right after dev."""
    first_run.copied_to(tmp_path / "home")
    shutil.copytree(checkout, tmp_path / "sources")
    (tmp_path / "cwd").mkdir()
    for name in ("qa", "preprod"):
        (tmp_path / f"sources/deployments/policies/{name}.yaml").unlink()
    made = Road(
        CommandLine(tmp_path / "sources", tmp_path / "cwd", tmp_path / "home", {"PREFECT_API_URL": api}),
        tmp_path / "sources",
    )
    write(made, PROD)
    return made


def write(road: Road, policy: dict) -> None:
    (road.checkout / "deployments/policies/prod.yaml").write_text(json.dumps({"ring": "prod", **policy}))


@pytest.mark.slow
def test_what_an_operator_rolled_back_from_is_not_let_out_again_by_an_automatic_ring(road):
    first = ledger.champion(road.store, "channels", "dev", road.trust)
    whole = bundles.read_manifest(road.store, road.trust, "channels", first.version)
    service, about = service_signer(road.home / "keys"), About(whole.targets, whole.lineage, {"the": "second"})
    second = bundles.publish(road.store, service, "channels", whole.files, about)
    draft = replace(first, version=second.version, manifest_digest=second.manifest_digest, run_key="the second")
    ledger.append(road.store, service, draft, first.number)
    done = road.line("rollback", "channels", "--ring", "dev", "--requested-by", "bob", "--reason", "negative earnings")
    assert done.rc == 0, done.err
    again = road.line("promote", "channels", "--to-ring", "dev", "--version", second.version, "--json")
    assert [each["status"] for each in again.value] == ["not promoted"], again.err
    (verdict,) = [each for each in again.value[0]["verdicts"] if each["gate"] == "not rolled back from"]
    assert (verdict["outcome"], verdict["found"]) == ("fail", "rolled back from")
    assert "bob rolled back from it at" in verdict["reason"] and "negative earnings" in verdict["reason"]
    assert ledger.champion(road.store, "channels", "dev", road.trust).version == first.version


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_promotion_killed_after_every_step_ends_in_one_entry(road):
    waiting = road.promote()
    assert waiting.rc == 0, waiting.err
    assert [each["status"] for each in waiting.value] == ["waiting"]
    road.approve()
    for stage in STAGES:
        road.kill_at(stage)
        assert road.entries() in (DEV_ALONE, LET_OUT)
    done = road.promote()
    assert done.rc == 0, done.err
    assert road.entries() == LET_OUT
    assert requests.open_requests(road.store, road.trust) == ()
    entry = ledger.champion(road.store, "channels", "prod", road.trust)
    closed = requests.closed_request(road.store, road.trust, dossiers.read(road.store, entry.evidence))
    assert (closed.outcome, closed.number) == ("promoted", entry.number)
    assert road.line("verify", "channels", "--ring", "prod", "--json").rc == 0


@pytest.mark.slow
def test_what_was_altered_after_the_approval_is_not_let_out(road):
    road.promote()
    road.approve()
    asked = road.question
    write(road, PROD | {"min_reason_characters": 12})
    anew = road.promote()
    assert [each["status"] for each in anew.value] == ["waiting"]
    assert "is asked anew" in anew.err and "changed since: the policy" in anew.err
    assert road.question.digest != asked.digest
    road.approve()
    (request,) = (
        path
        for path in (road.home / "store/requests/channels/prod").glob("*.json")
        if road.question.nonce in path.read_text()
    )
    with altered(request):
        assert road.promote().rc == 4
    manifest = bundles.read_manifest(road.store, road.trust, "channels", asked.version)
    model = next(blob for path, blob in sorted(manifest.files.items()) if "model" in path)
    with altered(road.home / "store" / blob_key(model.digest)):
        assert road.promote().rc == 4
    assert road.entries() == DEV_ALONE
    assert road.promote().rc == 0
    assert road.entries() == LET_OUT


@pytest.mark.slow
def test_no_ring_is_skipped_and_none_is_made_up(road):
    for ring in ("production", "break-glass", "qa"):
        done = road.line("promote", "channels", "--to-ring", ring)
        assert said_plainly(done, 2, f"{ring!r} is no ring; the rings are: dev, prod")
    assert road.entries() == DEV_ALONE


@pytest.mark.slow
def test_two_promotions_at_once_end_in_one_entry(road):
    road.promote()
    road.approve()
    asked = ("promote", "channels", "--to-ring", "prod", "--wait-seconds", "800", "--json")
    with road.line.started(*asked) as one, road.line.started(*asked) as other:
        said = [child.communicate(timeout=900)[0] for child in (one, other)]
    assert [one.returncode, other.returncode] == [0, 0], said
    assert sorted(json.loads(each)[-1]["status"] for each in said) == ["already champion", "promoted"]
    assert road.entries() == LET_OUT
