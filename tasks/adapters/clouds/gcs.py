"""Google Cloud Storage through gcsfs: the one module that knows it.

Of gcsfs come the credentials, the endpoint and the session. Its own uploads lose a trailing carriage return, its
requests retry for half a minute, and its default class asks over gRPC before each: so requests are written out here.
"""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import aiohttp
from gcsfs.core import GCSFileSystem
from gcsfs.retry import HttpError
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from yarl import URL

from tasks.adapters.clouds.awaited import awaited, connector, pieces
from tasks.adapters.clouds.backend import (
    PAGE_KEYS,
    PART_BYTES,
    Address,
    Answer,
    Body,
    Budget,
    Condition,
    Fault,
    Found,
    by_status,
    twice,
)
from tasks.adapters.clouds.store import CloudStore, store_at

OPTIONS = frozenset({"endpoint", "project"})
# A multiple of the 256 KiB that an upload in parts advances by.
SENT_BYTES = PART_BYTES // 2
META = "x-goog-meta-"
JSON, BYTES = "application/json; charset=UTF-8", "application/octet-stream"
# An upload in parts that is not whole yet; nothing else of ours is ever sent elsewhere.
MORE = 308
GONE = (404, 410)
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


def at(uri: str) -> CloudStore:
    """Return the store at ``gs://bucket/prefix?endpoint=&project=``; the project is who pays for the requests."""
    return store_at(uri, OPTIONS, Gcs)


