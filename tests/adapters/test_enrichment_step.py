"""Enriching free text: on this machine, by what the settings name, beside a cache, and killed in the middle."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks.adapters.enrichment.cache import redis_cache, sqlite_cache
from tasks.adapters.enrichment.work import work_on
from tasks.adapters.settings import settings
from tasks.core.enrichment.answers import Answer
from tasks.core.enrichment.budget import Tokens
from tasks.core.enrichment.rows import LocalAnalyser
from tasks.enrich import analysing, enrich
from tasks.errors import (
    BadRequest,
    HomeDamaged,
    SourceUnusable,
    Unreachable,
)
from tests import watchdog
from tests.command_line import CommandLine, said_plainly
from tests.emulators import free_port
from tests.emulators.completions import SAID, good, status
from tests.enriching import KEY, TEXTS

ROOT = Path(__file__).parents[2]


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
        ({"column": "txt"}, SourceUnusable, "no column called 'txt'; .* 2 columns .* 'text', 'id': .* with --column"),
        ({"keys": ("Ids",)}, SourceUnusable, "no column called 'Ids'; .* 'id', 'text': name one of them with --key"),
        ({"keys": ("text",)}, BadRequest, "text would be there twice"),
        ({"keys": ("status",)}, BadRequest, "status would be there twice"),
        ({"out": Path("answers.csv")}, BadRequest, "no Parquet file by its name"),
        ({"out": Path(".")}, BadRequest, "is a folder"),
        ({"out": Path("/dev/null/out.parquet")}, BadRequest, "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is(world, changes, error, told):
    with pytest.raises(error, match=told):
        enrich(world.asked(**changes), LocalAnalyser(), lambda _: None)
    assert not list(world.folder.glob("home/enrichment/work/*"))


def test_a_file_that_is_there_stays_and_the_source_is_never_replaced(world):
    world.out.write_bytes(b"mine")
    with pytest.raises(BadRequest, match="with --out, or add --force"):
        enrich(world.asked(), LocalAnalyser(), lambda _: None)
    assert world.out.read_bytes() == b"mine"
    with pytest.raises(BadRequest, match="is the source itself"):
        enrich(world.asked(source=world.out, force=True), LocalAnalyser(), lambda _: None)


def test_texts_of_work_that_was_given_up_are_not_kept_for_ever(world):
    home, old = world.folder / "home", time.time() - 31 * 86_400
    for name in ("given up", "in hand"):
        with work_on(home, name, world.asked(), world.source) as work:
            work.reserve(Tokens(1, 1), 1)
    for path in (home / "enrichment/work/given up", *(home / "enrichment/work/given up").iterdir()):
        os.utime(path, (old, old))
    with work_on(home, "next", world.asked(), world.source):
        assert sorted(path.name for path in (home / "enrichment/work").iterdir()) == ["in hand", "next"]


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
        ("URL", "https://one.example:99999", "PRIMARY: .*[Pp]ort"),
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


def test_the_command_keeps_its_breakers_in_the_home_and_leaves_a_provider_alone_the_next_time(
    world, server, monkeypatch
):
    configure(monkeypatch, URL=server.url)
    for name, value in {"ATTEMPTS": "1", "BREAKER_FAILURES": "1", "BREAKER_SECONDS": "86400"}.items():
        monkeypatch.setenv(f"GREENLIGHT_ENRICH__{name}", value)
    settings.cache_clear()
    server.otherwise = status(500)
    for told in ("no provider answers", "left alone after failures"):
        with pytest.raises(Unreachable, match=told), analysing("providers", Decimal(1)) as chain:
            enrich(world.asked(), chain, lambda _: None)
    assert server.asked == [TEXTS[0]]
    assert (world.folder / "home" / "enrichment" / "breakers.sqlite").is_file()


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
