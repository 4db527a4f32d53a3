"""Providers on a loopback server that misbehaves in every way: each row ends with its answer or its reason."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal

import polars as pl
import pytest

from tasks.adapters.enrichment.work import work_on
from tasks.adapters.sources import digest_source
from tasks.core.digests import digest_of
from tasks.core.enrichment.asking import contents
from tasks.core.enrichment.breaker import Fuse
from tasks.core.enrichment.budget import BILLION, Tokens, cost, worst_case
from tasks.core.enrichment.rows import Enriched
from tasks.enrich import enrich
from tasks.errors import (
    AccessDenied,
    BudgetReached,
    RunInProgress,
    Unreachable,
)
from tests.command_line import eventually
from tests.emulators import free_port
from tests.emulators.completions import (
    ANSWERED,
    SAID,
    SENT,
    completion,
    drip,
    echo_key,
    flood,
    good,
    half,
    hang,
    raw,
    says,
    status,
)
from tests.enriching import ANSWER_COST, KEY, PRICE, TEXTS

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


def test_a_server_that_hangs_is_left_after_the_timeout_and_may_have_done_the_work(world, server):
    server.otherwise = hang
    done, (row,) = world.ask(server.url, timeout=0.5, attempts=1)
    assert row["reason"].startswith("primary small: no whole answer in 0.5 s")
    # Nobody knows whether it did the work: what it may have cost counts, once it was asked.
    assert done.asked == 1 and eventually(lambda: bool(server.asked) == (done.cost > 0), seconds=60)


@pytest.mark.parametrize("head", [True, False])
def test_an_answer_that_drips_is_left_when_its_time_is_up_whatever_of_it_drips(world, server, head):
    server.otherwise = drip(head=head)
    done, (row,) = world.ask(server.url, timeout=0.5, attempts=1)
    assert row["reason"].startswith("primary small: no whole answer in 0.5 s") and done.asked == 1


def test_whoever_a_provider_points_to_is_not_asked(world, server, second):
    server.otherwise = status(307, Location=f"{second.url}/chat/completions")
    _, (row,) = world.ask(server.url)
    assert row["reason"] == "primary small: HTTP 307"
    assert (len(server.asked), second.asked, second.keys) == (1, [], [])


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


def test_failures_that_are_not_in_a_row_open_no_breaker(world, server):
    world.texts(*TEXTS)
    server.script.extend([status(500), good] * 3)
    assert world.ask(server.url, fuse=Fuse(failures=2, open_seconds=60))[0].ok == 3


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


def test_two_at_once_do_not_ask_for_the_same_rows(world, server):
    with ExitStack() as stack:
        chain = world.chain(stack, (server.url,), {})
        of = (digest_source(world.source), "text", ("id",), chain.identity)
        stack.enter_context(work_on(world.folder / "home", digest_of(of)[:32], world.asked(), world.source))
        with pytest.raises(RunInProgress, match="another run of enrich-"):
            enrich(world.asked(), chain, lambda _: None)
    assert server.asked == []


def test_two_files_at_once_share_one_cache(world, server):
    def enriched(name: str) -> Enriched:
        pl.DataFrame({"id": TEXTS, name: TEXTS}).write_csv(world.folder / f"{name}.csv")
        asked = world.asked(source=world.folder / f"{name}.csv", out=world.folder / f"{name}.parquet", column=name)
        with ExitStack() as stack:
            return enrich(asked, world.chain(stack, (server.url,), {}), lambda _: None)

    with ThreadPoolExecutor(2) as both:
        done = list(both.map(enriched, ("text", "title")))
    assert [each.ok for each in done] == [3, 3]
    assert set(server.times) == set(TEXTS) and max(server.times.values()) <= 2


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
