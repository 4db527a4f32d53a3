"""Azure Blob Storage through adlfs: the one module that knows it.

Of adlfs come the account and its credentials, from the environment or Azure's default chain. It has no setting for
retries and timeouts, cannot stream, and keeps a whole file in memory: so the client below it is made anew here.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import Any
from urllib.parse import unquote

import aiohttp
from adlfs import AzureBlobFileSystem
from azure.core import MatchConditions
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobServiceClient

from tasks.adapters.clouds.awaited import awaited, closed_with, connector, pieces
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

OPTIONS = frozenset({"account", "endpoint"})
SENT_BYTES = PART_BYTES // 2
# What an account with a hierarchical namespace says of a folder, which it lists like a blob.
FOLDER = "hdi_isfolder"
META = "x-ms-meta-"
BY_CODE = {
    "ContainerNotFound": Fault.NO_BUCKET,
    "ContainerBeingDeleted": Fault.UNREACHABLE,
    # Whoever else wrote the blob meanwhile threw away the parts of this one.
    "InvalidBlockList": Fault.UNREACHABLE,
    "Md5Mismatch": Fault.CORRUPT,
    "BlobImmutableDueToPolicy": Fault.REFUSED,
}


def at(uri: str) -> CloudStore:
    """Return the store at ``az://container/prefix?account=&endpoint=``."""
    return store_at(uri, OPTIONS, Azure)


class Azure:
    """A ``Backend`` in one container."""

    def __init__(self, address: Address, budget: Budget) -> None:
        self._container, self._options, self._budget = address.bucket, address.options, budget

    def write(self, key: str, body: Body, condition: Condition, metadata: Mapping[str, str]) -> str:
        """Write *body*, in parts where it is large; each part comes with its digest."""
        if body.size > PART_BYTES:
            return self._write_parts(key, body, metadata)
        only: dict[str, Any] = {"overwrite": not condition.absent}
        if condition.match is not None:
            only |= {"etag": condition.match, "match_condition": MatchConditions.IfNotModified}
        with body.opened() as stream:
            wanted = {"length": body.size, "metadata": dict(metadata), "validate_content": True}
            written = awaited(self._blob(key).upload_blob(stream, **wanted, **only))
        return str(written["etag"])

    def read(self, key: str, start: int) -> Answer:
        """Read from byte *start* on, in one answer: the SDK's own download asks thrice and holds what it reads."""
        ranged = {"range": f"bytes={start}-"} if start else {}
        answer = awaited(self._blob(key)._client.blob.download(**ranged, cls=_unread))
        return Answer(_found(answer.headers), pieces(answer))

    def find(self, key: str) -> Found | None:
        """Describe the object."""
        try:
            about = awaited(self._blob(key).get_blob_properties())
        except HttpResponseError as error:
            if self.fault(error) is Fault.MISSING:
                return None
            raise
        return Found(about.size, about.etag, {name.lower(): said for name, said in about.metadata.items()})

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with *prefix*."""

        async def all_of_them() -> list[str]:
            found = self._listed(name_starts_with=_named(prefix), include=["metadata"], results_per_page=PAGE_KEYS)
            return [unquote(blob.name) async for blob in found if FOLDER not in (blob.metadata or {})]

        yield from awaited(all_of_them())

    def remove(self, key: str) -> None:
        """Remove the object."""
        awaited(self._blob(key).delete_blob())

    def reach(self) -> None:
        """Ask the container for one key."""

        async def one() -> None:
            await anext(self._listed(results_per_page=1).by_page(), None)

        awaited(one())

    def fault(self, error: Exception) -> Fault | None:
        """Say what *error* means."""
        answer: Any = error.response if isinstance(error, HttpResponseError) else None
        if answer is not None:
            if "contentMD5" in str(error):
                return Fault.CORRUPT
            return BY_CODE.get(answer.headers.get("x-ms-error-code"), by_status(answer.status_code))
        if isinstance(error, ClientAuthenticationError):
            return Fault.DENIED
        return Fault.UNREACHABLE if isinstance(error, AzureError | aiohttp.ClientError) else None

    def _write_parts(self, key: str, body: Body, metadata: Mapping[str, str]) -> str:
        """Write the parts, then the list of them; what bears another digest never mixes with them."""
        blob = self._blob(key)
        blocks: list[BlobBlock] = []
        with body.opened() as stream:
            for part in iter(lambda: stream.read(SENT_BYTES), b""):
                name = f"{body.sha256[:48]}-{len(blocks):05}"
                twice(partial(_stage, blob, name, part), self.fault)
                blocks.append(BlobBlock(name))
        return str(awaited(blob.commit_block_list(blocks, metadata=dict(metadata)))["etag"])

    def _blob(self, key: str) -> Any:
        return self._client.get_blob_client(self._container, _named(key))

    def _listed(self, **asked: Any) -> Any:
        return self._client.get_container_client(self._container).list_blobs(**asked)

    @cached_property
    def _client(self) -> Any:
        """The client of the account that adlfs finds, or of *endpoint* with its credentials."""
        account = self._options.get("account")
        try:
            found = AzureBlobFileSystem(account_name=account, skip_instance_cache=True).service_client
            where, _, signature = found.url.partition("?")
            made = BlobServiceClient(
                f"{self._options.get('endpoint', where)}?{signature}",
                credential=found.credential,
                transport=_Transport(self._budget),
                retry_total=0,
                max_single_put_size=PART_BYTES,
            )
        except ValueError as error:
            raise ClientAuthenticationError(str(error)) from error
        # A connection string in the environment outweighs the address.
        if account not in (None, found.account_name):
            raise ClientAuthenticationError(
                f"the environment has a connection string of the account {found.account_name}"
            )
        closed_with(self, made.close)
        return made


class _Transport(AioHttpTransport):  # type: ignore[misc]
    """Sends bodies piece by piece, and gives up a server that takes none."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(connection_timeout=budget.connect_seconds, read_timeout=budget.stall_seconds)
        self._budget = budget
        self.session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the session."""
        if self.session is None:
            self.session = aiohttp.ClientSession(
                connector=await connector(self._budget),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=True,
            )
            # aiohttp would send a write whose answer is lost again, and others would write over it in the meantime.
            self.session._retry_connection = False
        await super().open()

    def _get_request_data(self, request: Any) -> Any:
        data = super()._get_request_data(request)
        return io.BytesIO(data) if isinstance(data, bytes) else data


def _stage(blob: Any, name: str, part: bytes) -> None:
    awaited(blob.stage_block(name, part, validate_content=True))


def _named(key: str) -> str:
    """Return the blob's name: the service takes a backslash for a slash."""
    return key.replace("%", "%25").replace("\\", "%5C")


def _unread(answer: Any, *_: Any) -> Any:
    return answer.http_response.internal_response


def _found(headers: Mapping[str, str]) -> Found:
    lower = {name.lower(): said for name, said in headers.items()}
    metadata = {name.removeprefix(META): said for name, said in lower.items() if name.startswith(META)}
    size = lower.get("content-range", lower["content-length"]).rpartition("/")[2]
    return Found(int(size), lower["etag"], metadata)
