"""Everything a team's day needs, on one machine: Prefect server, MLflow server, one worker; they end together.

What is deployed on it is not known here. All of it listens on loopback only; who puts it on a network puts
authentication in front.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from deployments import processes
from deployments.server import DATABASE_NAMED_BY, prepare_database
from tasks.adapters import environment
from tasks.adapters.lock import Holder, holder_of, workload_lock
from tasks.errors import Conflict, RunInProgress, Unreachable

HOST = "127.0.0.1"
POOL = "local"
LOCK = "_up"
START_SECONDS = 180
# Flow runs get time to tell the server that they were stopped; servers, to close their databases.
FLOW_GRACE_SECONDS, SERVER_GRACE_SECONDS = 15.0, 8.0
LAST_WORDS = 5

UI = {
    # Relative, so that the pages ask whatever address they came from.
    "PREFECT_SERVER_UI_API_URL": "/api",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # The newer interface hides the button that resumes a run in a menu, and asks an analytics service for its settings.
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}
# What a run holds of a limit is noted on disk: kept in memory, it stays taken for good when the server dies.
LEASES = {"PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem"}
LOGGED = {
    "PREFECT_LOGGING_LEVEL": "INFO",
    "PREFECT_LOGGING_ROOT_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
}
# The default of ten seconds is most of the time between an event and its run.
POLL_SECONDS = "2"


@dataclass(frozen=True)
class Addresses:
    """Where the parts of a running stack answer."""

    prefect: str
    mlflow: str
    api: str


@dataclass(frozen=True)
class Part:
    """One process of the stack; it is up when ``ready`` says so."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    hidden: Collection[str] = ()


def addresses_at(port: int, mlflow_port: int) -> Addresses:
    """Return the addresses at these ports (0: any free one); raises Conflict if another program has one."""
    prefect = f"http://{HOST}:{_port(port, '--port')}"
    return Addresses(prefect, f"http://{HOST}:{_port(mlflow_port, '--mlflow-port')}", f"{prefect}/api")


def remembered(root: Path) -> Addresses | None:
    """Return the addresses of the stack that runs on this home now, None if none does."""
    if holder_of(root / "locks", LOCK) is None:
        return None
    with suppress(OSError, ValueError, TypeError):
        return Addresses(**json.loads(_note(root).read_text()))
    return None


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Be the home's only stack meanwhile; raises RunInProgress if another one runs, and says where."""
    holder = holder_of(root / "locks", LOCK)
    if holder is not None:
        raise _already(root, holder)
    with workload_lock(root / "locks", LOCK, "up"):
        try:
            yield
        finally:
            _note(root).unlink(missing_ok=True)


def parts(root: Path, addresses: Addresses, backend: str) -> tuple[Part, ...]:
    """Return the stack's processes, in the order they start; *backend* is MLflow's database, empty: in *root*."""
    own = {"GREENLIGHT_HOME": str(root), "PREFECT_API_URL": addresses.api, **LOGGED}
    # On SQLite the flows write to the same file as the server, which spares them a request for each number.
    tracking = {
        "GREENLIGHT_MLFLOW_URI": addresses.mlflow if backend else "",
        "PREFECT_WORKER_QUERY_SECONDS": POLL_SECONDS,
    }
    database = {
        "MLFLOW_BACKEND_STORE_URI": backend or f"sqlite:///{root / 'mlflow' / 'mlflow.db'}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "GREENLIGHT_MLFLOW_URI": backend,
    }
    hidden = (*DATABASE_NAMED_BY, "MLFLOW_BACKEND_STORE_URI", "GREENLIGHT_MLFLOW_BACKEND")
    pages = {"PREFECT_SERVER_UI_STATIC_DIRECTORY": str(root / "prefect" / "ui")}
    return (
        Part(
            "prefect server",
            _prefect_server(addresses),
            own | UI | LEASES | pages,
            lambda: _ok(f"{addresses.api}/health"),
        ),
        Part(
            "mlflow server", _mlflow_server(root, addresses), own | database, lambda: _ok(f"{addresses.mlflow}/health")
        ),
        # It asks the servers, and writes what it sees to a file for each run: of their passwords it sees nothing.
        Part("worker", _worker(), own | tracking, lambda: _at_work(addresses), hidden),
    )


def _prefect_server(addresses: Addresses) -> list[str]:
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    return [*command, "--host", HOST, "--port", addresses.prefect.rpartition(":")[2], "--log-level", "warning"]


