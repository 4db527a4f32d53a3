"""Planted secrets are found nowhere: not in what is printed, logged, kept, sent to a server, or seen by ps."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import psutil
import pytest

from tests.command_line import ask_api

# The first test of all waits for a server and a whole run.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SECRET = "Pl4nted-s3cret"
PASSPHRASE = "Pl4nted-passphrase"
PLANTED = {
    "GREENLIGHT_REDIS__CONNECTION": f"127.0.0.1:1,password={SECRET}",
    "GREENLIGHT_MLFLOW_BACKEND": f"postgresql://mlflow:{SECRET}@127.0.0.1:1/mlflow",
}
NOBODYS_MLFLOW = f"http://mlflow:{SECRET}@127.0.0.1:1"
# What Prefect keeps of a run: its parameters, states, logs, artifacts and events.
KEPT = ("/flow_runs/filter", "/task_runs/filter", "/logs/filter", "/artifacts/filter", "/variables/filter")


@pytest.fixture
def line(greenlight):
    return greenlight.seeing(**PLANTED)


def watched(line, *asked):
    """Run a command and return how it ended, what it printed, and every command line seen by ps meanwhile."""
    seen: set[str] = set()
    with line.started(*asked) as child:
        while child.poll() is None:
            seen |= {" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])}
            time.sleep(0.3)
        out, err = child.communicate()
    return child.returncode, out + err, seen


def leaks(text):
    return [secret for secret in (SECRET, PASSPHRASE) if secret in text]


def files_with_a_secret(folder):
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and leaks(path.read_bytes().decode("latin-1"))
    ]


def test_a_run_keeps_its_secrets(line, sources, api):
    rc, printed, seen = watched(line, "run", "channels", "--source", sources["first"], "--json")
    assert rc == 0, printed[-3000:]
    assert not leaks(printed)
    assert [each for each in seen if leaks(each)] == []
    assert files_with_a_secret(line.home) == []
    for kept in KEPT:
        assert not leaks(json.dumps(ask_api(api, kept, {}))), kept
    assert not leaks(json.dumps(ask_api(api, "/events/filter", {"filter": {}})))


@pytest.mark.parametrize("server", [{"GREENLIGHT_ONLINE": "redis"}, {"GREENLIGHT_MLFLOW_URI": NOBODYS_MLFLOW}])
def test_a_server_that_does_not_answer_is_complained_about_without_its_password(line, sources, api, server):
    rc, printed, seen = watched(line.seeing(**server), "run", "channels", "--source", sources["first"])
    assert rc == 7, printed[-3000:]
    assert not leaks(printed)
    assert [each for each in seen if leaks(each)] == []
    assert files_with_a_secret(line.home) == []
    for kept in KEPT:
        assert not leaks(json.dumps(ask_api(api, kept, {}))), kept


def test_a_locked_key_is_made_and_its_passphrase_is_kept_nowhere(line, tmp_path):
    (tmp_path / "passphrase").write_text(PASSPHRASE)
    rc, printed, seen = watched(
        line, "key", "new", "alice", "--passphrase-file", tmp_path / "passphrase", "--out", tmp_path / "alice"
    )
    assert rc == 0, printed
    assert not leaks(printed)
    assert [each for each in seen if leaks(each)] == []
    assert files_with_a_secret(line.home) == []
    assert (tmp_path / "alice").stat().st_mode & 0o777 == 0o600
    assert not leaks((tmp_path / "alice").read_text())


def test_the_settings_say_nothing_when_they_are_printed_or_refused(line):
    said = "from tasks.adapters.settings import settings; print(settings(), repr(settings()), settings().model_dump())"
    for more in ({"GREENLIGHT_MLFLOW_URI": NOBODYS_MLFLOW}, {"GREENLIGHT_WORKERS": "many"}):
        done = subprocess.run(
            [sys.executable, "-c", said],
            cwd=line.cwd,
            env=line.seeing(**more).environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert not leaks(done.stdout + done.stderr)
