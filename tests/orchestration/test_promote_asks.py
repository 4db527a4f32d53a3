"""A promote run that waits for a person: on a real server, as a worker's process runs it, answered well and badly."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.flow_runs import resume_flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Completed, Failed, Pending, Scheduled

from tasks.adapters import approvers, bundles, decisions, key_files, ledger, policies, requests, tokens
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.core.manifest import About
from tests.command_line import CommandLine, at_work_for, end, eventually, said_plainly
from tests.deciding import SHORT_ROAD, decision, short_road

# The first test of all waits for a server and a whole run.
pytestmark = pytest.mark.timeout(1800)

WHY = "holdout better, shadow clean"


class Court:
    """A home in which a challenger serves in dev, and runs of a deployment that would let it out in prod."""

    def __init__(self, line: CommandLine, checkout: Path, client, deployment) -> None:
        self.home, self.client, self.deployment = line.home, client, deployment
        self.list = line.home.parent / "approvers.yaml"
        self.line = line.seeing(PYTHONPATH=str(checkout), GREENLIGHT_APPROVERS=str(self.list))
        self.store = DirectoryStore(line.home / "store")
        self.trust = trusted_keys(line.home / "keys")
        self.list.write_text("approvers:\n")
        self.key = self.hire("alice")
        self.version = ledger.champion(self.store, "channels", "dev").version

    def hire(self, name: str) -> key_files.Signer:
        folder = self.home.parent / "people"
        made = key_files.make(folder / name, name)
        with self.list.open("a") as out:
            out.write(approvers.entry(name, (folder / f"{name}.pub").read_text()))
        return made

    def begin(self):
        """Ask for a run, as the trigger of an event does."""
        asked = {"workload": "channels", "version": self.version, "ring": "prod"}
        return self.client.create_flow_run_from_deployment(self.deployment, parameters=asked).id

    def work(self, run):
        """Carry the run out as a process worker does, and return the state it is left in."""
        self.client.set_flow_run_state(run, Pending())
        environment = self.line.environment() | {"PREFECT__FLOW_RUN_ID": str(run)}
        command = [sys.executable, "-m", "prefect.engine"]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env=environment, cwd=self.line.cwd, timeout=900
        )
        self.said = done.stdout + done.stderr
        assert "Traceback" not in self.said, self.said[-4000:]
        return self.client.read_flow_run(run).state

    def waits(self, run) -> bool:
        """Carry the run out and see that it waits, with no process left."""
        state = self.work(run)
        assert (state.type, state.name) == (StateType.PAUSED, "Suspended"), (state, self.said[-4000:])
        return at_work_for(self.home) == []

    @property
    def question(self):
        (asked,) = requests.open_requests(self.store, self.trust, "channels", "prod")
        return asked

    def form(self, run) -> str:
        keyset = self.client.read_flow_run(run).state.state_details.run_input_keyset
        return self.client.read_flow_run_input(run, keyset["description"])

    def token(self, key=None, **changes) -> str:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        asked = self.question
        return tokens.sign(key or self.key, decision(asked, at=now, reason=WHY, **changes))

    def approve(self) -> None:
        """Record alice's approval, and leave it to others to act on it."""
        rules = decisions.Rules(
            approvers.load(self.list), policies.Policy(ring="prod", **SHORT_ROAD["prod"]).wants, self.trust
        )
        service = service_signer(self.home / "keys")
        assert decisions.submit(self.store, service, self.question, self.token(), rules, datetime.now(UTC)) == ()

    def publish(self) -> str:
        """Publish the same models under another version, let that out in dev, and return it."""
        first = ledger.champion(self.store, "channels", "dev", self.trust)
        whole = bundles.read_manifest(self.store, self.trust, "channels", first.version)
        service, about = service_signer(self.home / "keys"), About(whole.targets, whole.lineage, {"the": "second"})
        made = bundles.publish(self.store, service, "channels", whole.files, about)
        draft = replace(first, version=made.version, manifest_digest=made.manifest_digest, run_key="the second")
        ledger.append(self.store, service, draft, first.number)
        return made.version

    def kill_after(self, stage: str, spared: int) -> None:
        """Kill all that works for the home but *spared*, as soon as the journal has one line more of *stage*."""

        def times() -> int:
            return sum(path.read_text().count(f'"{stage}"') for path in (self.home / "runs/channels").glob("*.jsonl"))

        before = times()
        eventually(lambda: times() > before, seconds=300)
        for pid in set(at_work_for(self.home)) - {spared}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @property
    def pointed(self) -> bool:
        return (self.home / "store/champions/channels/prod.json").exists()

    def let_out(self) -> list[str]:
        """Return who let something out in prod, in order; whatever is pointed at was let out before."""
        pointed = self.pointed
        entries = [each for each in ledger.read(self.store, "channels", self.trust) if each.ring == "prod"]
        signers = [each.decided_by.partition(" (")[0] for each in entries if each.kind == "promotion"]
        assert signers or not pointed
        return signers

    def served(self) -> list[str]:
        """Return who let something out in prod, in order, where nothing was killed: readers are pointed at the last."""
        signers = self.let_out()
        assert self.pointed == bool(signers)
        return signers


