"""``up`` and ``deploy`` on a real PostgreSQL under both servers, named by the two usual variables."""

from __future__ import annotations

import psutil
import pytest

from tests.command_line import CommandLine, at_work_for, end, eventually, whatever_stays
from tests.deciding import short_road
from tests.postgresql import PASSWORD, address, query
from tests.serving import line_in, started

ENDED = ("Completed", "Failed", "Crashed", "Cancelled", "TimedOut", "Expired")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_both_servers_keep_everything_in_postgresql_and_tell_nobody_its_password(postgres, checkout, tmp_path):
    line = line_in(tmp_path, checkout, **kept_in(postgres))
    with (tmp_path / "up.err").open("w") as errors:
        process = line.started("up", "--port", "0", "--mlflow-port", "0", stderr=errors)
    try:
        told = [process.stdout.readline() for _ in range(4)]
        assert told[0].startswith("Prefect  http://127.0.0.1:"), (tmp_path / "up.err").read_text()
        assert line("deploy").rc == 0
        assert int(query(postgres, "prefect", "SELECT count(*) FROM deployment")) >= 3
        assert query(postgres, "mlflow", "SELECT name FROM experiments") == "Default"
        assert not list((tmp_path / "home").rglob("*.db"))
        assert_untold(line)
    finally:
        process.terminate()
        process.wait(timeout=400)
        process.stdout.close()
        end(process)


def kept_in(port: int) -> dict[str, str]:
    """Return the two usual variables."""
    return {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "postgresql+asyncpg://" + address(port, "prefect"),
        "MLFLOW_BACKEND_STORE_URI": "postgresql://" + address(port, "mlflow"),
    }


def test_an_approval_reaches_the_run_that_waits_in_postgresql(postgres, first_run, checkout, tmp_path):
    sources = short_road(checkout, tmp_path / "sources")
    people = {"GREENLIGHT_APPROVERS": str(tmp_path / "approvers.yaml")}
    line = line_in(tmp_path, sources, **kept_in(postgres), **people)
    first_run.copied_to(line.home)
    made = line("key", "new", "alice", "--no-passphrase", "--json")
    (tmp_path / "approvers.yaml").write_text("approvers:\n" + made.value["entry"])
    version = first_run.done.value["promotion"]["version"]
    with started(line) as up:
        assert line("deploy").rc == 0
        run = up.begin("promote/channels", workload="channels", version=version, ring="prod", requested_by="carol")
        comes_to("Suspended", postgres, run)
        eventually(lambda: query(postgres, "prefect", "SELECT count(*) FROM flow_run_input") > "0", seconds=400)
        patient = ("--wait-seconds", "500", "--json")
        done = line("approve", "channels", "--reason", "holdout better, shadow clean", *patient, timeout=600)
        assert (done.rc, done.value["outcome"], done.value["verified"]) == (0, "promoted", True), done.err
        comes_to("Completed", postgres, run)
        (let_out,) = line("history", "channels", "--ring", "prod", "--json").value
        assert (let_out["kind"], let_out["version"], let_out["decided_by"][:7]) == ("promotion", version, "alice (")
        assert line("ledger", "verify").rc == 0
        assert_untold(line)


def comes_to(wanted: str, port: int, run: str) -> None:
    """Wait until a run's state in PostgreSQL is *wanted*; where it never is, tell its story."""

    def there() -> bool:
        state = query(port, "prefect", f"SELECT state_name FROM flow_run WHERE id = '{run}'")
        assert state == wanted or state not in ENDED, story(port, run)
        return state == wanted

    try:
        eventually(there, seconds=900)
    except AssertionError as error:
        raise AssertionError(story(port, run)) from error


def story(port: int, run: str) -> str:
    """Return every state a run was in, and its log."""
    states = f"SELECT timestamp, name, message FROM flow_run_state WHERE flow_run_id = '{run}' ORDER BY timestamp"
    logged = f"SELECT timestamp, message FROM log WHERE flow_run_id = '{run}' ORDER BY timestamp"
    return "\n".join(query(port, "prefect", sql) for sql in (states, logged))


def assert_untold(line: CommandLine) -> None:
    """Assert that the password is in no command line and no file of the home."""
    commands = [" ".join(psutil.Process(pid).cmdline()) for pid in at_work_for(line.home)]
    assert len(commands) >= 4 and not [command for command in commands if PASSWORD in command]
    assert not [path for path, content in whatever_stays(line.home) if PASSWORD.encode() in content]
