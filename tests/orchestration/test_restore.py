"""The home is lost, the store is not: the runbook's commands bring champions, registry and history back."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.adapters.registry import Registry
from tests.command_line import COMMAND

# The first test of all waits for a server and a whole run.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
RUNBOOK = Path(__file__).parents[2] / "docs/runbooks/restore-from-the-store.md"


@pytest.fixture
def lost(first_run, greenlight, tmp_path):
    """A finished home whose store lies elsewhere, backed up as the runbook says, and then deleted."""
    first_run.copied_to(greenlight.home)
    shutil.move(greenlight.home / "store", tmp_path / "store")
    line = greenlight.seeing(GREENLIGHT_STORE=(tmp_path / "store").as_uri(), BACKUP=str(tmp_path / "backup"))
    for asked in ("stop-the-line", "resume-the-line"):
        assert line(asked, "--reason", "the source was looked into").rc == 0
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup/heads.txt").write_text(line("ledger", "anchor").out)
    shutil.copytree(line.home / "keys", tmp_path / "backup/keys")
    return line


def seen(line):
    """Return what people and readers see of champions and history."""
    told = line("history", "channels", "--json").value
    registry = Registry(line.home / "mlflow")
    versions = registry._client.search_model_versions("name = 'channels'")
    return {
        "history": told,
        "champions": line("status", "--json").value["champions"],
        "alias": registry.alias("channels", "champion-dev"),
        "versions": [(each.version, {**each.tags}) for each in versions],
    }


def commands():
    """Return the runbook's own commands."""
    (block,) = re.findall(r"```\n(.+?)```", RUNBOOK.read_text("utf-8"), re.DOTALL)
    return block


def carried_out(line):
    program = " ".join(f"'{part}'" for part in COMMAND)
    return subprocess.run(
        ["bash", "-euxc", f'greenlight() {{ {program} "$@"; }}\n{commands()}'],
        cwd=line.cwd,
        env=line.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_runbook_restores_champions_registry_and_history(lost):
    before = seen(lost)
    shutil.rmtree(lost.home)
    done = carried_out(lost)
    assert done.returncode == 0, done.stderr[-3000:]
    assert seen(lost) == before
    assert before["versions"][0][1]["semantic_version"] == "1.0.0"
    assert "the registry had lost" in done.stdout and "signature and" in done.stdout
    trials = Registry(lost.home / "mlflow")._client.search_runs(["1"], "tags.`greenlight.trial` != ''")
    assert len(trials) == 18
    assert lost("status", "--json").value["troubles"] == []
    assert (lost.home / "keys/service.key").stat().st_mode & 0o777 == 0o600


def test_with_the_public_key_alone_all_that_was_signed_still_counts(lost, tmp_path):
    before = seen(lost)
    shutil.rmtree(lost.home)
    trusted = tmp_path / "backup/keys/trusted"
    trusted.mkdir(exist_ok=True)
    shutil.move(tmp_path / "backup/keys/service.pub", trusted / "old.pub")
    (tmp_path / "backup/keys/service.key").unlink()
    done = carried_out(lost)
    assert done.returncode == 0, done.stderr[-3000:]
    assert seen(lost)["history"] == before["history"]
    assert lost("stop-the-line", "--reason", "signed by the new key").rc == 0
    assert lost("ledger", "verify").rc == 0


def test_a_store_that_is_not_what_it_was_stops_the_runbook(lost, tmp_path):
    shutil.rmtree(lost.home)
    (tmp_path / "store/ledger/channels/000001.json").unlink()
    done = carried_out(lost)
    assert done.returncode == 1
    assert "its end was cut off" in done.stderr and "reconcile" not in done.stderr.rpartition("+ ")[2]
