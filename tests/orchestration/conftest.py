"""The command line as a stranger runs it: a real process, a real Prefect API, homes that start empty.

The sources are copied first, so that an edit while tests run changes no run's key half-way.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from tests import postgresql
from tests.command_line import CommandLine, Done, answers, eventually, unforeign
from tests.emulators import free_port

ROOT = Path(__file__).parents[2]
PACKAGES = ("tasks", "flows", "feature_repo", "expectations", "deployments")
ROWS = 300


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as they were when the tests began."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "prefect.yaml", folder)
    return folder


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a whole Prefect server: schedules, events and automations included."""
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    address = f"http://127.0.0.1:{port}/api"
    quiet = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    fast = {"PREFECT_UI_ENABLED": "0", "PREFECT_API_URL": address, "PREFECT_SERVER_LOGGING_LEVEL": "ERROR"}
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"],
            env=unforeign() | quiet | fast,
            cwd=folder,
            stdout=log,
            stderr=log,
        )
        try:
            eventually(lambda: answers(server, f"{address}/health"), seconds=600)
            yield address
        finally:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[int]:
    """The port of a real PostgreSQL."""
    with postgresql.running() as port:
        yield port


@pytest.fixture
def postgres(postgres_server: int) -> int:
    """The port of a real PostgreSQL, without the runs, and the places in queues, that a killed server left there."""
    postgresql.empty(postgres_server)
    return postgres_server


@pytest.fixture(scope="session")
def sources(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two sources of generated channels, at the same place for all processes: a run notes where its rows came from."""
    script = (
        "import sys; from tasks.workloads.channels import CHANNELS\n"
        "CHANNELS.generate(int(sys.argv[1]), int(sys.argv[2])).write_csv(sys.argv[3])"
    )
    with one_at_a_time(tmp_path_factory, "sources") as folder:
        made = {name: folder / f"{name}.csv" for name in ("first", "second")}
        for source, seed in zip(made.values(), ("7", "8"), strict=True):
            if not source.exists():
                subprocess.run([sys.executable, "-c", script, str(ROWS), seed, str(source)], cwd=checkout, check=True)
    return made


@pytest.fixture
def greenlight(checkout: Path, tmp_path: Path, api: str) -> CommandLine:
    """The command line on an empty home, with the tests' own Prefect server."""
    (tmp_path / "cwd").mkdir()
    return CommandLine(checkout, tmp_path / "cwd", tmp_path / "home", {"PREFECT_API_URL": api})


@dataclass(frozen=True)
class FirstRun:
    """A finished run: what it printed, the home it left, and the folders it should have left empty."""

    done: Done
    home: Path
    elsewhere: Path
    connects: Path | None

    def copied_to(self, home: Path) -> Path:
        """Copy the finished home."""
        shutil.copytree(self.home, home)
        return home


@pytest.fixture(scope="session")
def first_run(checkout: Path, sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """One whole run on a server of its own, watched; others copy its home instead of running again."""
    with one_at_a_time(tmp_path_factory, "first") as folder:
        elsewhere, kept = folder / "elsewhere", folder / "done.json"
        connects = folder / "connects.txt" if traceable() else None
        if not kept.exists():
            done = run_watched(checkout, sources["first"], folder / "home", elsewhere, connects)
            kept.write_text(json.dumps(asdict(done)))
        return FirstRun(Done(**json.loads(kept.read_text())), folder / "home", elsewhere, connects)


@contextmanager
def one_at_a_time(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """Hold a folder that all processes of these tests share."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    with folder.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield folder


def run_watched(checkout: Path, source: Path, home: Path, elsewhere: Path, connects: Path | None) -> Done:
    """Run on an empty home; *connects* gets every connection it makes, where this machine lets strace watch."""
    shutil.rmtree(home, ignore_errors=True)
    outside = {name: elsewhere / name for name in ("HOME", "TMPDIR", "cwd")}
    for each in outside.values():
        each.mkdir(parents=True, exist_ok=True)
    settings = {name: str(path) for name, path in outside.items() if name != "cwd"}
    watch = ("strace", "-f", "--seccomp-bpf", "-qq", "-e", "trace=connect", "-o", str(connects)) if connects else ()
    done = CommandLine(checkout, outside["cwd"], home, settings)(
        "run", "channels", "--source", source, "--json", before=watch
    )
    assert done.rc == 0, done.err[-3000:]
    return done


def traceable() -> bool:
    """Say whether this machine lets strace watch."""
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-f", "--seccomp-bpf", "true"], capture_output=True, check=False).returncode == 0
