"""What killed processes leave half-made is swept by the next one; what is a living process's is left alone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tasks.adapters.leftovers import own_folder, sweep

ROOT = Path(__file__).parents[2]

HOLDER = """
import sys
from pathlib import Path
from tasks.adapters.leftovers import own_folder
with own_folder(Path(sys.argv[1]), sys.argv[2]) as folder:
    (folder / "half").write_bytes(b"made")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holding(tmp_path):
    """Start a process that holds a folder; return it and its folder."""
    started = []

    def start(prefix=".new-"):
        command = [sys.executable, "-c", HOLDER, str(tmp_path), prefix]
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        started.append(process)
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def killed(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_a_folder_is_gone_afterwards(tmp_path):
    with own_folder(tmp_path) as folder:
        (folder / "inside").write_bytes(b"x")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_killed_makers_folder_is_swept_and_a_living_ones_is_kept(tmp_path, holding):
    (dead, left), (_, living) = holding(), holding()
    killed(dead)
    assert {left, living} == set(tmp_path.iterdir())
    with own_folder(tmp_path) as mine:
        assert set(tmp_path.iterdir()) == {living, mine}
    sweep(tmp_path)
    assert (living / "half").read_bytes() == b"made"


def test_only_folders_of_the_prefix_are_swept(tmp_path, holding):
    dead, left = holding("channels-predict-")
    killed(dead)
    (tmp_path / "channels.csv").write_text("a user's")
    sweep(tmp_path, "tracks-")
    assert left.is_dir()
    sweep(tmp_path, "channels-")
    assert [path.name for path in tmp_path.iterdir()] == ["channels.csv"]


def test_a_folder_of_this_process_is_not_its_own_leftover(tmp_path):
    with own_folder(tmp_path) as one, own_folder(tmp_path) as two:
        assert one.is_dir() and two.is_dir()


def test_sweeping_what_is_not_there_makes_nothing(tmp_path):
    sweep(tmp_path / "absent")
    assert not (tmp_path / "absent").exists()


@pytest.mark.slow
def test_a_half_made_registry_is_swept_by_whoever_takes_the_lock(tmp_path):
    environment = {**os.environ, "GREENLIGHT_HOME": str(tmp_path), "HOME": str(tmp_path)}
    make = [sys.executable, "-c", "from tasks.adapters import home; home.registry().alias('channels', 'champion')"]
    process = subprocess.Popen(make, cwd=ROOT, env=environment)
    while process.poll() is None and not list((tmp_path / "mlflow").glob(".new-*/mlflow.db")):
        time.sleep(0.01)
    killed(process)
    assert list((tmp_path / "mlflow").glob(".new-*"))
    take = [sys.executable, "-c", "from tasks.adapters import home\nwith home.hold('channels', 'next'): pass"]
    subprocess.run(take, cwd=ROOT, env=environment, check=True)
    assert list((tmp_path / "mlflow").iterdir()) == []
