"""A Prefect API for one command: the one that is known, else one that is gone when the command is, however that ends.

Prefect's own temporary server outlives a killed client; this one dies with it: the kernel sees to it.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from deployments.prefect_database import make_database
from deployments.processes import die_with_parent
from tasks.adapters.settings import settings
from tasks.errors import OutOfSpace, Unreachable

START_SECONDS = 120
ROOM_BYTES = 20_000_000
# Whoever names a database of their own gets what Prefect makes of it.
DATABASE_NAMED_BY = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
EPHEMERAL = {
    "PREFECT_UI_ENABLED": "0",
    "PREFECT__SERVER_EPHEMERAL": "1",
    "PREFECT__SERVER_FINAL": "1",
    # Our flows use no block. Not remembered either: a whole server in the same home must still register them.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    "PREFECT_SERVER_MEMOIZE_BLOCK_AUTO_REGISTRATION": "false",
}


def known(root: Path) -> str:
    """Return the address of the Prefect API that the settings name, else of the one ``up`` runs on this home, or ""."""
    from deployments import stack

    there = stack.remembered(root)
    return settings().prefect_api_url or (there.api if there else "")


def adopt(root: Path) -> None:
    """Configure this process for the Prefect API that is known: two servers on one database would not see each other.

    Call it before Prefect is imported.
    """
    if api := known(root):
        os.environ["PREFECT_API_URL"] = api


def configured() -> bool:
    """Say whether a Prefect API is configured for this process."""
    return bool(os.environ.get("PREFECT_API_URL"))


@contextmanager
def prefect_api(root: Path) -> Iterator[Callable[[], None]]:
    """Yield a function that returns once a Prefect API answers: the configured one, or a temporary one.

    The server starts while the caller goes on importing; both are slow and there are two cores.
    """
    if configured():
        yield lambda: None
        return
    os.environ.pop("PREFECT_API_URL", None)
    _refuse_a_full_disk(root / "prefect")
    port = _free_port()
    address = f"http://127.0.0.1:{port}/api"
    log = (root / "prefect" / "server.log").open("ab")
    prepare_database(root)
    server = _start(port, log)
    os.environ["PREFECT_API_URL"] = address
    try:
        yield lambda: _wait(server, address, Path(log.name))
    finally:
        os.environ.pop("PREFECT_API_URL", None)
        server.kill()
        server.wait()
        log.close()


def prepare_database(root: Path) -> None:
    """Make the server's database in the home, unless another one is named."""
    if not any(os.environ.get(name) for name in DATABASE_NAMED_BY):
        make_database(Path(os.environ.get("PREFECT_HOME", root / "prefect")))


def _start(port: int, log: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "uvicorn", "--factory", "prefect.server.api.server:create_app"]
    server: subprocess.Popen[bytes] = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port), "--log-level", "error"],
        env=os.environ | EPHEMERAL,
        stdin=subprocess.DEVNULL,
        stdout=log,  # type: ignore[call-overload]
        stderr=subprocess.STDOUT,
        # Safe here: the command has started no thread yet, and the function is one system call.
        preexec_fn=die_with_parent,  # noqa: PLW1509
        # Ctrl-C goes to the whole foreground group: the client must end its flow run first, then us.
        process_group=0,
    )
    return server


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _wait(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"{address}/health", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            time.sleep(0.05)
    _refuse_a_full_disk(log.parent)
    last = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
    raise Unreachable(
        f"the temporary Prefect server did not answer at {address} within {START_SECONDS} s (exit code "
        f"{server.poll()}). Its last words in {log}:\n{last}\nRun again, or start "
        "one yourself with 'prefect server start' and set PREFECT_API_URL."
    )


def _refuse_a_full_disk(folder: Path) -> None:
    """A server on a nearly full disk may start, and then answers the flow's questions with errors of its own."""
    free = shutil.disk_usage(folder).free
    if free < ROOM_BYTES:
        raise OutOfSpace(
            f"the temporary Prefect server cannot keep its database in {folder}: {free / 1e6:.1f} MB are free, "
            f"{ROOM_BYTES / 1e6:.0f} MB are wanted. Free some space, or point GREENLIGHT_HOME at another disk."
        )
