"""Runs Greenlight's command line as a stranger would: a real process that sees nothing else of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil

COMMAND = (sys.executable, "-c", "from deployments.cli import main; main()")
# Many times what a loaded machine takes: it only ends what hangs.
PATIENCE_SECONDS = 900
MORTAL = Path(__file__).parent / "mortal"
# Nothing of whoever runs the tests may reach the runs under test.
FOREIGN = ("PREFECT", "GREENLIGHT", "MLFLOW", "XDG", "PYTHON", "TMPDIR", "MPLCONFIGDIR", "COLUMNS")
KINDS = ("out", "err")
ONE_AFTER_THE_OTHER = """
import json, os, sys
from deployments.cli import main

ended = []
for number, asked in enumerate(json.loads(sys.argv[1])):
    child = os.fork()
    if not child:
        for descriptor, kind in enumerate(("out", "err"), start=1):
            os.dup2(os.open(f"{sys.argv[2]}/{number}.{kind}", os.O_CREAT | os.O_WRONLY), descriptor)
        sys.argv = ["-c", *asked]
        sys.exit(main())
    ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ended))
"""
STAGE = re.compile(r"^[✓✗] (.+?)\s+\d+\.\d s\s")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    rc: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)

    @property
    def stages(self) -> list[str]:
        """The stages it said it finished, in order."""
        return [stage for line in self.err.splitlines() if (stage := stage_of(line))]


@dataclass(frozen=True)
class CommandLine:
    """Runs the command line in *home*, from the folder *cwd*, with nothing else of this machine in sight."""

    checkout: Path
    cwd: Path
    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    def seeing(self, **settings: str) -> CommandLine:
        """Return the same command line with more settings."""
        return replace(self, settings={**self.settings, **settings})

    def dying_after(self, stage: str, times: int = 1) -> CommandLine:
        """Return the same command line, whose process is killed at once after so many lines of a stage."""
        path = self.settings.get("PYTHONPATH", str(self.checkout))
        return self.seeing(PYTHONPATH=f"{MORTAL}{os.pathsep}{path}", DIES_AFTER=stage, DIES_AFTER_TIMES=str(times))

    def __call__(self, *asked: str | Path, timeout: float = PATIENCE_SECONDS, **options: Any) -> Done:
        """Run one command to its end."""
        with self.started(*asked, **options) as child:
            try:
                out, err = child.communicate(timeout=timeout)
            finally:
                end(child)
        return Done(child.returncode, out, err)

    def each(self, *commands: Sequence[str | Path]) -> list[Done]:
        """Run commands one after the other, each in a process of its own; what all of them import is imported once."""
        asked = json.dumps([[str(word) for word in words] for words in commands])
        with tempfile.TemporaryDirectory() as folder:
            ran = subprocess.run(
                [sys.executable, "-c", ONE_AFTER_THE_OTHER, asked, folder],
                cwd=self.cwd, env=self.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True,
                timeout=PATIENCE_SECONDS, start_new_session=True,
            )  # fmt: skip
            said = [[Path(folder, f"{number}.{kind}").read_text() for kind in KINDS] for number in range(len(commands))]
        return [Done(rc, out, err) for rc, (out, err) in zip(json.loads(ran.stdout), said, strict=True)]

    def started(self, *asked: str | Path, before: tuple[str, ...] = (), **options: Any) -> subprocess.Popen[str]:
        """Start one command as the leader of a process group of its own."""
        channels: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(
            [*before, *COMMAND, *map(str, asked)],
            cwd=self.cwd,
            env=self.environment(),
            text=True,
            start_new_session=True,
            **(channels | options),
        )

    def environment(self) -> dict[str, str]:
        """Return the environment a command sees."""
        return unforeign() | {"PYTHONPATH": str(self.checkout), "GREENLIGHT_HOME": str(self.home)} | dict(self.settings)


def unforeign() -> dict[str, str]:
    """Return this process' environment without what could reach a run under test."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def stage_of(line: str) -> str | None:
    """Return the stage a line of progress tells of."""
    found = STAGE.match(line)
    return found.group(1) if found else None


def end(child: subprocess.Popen[str]) -> None:
    """End *child* and whatever it left in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def at_work_for(home: Path) -> list[int]:
    """Return the processes that still work for *home*."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("GREENLIGHT_HOME") == str(home) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
    return found


def lives(process: psutil.Process) -> bool:
    """Say whether *process* lives; it may end while it is asked."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def digests(folder: Path) -> dict[str, str]:
    """Return the digest of every file under *folder*."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def whatever_stays(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yield every file under *folder* with its bytes; what others remove meanwhile is passed over."""
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                yield path, path.read_bytes()


def said_plainly(done: Done, rc: int, *words: str) -> bool:
    """Assert that a command ended with *rc* and one sentence that has *words* in it, and nothing of Python's."""
    assert done.rc == rc, (done.rc, done.out[-2000:], done.err[-2000:])
    assert "Traceback" not in done.err + done.out
    told = [line for line in done.err.splitlines() if not line.startswith(("✓ ", "! ", "channels: "))]
    assert len(told) == 1, told
    assert told[0].startswith("greenlight: ")
    for word in words:
        assert word in told[0]
    return True


def answers(server: subprocess.Popen[bytes], address: str) -> bool:
    """Say whether *address* answers; a dead server never will."""
    assert server.poll() is None, f"the server ended with {server.returncode}"
    with contextlib.suppress(OSError), urlopen(address, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def eventually(ask: Callable[[], Any], *, seconds: float) -> Any:
    """Return what *ask* answers once that is true; others work meanwhile."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.1)
    raise AssertionError(f"not so after {seconds} s")


def ask_api(api: str, path: str, question: Mapping[str, Any] | None = None) -> Any:
    """Return Prefect's answer; *question* is a filter, or what to make.

    A server on SQLite says 503, or nothing for long, while others write to the disk: Prefect's own client asks again,
    and so does this.
    """
    body = None if question is None else json.dumps(question).encode()
    asked = Request(f"{api}{path}", body, {"Content-Type": "application/json"})

    def answered() -> tuple[Any] | None:
        try:
            with urlopen(asked, timeout=30) as answer:
                return (json.loads(answer.read() or b"null"),)
        except HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return None
        except TimeoutError:
            return None

    return eventually(answered, seconds=300)[0]
