"""Oracle's object storage as a backend, ``oci://bucket@namespace/prefix``; everything that is particular to it.

The SDK has no chain of credentials of its own: it reads one profile of ``~/.oci/config``, else of the file named by
``OCI_CONFIG_FILE``, and nothing of ``OCI_CLI_*``. Who else is to sign is said by ``auth=`` in the address, in the words
of Oracle's command line; without it, where there is no such file, the principal a function or job was given signs.
"""

from __future__ import annotations

import configparser
import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import oci
import urllib3
from oci.auth import signers
from oci.base_client import OCIHTTPAdapter
from oci.object_storage import ObjectStorageClient
from oci.object_storage.models import (
    CommitMultipartUploadDetails,
    CommitMultipartUploadPartDetails,
    CreateMultipartUploadDetails,
)

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
    twice,
)
from tasks.adapters.clouds.store import CloudStore, store_at
from tasks.errors import BadRequest, HomeDamaged

OPTIONS = frozenset({"region", "profile", "endpoint", "auth"})
META = "opc-meta-"
NO_BUCKET = frozenset({"BucketNotFound", "NamespaceNotFound"})
# The last: an upload in parts that was given up meanwhile, which is written anew.
BUSY = frozenset({"ConcurrentObjectUpdate", "IncorrectState", "NoSuchUpload"})
SHA256 = {"opc_checksum_algorithm": "SHA256"}

# What a profile may ask to be printed: every request with its signature, into what the command line answers.
QUIET = {"log_requests": False}
# Left alone, an instance's signer asks a machine that is none for a minute and a half.
ONCE = oci.retry.NoneRetryStrategy()
SIGNERS: dict[str, Callable[[], Any]] = {
    "resource_principal": signers.get_resource_principals_signer,
    "instance_principal": partial(
        signers.InstancePrincipalsSecurityTokenSigner, retry_strategy=ONCE, federation_client_retry_strategy=ONCE
    ),
    "oke_workload_identity": signers.get_oke_workload_identity_resource_principal_signer,
}


def at(uri: str) -> CloudStore:
    """Return the store at *uri*; raises BadRequest for an address that cannot be one."""
    return store_at(uri, OPTIONS, Oracle)


