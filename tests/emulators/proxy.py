"""A faulty way to a server: an HTTP/1.1 proxy on this machine that delays, drops, cuts and alters what passes.

``rule`` is asked about every request and says what befalls it. What the server is, and who asks, is not known here.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

CHUNK_BYTES = 1 << 16
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
NO_BODY = (204, 304)


@dataclass(frozen=True)
class Trouble:
    """What befalls a request; ``amount`` is seconds, a status, or an offset in the body, as the kind has it.

    ``drop_before``: the server never sees it. ``drop_after``: the server does it and its reply is lost.
    """

    kind: Literal[
        "none",
        "delay",
        "status",
        "drop_before",
        "drop_after",
        "stall",
        "stall_response",
        "cut_response",
        "corrupt_response",
        "corrupt_request",
    ] = "none"
    amount: float = 0


Rule = Callable[[str, str], Trouble]
NONE = Trouble()
DROP_BEFORE, DROP_AFTER, STALL = Trouble("drop_before"), Trouble("drop_after"), Trouble("stall", 120)


def always(trouble: Trouble, *methods: str) -> Rule:
    """Let it befall every request, or every one of those methods."""
    return lambda method, path: trouble if not methods or method in methods else NONE


def some(which: range, trouble: Trouble, *methods: str) -> Rule:
    """Let it befall some requests of those methods, counted from 0."""
    numbers = itertools.count()
    return lambda method, path: trouble if (not methods or method in methods) and next(numbers) in which else NONE


def once(trouble: Trouble, *methods: str) -> Rule:
    """Let it befall the first request of those methods."""
    return some(range(1), trouble, *methods)


class Proxy(socketserver.ThreadingTCPServer):
    """Stands before the server at *upstream*; ``seen`` are the methods and paths that came."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.upstream = upstream
        self.rule: Rule = always(NONE)
        self.seen: list[tuple[str, str]] = []
        self.closing = threading.Event()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server_address[1])

    def befalls(self, method: str, path: str) -> Trouble:
        """Ask the rule."""
        self.seen.append((method, path))
        return self.rule(method, path)


@contextlib.contextmanager
def before(upstream: int) -> Iterator[Proxy]:
    """Run a proxy before the server at port *upstream*."""
    with Proxy(upstream) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield proxy
        finally:
            proxy.closing.set()
            proxy.shutdown()


@dataclass(frozen=True)
class _Head:
    """The first lines of a request or an answer, as they came."""

    raw: bytes

    @classmethod
    def read(cls, source: BinaryIO) -> _Head | None:
        raw = b""
        while not raw.endswith(b"\r\n\r\n"):
            line = source.readline()
            if not line:
                return None
            raw += line
        return cls(raw)

    @property
    def words(self) -> list[str]:
        return self.raw.split(b"\r\n", 1)[0].decode("latin1").split(" ", 2)

    def field(self, name: str) -> str:
        found = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*([^\r\n]*)", self.raw)
        return found.group(1).decode("latin1").strip().lower() if found else ""

    def body(self, source: BinaryIO) -> Iterator[bytes]:
        """Yield the body as it lies on the wire; one that its sender cut is an error here too."""
        if self.field("transfer-encoding") == "chunked":
            yield from _chunked(source)
        else:
            yield from _sized(source, int(self.field("content-length") or 0))


def _sized(source: BinaryIO, left: int) -> Iterator[bytes]:
    while left:
        chunk = source.read(min(CHUNK_BYTES, left))
        if not chunk:
            raise ConnectionError("the sender went away")
        left -= len(chunk)
        yield chunk


def _chunked(source: BinaryIO) -> Iterator[bytes]:
    while size := int((line := source.readline()).split(b";")[0], 16):
        yield line
        yield from _sized(source, size + len(b"\r\n"))
    yield line
    while line not in (b"\r\n", b""):
        line = source.readline()
        yield line


class _Connection(socketserver.StreamRequestHandler):
    server: Proxy
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while self._passed():
                pass

    def _passed(self) -> bool:
        """Send one request on, and its answer back; say whether the connection may live."""
        request = _Head.read(self.rfile)
        if request is None:
            return False
        trouble = self.server.befalls(*request.words[:2])
        if trouble.kind in ("delay", "stall"):
            self.server.closing.wait(trouble.amount)
        if trouble.kind in ("drop_before", "stall"):
            return False
        if request.field("expect") == "100-continue":
            self.wfile.write(CONTINUE)
        if trouble.kind == "status":
            return self._refused(request, int(trouble.amount))
        return self._asked(request, trouble)

    def _refused(self, request: _Head, status: int) -> bool:
        for _ in request.body(self.rfile):
            pass
        self.wfile.write(f"HTTP/1.1 {status} Trouble\r\nContent-Length: 0\r\n\r\n".encode())
        return True

    def _asked(self, request: _Head, trouble: Trouble) -> bool:
        with socket.create_connection(("127.0.0.1", self.server.upstream)) as upstream, upstream.makefile("rb") as back:
            upstream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream.sendall(request.raw)
            flipped = int(trouble.amount) if trouble.kind == "corrupt_request" else -1
            for chunk in _altered(request.body(self.rfile), flipped):
                upstream.sendall(chunk)
            answer = _Head.read(back)
            while answer and answer.words[1] == "100":
                answer = _Head.read(back)
            if answer is None or trouble.kind == "drop_after":
                return False
            self.wfile.write(answer.raw)
            whole = True
            if request.words[0] != "HEAD" and int(answer.words[1]) not in NO_BODY:
                whole = self._answered(answer.body(back), trouble)
            return whole and answer.field("connection") != "close"

    def _answered(self, body: Iterator[bytes], trouble: Trouble) -> bool:
        """Send an answer's body; say whether it was all of it."""
        offset, short = int(trouble.amount), trouble.kind in ("cut_response", "stall_response")
        for chunk in (
            _first(body, offset) if short else _altered(body, offset if trouble.kind == "corrupt_response" else -1)
        ):
            self.wfile.write(chunk)
        if trouble.kind == "stall_response":
            self.server.closing.wait(STALL.amount)
        return not short


def _altered(chunks: Iterator[bytes], offset: int) -> Iterator[bytes]:
    """Yield *chunks* with the byte at *offset* flipped, if there is one."""
    for chunk in chunks:
        if 0 <= offset < len(chunk):
            yield chunk[:offset] + bytes([chunk[offset] ^ 0xFF]) + chunk[offset + 1 :]
        else:
            yield chunk
        offset -= len(chunk)


def _first(chunks: Iterator[bytes], left: int) -> Iterator[bytes]:
    """Yield the first *left* bytes."""
    for chunk in chunks:
        if left <= 0:
            return
        yield chunk[:left]
        left -= len(chunk)
