"""A home, texts and providers for tests of enrichment, in which nothing waits for real."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from tasks.adapters.enrichment.breakers import open_breakers
from tasks.adapters.enrichment.cache import sqlite_cache
from tasks.adapters.enrichment.client import Client, Provider
from tasks.ask_providers import Chain, Limits, Link, Surroundings
from tasks.core.enrichment.breaker import Fuse
from tasks.core.enrichment.budget import Price, Tokens, billionths, cost
from tasks.core.enrichment.retrying import Patience
from tasks.core.enrichment.rows import Enriched
from tasks.enrich import Asked, enrich
from tests.emulators.completions import ANSWERED, SENT, Completions, running

TEXTS = ("It rains", "It pours", "It is dry")
KEY = "sk-Pl4nted-s3cret"
PATIENT_SECONDS = 120.0
PRICE = Price(Decimal("0.001"), Decimal("0.002"))
ANSWER_COST = cost(PRICE, Tokens(SENT, ANSWERED))


@dataclass
class World:
    """A home, a source, and a clock that only moves when somebody sleeps; nothing in here waits for real."""

    folder: Path
    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    @property
    def source(self) -> Path:
        """Return where the texts are."""
        return self.folder / "texts.csv"

    @property
    def out(self) -> Path:
        """Return where the answers are to be."""
        return self.folder / "out.parquet"

    def texts(self, *texts: str) -> World:
        """Make a source of those texts."""
        pl.DataFrame({"id": [f"t{n}" for n in range(len(texts))], "text": texts}).write_csv(self.source)
        return self

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds

    def asked(self, **changes: Any) -> Asked:
        """Return what is asked of the step."""
        return Asked(**{"source": self.source, "column": "text", "keys": ("id",), "out": self.out, **changes})

    def ask(self, *urls: str, force: bool = False, **changes: Any) -> tuple[Enriched, list[dict[str, Any]]]:
        """Enrich the source by the providers at *urls*, with new objects on the same files, as a new process would."""
        with ExitStack() as stack:
            chain = self.chain(stack, urls, changes)
            done = enrich(self.asked(force=force), chain, lambda _: None)
        return done, pl.read_parquet(self.out).to_dicts()

    def chain(self, stack: ExitStack, urls: tuple[str, ...], changes: Mapping[str, Any]) -> Chain:
        """Return the analyser that asks the providers at *urls*."""
        given = {"attempts": 4, "fuse": Fuse(100, 60), "budget": "1", "timeout": PATIENT_SECONDS, **changes}
        links = []
        for name, url in zip(("primary", "secondary", "tertiary"), urls, strict=False):
            provider = Provider(name, url, given.get("model", "small"), PRICE, SecretStr(KEY))
            client = Client(provider, timeout_seconds=given["timeout"], answer_bytes=4_096)
            links.append(Link(provider, stack.enter_context(closing(client))))
        home = self.folder / "home" / "enrichment"
        cache = stack.enter_context(given.get("cache") or sqlite_cache(home / "cache.sqlite"))
        breakers = stack.enter_context(open_breakers(home / "breakers.sqlite"))
        patience = Patience(given["attempts"], 1, 60)
        limits = Limits(patience, given["fuse"], 1_000, 300, billionths(Decimal(given["budget"])))
        return Chain(links, cache, breakers, limits, Surroundings(lambda: self.now, self.sleep, lambda: 0.5))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a home with one text, which is the settings' too."""
    monkeypatch.setenv("GREENLIGHT_HOME", str(tmp_path / "home"))
    return World(tmp_path).texts(TEXTS[0])


@pytest.fixture
def server() -> Iterator[Completions]:
    """Yield a provider on this machine."""
    with running() as started:
        yield started


@pytest.fixture
def second() -> Iterator[Completions]:
    """Yield another one."""
    with running() as started:
        yield started
