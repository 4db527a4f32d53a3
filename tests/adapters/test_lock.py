import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tasks.adapters.lock import holder_of, workload_lock
from tasks.errors import OutOfSpace, RunInProgress

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from tasks.adapters.lock import workload_lock
with workload_lock(Path(sys.argv[1]), "channels", "run-1"):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_run_ends_saying_who_is_at_work(tmp_path, holder):
    with (
        pytest.raises(
            RunInProgress, match=rf"another run of channels is under way: process {holder.pid} .*\(run run-1\)"
        ),
        workload_lock(tmp_path, "channels", "run-2"),
    ):
        pass
    held = holder_of(tmp_path, "channels")
    assert (held.pid, held.run) == (holder.pid, "run-1")


def test_another_workload_is_not_hindered(tmp_path, holder):
    with workload_lock(tmp_path, "tracks", "run-2"):
        assert holder_of(tmp_path, "tracks").pid == os.getpid()


def test_a_killed_run_holds_nothing(tmp_path, holder):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert holder_of(tmp_path, "channels") is None
    with workload_lock(tmp_path, "channels", "run-2"):
        assert holder_of(tmp_path, "channels").run == "run-2"


def test_a_run_that_waits_goes_on_when_the_other_ends(tmp_path, holder):
    ending = threading.Timer(0.3, lambda: holder.communicate("end\n"))
    ending.start()
    with workload_lock(tmp_path, "channels", "run-2", wait_seconds=30):
        assert holder_of(tmp_path, "channels").run == "run-2"
    ending.join()


def test_a_run_in_the_same_process_is_another_run(tmp_path):
    with (
        workload_lock(tmp_path, "channels", "run-1"),
        pytest.raises(RunInProgress),
        workload_lock(tmp_path, "channels", "run-2"),
    ):
        pass


def test_the_lock_is_free_after_an_error(tmp_path):
    with pytest.raises(ValueError, match="broken"), workload_lock(tmp_path, "channels", "run-1"):
        raise ValueError("broken")
    assert holder_of(tmp_path, "channels") is None


def test_asking_about_a_lock_that_never_was_writes_nothing(tmp_path):
    assert holder_of(tmp_path / "locks", "channels") is None
    assert not (tmp_path / "locks").exists()


def test_a_folder_that_takes_no_lock_is_out_of_space(tmp_path):
    (tmp_path / "locks").write_text("a file")
    with pytest.raises(OutOfSpace, match="set GREENLIGHT_HOME"), workload_lock(tmp_path / "locks", "channels", "r"):
        pass
