"""A provider of chat completions on this machine that misbehaves as told: request by request, down to the bytes."""

from __future__ import annotations

import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SAID = {"language": "en", "sentiment": 0.5, "mood": "calm", "themes": ["rain"]}
# What a good answer says it took.
SENT, ANSWERED = 120, 20
DRIPS = 3_000


def completion(content: Any = SAID) -> bytes:
    """Return a chat completion, its content as JSON where it is no text."""
    text = content if isinstance(content, str) else json.dumps(content)
    usage = {"prompt_tokens": SENT, "completion_tokens": ANSWERED}
    return json.dumps({"choices": [{"message": {"content": text}}], "usage": usage}).encode()


class Exchange(BaseHTTPRequestHandler):
    """One request: what was asked is noted, then the next thing of the script happens."""

    protocol_version = "HTTP/1.1"
    # Head and body in one packet: two would wait for each other.
    wbufsize = -1
    server: Completions

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing on the terminal of the tests."""

    def do_POST(self) -> None:
        """Note what is asked, and do as the script says; behind its end, answer well."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(json.loads(body["messages"][1]["content"])["text"])
        self.server.keys.append(self.headers.get("Authorization", ""))
        step = self.server.script.popleft() if self.server.script else self.server.otherwise
        with suppress(OSError):
            step(self)

    def send(self, status: int, body: bytes, **headers: Any) -> None:
        """Answer; a header given as None is left out."""
        self.send_response(status)
        for name, value in {"Content_Length": len(body), **headers}.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


Step = Callable[[Exchange], None]


class Completions(ThreadingHTTPServer):
    """The server: ``script`` is what happens next, ``asked`` the texts that came, ``keys`` what they were sent with."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Exchange)
        self.script: deque[Step] = deque()
        self.otherwise: Step = good
        self.asked: list[str] = []
        self.keys: list[str] = []
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        """Return the address before ``/chat/completions``."""
        return f"http://127.0.0.1:{self.server_port}/v1"

    @property
    def times(self) -> Counter[str]:
        """Return how often each text was asked."""
        return Counter(self.asked)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent where a client goes away in the middle."""


@contextmanager
def running() -> Iterator[Completions]:
    """Yield a server that is gone afterwards."""
    with Completions() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()


def says(content: Any) -> Step:
    """Answer with that content."""
    return lambda exchange: exchange.send(200, completion(content))


def good(exchange: Exchange) -> None:
    """Answer as asked."""
    exchange.send(200, completion())


def status(number: int, body: bytes = b"{}", **headers: Any) -> Step:
    """Refuse."""
    return lambda exchange: exchange.send(number, body, **headers)


def raw(body: bytes, **headers: Any) -> Step:
    """Answer 200 with those bytes and headers, then close."""

    def step(exchange: Exchange) -> None:
        exchange.close_connection = True
        exchange.send(200, body, Connection="close", **headers)

    return step


def hang(exchange: Exchange) -> None:
    """Take the request and say nothing."""
    exchange.close_connection = True
    exchange.server.closing.wait()


def half(exchange: Exchange) -> None:
    """Promise a whole answer, send half of it, close."""
    body = completion()
    exchange.close_connection = True
    exchange.send(200, body[: len(body) // 2], Content_Length=len(body))


def flood(exchange: Exchange) -> None:
    """Never stop answering."""
    exchange.close_connection = True
    exchange.send(200, b"", Content_Length=None, Connection="close")
    while not exchange.server.closing.is_set():
        exchange.wfile.write(b" " * 65_536)


def drip(*, head: bool) -> Step:
    """Answer well in the end, half a minute late: a byte at a time of the head, or of the body, each in good time."""

    def step(exchange: Exchange) -> None:
        body = b" " * DRIPS + completion()
        lines = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nX-Slow: {'x' * DRIPS}\r\n\r\n".encode()
        dripped, rest = (lines, body) if head else (body, b"")
        exchange.close_connection = True
        exchange.wfile.write(b"" if head else lines)
        for byte in dripped:
            if exchange.server.closing.wait(0.01):
                return
            exchange.wfile.write(bytes([byte]))
            exchange.wfile.flush()
        exchange.wfile.write(rest)

    return step


def echo_key(number: int) -> Step:
    """Refuse, and repeat the key, as some providers do."""
    return lambda exchange: exchange.send(number, json.dumps({"error": exchange.headers["Authorization"]}).encode())
