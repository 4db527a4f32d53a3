"""An approver at the command line: keys, tokens and answers, as real processes on a real home."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deployments import stack
from tasks.adapters import approvers, key_files, policies, requests, tokens
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer, trusted_keys
from tests.command_line import CommandLine, said_plainly
from tests.deciding import dossier

RINGS = {
    "twofold": {"decision": "signed", "approvals": 2, "roles": ["approver"]},
    "single": {"decision": "signed"},
    "claimed": {"decision": "person", "approvals": 2},
}
SESAME = "open sesame, planted"
WHY = ("--reason", "holdout better, shadow clean")
pytestmark = pytest.mark.timeout(1200)


class Office:
    """A home with approvers and, once asked, open requests."""

    def __init__(self, line: CommandLine, checkout: Path) -> None:
        self.list = line.home.parent / "approvers.yaml"
        self.line = line.seeing(PYTHONPATH=str(checkout), GREENLIGHT_APPROVERS=str(self.list))
        self.keys = line.home / "keys" / "approvers"
        self.store = DirectoryStore(line.home / "store")
        self.policies = checkout / "deployments" / "policies"
        self.list.write_text("approvers:\n")

    def hire(self, name: str) -> Path:
        key_files.make(self.keys / name, name)
        with self.list.open("a") as out:
            out.write(approvers.entry(name, (self.keys / f"{name}.pub").read_text()))
        return self.keys / name

    def ask(self, ring: str = "twofold", **changes):
        keys, now = self.line.home / "keys", datetime.now(UTC)
        asked = dossier(
            workload="channels",
            ring=ring,
            requested_at=now.isoformat(timespec="seconds"),
            expires_at=(now + timedelta(hours=4)).isoformat(timespec="seconds"),
            policy=policies.load(ring, self.policies).digest,
        )
        service = service_signer(keys)
        return requests.open_request(self.store, service, trusted_keys(keys), replace(asked, **changes))

    def recorded(self) -> list[str]:
        return list(self.store.list("decisions/"))


@pytest.fixture(scope="module")
def rings(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources with two rings more."""
    folder = tmp_path_factory.mktemp("rings")
    shutil.copytree(checkout, folder, dirs_exist_ok=True)
    for ring, asks in RINGS.items():
        content = {"ring": ring, "automatic": False, **asks}
        (folder / "deployments" / "policies" / f"{ring}.yaml").write_text(json.dumps(content))
    return folder


@pytest.fixture
def office(rings: Path, tmp_path: Path) -> Office:
    (tmp_path / "cwd").mkdir()
    return Office(CommandLine(rings, tmp_path / "cwd", tmp_path / "home"), rings)


def test_a_new_key_says_what_to_add_and_is_never_made_twice(office):
    done = office.line("key", "new", "alice", "--no-passphrase")
    assert done.rc == 0, done.err
    entry = done.out[done.out.index("  - name: alice") :]
    office.list.write_text("approvers:\n" + entry)
    assert [each.name for each in approvers.load(office.list)] == ["alice"]
    assert "on their own machine" in done.out
    before = (office.keys / "alice").read_bytes()
    assert said_plainly(office.line("key", "new", "alice", "--no-passphrase"), 5, "never overwritten")
    assert (office.keys / "alice").read_bytes() == before


def test_a_key_without_a_passphrase_is_only_made_when_that_was_said(office):
    bare, outside = office.line.each(("key", "new", "alice"), ("key", "new", "../alice", "--no-passphrase"))
    assert said_plainly(bare, 2, "--no-passphrase", "no key was made")
    assert said_plainly(outside, 2, "cannot be an approver's name")
    assert not (office.line.home / "keys" / "approvers" / "alice").exists()


def test_nothing_to_decide_is_said_so(office):
    assert said_plainly(office.line("approve", "channels", *WHY), 2, "nothing to decide", "greenlight status")


def test_two_approvers_make_a_quorum_and_the_first_is_told_to_wait(office):
    key, asked = office.hire("alice"), office.ask()
    done, again = office.line.each(("approve", "channels", *WHY), ("approve", "channels", *WHY, "--key", key, "--json"))
    assert done.rc == 0, done.err
    assert "waiting for 1 more approval; greenlit by alice" in done.out
    assert "Shall channels v-new serve sales in twofold, where nothing serves yet?" in done.err
    assert (again.value["outcome"], again.value["verified"], again.value["dossier"]) == ("waiting", True, asked.digest)


def test_an_answer_that_does_not_count_is_refused_with_every_reason(office):
    office.hire("carol")
    office.ask()
    refused = office.line("approve", "channels", "--reason", "ok")
    words = ("asked for this promotion and may not decide", "has 2 characters, wanted at least 10", "nothing was rec")
    assert said_plainly(replace(refused, err=_last_line(refused.err)), 4, *words)
    assert office.recorded() == []


def test_whoever_is_not_listed_is_told_what_to_add(office):
    office.hire("alice").unlink()
    key_files.make(office.keys / "mallory", "mallory")
    office.ask()
    refused = office.line("approve", "channels", *WHY)
    assert said_plainly(replace(refused, err=_last_line(refused.err)), 4, "is none of the 1 in", "greenlight key new")


def test_a_key_others_may_read_is_refused(office):
    office.hire("alice").chmod(0o644)
    office.ask()
    refused = office.line("approve", "channels", *WHY)
    assert said_plainly(replace(refused, err=_last_line(refused.err)), 4, "mode 0644, wanted 0600", "chmod 600")