def answer(token: str, **changes: str) -> dict[str, str]:
    return {"decision": "greenlight", "approver": "alice", "reason": WHY, "token": token} | changes


@pytest.fixture(scope="module")
def rings(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources with production right after dev, so that one promotion leads to the question."""
    return short_road(checkout, tmp_path_factory.mktemp("short-road"))


@pytest.fixture
def client(api):
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def court(first_run, rings, tmp_path, api, client):
    """A copy of the finished home, and the promote flow deployed to a pool of its own."""
    first_run.copied_to(tmp_path / "home")
    (tmp_path / "cwd").mkdir()
    line = CommandLine(rings, tmp_path / "cwd", tmp_path / "home", {"PREFECT_API_URL": api})
    pool = f"pool-{tmp_path.name}"[:60].rstrip("-_").replace("_", "-")
    subprocess.run(
        [sys.executable, "-m", "prefect", "work-pool", "create", pool, "--type", "process", "--overwrite"],
        env=line.environment(),
        cwd=line.cwd,
        check=True,
        capture_output=True,
    )
    flow = client.create_flow_from_name("promote")
    made = client.create_deployment(
        flow, f"promote-{pool}", entrypoint="flows.promote.promote", work_pool_name=pool, concurrency_limit=1
    )
    yield Court(line, rings, client, made), pool
    client.delete_deployment(made)


@contextlib.contextmanager
def worker(court: Court, pool: str):
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
    environment = court.line.environment() | {"PREFECT_WORKER_QUERY_SECONDS": "1", "PREFECT_HOME": str(court.line.cwd)}
    with (court.line.cwd / "worker.log").open("w") as out:
        child = subprocess.Popen(
            command, env=environment, cwd=court.line.cwd, stdout=out, stderr=out, start_new_session=True
        )
        try:
            yield child
        finally:
            end(child)
            for left in at_work_for(court.home):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(left, signal.SIGKILL)


@pytest.mark.slow
def test_a_run_waits_without_a_worker_and_goes_on_with_what_an_approver_signed(court):
    court, pool = court
    run = court.begin()
    with worker(court, pool) as at_work:
        state = lambda: court.client.read_flow_run(run).state  # noqa: E731
        eventually(lambda: state().is_paused(), seconds=600)
        eventually(lambda: at_work_for(court.home) == [at_work.pid], seconds=120)
        assert court.served() == []
        done = court.line("approve", "channels", "--reason", WHY, "--key", court.home.parent / "people/alice", "--json")
        assert done.rc == 0, done.err
        assert (done.value["outcome"], done.value["verified"]) == ("promoted", True)
        eventually(lambda: state().is_completed(), seconds=120)
    (entry,) = [each for each in ledger.read(court.store, "channels", court.trust) if each.ring == "prod"]
    assert entry.decided_by == f"alice ({court.key.fingerprint})"
    assert (len(entry.decisions), entry.reason, court.served()) == (1, WHY, ["alice"])


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_no_answer_a_wrong_one_and_a_state_set_by_hand_let_nothing_out_and_ask_again(court):
    court, _ = court
    run = court.begin()
    assert court.waits(run)
    with pytest.raises(RuntimeError, match="required property"):
        resume_flow_run(run, run_input={})
    with pytest.raises(RuntimeError, match="required property"):
        resume_flow_run(run)
    # Set going by hand, with no answer at all.
    court.client.set_flow_run_state(run, Scheduled(), force=True)
    assert court.waits(run) and court.served() == []
    for wrong, why in (
        (answer(court.token(ring="dev")), "it is for the ring dev, asked is prod"),
        (answer(court.token(version="another")), "it is for the version another"),
        (answer(court.token(expires_at="2026-01-01T00:00:00+00:00")), "it expired at 2026-01-01"),
        (answer(court.token(), decision="hold"), "the form says hold by alice, its token greenlight by alice"),
        (answer("gl1.no-token-at-all"), "the token is cut or was changed"),
    ):
        resume_flow_run(run, run_input=wrong)
        assert court.waits(run), court.said[-3000:]
        assert why in court.form(run)
        assert court.served() == []
    resume_flow_run(run, run_input=answer(court.token()))
    assert court.work(run).is_completed()
    assert court.served() == ["alice"]


@pytest.mark.slow
def test_a_run_whose_end_was_forced_has_let_nothing_out_and_the_next_finds_its_question(court):
    court, _ = court
    run = court.begin()
    assert court.waits(run)
    asked = court.question
    court.client.set_flow_run_state(run, Completed(), force=True)
    assert court.client.read_flow_run(run).state.is_completed()
    assert court.served() == []
    again = court.begin()
    assert court.waits(again)
    assert court.question == asked


@pytest.mark.slow
def test_a_key_struck_off_before_the_run_goes_on_takes_the_approval_with_it(court):
    court, _ = court
    run = court.begin()
    assert court.waits(run)
    token, listed = court.token(), court.list.read_text()
    court.list.write_text("approvers:\n")
    resume_flow_run(run, run_input=answer(token))
    assert court.waits(run) and court.served() == []
    assert "which is none of the 0 in approvers.yaml" in court.form(run)
    court.list.write_text(listed)
    court.client.set_flow_run_state(run, Scheduled(), force=True)
    assert court.work(run).is_completed()
    assert court.served() == ["alice"]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_run_that_ended_badly_and_is_retried_asks_again_and_takes_the_answer(court):
    court, _ = court
    run = court.begin()
    assert court.waits(run)
    asked = court.question
    resume_flow_run(run, run_input=answer(court.token(ring="dev")))
    assert court.waits(run)
    for forced in (Failed(name="TimedOut"), Failed(message="The flow was paused and never resumed."), Completed()):
        court.client.set_flow_run_state(run, forced, force=True)
        assert court.served() == []
        court.client.set_flow_run_state(run, Scheduled())
        assert court.waits(run) and court.question == asked
        assert "it is for the ring dev" in court.form(run)
    resume_flow_run(run, run_input=answer(court.token()))
    assert court.work(run).is_completed()
    assert court.served() == ["alice"]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_token_counts_once_and_for_no_later_question(court):
    court, _ = court
    run, first = court.begin(), court.version
    assert court.waits(run)
    used = court.token()
    resume_flow_run(run, run_input=answer(used))
    assert court.work(run).is_completed() and court.served() == ["alice"]
    assert said_plainly(court.line("approve", "channels", "--reason", WHY), 2, "there is nothing to decide")
    court.version = court.publish()
    run = court.begin()
    assert court.waits(run)
    for _ in range(2):
        resume_flow_run(run, run_input=answer(used))
        assert court.waits(run)
        assert f"it is for the version {first}, asked is {court.version}" in court.form(run)
        assert "it was made on the dossier" in court.form(run)
        assert court.served() == ["alice"]
    resume_flow_run(run, run_input=answer(court.token()))
    assert court.work(run).is_completed() and court.served() == ["alice", "alice"]
    # The first one, to be let out anew over the second: the same version and ring, and still another question.
    court.version = first
    run = court.begin()
    assert court.waits(run)
    resume_flow_run(run, run_input=answer(used))
    assert court.waits(run)
    assert "what differs: " in court.form(run) and "the champion" in court.form(run)
    assert court.served() == ["alice", "alice"]


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_a_run_that_is_killed_under_its_worker_goes_on_when_retried_and_ends_in_one_entry(court):
    court, pool = court
    run = court.begin()
    with worker(court, pool) as at_work:
        state = lambda: court.client.read_flow_run(run).state  # noqa: E731
        told = (court.line.cwd / "worker.log").read_text
        eventually(lambda: state().is_paused(), seconds=300)
        eventually(lambda: at_work_for(court.home) == [at_work.pid], seconds=60)
        court.approve()
        court.client.set_flow_run_state(run, Scheduled(), force=True)
        for killed, stage in enumerate(("judge", "decide", "project"), start=1):
            court.kill_after(stage, at_work.pid)
            # The worker says so twice, and the second time it would be the retried run that it calls crashed.
            eventually(lambda killed=killed: told().count("flow_runs.worker - Check whether") == killed, seconds=600)
            eventually(lambda: state().is_crashed(), seconds=60)
            assert court.let_out() in ([], ["alice"])
            retry = [sys.executable, "-m", "prefect", "flow-run", "retry", str(run)]
            subprocess.run(retry, env=court.line.environment(), cwd=court.line.cwd, check=True, capture_output=True)
        eventually(lambda: state().is_completed(), seconds=300)
    assert court.served() == ["alice"]
    assert requests.open_requests(court.store, court.trust) == ()
    assert [each.kind for each in ledger.read(court.store, "channels", court.trust)] == ["promotion", "promotion"]
    assert court.line("ledger", "verify").rc == 0
    assert court.line("status", "--json").value["troubles"] == []
