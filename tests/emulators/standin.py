"""What our own stand-ins for clouds share: objects in files, and the plumbing of a server that keeps connections open.

What a cloud answers, and what it refuses, is its own module's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl, urlsplit

CHUNK_BYTES = 1 << 20
# A fast client would otherwise hold a worker of the server for ever.
IDLE_SECONDS = 120


class Refusal(Exception):
    """What the server answers instead: a status, a code and a sentence."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True)
class Stored:
    """An object: its bytes lie in a file, its digests are raw."""

    path: Path
    size: int
    md5: bytes
    sha256: bytes
    metadata: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/octet-stream"
    etag: str = field(default_factory=lambda: uuid.uuid4().hex)
    generation: int = field(default_factory=time.time_ns)
    modified: float = field(default_factory=time.time)
    parts: int = 0


class Bucket:
    """Objects by key; what is written becomes visible at once or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[str, Stored] = {}
        self.uploads: dict[str, Any] = {}
        self.lock = threading.RLock()

    def publish(self, key: str, stored: Stored, check: Callable[[Stored | None], None]) -> Stored:
        """Show *stored* under *key* unless *check*, which sees what is there, refuses."""
        with self.lock:
            check(self.objects.get(key))
            self.objects[key] = stored
        return stored

    def spooled(self, chunks: Iterator[bytes], **described: Any) -> Stored:
        """Keep *chunks* in a file; nothing shows it yet."""
        path, size = self.folder / uuid.uuid4().hex, 0
        md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        with path.open("wb") as stream:
            for chunk in chunks:
                stream.write(chunk)
                md5.update(chunk)
                sha256.update(chunk)
                size += len(chunk)
        return Stored(path, size, md5.digest(), sha256.digest(), **described)


class Handler(BaseHTTPRequestHandler):
    """One connection; a cloud's own handler answers in ``route`` and says no in ``refuse``."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    timeout = IDLE_SECONDS
    server: StandIn

    def route(self) -> None:
        """Answer the request."""
        raise NotImplementedError

    def refuse(self, refusal: Refusal) -> None:
        """Answer with the refusal, in the cloud's own form."""
        raise NotImplementedError

    def setup(self) -> None:
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def log_message(self, *_: Any) -> None:
        """Say nothing: who tests asks the server."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        self.place, self.query = parts.path, dict(parse_qsl(parts.query, keep_blank_values=True))
        self.unread = int(self.headers.get("Content-Length") or 0)
        try:
            self.route()
        except Refusal as refusal:
            self.refuse(refusal)
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

    def chunks(self) -> Iterator[bytes]:
        """Yield the body; half of one is an error, so that it is never shown."""
        while self.unread:
            chunk = self.rfile.read(min(self.unread, CHUNK_BYTES))
            if not chunk:
                raise ConnectionResetError("the client went away")
            self.unread -= len(chunk)
            yield chunk

    def body(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.chunks())

    def send(self, status: int, body: Any = b"", headers: Mapping[str, Any] | None = None) -> None:
        """Answer with *body*: bytes as they are, anything else as JSON."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._begin(status, {"Content-Type": "application/json", "Content-Length": len(content), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def send_object(self, stored: Stored, headers: Mapping[str, Any]) -> None:
        """Answer with the object, or with the range of it that was asked for."""
        first, last = self._range(stored.size)
        described = {"Content-Type": stored.content_type, "Content-Length": last - first, **headers}
        if "Range" in self.headers:
            described["Content-Range"] = f"bytes {first}-{last - 1}/{stored.size}"
        with stored.path.open("rb") as stream:
            self._begin(206 if "Range" in self.headers else 200, described)
            if self.command != "HEAD":
                stream.seek(first)
                shutil.copyfileobj(_Limited(stream, last - first), self.wfile, CHUNK_BYTES)  # type: ignore[misc]
        self.wfile.flush()

    def _begin(self, status: int, headers: Mapping[str, Any]) -> None:
        for _ in self.chunks():
            pass
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def _range(self, size: int) -> tuple[int, int]:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not asked:
            return 0, size
        first = int(asked[1])
        if first >= size:
            raise Refusal(416, "InvalidRange", f"byte {first} of {size}")
        return first, min(int(asked[2]) + 1, size) if asked[2] else size


class _Limited:
    def __init__(self, stream: BinaryIO, left: int) -> None:
        self.stream, self.left = stream, left

    def read(self, size: int) -> bytes:
        chunk = self.stream.read(min(size, self.left))
        self.left -= len(chunk)
        return chunk


class StandIn(ThreadingHTTPServer):
    """A cloud on a port of this machine."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, handler: type[Handler], port: int, folder: Path, **knows: Any) -> None:
        super().__init__(("127.0.0.1", port), handler)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.knows = folder, knows
        self.buckets: dict[str, Bucket] = {}

    def make_bucket(self, name: str) -> None:
        """Make an empty bucket."""
        self.buckets[name] = Bucket(self.folder)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent where a client goes away in the middle."""


def base64_of(digest: bytes) -> str:
    """Return *digest* as headers show it."""
    return base64.b64encode(digest).decode()
