"""A drift event whose retrain cannot begin, or ends in an error, silences none of those after it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

# A whole Prefect server may have to start first.
pytestmark = pytest.mark.timeout(1200)

SEE = """
import fcntl, json, sys
from tasks.adapters import environment, home, incidents
environment.confine(home.root(), 1)
from flows.retrain import retrain
(home.root() / "locks").mkdir(parents=True)
told = []
def see(source, incident):
    try:
        retrain("channels", source, reason="workload.drifted", incident=f"workload.drifted:{incident}")
    except Exception as error:
        kinds = [note.kind for note in incidents.read_notes(home.store(), "channels")]
        told.append([type(error).__name__, *kinds])
with (home.root() / "locks" / "channels.lock").open("a+") as held:
    fcntl.flock(held, fcntl.LOCK_EX)
    see(sys.argv[1], "while another trains")
see("nowhere.csv", "no rows")
see(sys.argv[1], "rows of something else")
see(sys.argv[1], "still of something else")
print(json.dumps(told))
"""


@pytest.mark.slow
def test_an_event_whose_run_fails_leaves_the_cooldown_and_the_budget_to_the_next(greenlight, tmp_path):
    rows = tmp_path / "rows.csv"
    rows.write_text("a,b\n1,2\n")
    # From the sources, so that flows are the copied ones.
    line = greenlight.seeing(PYTHONPATH=str(greenlight.checkout))
    done = subprocess.run(
        [sys.executable, "-c", SEE, str(rows)],
        env=line.environment(),
        cwd=line.cwd,
        check=True,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [
        ["RunInProgress"],
        ["SourceUnusable"],
        ["ColumnsMissing", "confirmed", "failed"],
        ["ColumnsMissing", "confirmed", "failed", "confirmed", "failed"],
    ]
