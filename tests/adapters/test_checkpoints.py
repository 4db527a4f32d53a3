"""A fit in a real process, killed in the middle, leaves a checkpoint in the home from which the next one goes on."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.adapters.checkpoints import KEPT_SECONDS, Notes, sweep

ROOT = Path(__file__).parents[2]
FIT = """
import hashlib, os, signal, sys
from pathlib import Path
from tasks.adapters.checkpoints import Notes
from tasks.core.learners.torch_lstm import fit_lstm
from tests.unit.test_lstm import lesson

class Doomed(Notes):
    def write(self, key, state):
        super().write(key, state)
        if sys.argv[2] == "killed" and len(written := [*Path(sys.argv[1], "times").iterdir()]) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        Path(sys.argv[1], "times", str(len([*Path(sys.argv[1], "times").iterdir()]))).touch()

Path(sys.argv[1], "times").mkdir(exist_ok=True)
print(hashlib.sha256(fit_lstm(lesson(checkpoints=Doomed(Path(sys.argv[1], "notes")))).to_bytes()).hexdigest())
"""


def fit(folder: Path, how: str) -> subprocess.CompletedProcess[str]:
    asked = [sys.executable, "-c", FIT, str(folder), how]
    given = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(asked, cwd=ROOT, env=given, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_a_process_killed_in_training_goes_on_to_the_weights_of_one_that_never_was(tmp_path: Path) -> None:
    folders = [tmp_path / "killed", tmp_path / "whole"]
    for folder in folders:
        folder.mkdir()
    killed = fit(folders[0], "killed")
    assert killed.returncode == -9 and killed.stdout == ""
    assert len(list((folders[0] / "notes").iterdir())) == 1
    resumed, whole = fit(folders[0], "resumed"), fit(folders[1], "whole")
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout == whole.stdout and len(whole.stdout) == 65
    # Three epochs before the kill, two of them noted here; five after it.
    assert [len(list((folder / "times").iterdir())) for folder in folders] == [2 + 5, 8]
    assert not list((folders[0] / "notes").iterdir())


def test_what_was_written_is_read_and_gone_once_forgotten(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "code")
    assert notes.read("fit") is None
    notes.write("fit", b"one")
    notes.write("fit", b"two")
    assert notes.read("fit") == b"two"
    notes.forget("fit")
    notes.forget("fit")
    assert notes.read("fit") is None


def test_checkpoints_nobody_came_back_for_are_swept_after_a_week(tmp_path: Path) -> None:
    for name in ("old", "new"):
        Notes(tmp_path / name).write("fit", hashlib.sha256(name.encode()).digest())
    week_ago = time.time() - KEPT_SECONDS - 60
    os.utime(tmp_path / "old", (week_ago, week_ago))
    sweep(tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["new"]
