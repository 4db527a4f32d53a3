"""Kill the real command with SIGKILL, run it again, and find the home that a run nobody killed leaves."""

from __future__ import annotations

import contextlib
import json
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import CommandLine, at_work_for, digests, eventually

# The first test of all waits for a server and a whole run.
pytestmark = pytest.mark.timeout(1800)

# Each boundary of the road, by the line that says it was reached, and how many such lines.
BOUNDARIES = (
    ("ingest", 1),
    ("check contract", 1),
    ("materialize", 1),
    ("refuse leaks", 1),
    ("train", 1),
    ("train", 9),
    ("train", 17),
    ("evaluate", 1),
    ("evaluate", 3),
    ("portray", 1),
    ("publish bundle", 1),
    ("register", 1),
    ("judge", 1),
    ("open request", 1),
    ("write dossier", 1),
    ("decide", 1),
    ("project", 1),
    ("write page", 1),
    ("close request", 1),
)
# Each run draws the same instants, but a machine reaches others in them: twelve in all, in at most so many homes.
RANDOM_KILLS, MOST_HOMES = 12, 6
# What says when it was written, and so differs between any two runs.
DATED = ("ledger/", "anchors/", "champions/", "runs/", "reports/", "requests/", "measured/")
# Named after the birth of this home's Feast folder.
OF_THIS_HOME = "stages/channels/materialize/"
OF_THE_DAY = "stages/channels/check/"
REPORTED_ON = re.compile(r"^reports/channels/[\d-]{10}/")


@dataclass
class Chain:
    """One home, killed again and again."""

    line: CommandLine
    source: Path

    def die_after(self, stage: str, times: int, *, own_server: bool) -> None:
        """Run until it dies by SIGKILL after so many lines of *stage*: the process alone, as when memory runs out."""
        line = self._told_of(own_server).dying_after(stage, times)
        with line.started("run", "channels", "--source", self.source, stdout=subprocess.DEVNULL) as child:
            said = child.stderr.read()
        assert child.returncode == -signal.SIGKILL, (stage, times, said)
        self._all_noticed()

    def kill_at(self, number: int, then_seconds: float, *, own_server: bool) -> bool:
        """Kill a run some time after so many lines of its progress; say whether it was not done before."""
        line = self._told_of(own_server)
        child = line.started("run", "channels", "--source", self.source, stdout=subprocess.DEVNULL)
        try:
            for _ in zip(range(number), child.stderr, strict=False):
                pass
            with drained(child), contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=then_seconds)
        finally:
            child.kill()
            child.wait()
            child.stderr.close()
        self._all_noticed()
        assert child.returncode in (0, -signal.SIGKILL), child.returncode
        return child.returncode != 0

    def _told_of(self, own_server: bool) -> CommandLine:
        return replace(self.line, settings={} if own_server else self.line.settings)

    def _all_noticed(self) -> None:
        """What a killed run had started notices by itself."""
        eventually(lambda: not at_work_for(self.line.home), seconds=240)

    def finish(self) -> dict[str, Any]:
        """Run to the end and return what that printed."""
        done = self.line("run", "channels", "--source", self.source, "--json")
        assert done.rc == 0, done.err
        assert at_work_for(self.line.home) == []
        return done.value


@contextlib.contextmanager
def drained(child: subprocess.Popen[str]) -> Iterator[None]:
    """Read what *child* still says meanwhile, so that it is never held up."""
    reader = threading.Thread(target=child.stderr.read)
    reader.start()
    try:
        yield
    finally:
        child.kill()
        reader.join()


@pytest.fixture
def chain(first_run, checkout, api, sources, tmp_path):
    """Begin a chain in a home with the never-killed home's keys, so that signatures compare."""

    def begin(name: str) -> Chain:
        home = tmp_path / name
        # The key alone: what is noted beside it is the end of the other home's ledger.
        shutil.copytree(first_run.home / "keys", home / "keys", ignore=shutil.ignore_patterns("anchors"))
        (tmp_path / f"cwd-{name}").mkdir()
        line = CommandLine(checkout, tmp_path / f"cwd-{name}", home, {"PREFECT_API_URL": api})
        return Chain(line, sources["first"])

    return begin


def assert_as_if_never_killed(killed: Path, whole: Path) -> None:
    """Both homes hold the same champion, ledger, blobs, memories and registry, and no scratch."""
    found, wanted = _kept(killed / "store"), _kept(whole / "store")
    if _day_of(whole) != datetime.now(UTC).date().isoformat():
        # Midnight came: a check judges how fresh rows are on the day, and what it says is remembered for that day.
        found, wanted = ({key: kept[key] for key in kept if not key.startswith(OF_THE_DAY)} for kept in (found, wanted))
    assert set(found) ^ set(wanted) == set()
    assert {key for key in wanted if not key.startswith(DATED) and found[key] != wanted[key]} == set()
    assert _entries(killed) == _entries(whole)
    assert len(_entries(killed)) == 1
    assert _dossiers(killed) == _dossiers(whole)
    assert _pages(killed) == _pages(whole)
    assert _registered(killed) == _registered(whole)
    assert _scratch(killed) == _scratch(whole)
    assert _feast(killed) == _feast(whole)


