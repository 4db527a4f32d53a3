"""Every kind of store under test: the directory, and each cloud as its emulator gives it.

A cloud is one line in ``CLOUDS``. Its emulator starts when the first test wants it and serves all of them; one that
cannot start here skips with the reason (``pytest.skip``).
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TypeVar

import pytest

from tasks.adapters.settings import settings
from tasks.adapters.store import Store, open_store
from tests.emulators import Emulator

RACERS = 8
# What a busy machine may need; a test of what is waited for names less.
PATIENT_SECONDS = 120
PATIENT = {"GREENLIGHT_STORE_SECONDS": str(PATIENT_SECONDS)}
NUMBERS = itertools.count()
T = TypeVar("T")


@dataclass(frozen=True)
class Cloud:
    """Where a cloud's emulator and backend lie."""

    emulator: str
    backend: str


CLOUDS = {
    "s3": Cloud("tests.emulators.s3", "tasks.adapters.clouds.s3"),
    "oci": Cloud("tests.emulators.oci", "tasks.adapters.clouds.oracle"),
    "gs": Cloud("tests.emulators.gcs", "tasks.adapters.clouds.gcs"),
    "az": Cloud("tests.emulators.azure", "tasks.adapters.clouds.azure"),
}


@dataclass(frozen=True)
class Directory:
    """The embedded default, in a folder of its own."""

    kind: str
    folder: Path

    def open(self, *, seconds: float = PATIENT_SECONDS) -> Store:
        """Open the store anew; a disk has no budget."""
        return open_store((self.folder / "a store").as_uri())


@dataclass(frozen=True)
class Place:
    """A prefix of its own in an emulator's bucket; this process has the credentials."""

    kind: str
    emulator: Emulator
    prefix: str
    monkeypatch: pytest.MonkeyPatch

    def open(self, *, port: int = 0, bucket: str = "", seconds: float = PATIENT_SECONDS) -> Store:
        """Open the store anew, by default as it should be reached; *seconds* is its budget."""
        self.see({"GREENLIGHT_STORE_SECONDS": str(seconds)})
        return open_store(self.emulator.uri(port=port, bucket=bucket, prefix=self.prefix))

    def see(self, environment: Mapping[str, str]) -> None:
        """Give this process more of an environment."""
        for name, value in environment.items():
            self.monkeypatch.setenv(name, value)
        settings.cache_clear()

    def page(self, keys: int) -> None:
        """Let a page of a listing hold only that many keys."""
        self.monkeypatch.setattr(f"{CLOUDS[self.kind].backend}.PAGE_KEYS", keys)


def crowding() -> float:
    """Return how many want each core of this machine, at least 1: so many times longer may work take beside them."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def at_once(work: Callable[[int], T], number: int = RACERS) -> list[T]:
    """Let *number* threads begin *work* at the same moment."""
    ready = threading.Barrier(number)

    def begin(who: int) -> T:
        ready.wait()
        return work(who)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(begin, range(number)))


@pytest.fixture(scope="session")
def emulators(tmp_path_factory) -> Iterator[Callable[[str], Emulator]]:
    with ExitStack() as stack:

        @cache
        def running(kind: str) -> Emulator:
            emulator = import_module(CLOUDS[kind].emulator)
            return stack.enter_context(emulator.running(tmp_path_factory.mktemp(kind)))

        yield running


@pytest.fixture(params=["file", *CLOUDS])
def place(request, emulators, tmp_path, monkeypatch):
    if request.param == "file":
        return Directory("file", tmp_path)
    return placed(request.param, emulators, monkeypatch)


@pytest.fixture(params=list(CLOUDS))
def cloud(request, emulators, monkeypatch):
    return placed(request.param, emulators, monkeypatch)


def placed(kind: str, emulators: Callable[[str], Emulator], monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a prefix of its own in a cloud's bucket."""
    place = Place(kind, emulators(kind), f"{kind}-{next(NUMBERS)}", monkeypatch)
    place.see(place.emulator.credentials)
    return place