def test_a_claimed_name_is_recorded_as_unverified_where_no_signature_is_asked(office):
    office.ask("claimed")
    claimed = ("approve", "channels", *WHY, "--as", "dave")
    done, again = office.line.each(claimed, (*claimed, "--json"))
    assert done.rc == 0, done.err
    assert "greenlight by dave, an unverified name, is recorded" in done.out
    assert again.value["verified"] is False


def test_several_open_requests_must_be_told_apart(office):
    office.hire("alice")
    office.ask()
    office.ask("claimed", version="v-other")
    approve = ("approve", "channels", *WHY)
    refused, done, elsewhere = office.line.each(
        approve, (*approve, "--ring", "twofold"), (*approve, "--ring", "twofold", "--version", "v-other")
    )
    assert said_plainly(refused, 2, "2 requests", "--ring claimed --version v-other", "--ring twofold --version v-new")
    assert done.rc == 0, done.err
    assert said_plainly(elsewhere, 2, "no request of channels in twofold for v-other is open", "v-new in twofold")


def test_a_request_of_another_policy_is_asked_anew_before_anybody_decides(office):
    office.hire("alice")
    office.ask(policy="0" * 64)
    assert said_plainly(office.line("approve", "channels", *WHY), 2, "the policy of twofold was changed")


def test_a_decision_is_recorded_and_told_though_no_prefect_api_answers(office):
    office.hire("alice")
    office.ask("single")
    done = office.line.seeing(PREFECT_API_URL="http://127.0.0.1:9/api")("approve", "channels", *WHY)
    words = ("the greenlight of channels is recorded, but the Prefect API did not answer", "nothing is done twice")
    assert said_plainly(replace(done, err=_last_line(done.err)), 7, *words)
    assert len(office.recorded()) == 1


@pytest.mark.parametrize("told", ["up runs on this home", "a setting of ours"])
def test_the_server_that_deploy_uses_is_asked_for_the_waiting_run_too(office, told):
    office.hire("alice")
    office.ask("single")
    nobody = "http://127.0.0.1:9/api"
    with stack.alone(office.line.home):
        stack.remember(office.line.home, stack.Addresses("", "", nobody if told.startswith("up") else "http://x/api"))
        ours = {} if told.startswith("up") else {"GREENLIGHT_PREFECT_API_URL": nobody}
        done = office.line.seeing(**ours)("approve", "channels", *WHY)
    assert said_plainly(replace(done, err=_last_line(done.err)), 7, "but the Prefect API did not answer")


def test_a_token_is_printed_alone_and_nothing_is_recorded(office):
    office.hire("alice")
    asked = office.ask()
    done = office.line("sign", "channels", *WHY, "--decision", "hold", "--hours", "1")
    assert done.rc == 0, done.err
    said = tokens.read(done.out, approvers.load(office.list)).decision
    assert (said.kind, said.approver, said.dossier, said.nonce) == ("hold", "alice", asked.digest, asked.nonce)
    assert said.expires_at < asked.expires_at
    assert done.out.count("\n") == 1 and office.recorded() == []


def test_a_token_that_would_not_count_is_not_printed(office):
    office.hire("carol")
    office.ask()
    done, maybe = office.line.each(("sign", "channels", *WHY), ("sign", "channels", *WHY, "--decision", "maybe"))
    assert (done.rc, done.out) == (4, "")
    assert said_plainly(maybe, 2, "'maybe' is no decision")


def test_a_passphrase_is_read_from_standard_input_or_a_file_and_is_found_nowhere_afterwards(office, tmp_path):
    made = answered(office, SESAME + "\n", "key", "new", "alice", "--json")
    office.list.write_text("approvers:\n" + json.loads(made.stdout)["entry"])
    office.ask()
    wrong = answered(office, "a wrong guess\n", "approve", "channels", *WHY)
    assert wrong.returncode == 4 and "the passphrase does not open the key" in wrong.stderr
    right = answered(office, SESAME + "\n", "approve", "channels", *WHY)
    assert right.returncode == 0, right.stderr
    (tmp_path / "secret").write_text(SESAME + "\n")
    signed = office.line("sign", "channels", *WHY, "--passphrase-file", tmp_path / "secret")
    assert signed.rc == 0, signed.err
    printed = [each for done in (made, wrong, right) for each in (done.stdout, done.stderr)] + [signed.out, signed.err]
    private = (office.keys / "alice").read_text().splitlines()[1]
    written = [
        path.read_bytes() for path in office.line.home.rglob("*") if path.is_file() and path != office.keys / "alice"
    ]
    for secret in (SESAME, "a wrong guess", private):
        assert not any(secret in text for text in printed)
        assert not any(secret.encode() in raw for raw in written)


def test_no_secret_can_be_given_in_the_command(office):
    for shown in office.line.each(("approve", "--help"), ("sign", "--help"), ("key", "new", "--help")):
        assert "--passphrase-file" in shown.out and "--passphrase <" not in shown.out


def answered(office: Office, typed: str, *asked: str) -> subprocess.CompletedProcess[str]:
    """Run one command with something typed into it."""
    with office.line.started(*asked, stdin=subprocess.PIPE) as child:
        out, err = child.communicate(typed, timeout=900)
    return subprocess.CompletedProcess(asked, child.returncode, out, err)


def _last_line(text: str) -> str:
    return text.strip().splitlines()[-1] + "\n"
