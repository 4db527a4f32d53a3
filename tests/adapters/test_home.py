"""What a flow does that no command line of ours started: it is confined to the home all the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tasks.adapters import environment
from tasks.errors import BadRequest

ROOT = Path(__file__).parents[2]
FOREIGN = ("PREFECT", "GREENLIGHT", "MLFLOW", "XDG", "TMPDIR", "MPLCONFIGDIR", "GX_", "DO_NOT_TRACK")

AT_WORK = """
import os
from tasks.adapters import home
with home.hold("channels", "a worker's flow run"):
    home.registry().alias("channels", "champion")
    import great_expectations
    great_expectations.get_context(mode="ephemeral")
    import matplotlib, tempfile
    matplotlib.get_cachedir()
    tempfile.mkstemp()
    print(*(os.environ[each] for each in ("MLFLOW_DISABLE_TELEMETRY", "GX_ANALYTICS_ENABLED", "OMP_NUM_THREADS")))
"""

KILLED = """
import os
from tasks.adapters import home
with home.scratch("channels", "predict"):
    os.kill(os.getpid(), 9)
"""


@pytest.fixture
def elsewhere(tmp_path):
    for name in ("user", "temporary", "cwd"):
        (tmp_path / name).mkdir()
    return tmp_path


def confined(elsewhere, script):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)} | {
        "HOME": str(elsewhere / "user"),
        "TMPDIR": str(elsewhere / "temporary"),
        "GREENLIGHT_HOME": str(elsewhere / "home"),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", script]
    return subprocess.run(command, cwd=elsewhere / "cwd", env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_libraries_in_a_flow_that_a_worker_started_are_silent_and_stay_at_home(elsewhere):
    done = confined(elsewhere, AT_WORK)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "true false 1\n"
    for name in ("user", "temporary", "cwd"):
        assert list((elsewhere / name).rglob("*")) == []


def test_what_a_killed_reader_left_in_scratch_is_gone_with_the_next_lock(elsewhere):
    assert confined(elsewhere, KILLED).returncode == -9
    (left,) = (elsewhere / "home" / "tmp").iterdir()
    assert left.name.startswith("channels-predict-")
    assert confined(elsewhere, "from tasks.adapters import home\nwith home.hold('channels', 'x'): pass").returncode == 0
    assert not left.exists()


def test_a_user_without_a_name_is_told_how_to_say_who_they_are(monkeypatch):
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54_321)
    with pytest.raises(BadRequest, match=r"no user name; say who you are with --as or --requested-by NAME"):
        environment.user_name()
    monkeypatch.setenv("LOGNAME", "ann")
    assert environment.user_name() == "ann"
