"""A question nobody answers: on a running ``up`` it ends as expired by itself, and nothing serves."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.adapters import ledger, requests
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer, trusted_keys
from tests.command_line import CommandLine, ask_api, eventually
from tests.deciding import short_road
from tests.serving import started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def line(first_run, checkout, tmp_path):
    """A command line on a copy of the finished home, with production right after dev."""
    first_run.copied_to(tmp_path / "home")
    (tmp_path / "cwd").mkdir()
    return CommandLine(short_road(checkout, tmp_path / "sources"), tmp_path / "cwd", tmp_path / "home")


def asked_until_soon(line: CommandLine) -> str:
    """Ask whether the challenger may serve in prod, leave people a minute on a fast machine, and return the version."""
    began = time.monotonic()
    done = line("promote", "channels", "--to-ring", "prod", "--requested-by", "carol", "--json")
    assert [each["status"] for each in done.value] == ["waiting"], done.err
    store, keys = DirectoryStore(line.home / "store"), line.home / "keys"
    trust = trusted_keys(keys)
    (asked,) = requests.open_requests(store, trust, "channels", "prod")
    for key in store.list("requests/channels/prod/"):
        store.delete(key)
    # A run that a worker begins must come to wait before this ends: that takes about as long as asking took here.
    open_seconds = 30 + 3 * (time.monotonic() - began)
    until = (datetime.now(UTC) + timedelta(seconds=open_seconds)).isoformat(timespec="seconds")
    return requests.open_request(store, service_signer(keys), trust, replace(asked, expires_at=until)).version


def test_what_nobody_answers_in_time_ends_as_expired_by_itself(line):
    with started(line) as up:
        assert line("deploy").rc == 0
        version = asked_until_soon(line)
        run = up.begin("promote/channels", workload="channels", version=version, ring="prod", requested_by="carol")
        states = []

        def ended() -> bool:
            found = ask_api(up.api, f"/flow_runs/{run}")
            states.append(found["state_name"])
            return found["state_type"] == "COMPLETED"

        eventually(ended, seconds=900)
        assert "Suspended" in states and states[-1] == "Expired", list(dict.fromkeys(states))
        assert len(up.runs("promote/channels")) == 1
    store, trust = DirectoryStore(line.home / "store"), trusted_keys(line.home / "keys")
    assert [(e.kind, e.ring) for e in ledger.read(store, "channels", trust)] == [
        ("promotion", "dev"),
        ("expiry", "prod"),
    ]
    assert requests.open_requests(store, trust) == ()
    assert not (line.home / "store/champions/channels/prod.json").exists()