class Oracle:
    """A bucket of a namespace."""

    def __init__(self, address: Address, budget: Budget) -> None:
        bucket, _, namespace = address.bucket.partition("@")
        if not bucket or not namespace:
            raise BadRequest(
                f"oci://{address.bucket} names no namespace; the address must read oci://bucket@namespace/prefix"
            )
        if address.options.get("auth", "api_key") not in {"api_key", *SIGNERS}:
            raise BadRequest(
                f"oci://{address.bucket} asks for an unknown auth; known are api_key, {', '.join(sorted(SIGNERS))}"
            )
        self._at = (namespace, bucket)
        self._options, self._budget = address.options, budget

    @cached_property
    def _client(self) -> ObjectStorageClient:
        """The SDK's client, made at the first request: what is wrong with the credentials is an error of a verb."""
        config, known = credentials(self._options)
        client = ObjectStorageClient(
            config,
            timeout=(self._budget.connect_seconds, self._budget.stall_seconds),
            retry_strategy=ONCE,
            # The default one is shared by all calls of a process and stays open for 30 s after ten failures.
            circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
            **known,
        )
        for scheme in ("http://", "https://"):
            client.base_client.session.mount(scheme, OCIHTTPAdapter(pool_maxsize=CONNECTIONS))
        return client

    def write(self, key: str, body: Body, condition: Condition, metadata: Mapping[str, str]) -> str:
        """Write in one request, or in parts: Oracle's own manager of uploads sends no checksum."""
        if body.size > PART_BYTES:
            return self._write_parts(key, body, metadata)
        wanted = {"if_none_match": "*"} if condition.absent else {}
        if condition.match is not None:
            wanted = {"if_match": condition.match}
        sha256 = _base64(bytes.fromhex(body.sha256))
        with body.opened() as stream:
            checked = {**SHA256, "opc_content_sha256": sha256, "content_length": body.size}
            done = self._client.put_object(*self._at, key, stream, opc_meta=metadata, **checked, **wanted)
        return str(done.headers["etag"])

    def read(self, key: str, start: int) -> Answer:
        """Read from byte *start* on."""
        ranged = {"range": f"bytes={start}-"} if start else {}
        response = self._client.get_object(*self._at, key, **ranged)
        return Answer(_found(response.headers, start), _chunks(response.data))

    def find(self, key: str) -> Found | None:
        """Describe the object; the answer to HEAD has no body, so nothing tells a missing bucket from a missing key."""
        try:
            return _found(self._client.head_object(*self._at, key).headers, 0)
        except oci.exceptions.ServiceError as error:
            if error.status == 404:
                return None
            raise

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the keys that start with *prefix*, page by page."""
        start: dict[str, str] = {}
        while True:
            page = self._client.list_objects(*self._at, prefix=prefix, limit=PAGE_KEYS, **start).data
            yield from (found.name for found in page.objects)
            if not page.next_start_with:
                return
            start = {"start": page.next_start_with}

    def remove(self, key: str) -> None:
        """Remove the object."""
        self._client.delete_object(*self._at, key)

    def reach(self) -> None:
        """Ask the bucket for one key."""
        self._client.list_objects(*self._at, limit=1)

    def fault(self, error: Exception) -> Fault | None:
        """Say what *error* means."""
        if isinstance(error, oci.exceptions.ServiceError):
            return _said(error)
        return next((fault for kind, fault in FAULTS if isinstance(error, kind)), None)

    def _write_parts(self, key: str, body: Body, metadata: Mapping[str, str]) -> str:
        meta = {META + name: value for name, value in metadata.items()}
        details = CreateMultipartUploadDetails(object=key, metadata=meta)
        upload = self._client.create_multipart_upload(*self._at, details, **SHA256).data.upload_id
        try:
            return self._commit(key, upload, body)
        except Exception as error:
            # A server that says nothing is not asked once more: the bucket's lifecycle rule gives the upload up.
            if self.fault(error) is not Fault.UNREACHABLE:
                self._client.abort_multipart_upload(*self._at, key, upload)
            raise

    def _commit(self, key: str, upload: str, body: Body) -> str:
        parts, digests = [], hashlib.sha256()
        with body.opened() as stream:
            for number, part in enumerate(iter(lambda: stream.read(PART_BYTES), b""), 1):
                digest = hashlib.sha256(part).digest()
                etag = self._send_part(key, upload, number, part, _base64(digest))
                parts.append(CommitMultipartUploadPartDetails(part_num=number, etag=etag))
                digests.update(digest)
        details = CommitMultipartUploadDetails(parts_to_commit=parts)
        done = self._client.commit_multipart_upload(*self._at, key, upload, details)
        wanted = _base64(digests.digest())
        # "<digest of the parts' digests>-<how many parts>"
        found = done.headers.get("opc-multipart-sha256", wanted).partition("-")[0]
        if found != wanted:
            raise HomeDamaged(f"{key} was put together with the digest {found}, wanted {wanted}; run again")
        return str(done.headers["etag"])

    def _send_part(self, key: str, upload: str, number: int, part: bytes, sha256: str) -> str:
        sent = partial(self._client.upload_part, *self._at, key, upload, number, part)
        return str(twice(partial(sent, opc_content_sha256=sha256, **SHA256), self.fault).headers["etag"])


def credentials(options: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the SDK's configuration and what else its client must be told; raises the SDK's own errors."""
    known = {"service_endpoint": options["endpoint"]} if "endpoint" in options else {}
    region = {"region": options["region"]} if "region" in options else {}
    auth = options.get("auth", "api_key")
    if auth != "api_key":
        return region, {**known, "signer": SIGNERS[auth]()}
    try:
        config = oci.config.from_file(profile_name=options.get("profile", oci.config.DEFAULT_PROFILE)) | region | QUIET
    except oci.exceptions.ConfigFileNotFound as error:
        with suppress(OSError):
            return region, {**known, "signer": signers.get_resource_principals_signer()}
        raise error
    return config, {**known, **_session(config)}


def _session(config: Mapping[str, str]) -> dict[str, Any]:
    """Return who signs for a profile of ``oci session authenticate``, which holds a token instead of a user."""
    if "security_token_file" not in config:
        return {}
    token = Path(config["security_token_file"]).expanduser()
    if not token.is_file():
        raise oci.exceptions.InvalidConfig({"security_token_file": f"{token} is not there"})
    key = oci.signer.load_private_key_from_file(config["key_file"], config.get("pass_phrase"))
    return {"signer": signers.SecurityTokenSigner(token.read_text().strip(), key)}


def _said(error: oci.exceptions.ServiceError) -> Fault:
    if error.code in NO_BUCKET:
        return Fault.NO_BUCKET
    if error.code in BUSY:
        return Fault.UNREACHABLE
    if error.status == 400 and str(error.code).startswith("Unmatched"):
        return Fault.CORRUPT
    return by_status(int(error.status))


# urllib3's come raw while a body is read: the SDK looks after a response only up to its headers.
FAULTS: tuple[tuple[Any, Fault], ...] = (
    (oci.exceptions.ClientError, Fault.DENIED),
    (oci.exceptions.RequestException, Fault.UNREACHABLE),
    (oci.exceptions.ConnectTimeout, Fault.UNREACHABLE),
    (oci._vendor.requests.exceptions.RequestException, Fault.UNREACHABLE),
    (urllib3.exceptions.HTTPError, Fault.UNREACHABLE),
    (configparser.Error, Fault.DENIED),
    (ValueError, Fault.REFUSED),
)


def _found(headers: Mapping[str, str], start: int) -> Found:
    metadata = {name.lower()[len(META) :]: value for name, value in headers.items() if name.lower().startswith(META)}
    return Found(start + int(headers["content-length"]), str(headers["etag"]), metadata)


def _chunks(response: Any) -> Iterator[bytes]:
    try:
        yield from response.raw.stream(CHUNK_BYTES, decode_content=False)
    finally:
        response.close()


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode()