def _mlflow_server(root: Path, addresses: Addresses) -> list[str]:
    # Artifacts are files of the home, which flows and server both reach: nobody need send them through the server.
    artifacts = ["--no-serve-artifacts", "--default-artifact-root", (root / "mlflow" / "artifacts").as_uri()]
    listen = ["--host", HOST, "--port", addresses.mlflow.rpartition(":")[2], "--workers", "1"]
    return [sys.executable, "-m", "deployments.mlflow_server", *listen, *artifacts]


def _worker() -> list[str]:
    return [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", "up"]


class Stack:
    """The processes of one ``up``; *to_end* says whether it was told to end."""

    def __init__(self, root: Path, to_end: Callable[[], bool]) -> None:
        self.root = root
        self._to_end = to_end
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, wanted: Sequence[Part], say: Callable[[str], None]) -> None:
        """Start all parts and return once each answers; raises Unreachable if one does not, with its last words.

        Raises KeyboardInterrupt if told to end meanwhile.
        """
        prepare_database(self.root)
        prefect, mlflow, worker = wanted
        self._spawn(prefect)
        self._spawn(mlflow)
        self._wait(prefect, say)
        self._spawn(worker)
        self._wait(mlflow, say)
        self._wait(worker, say)

    def watch(self) -> NoReturn:
        """Raise KeyboardInterrupt once told to end, or Unreachable when a part ended by itself."""
        while True:
            self._go_on()
            time.sleep(0.2)

    def stop(self) -> None:
        """End everything: flow runs first, while the server can still be told that they were stopped."""
        worker = self._children.get("worker")
        if worker is not None:
            processes.end(processes.descendants(worker.pid), FLOW_GRACE_SECONDS)
        processes.end([child.pid for child in reversed(self._children.values())], SERVER_GRACE_SECONDS)
        processes.sweep(os.getpid())

    def log(self, name: str) -> Path:
        """Return where a part's output goes."""
        return self.root / "logs" / f"{name.replace(' ', '-')}.log"

    def _spawn(self, part: Part) -> None:
        log = self.log(part.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as out:
            self._children[part.name] = subprocess.Popen(
                part.command,
                env=environment.for_child(part.environment, part.hidden),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                preexec_fn=processes.die_with_parent,  # noqa: PLW1509 (no thread was started yet; it is one system call)
                process_group=0,
            )

    def _wait(self, part: Part, say: Callable[[str], None]) -> None:
        began = time.monotonic()
        while not part.ready():
            self._go_on()
            if time.monotonic() - began > START_SECONDS:
                raise Unreachable(
                    f"the {part.name} did not answer within {START_SECONDS} s. {self._last_words(part.name)}"
                )
            time.sleep(0.1)
        say(f"the {part.name} answers")

    def _go_on(self) -> None:
        if self._to_end():
            raise KeyboardInterrupt
        for name, child in self._children.items():
            if child.poll() is not None:
                raise Unreachable(
                    f"the {name} ended by itself (exit code {child.returncode}), so everything was stopped. "
                    f"{self._last_words(name)}"
                )

    def _last_words(self, name: str) -> str:
        log = self.log(name)
        words = "\n".join(log.read_text(errors="replace").splitlines()[-LAST_WORDS:])
        return f"Its last words in {log}:\n{words}\nThen run again: greenlight up"


def remember(root: Path, addresses: Addresses) -> None:
    """Leave a note of the addresses for other commands on this home."""
    made = _note(root).with_suffix(".new")
    made.write_text(json.dumps(asdict(addresses)))
    made.replace(_note(root))


def _note(root: Path) -> Path:
    return root / "up.json"


def _already(root: Path, holder: Holder) -> RunInProgress:
    there = remembered(root)
    where = f": Prefect {there.prefect}, MLflow {there.mlflow}" if there else ", and is just starting"
    return RunInProgress(
        f"greenlight up runs already on the home {root}, as process {holder.pid} since {holder.since}{where}. Use that "
        "one, or stop it with Ctrl-C first; another home (GREENLIGHT_HOME) may have its own on other ports"
    )


def _port(wanted: int, option: str) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise Conflict(
                f"port {wanted} of this machine is taken by another program ({error.strerror}); end that, or name "
                f"another port: greenlight up {option} {wanted + 1}, or {option} 0 for any that is free"
            ) from error
        return int(probe.getsockname()[1])


def _ok(address: str) -> bool:
    with suppress(URLError, OSError), urlopen(address, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _at_work(addresses: Addresses) -> bool:
    asked = Request(f"{addresses.api}/work_pools/{POOL}/workers/filter", b"{}", {"Content-Type": "application/json"})
    with suppress(HTTPError, URLError, OSError), urlopen(asked, timeout=5) as answer:
        return any(worker["status"] == "ONLINE" for worker in json.load(answer))
    return False
