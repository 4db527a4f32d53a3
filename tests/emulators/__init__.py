"""What stands in for a cloud in the tests: a server on a free port of this machine, with a bucket and its users."""

from __future__ import annotations

import ctypes
import itertools
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.command_line import eventually

PR_SET_PDEATHSIG = 1
# Each process of the tests begins elsewhere.
PORTS = itertools.count(os.getpid() * 397)


@dataclass(frozen=True)
class Emulator:
    """A running one. ``address`` is a store's, with ``{bucket}`` and ``{port}`` in it.

    ``credentials`` and ``wrong_credentials`` are environment variables; no setting of an SDK is needed beyond them.
    """

    port: int
    address: str
    credentials: Mapping[str, str]
    wrong_credentials: Mapping[str, str]
    bucket: str = "greenlight"
    process: Any = field(default=None, compare=False)

    def uri(self, *, bucket: str = "", port: int = 0, prefix: str = "") -> str:
        """Return a store's address, by default of the bucket that is there; *port* may be a faulty way to it."""
        address = self.address.format(bucket=bucket or self.bucket, port=port or self.port)
        path, _, options = address.partition("?")
        return f"{path}{'/' + prefix if prefix else ''}{'?' + options if options else ''}"


@contextmanager
def served(command: Sequence[str | Path], port: int, log: Path, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until it listens on *port*; it is gone afterwards, also when this process is killed."""
    with log.open("wb") as out:
        server = subprocess.Popen(command, stdout=out, stderr=out, preexec_fn=_die_with_parent, **options)  # noqa: PLW1509
    try:
        eventually(lambda: _listens(server, port, log), seconds=240)
        yield server
    finally:
        server.kill()
        server.wait()


def free_port() -> int:
    """Return a port nobody listens on, where nobody who asks the system for any port is given it meanwhile."""
    while True:
        port = 20_000 + next(PORTS) % 12_000
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _listens(server: subprocess.Popen[bytes], port: int, log: Path) -> bool:
    assert server.poll() is None, f"the server ended with {server.returncode}: {log.read_text()[-2000:]}"
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
