"""Answers by the digest of what was asked: in a SQLite file of the home, or in Redis where several machines share them.

What is found is checked like any answer: a cache may be shared, old or wrong, and is then simply no help.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tasks.adapters.enrichment.database import letters, opened
from tasks.core.enrichment.answers import Answer, kept_answer
from tasks.errors import BadRequest, Unreachable

if TYPE_CHECKING:
    from redis import Redis

PREFIX = "greenlight:enrichment:"
REDIS_SECONDS = 10.0
YES = frozenset({"1", "true", "yes"})


class Cache(Protocol):
    """Where answers are kept by name."""

    def get(self, name: str) -> Answer | None:
        """Return the answer kept under *name*."""

    def put(self, name: str, answer: Answer) -> None:
        """Keep *answer* under *name*."""


class SqliteCache:
    """A file that may be deleted at any time."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection

    def get(self, name: str) -> Answer | None:
        """Return the answer kept under *name*."""
        with letters(self._path):
            row = self._connection.execute("select answer from answers where name = ?", (name,)).fetchone()
        return kept_answer(row[0] if row else None)

    def put(self, name: str, answer: Answer) -> None:
        """Keep *answer* under *name*."""
        with letters(self._path):
            self._connection.execute("insert or replace into answers values (?, ?)", (name, answer.model_dump_json()))


class RedisCache:
    """Keys below a prefix of ours; what Redis drops when it is full is asked again."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    def get(self, name: str) -> Answer | None:
        """Return the answer kept under *name*; raises Unreachable."""
        with _answering():
            found: Any = self._client.get(PREFIX + name)
        return kept_answer(found)

    def put(self, name: str, answer: Answer) -> None:
        """Keep *answer* under *name*; raises Unreachable."""
        with _answering():
            self._client.set(PREFIX + name, answer.model_dump_json())


@contextmanager
def sqlite_cache(path: Path) -> Iterator[SqliteCache]:
    """Yield the cache in the file *path*."""
    with opened(path, "answers (name text primary key, answer text not null) without rowid") as connection:
        yield SqliteCache(path, connection)


@contextmanager
def redis_cache(address: str) -> Iterator[RedisCache]:
    """Yield the cache in the Redis at *address*, ``host:port[,password=…][,username=…][,db=…][,ssl=true]``."""
    try:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError as error:
        raise BadRequest(
            "GREENLIGHT_ENRICH__CACHE is redis, whose client is not installed; run: pip install 'greenlight[redis]'"
        ) from error
    client = Redis(
        **_connection(address),
        retry=Retry(NoBackoff(), 1),
        socket_timeout=REDIS_SECONDS,
        socket_connect_timeout=REDIS_SECONDS,
    )
    with closing(client):
        yield RedisCache(client)


def _connection(address: str) -> dict[str, Any]:
    place, *options = address.split(",")
    host, _, port = place.rpartition(":")
    given = dict(each.strip().partition("=")[::2] for each in options)
    strangers = set(given) - {"password", "username", "db", "ssl"}
    if not host or not port.isdigit() or strangers or not given.get("db", "0").isdigit():
        # Not quoted: there may be a password in it.
        raise BadRequest(
            "GREENLIGHT_REDIS__CONNECTION is not HOST:PORT[,username=…][,password=…][,db=NUMBER][,ssl=true], the only "
            "form that the cache of answers reads"
        )
    return {
        "host": host,
        "port": int(port),
        "db": int(given.get("db", "0")),
        "ssl": given.get("ssl", "").lower() in YES,
        **{name: given[name] for name in ("password", "username") if name in given},
    }


@contextmanager
def _answering() -> Iterator[None]:
    from redis.exceptions import RedisError

    try:
        yield
    except RedisError as error:
        raise Unreachable(
            f"the Redis of GREENLIGHT_REDIS__CONNECTION did not answer ({type(error).__name__}); start it, or set "
            "GREENLIGHT_ENRICH__CACHE=sqlite; what was answered is kept, run again to go on"
        ) from error