class Gcs:
    """A ``Backend`` in one bucket."""

    def __init__(self, address: Address, budget: Budget) -> None:
        self._options, self._budget = address.options, budget
        self._bucket = quote(address.bucket, safe="")
        self._timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=budget.connect_seconds, sock_read=budget.stall_seconds
        )
        self._refreshing = partial(Request(), timeout=budget.stall_seconds)

    def write(self, key: str, body: Body, condition: Condition, metadata: Mapping[str, str]) -> str:
        """Write *body*, in parts where it is large."""
        about = {"name": key, "metadata": dict(metadata), "md5Hash": base64.b64encode(body.digest("md5")).decode()}
        if body.size > PART_BYTES:
            return self._write_parts(body, about)
        only = {"ifGenerationMatch": condition.match or "0"} if condition else {}
        boundary = uuid.uuid4().hex
        head = (
            f"--{boundary}\r\nContent-Type: {JSON}\r\n\r\n{json.dumps(about)}\r\n"
            f"--{boundary}\r\nContent-Type: {BYTES}\r\n\r\n"
        )
        with body.opened() as stream:
            sent = b"".join((head.encode(), stream.read(), f"\r\n--{boundary}--".encode()))
        kind = {"Content-Type": f'multipart/related; boundary="{boundary}"'}
        return _generation(self._asked("POST", self._uploads("multipart", **only), kind, sent)[1])

    def read(self, key: str, start: int) -> Answer:
        """Read from byte *start* on: one answer of the XML API has bytes, generation and metadata."""
        ranged = {"Range": f"bytes={start}-"} if start else {}
        url = self._object(key)
        answer = awaited(self._sent("GET", url, self._signed("GET", url, ranged)))
        return Answer(_found(answer.headers), pieces(answer))

    def find(self, key: str) -> Found | None:
        """Describe the object."""
        try:
            return _found(self._asked("HEAD", self._object(key))[0])
        except HttpError as error:
            if self.fault(error) is Fault.MISSING:
                return None
            raise

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with *prefix*."""
        page: dict[str, Any] = {"nextPageToken": ""}
        while "nextPageToken" in page:
            page = self._page(prefix, page["nextPageToken"], PAGE_KEYS)
            yield from (about["name"] for about in page.get("items", ()))

    def remove(self, key: str) -> None:
        """Remove the object."""
        self._asked("DELETE", self._url(f"storage/v1/b/{self._bucket}/o/{quote(key, safe='')}"))

    def reach(self) -> None:
        """Ask the bucket for one key."""
        self._page("", "", 1)

    def fault(self, error: Exception) -> Fault | None:
        """Say what *error* means."""
        if isinstance(error, HttpError):
            if "NoSuchBucket" in error.message:
                return Fault.NO_BUCKET
            corrupt = error.code == 400 and "match calculated" in error.message
            return Fault.CORRUPT if corrupt else by_status(error.code)
        if isinstance(error, GoogleAuthError):
            return Fault.UNREACHABLE if isinstance(error, TransportError) or error.retryable else Fault.DENIED
        if isinstance(error, aiohttp.InvalidURL):
            return Fault.REFUSED
        return Fault.UNREACHABLE if isinstance(error, aiohttp.ClientError) else None

    def _write_parts(self, body: Body, about: Mapping[str, Any]) -> str:
        begun = {"Content-Type": JSON, "X-Upload-Content-Type": BYTES, "X-Upload-Content-Length": str(body.size)}
        headers, _ = self._asked("POST", self._uploads("resumable"), begun, json.dumps(about).encode())
        where, position = URL(headers["Location"], encoded=True), 0
        with body.opened() as stream:
            while True:
                stream.seek(position)
                part = stream.read(SENT_BYTES)
                span = {"Content-Range": f"bytes {position}-{position + len(part) - 1}/{body.size}"}
                headers, said = twice(partial(self._part, where, span, part), self.fault)
                if said:
                    return _generation(said)
                kept = int(headers.get("Range", "bytes=0--1").rpartition("=0-")[2]) + 1
                if kept <= position:
                    raise TimeoutError(f"{kept} of {body.size} bytes were kept, {position} were before")
                position = kept

    def _part(self, where: URL, span: Mapping[str, str], part: bytes) -> tuple[Mapping[str, str], bytes]:
        try:
            return self._asked("PUT", where, span, part)
        except HttpError as error:
            if error.code in GONE:
                raise ConnectionResetError("the upload is gone, and begins anew") from error
            raise

    def _page(self, prefix: str, token: str, keys: int) -> dict[str, Any]:
        asked = {"prefix": prefix, "maxResults": str(keys), "fields": "items(name),nextPageToken"}
        where = self._url(f"storage/v1/b/{self._bucket}/o", **asked, **({"pageToken": token} if token else {}))
        return dict(json.loads(self._asked("GET", where)[1]))

    @cached_property
    def _files(self) -> Any:
        return GCSFileSystem(
            token="google_default",
            access="read_write",
            endpoint_url=self._options.get("endpoint"),
            session_kwargs={"connector": awaited(connector(self._budget)), "trust_env": True},
            skip_instance_cache=True,
            use_listings_cache=False,
        )

    def _object(self, key: str) -> URL:
        return self._url(f"{self._bucket}/{quote(key)}")

    def _uploads(self, kind: str, **only: str) -> URL:
        return self._url(f"upload/storage/v1/b/{self._bucket}/o", uploadType=kind, **only)

    def _url(self, path: str, **query: str) -> URL:
        asked = "&".join(f"{name}={quote(said, safe='')}" for name, said in query.items())
        return URL(f"{self._files._location}/{path}?{asked}", encoded=True)

    def _asked(
        self, method: str, url: URL, headers: Mapping[str, str] = NO_HEADERS, sent: bytes | None = None
    ) -> tuple[Mapping[str, str], bytes]:
        signed = self._signed(method, url, headers)

        async def whole() -> tuple[Mapping[str, str], bytes]:
            async with await self._sent(method, url, signed, sent) as answer:
                return answer.headers, await answer.read()

        return awaited(whole())

    def _signed(self, method: str, url: URL, headers: Mapping[str, str]) -> dict[str, str]:
        """Return *headers* with a token; gcsfs would wait for a new one on the loop, and all others with it."""
        signed = {"Accept-Encoding": "identity", **headers}
        self._files.credentials.credentials.before_request(self._refreshing, method, str(url), signed)
        return signed | ({"x-goog-user-project": self._options["project"]} if "project" in self._options else {})

    async def _sent(
        self, method: str, url: URL, headers: Mapping[str, str], sent: bytes | None = None
    ) -> aiohttp.ClientResponse:
        opened = await self._files._set_session()
        data = None if sent is None else io.BytesIO(sent)
        answer: aiohttp.ClientResponse = await opened.request(
            method, url, headers=headers, data=data, timeout=self._timeout, allow_redirects=False
        )
        if answer.status >= 300 and answer.status != MORE:
            said = (await answer.read()).decode(errors="replace")
            raise HttpError({"code": answer.status, "message": said})
        return answer


def _found(headers: Mapping[str, str]) -> Found:
    lower = {name.lower(): said for name, said in headers.items()}
    metadata = {name.removeprefix(META): said for name, said in lower.items() if name.startswith(META)}
    return Found(int(lower["x-goog-stored-content-length"]), lower["x-goog-generation"], metadata)


def _generation(said: bytes) -> str:
    return str(json.loads(said)["generation"])
