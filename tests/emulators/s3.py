"""S3 in the tests: moto's server, which enforces conditions, behind a check of all that it believes unseen.

moto compares no body with a digest, lets two threads both find a key absent, and looks at no signature until
INITIAL_NO_AUTH_ACTION_COUNT requests were free.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
import sys
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tests.emulators import Emulator, free_port, served

ROOT = Path(__file__).parents[2]
REGION = "us-east-1"
# Making the user, its key and its policy.
FREE_REQUESTS = 3
MAY_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "sha1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "sha256": lambda body: hashlib.sha256(body).digest(),
}
REFUSAL = "<Error><Code>{}</Code><Message>The request is not what its headers say.</Message></Error>"


@contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Run it with one bucket and one user, whose key is made here."""
    import boto3

    port = free_port()
    environment = os.environ | {"INITIAL_NO_AUTH_ACTION_COUNT": str(FREE_REQUESTS)}
    command = [sys.executable, "-m", "tests.emulators.s3", str(port)]
    with served(command, port, folder / "moto.log", cwd=ROOT, env=environment) as process:
        endpoint: dict[str, Any] = {"endpoint_url": f"http://127.0.0.1:{port}", "region_name": REGION}
        iam = boto3.client("iam", aws_access_key_id="nobody", aws_secret_access_key="nothing", **endpoint)
        iam.create_user(UserName="greenlight")
        key = iam.create_access_key(UserName="greenlight")["AccessKey"]
        iam.put_user_policy(UserName="greenlight", PolicyName="all", PolicyDocument=json.dumps(MAY_ALL))
        credentials = _environment(key["AccessKeyId"], key["SecretAccessKey"])
        emulator = Emulator(
            port,
            f"s3://{{bucket}}?endpoint=http://127.0.0.1:{{port}}&region={REGION}",
            credentials,
            _environment(key["AccessKeyId"], "nobodys-secret"),
            process=process,
        )
        boto3.client(
            "s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"], **endpoint
        ).create_bucket(Bucket=emulator.bucket)
        yield emulator


def _environment(access_key: str, secret: str) -> dict[str, str]:
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    return {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret, **nowhere}


class Checked:
    """A WSGI application behind a check of signatures that are missing and of bodies that are not what was said."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application
        self._writing = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        """Let the request through, or refuse it as S3 does."""
        refusal = _refusal(environ)
        if not refusal:
            with nullcontext() if environ["REQUEST_METHOD"] in ("GET", "HEAD") else self._writing:
                return self._application(environ, start)
        said = REFUSAL.format(refusal).encode()
        start(
            "403 Forbidden" if refusal == "AccessDenied" else "400 Bad Request",
            [("Content-Type", "application/xml"), ("Content-Length", str(len(said)))],
        )
        return [said]


def _refusal(environ: dict[str, Any]) -> str:
    """Return why the request is refused, empty if it is not; its body can be read again afterwards."""
    if "HTTP_AUTHORIZATION" not in environ:
        return "AccessDenied"
    length = int(environ.get("CONTENT_LENGTH") or 0)
    raw = environ["wsgi.input"].read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(raw)
    if len(raw) != length:
        return "IncompleteBody"
    promised = environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    sums = {name[20:].lower(): said for name, said in environ.items() if name.startswith("HTTP_X_AMZ_CHECKSUM_")}
    body = raw
    if promised.startswith("STREAMING-"):
        body, trailer = _unchunked(raw)
        sums |= trailer
    elif re.fullmatch("[0-9a-f]{64}", promised) and hashlib.sha256(raw).hexdigest() != promised:
        return "XAmzContentSHA256Mismatch"
    md5 = environ.get("HTTP_CONTENT_MD5")
    if md5 and _base64(hashlib.md5(body, usedforsecurity=False).digest()) != md5:
        return "BadDigest"
    # What completes an upload in parts tells the object's checksum, not that of the list it sends.
    if environ["REQUEST_METHOD"] == "POST" and "uploadId=" in environ.get("QUERY_STRING", ""):
        return ""
    wrong = [name for name, of in CHECKSUMS.items() if name in sums and _base64(of(body)) != sums[name]]
    return "BadDigest" if wrong else ""


def _unchunked(raw: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the body of an aws-chunked one, and the checksums that trail it."""
    body, position = b"", 0
    while True:
        end = raw.index(b"\r\n", position)
        size = int(raw[position:end].split(b";")[0], 16)
        position = end + 2
        if not size:
            trailing = re.findall(rb"(?i)x-amz-checksum-(\w+):([^\r\n]+)", raw[position:])
            return body, {name.decode().lower(): said.decode().strip() for name, said in trailing}
        body += raw[position : position + size]
        position += size + 2


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def serve(port: int) -> None:
    """Serve until killed."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, run_simple

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_request(self, *said: Any) -> None:
            pass

    application = Checked(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", port, application, threaded=True, request_handler=Quiet)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