def _kept(store: Path) -> dict[str, str]:
    """Return what both homes must hold alike; the one dossier, which says when it was asked, and
    its page, which is named after its digest, are looked at by themselves."""
    (entry,) = [json.loads(path.read_bytes())["entry"] for path in (store / "ledger/channels").iterdir()]
    evidence = entry["evidence"]
    own = (
        OF_THIS_HOME,
        f"blobs/sha256/{evidence[:2]}/{evidence}",
        *(f"dossiers/channels/{evidence[:16]}.{kind}" for kind in ("html", "json")),
    )
    assert set(own[2:]) <= set(digests(store))
    kept = {key: digest for key, digest in digests(store).items() if not key.startswith(own)}
    return {REPORTED_ON.sub("reports/channels/day/", key): digest for key, digest in kept.items()}


def _day_of(home: Path) -> str:
    """Return the day on which the home's run was made."""
    (record,) = (home / "store/runs/channels").glob("*.json")
    return json.loads(record.read_bytes())["run"]["as_of"]


def _dossiers(home: Path) -> list[Any]:
    """Return what was decided on, and what came of each request, without when it was; the entry must lead to both."""
    (entry,) = [json.loads(path.read_bytes())["entry"] for path in (home / "store/ledger/channels").iterdir()]
    blob = home / "store/blobs/sha256" / entry["evidence"][:2] / entry["evidence"]
    (asked,) = (path for path in (home / "store/requests/channels/dev").glob("*-*.json") if "closed" not in path.name)
    closed = json.loads(asked.with_suffix(".closed.json").read_bytes())["closed"]
    dossier = json.loads(blob.read_bytes())
    assert json.loads(asked.read_bytes())["request"] == dossier
    assert closed["dossier"] == entry["evidence"]
    for dated in ("requested_at", "nonce"):
        assert dossier.pop(dated)
    # What the rehearsal found must be the same, when it was and how long it took need not.
    for dated in ("at", "seconds"):
        assert dossier["rehearsal"].pop(dated)
    return [asked.name, dossier, closed["outcome"], closed["number"]]


def _pages(home: Path) -> list[str]:
    """Return what the page of the home's champion says was decided, and on what."""
    (page,) = (home / "store/reports/channels").glob("*.html")
    return re.findall(r"Promoted: [^<]+|no champion yet|it is the champion itself", page.read_text())


def _entries(home: Path) -> list[dict[str, Any]]:
    entries = [json.loads(path.read_bytes()) for path in sorted((home / "store/ledger/channels").iterdir())]
    dated = ("at", "evidence")
    return [{key: value for key, value in each["entry"].items() if key not in dated} for each in entries]


def _registered(home: Path) -> dict[str, Any]:
    with contextlib.closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as database:
        ask = lambda question: sorted(database.execute(question).fetchall())  # noqa: E731
        return {
            "versions": ask("select name, version from model_versions"),
            "bundles": ask("select value from model_version_tags where key = 'bundle_digest'"),
            "aliases": ask("select alias, version from registered_model_aliases"),
            "runs": ask("select name, status from runs"),
            "keys": ask("select value from tags where key = 'greenlight.run_key'"),
            "metrics": ask("select key, value, count(*) from metrics group by key, value"),
        }


def _scratch(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "tmp").iterdir())


def _feast(home: Path) -> list[str]:
    names = (path.relative_to(home / "feast").as_posix() for path in (home / "feast").rglob("*") if path.is_file())
    return sorted(name for name in names if not name.endswith(("-wal", "-shm")))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_after_every_stage_ends_like_one_never_killed(chain, first_run):
    killed = chain("stages")
    for stage, times in BOUNDARIES:
        # Once with a server of its own, which must not outlive it either.
        killed.die_after(stage, times, own_server=stage == "check contract")
    assert len(BOUNDARIES) == 19
    assert killed.finish()["promotion"]["version"] == first_run.done.value["promotion"]["version"]
    assert_as_if_never_killed(killed.line.home, first_run.home)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_run_killed_at_random_instants_ends_like_one_never_killed(chain, first_run):
    chance = random.Random(16)
    kills = 0
    for home in range(MOST_HOMES):
        killed = chain(f"random-{home}")
        # Lines come in bursts while results are reused, so what is drawn is a line and a delay after it.
        while kills < RANDOM_KILLS:
            number, own_server, then_seconds = chance.randint(1, 33), chance.random() < 0.25, chance.uniform(0.0, 1.5)
            if not killed.kill_at(number, then_seconds, own_server=own_server):
                break
            kills += 1
        killed.finish()
        assert_as_if_never_killed(killed.line.home, first_run.home)
        if kills == RANDOM_KILLS:
            return
    raise AssertionError(f"only {kills} of {RANDOM_KILLS} kills came before the end of a run")
