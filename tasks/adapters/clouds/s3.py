"""S3 through boto3: the one module that knows it.

A part of a large body is asked for twice, since starting 5 GB over for one of 320 parts never ends; nothing else is.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any

import boto3
from boto3.exceptions import Boto3Error
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as NoConnection

from tasks.adapters.blobs import CONNECTIONS
from tasks.adapters.clouds.backend import (
    CHUNK_BYTES,
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
)
from tasks.adapters.clouds.store import CloudStore, store_at
from tasks.errors import AccessDenied, BadRequest

OPTIONS = frozenset({"endpoint", "region", "profile"})
BY_CODE = {
    "NoSuchBucket": Fault.NO_BUCKET,
    "BadDigest": Fault.CORRUPT,
    "InvalidDigest": Fault.CORRUPT,
    "XAmzContentSHA256Mismatch": Fault.CORRUPT,
    "XAmzContentChecksumMismatch": Fault.CORRUPT,
    # Credentials that were right once: S3 says so with 400.
    "ExpiredToken": Fault.DENIED,
    "InvalidToken": Fault.DENIED,
    "TokenRefreshRequired": Fault.DENIED,
    "IncompleteBody": Fault.UNREACHABLE,
    "RequestTimeout": Fault.UNREACHABLE,
    "ConditionalRequestConflict": Fault.UNREACHABLE,
    "OperationAborted": Fault.UNREACHABLE,
    # An upload in parts whose last answer was lost: what became of it is asked by writing it anew.
    "NoSuchUpload": Fault.UNREACHABLE,
}
SILENCE = (NoConnection, HTTPClientError, IncompleteReadError)
NO_CREDENTIALS = (
    NoCredentialsError,
    PartialCredentialsError,
    CredentialRetrievalError,
    ProfileNotFound,
    TokenRetrievalError,
)


def at(uri: str) -> CloudStore:
    """Return the store at ``s3://bucket/prefix?endpoint=&region=&profile=``."""
    return store_at(uri, OPTIONS, S3)


class S3:
    """A ``Backend`` in one bucket."""

    def __init__(self, address: Address, budget: Budget) -> None:
        self._bucket = address.bucket
        options = address.options
        config = Config(
            retries={"mode": "standard", "total_max_attempts": 1},
            connect_timeout=budget.connect_seconds,
            read_timeout=budget.stall_seconds,
            max_pool_connections=CONNECTIONS,
            s3={"addressing_style": "path" if "endpoint" in options else "auto"},
            # The store compares every body with the digest it keeps itself.
            response_checksum_validation="when_required",
        )
        twice = Config(retries={"mode": "standard", "total_max_attempts": 2}, read_timeout=budget.stall_seconds / 2)
        try:
            session = boto3.Session(profile_name=options.get("profile"), region_name=options.get("region"))
            self._client, self._patient = (
                session.client("s3", endpoint_url=options.get("endpoint"), config=each)
                for each in (config, config.merge(twice))
            )
        except (BotoCoreError, ValueError) as error:
            made = AccessDenied if isinstance(error, NO_CREDENTIALS) else BadRequest
            raise made(
                f"s3://{address.bucket} cannot be asked: {error}; correct the options of its address or the "
                "credentials this process finds"
            ) from error

    def write(self, key: str, body: Body, condition: Condition, metadata: Mapping[str, str]) -> str:
        """Write *body*, in parts where it is large."""
        if body.size > PART_BYTES:
            return self._write_parts(key, body, metadata)
        only = {"IfNoneMatch": "*"} if condition.absent else {"IfMatch": condition.match} if condition else {}
        with body.opened() as stream:
            written = self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=stream,
                ContentLength=body.size,
                ChecksumAlgorithm="SHA256",
                ChecksumSHA256=_base64(bytes.fromhex(body.sha256)),
                Metadata=dict(metadata),
                **only,
            )
        return str(written["ETag"])

    def read(self, key: str, start: int) -> Answer:
        """Read from byte *start* on."""
        only = {"Range": f"bytes={start}-"} if start else {}
        answer = self._client.get_object(Bucket=self._bucket, Key=key, **only)
        return Answer(_found(answer, start + answer["ContentLength"]), _chunks(answer["Body"]))

    def find(self, key: str) -> Found | None:
        """Describe the object."""
        try:
            answer = self._client.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if self.fault(error) is Fault.MISSING:
                return None
            raise
        return _found(answer, answer["ContentLength"])

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with *prefix*."""
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix, PaginationConfig={"PageSize": PAGE_KEYS}
        )
        return (about["Key"] for page in pages for about in page.get("Contents", ()))

    def remove(self, key: str) -> None:
        """Remove the object."""
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def reach(self) -> None:
        """Ask the bucket for one key."""
        self._client.list_objects_v2(Bucket=self._bucket, MaxKeys=1)

    def fault(self, error: Exception) -> Fault | None:
        """Say what *error* means."""
        if isinstance(error, ClientError):
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            return BY_CODE.get(error.response["Error"]["Code"], by_status(status))
        if isinstance(error, NO_CREDENTIALS):
            return Fault.DENIED
        if isinstance(error, SILENCE):
            return Fault.UNREACHABLE
        return Fault.REFUSED if isinstance(error, BotoCoreError | Boto3Error) else None

    def _write_parts(self, key: str, body: Body, metadata: Mapping[str, str]) -> str:
        where = {"Bucket": self._bucket, "Key": key}
        begun = self._client.create_multipart_upload(**where, ChecksumAlgorithm="SHA256", Metadata=dict(metadata))
        where["UploadId"] = begun["UploadId"]
        try:
            parts = [self._part(where, number, part) for number, part in enumerate(_parts(body), start=1)]
            written = self._client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
        except BaseException:
            # Where even this fails, the bucket's lifecycle rule gives the upload up, and what came first is told.
            with suppress(BotoCoreError, ClientError):
                self._client.abort_multipart_upload(**where)
            raise
        return str(written["ETag"])

    def _part(self, where: Mapping[str, str], number: int, part: bytes) -> dict[str, Any]:
        told = {"PartNumber": number, "ChecksumSHA256": _base64(hashlib.sha256(part).digest())}
        written = self._patient.upload_part(**where, **told, Body=part, ChecksumAlgorithm="SHA256")
        return {**told, "ETag": written["ETag"]}


def _parts(body: Body) -> Iterator[bytes]:
    with body.opened() as stream:
        yield from iter(lambda: stream.read(PART_BYTES), b"")


def _chunks(body: Any) -> Iterator[bytes]:
    with closing(body):
        yield from body.iter_chunks(CHUNK_BYTES)


def _found(answer: Mapping[str, Any], size: int) -> Found:
    return Found(size, answer["ETag"], {name.lower(): said for name, said in answer["Metadata"].items()})


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
