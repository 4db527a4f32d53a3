"""Waits for requests that gcsfs and adlfs send on an event loop of their own: none for ever, no body held whole.

What is asked, and what an answer means, belongs to the backends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import weakref
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import aiohttp
from fsspec.asyn import get_loop, iothread

from tasks.adapters.clouds.backend import CHUNK_BYTES, Budget

T = TypeVar("T")
CLOSING_SECONDS = 1


def awaited(request: Coroutine[Any, Any, T]) -> T:
    """Return what *request* comes to, from any thread."""
    return asyncio.run_coroutine_threadsafe(request, get_loop()).result()


def pieces(answer: aiohttp.ClientResponse) -> Iterator[bytes]:
    """Return the bytes of *answer* as they come; its connection is given back also before the end."""
    content = answer.content

    async def following() -> bytes:
        try:
            return await content.read(CHUNK_BYTES)
        except aiohttp.ClientError:
            # What came before a body was cut; read() keeps it back.
            if came := content._read_nowait(CHUNK_BYTES):
                return came
            raise

    def coming() -> Iterator[bytes]:
        try:
            yield b""
            while piece := awaited(following()):
                yield piece
        finally:
            get_loop().call_soon_threadsafe(answer.close)

    started = coming()
    # A generator that was never asked for anything would not close what it holds.
    next(started)
    return started


async def connector(budget: Budget) -> aiohttp.TCPConnector:
    """Return what makes connections for a session on the loop; a server that stops reading is given up too.

    aiohttp looks at the clock only while it waits for an answer: a body that nobody takes would wait for ever. The
    kernel gives up between one and two times what it is told.
    """
    milliseconds = int(budget.stall_seconds * 1000 / 2)

    def made(address: Any) -> socket.socket:
        family, kind, protocol, _, _ = address
        made = socket.socket(family, kind, protocol)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)
        return made

    return aiohttp.TCPConnector(socket_factory=made)


def closed_with(owner: object, close: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Await *close* when *owner* goes, at the latest with the process."""

    def closing() -> None:
        closed = asyncio.run_coroutine_threadsafe(close(), get_loop())
        if threading.current_thread() is not iothread[0]:
            with contextlib.suppress(TimeoutError):
                closed.result(CLOSING_SECONDS)

    weakref.finalize(owner, closing)
