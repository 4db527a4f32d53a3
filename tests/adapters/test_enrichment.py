"""Enriching free text: on this machine, and by providers on a loopback server that misbehaves in every way."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from tasks.adapters.enrichment.breakers import open_breakers
from tasks.adapters.enrichment.cache import redis_cache, sqlite_cache
from tasks.adapters.enrichment.client import Client, Provider
from tasks.adapters.enrichment.work import work_on
from tasks.adapters.settings import settings
from tasks.ask_providers import Chain, Limits, Link, Surroundings
from tasks.core.enrichment.answers import Answer
from tasks.core.enrichment.asking import contents
from tasks.core.enrichment.breaker import Fuse
from tasks.core.enrichment.budget import BILLION, Price, Tokens, billionths, cost, worst_case
from tasks.core.enrichment.retrying import Patience
from tasks.core.enrichment.rows import Enriched, LocalAnalyser
from tasks.enrich import Asked, analysing, enrich
from tasks.errors import AccessDenied, BadRequest, BudgetReached, HomeDamaged, SourceUnusable, Unreachable
from tests import watchdog
from tests.command_line import CommandLine, said_plainly
from tests.emulators import free_port
from tests.emulators.completions import (
    ANSWERED,
    SAID,
    SENT,
    Completions,
    completion,
    echo_key,
    flood,
    good,
    half,
    hang,
    raw,
    running,
    says,
    status,
)

ROOT = Path(__file__).parents[2]
KEY = "sk-Pl4nted-s3cret"
PATIENT_SECONDS = 120.0
PRICE = Price(Decimal("0.001"), Decimal("0.002"))
ANSWER_COST = cost(PRICE, Tokens(SENT, ANSWERED))
TEXTS = ("It rains", "It pours", "It is dry")


@dataclass
class World:
    """A home, a source, and a clock that only moves when somebody sleeps; nothing in here waits for real."""

    folder: Path
    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    @property
    def source(self) -> Path:
        return self.folder / "texts.csv"

    @property
    def out(self) -> Path:
        return self.folder / "out.parquet"

    def texts(self, *texts: str) -> World:
        pl.DataFrame({"id": [f"t{n}" for n in range(len(texts))], "text": texts}).write_csv(self.source)
        return self

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def asked(self, **changes: Any) -> Asked:
        return Asked(**{"source": self.source, "column": "text", "keys": ("id",), "out": self.out, **changes})

    def ask(self, *urls: str, force: bool = False, **changes: Any) -> tuple[Enriched, list[dict[str, Any]]]:
        """Enrich the source by the providers at *urls*, with new objects on the same files, as a new process would."""
        with ExitStack() as stack:
            chain = self._chain(stack, urls, changes)
            done = enrich(self.asked(force=force), chain, lambda _: None)
        return done, pl.read_parquet(self.out).to_dicts()

    def _chain(self, stack: ExitStack, urls: tuple[str, ...], changes: dict[str, Any]) -> Chain:
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
    monkeypatch.setenv("GREENLIGHT_HOME", str(tmp_path / "home"))
    return World(tmp_path).texts(TEXTS[0])


@pytest.fixture
def server() -> Iterator[Completions]:
    with running() as started:
        yield started


@pytest.fixture
def second() -> Iterator[Completions]:
    with running() as started:
        yield started


WRONG = completion(SAID | {"sentiment": 7})
SHORT = {"Content_Length": len(completion()) - 30}
LONG = {"Content_Length": len(completion()) + 30}


@pytest.mark.parametrize(
    ("script", "reason", "requests", "slept"),
    [
        ([status(500), status(503), good], None, 3, [0.5, 1.0]),
        ([status(429, Retry_After=7), good], None, 2, [7.0]),
        ([status(429, Retry_After=3600)], "primary small: HTTP 429", 1, []),
        ([status(408), good], None, 2, [0.5]),
        ([status(500)] * 4, "primary small: HTTP 500", 4, [0.5, 1.0, 2.0]),
        ([status(400)], "primary small: HTTP 400", 1, []),
        ([status(302, Location="http://127.0.0.1:1/")], "primary small: HTTP 302", 1, []),
        ([half, good], None, 2, [0.5]),
        ([half] * 4, "primary small: the connection broke (RemoteProtocolError)", 4, [0.5, 1.0, 2.0]),
        ([raw(completion(), **LONG), good], None, 2, [0.5]),
        ([raw(completion(), **SHORT), good], None, 2, []),
        ([raw(completion(), **SHORT)] * 2, "the reply is no chat completion: all of it: json_invalid", 2, []),
        ([raw(b"<html>busy</html>"), good], None, 2, []),
        ([raw(b"<html>busy</html>")] * 2, "the reply is no chat completion: all of it: json_invalid", 2, []),
        ([says("Sure! It rains."), good], None, 2, []),
        ([raw(WRONG)] * 2, "the answer is not what was asked for: sentiment: less_than_equal", 2, []),
        ([flood, good], None, 2, []),
        ([flood] * 2, "the reply is longer than 4,096 bytes", 2, []),
        ([raw(b"\x1f\x8b", Content_Encoding="gzip"), good], None, 2, []),
    ],
)
def test_a_server_that_misbehaves_is_asked_again_where_that_helps(world, server, script, reason, requests, slept):
    server.script.extend(script)
    done, (row,) = world.ask(server.url)
    assert (row["status"], row["reason"]) == (("error", reason) if reason else ("ok", None))
    assert (row["id"], row["_row"], row["sentiment"]) == ("t0", 1, None if reason else 0.5)
    assert (len(server.asked), done.asked, world.slept) == (requests, requests, slept)
    assert (done.rows, done.ok, done.failed) == (1, int(not reason), int(bool(reason)))


def test_a_server_that_hangs_is_left_after_the_timeout(world, server):
    server.otherwise = hang
    done, (row,) = world.ask(server.url, timeout=0.2, attempts=2)
    assert row["reason"] == "primary small: no whole answer in 0.2 s"
    # Nobody knows whether it did the work: what it may have cost counts.
    assert (len(server.asked), done.asked) == (2, 2) and done.cost > 0


def test_where_nobody_listens_nothing_is_spent(world):
    done, (row,) = world.ask(f"http://127.0.0.1:{free_port()}/v1")
    assert row["reason"] == "primary small: no connection (ConnectError)"
    assert (done.asked, done.cost, len(world.slept)) == (4, 0.0, 3)


def test_the_next_provider_answers_where_the_one_before_did_not(world, server, second):
    world.texts(*TEXTS)
    server.otherwise = status(400)
    done, rows = world.ask(server.url, second.url)
    assert {row["analyser"] for row in rows} == {"secondary small"} and done.ok == 3
    assert (len(server.asked), len(second.asked)) == (3, 3)


def test_a_provider_that_refuses_our_key_is_asked_once(world, server, second):
    world.texts(*TEXTS)
    server.otherwise = status(401)
    assert world.ask(server.url, second.url)[0].ok == 3
    assert (len(server.asked), len(second.asked)) == (1, 3)


def test_where_every_provider_refuses_our_key_nothing_is_written(world, server):
    server.otherwise = status(403)
    with pytest.raises(AccessDenied, match="every provider refuses us: primary small: HTTP 403"):
        world.ask(server.url)
    assert not world.out.exists()


def test_a_breaker_opens_survives_the_process_and_lets_one_try_in(world, server):
    world.texts(*TEXTS)
    server.otherwise = status(500)
    fuse = Fuse(failures=2, open_seconds=60)
    with pytest.raises(Unreachable, match=r"no provider answers.*run again in 60 s"):
        world.ask(server.url, fuse=fuse)
    assert len(server.asked) == 2
    with pytest.raises(Unreachable, match="left alone after failures"):
        world.ask(server.url, fuse=fuse)
    assert len(server.asked) == 2
    world.now += 60
    with pytest.raises(Unreachable):
        world.ask(server.url, fuse=fuse)
    assert len(server.asked) == 3
    world.now += 60
    server.otherwise = good
    assert world.ask(server.url, fuse=fuse)[0].ok == 3
    assert len(server.asked) == 6


def test_a_budget_stops_before_it_is_exceeded_and_a_larger_one_goes_on_without_asking_twice(world, server):
    world.texts(*TEXTS)
    dearest = cost(PRICE, worst_case(contents(TEXTS[2]), 300))
    enough = Decimal(2 * ANSWER_COST + dearest) / BILLION
    with pytest.raises(BudgetReached, match=r"0\.00032 of it is spent, and the next request may cost 0\.001"):
        world.ask(server.url, budget=str(enough - Decimal("1e-9")))
    assert server.asked == list(TEXTS[:2])
    assert not world.out.exists()
    done, _ = world.ask(server.url, budget=str(enough))
    assert server.asked == list(TEXTS)
    assert (done.ok, done.resumed, done.asked) == (3, 2, 3)
    assert (done.input_tokens, done.output_tokens, done.cost) == (3 * SENT, 3 * ANSWERED, 0.00048)


def test_with_no_budget_nothing_is_sent(world, server):
    with pytest.raises(BudgetReached):
        world.ask(server.url, budget="0")
    assert server.asked == []


def test_what_a_killed_run_reserved_counts_as_spent(world):
    for requests in (1, 2):
        with work_on(world.folder / "home", "work", world.asked(), world.source) as work:
            work.reserve(Tokens(10, 20), 5)
            assert work.spent() == (requests, Tokens(10 * requests, 20 * requests), 5 * requests)


def test_a_text_is_asked_once_by_one_model_with_one_prompt(world, server, monkeypatch):
    world.texts("same", "same", "other")
    done, rows = world.ask(server.url)
    assert sorted(server.asked) == ["other", "same"] and done.cached == 1
    done, again = world.ask(server.url, force=True)
    assert (done.cached, done.asked, done.cost, len(server.asked)) == (3, 0, 0.0, 2)
    assert again == rows
    world.ask(server.url, force=True, model="large")
    assert len(server.asked) == 4
    monkeypatch.setattr("tasks.core.enrichment.asking.INSTRUCTIONS", "Label it otherwise.")
    world.ask(server.url, force=True)
    assert len(server.asked) == 6


def test_a_row_that_failed_in_passing_is_asked_again_by_the_next_run_and_a_refused_one_is_kept(world, server):
    world.texts(*TEXTS)
    server.script.extend([status(400), status(500), status(500)])
    with pytest.raises(Unreachable):
        world.ask(server.url, attempts=1, fuse=Fuse(2, 60))
    world.now += 60
    done, rows = world.ask(server.url)
    assert [row["reason"] for row in rows] == ["primary small: HTTP 400", None, None]
    assert [server.times[text] for text in TEXTS] == [1, 2, 2] and done.resumed == 1


def test_the_key_is_sent_and_told_nowhere(world, server, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    world.texts(*TEXTS)
    server.script.extend([echo_key(400), echo_key(500), says(KEY), says({"mood": KEY}), says(SAID | {KEY: KEY})])
    done, rows = world.ask(server.url)
    with pytest.raises(AccessDenied) as refused:
        server.otherwise = echo_key(401)
        world.ask(server.url, force=True, model="large")
    told = [caplog.text, *capfd.readouterr(), str(rows), str(done), str(refused.value)]
    files = [path.read_bytes().decode("latin-1") for path in world.folder.rglob("*") if path.is_file()]
    assert set(server.keys) == {f"Bearer {KEY}"} and "HTTP" in caplog.text
    assert not [text for text in (*told, *files) if KEY in text or KEY.lower() in text]


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[str]:
    """A Redis server that asks for a password."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed (apt-get install redis-server)")
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path), "--requirepass", KEY)
    process = subprocess.Popen(watchdog.mortal(program, *options), stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        next(line for line in process.stdout if "Ready to accept connections" in line)
        yield f"127.0.0.1:{port},password={KEY},db=1"
    finally:
        process.kill()
        process.communicate()


def test_redis_keeps_answers_for_every_home_and_a_wrong_one_is_no_help(world, server, redis):
    world.texts(*TEXTS)
    world.ask(server.url, cache=redis_cache(redis))
    shutil.rmtree(world.folder / "home")
    done, _ = world.ask(server.url, cache=redis_cache(redis), force=True)
    assert (done.cached, len(server.asked)) == (3, 3)
    with redis_cache(redis) as cache:
        for name in cache._client.scan_iter():
            cache._client.set(name, "{}")
    done, _ = world.ask(server.url, cache=redis_cache(redis), force=True)
    assert (done.cached, len(server.asked)) == (0, 6)


def test_a_redis_that_does_not_answer_is_told_without_its_password(world, server):
    with pytest.raises(Unreachable, match="did not answer") as refused:
        world.ask(server.url, cache=redis_cache(f"127.0.0.1:{free_port()},password={KEY}"))
    assert KEY not in str(refused.value) and server.asked == []
    with pytest.raises(BadRequest, match="is not HOST:PORT") as refused, redis_cache(f"there,secret={KEY}"):
        pass
    assert KEY not in str(refused.value)


def test_the_answer_of_another_is_kept_until_it_is_damaged(tmp_path):
    answer = Answer.model_validate(SAID | {"themes": ("rain",)})
    with sqlite_cache(tmp_path / "cache.sqlite") as cache:
        cache.put("name", answer)
    with sqlite_cache(tmp_path / "cache.sqlite") as cache:
        assert (cache.get("name"), cache.get("other")) == (answer, None)
    (tmp_path / "cache.sqlite").write_bytes(b"no database" * 1_000)
    with pytest.raises(HomeDamaged, match="delete it"), sqlite_cache(tmp_path / "cache.sqlite"):
        pass


def test_on_this_machine_every_row_has_its_answer_or_its_reason(world):
    world.texts("The rain is good", "", "これは何ですか")
    done = enrich(world.asked(), LocalAnalyser(), lambda _: None)
    rows = pl.read_parquet(world.out)
    assert rows.columns[:2] == ["id", "_row"] and rows.columns[-3:] == ["analyser", "status", "reason"]
    assert rows["status"].to_list() == ["ok", "error", "ok"]
    assert rows["reason"].to_list() == [None, "the text is missing", None]
    assert rows["language"].to_list() == ["en", None, "ja"] and rows["sentiment"].to_list() == [1.0, None, None]
    assert (done.ok, done.failed, done.reasons, done.asked) == (2, 1, (("the text is missing", 1),), 0)
    first = world.out.read_bytes()
    enrich(world.asked(force=True), LocalAnalyser(), lambda _: None)
    assert world.out.read_bytes() == first
    assert not list((world.folder / "home" / "enrichment" / "work").iterdir())


def test_parquet_is_read_as_well_as_csv(world):
    table = world.folder / "texts.parquet"
    pl.DataFrame({"Video ID": [7, 8], "Title": ["The rain is good", None]}).write_parquet(table)
    enrich(world.asked(source=table, keys=("video_id",), column="title"), LocalAnalyser(), lambda _: None)
    assert pl.read_parquet(world.out)["video_id"].to_list() == ["7", "8"]


@pytest.mark.parametrize(
    ("changes", "error", "told"),
    [
        ({"column": "body"}, SourceUnusable, "'body'"),
        ({"keys": ("text",)}, BadRequest, "text would be there twice"),
        ({"keys": ("status",)}, BadRequest, "status would be there twice"),
        ({"out": Path("answers.csv")}, BadRequest, "no Parquet file by its name"),
        ({"out": Path(".")}, BadRequest, "is a folder"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(world, changes, error, told):
    with pytest.raises(error, match=told):
        enrich(world.asked(**changes), LocalAnalyser(), lambda _: None)


def test_a_file_that_is_there_stays_and_the_source_is_never_replaced(world):
    world.out.write_bytes(b"mine")
    with pytest.raises(BadRequest, match="with --out, or add --force"):
        enrich(world.asked(), LocalAnalyser(), lambda _: None)
    assert world.out.read_bytes() == b"mine"
    with pytest.raises(BadRequest, match="is the source itself"):
        enrich(world.asked(source=world.out, force=True), LocalAnalyser(), lambda _: None)


def test_nothing_is_sent_where_nothing_is_configured(world):
    with pytest.raises(BadRequest, match="no provider is configured"), analysing("providers"):
        pass


def configure(monkeypatch: pytest.MonkeyPatch, **given: str) -> None:
    usual = {"URL": "https://one.example/v1", "MODEL": "small", "PRICE_IN": "0.001", "PRICE_OUT": "0", "KEY": KEY}
    for name, value in (usual | given).items():
        monkeypatch.setenv(f"GREENLIGHT_ENRICH__PRIMARY__{name}", value)
    settings.cache_clear()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("URL", "http://one.example/v1", "plain http"),
        ("URL", "https://user:hunter2@one.example", "PRIMARY__URL"),
        ("KEY", "two words\n", "PRIMARY__KEY.*printable"),
        ("PRICE_IN", "-1", "PRIMARY__PRICE_IN"),
        ("PRICES", "1", "PRIMARY__PRICES"),
    ],
)
def test_a_provider_that_cannot_be_used_is_told_and_not_quoted(monkeypatch, name, value, told):
    configure(monkeypatch, **{name: value})
    with pytest.raises(BadRequest, match=told) as refused:
        settings()
    assert not [secret for secret in (KEY, "hunter2", "two words") if secret in str(refused.value)]


def test_a_provider_without_a_price_is_refused_and_one_from_the_settings_answers(world, server, monkeypatch):
    configure(monkeypatch, URL=server.url, KEY=f"{KEY}\n")
    with analysing("providers", Decimal(1)) as chain:
        assert enrich(world.asked(), chain, lambda _: None).ok == 1
    assert server.keys == [f"Bearer {KEY}"]
    monkeypatch.delenv("GREENLIGHT_ENRICH__PRIMARY__PRICE_OUT")
    settings.cache_clear()
    with pytest.raises(BadRequest, match="PRIMARY__PRICE_OUT: Field required"):
        settings()


@pytest.mark.slow  # two real processes
def test_a_command_killed_in_the_middle_and_run_again_asks_each_row_once_but_the_one_being_asked(world, server):
    texts = [f"text {number}" for number in range(12)]
    world.texts(*texts)
    given = {"URL": server.url, "MODEL": "small", "PRICE_IN": "0.001", "PRICE_OUT": "0.002", "KEY": KEY}
    line = CommandLine(ROOT, world.folder, world.folder / "home").seeing(
        **{f"GREENLIGHT_ENRICH__PRIMARY__{name}": value for name, value in given.items()}
    )
    command = ("enrich", "--source", world.source, "--key", "id", "--column", "text", "--out", world.out)
    started: queue.Queue[int] = queue.Queue()

    def kill(_exchange: Any) -> None:
        os.killpg(started.get(), signal.SIGKILL)

    server.script.extend([*[good] * 5, kill])
    with line.started(*command, "--analyser", "providers") as child:
        started.put(child.pid)
        assert child.wait() == -signal.SIGKILL
    assert not world.out.exists() and server.asked == texts[:6]
    done = line(*command, "--analyser", "providers", "--json")
    assert done.rc == 0, done.err
    assert server.times == dict.fromkeys(texts, 1) | {texts[5]: 2}
    # What was being asked may have been billed: it counts.
    assert (done.value["ok"], done.value["resumed"], done.value["asked"]) == (12, 5, 13)
    assert pl.read_parquet(world.out)["id"].to_list() == [f"t{number}" for number in range(12)]
    assert said_plainly(line(*command), 2, "is there already")
