"""The S3 of the tests refuses what S3 refuses: else nothing that runs against it would prove anything."""

import base64
import hashlib
import io
import signal
import subprocess
import sys
from pathlib import Path

import boto3
import psutil
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.command_line import eventually, lives
from tests.emulators.s3 import REGION, Checked

ROOT = Path(__file__).parents[2]


def client(emulator, credentials=None, **options):
    shown = credentials or emulator.credentials
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{emulator.port}",
        region_name=REGION,
        aws_access_key_id=shown["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=shown["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, **options),
    )


@pytest.fixture
def s3(emulators):
    return emulators("s3")


def refused(asking, s3, code, **how):
    with pytest.raises(ClientError) as caught:
        asking.put_object(Bucket=s3.bucket, Key="refused", Body=b"body", **how)
    assert caught.value.response["Error"]["Code"] == code
    assert not client(s3).list_objects_v2(Bucket=s3.bucket, Prefix="refused")["KeyCount"]


def test_a_wrong_signature_is_refused(s3):
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client(s3, s3.wrong_credentials).list_objects_v2(Bucket=s3.bucket)


def test_no_signature_is_refused(s3):
    with pytest.raises(ClientError, match="AccessDenied"):
        client(s3, signature_version=UNSIGNED).list_objects_v2(Bucket=s3.bucket)


def test_a_body_changed_after_it_was_signed_is_refused(s3):
    tampering = client(s3, request_checksum_calculation="when_required")

    def tamper(request, **_):
        request.body = b"Body"

    tampering.meta.events.register("before-send.s3.PutObject", tamper)
    refused(tampering, s3, "XAmzContentSHA256Mismatch")


@pytest.mark.parametrize(
    "wrong",
    [
        {"ContentMD5": base64.b64encode(b"0" * 16).decode()},
        {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": base64.b64encode(b"0" * 32).decode()},
        {"ChecksumAlgorithm": "SHA1", "ChecksumSHA1": base64.b64encode(b"0" * 20).decode()},
        {"ChecksumAlgorithm": "CRC32", "ChecksumCRC32": base64.b64encode(b"0" * 4).decode()},
    ],
)
def test_a_body_with_another_checksum_is_refused(s3, wrong):
    refused(client(s3), s3, "BadDigest", **wrong)


def test_conditions_are_enforced(s3):
    talking = client(s3)
    talking.put_object(Bucket=s3.bucket, Key="there", Body=b"1")
    for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"0"'}):
        with pytest.raises(ClientError, match="PreconditionFailed"):
            talking.put_object(Bucket=s3.bucket, Key="there", Body=b"2", **condition)


def asked(body, length=None, **headers):
    """Ask the check alone, and return what came through, or why nothing did."""
    passed = []

    def application(environ, start):
        passed.append(environ["wsgi.input"].read())
        return []

    environ = {
        "REQUEST_METHOD": "PUT",
        "HTTP_AUTHORIZATION": "checked behind",
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body) if length is None else length),
        **headers,
    }
    said = Checked(application)(environ, lambda status, headers: None)
    return passed[0] if passed else b"".join(said).decode()


def chunked(body, trailer):
    return b"%x\r\n%s\r\n0\r\n%s\r\n\r\n" % (len(body), body, trailer)


def test_the_trailer_of_a_chunked_body_is_compared():
    right = base64.b64encode(hashlib.sha256(b"body").digest())
    streaming = {"HTTP_X_AMZ_CONTENT_SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
    sound = chunked(b"body", b"x-amz-checksum-sha256:" + right)
    assert asked(sound, **streaming) == sound
    assert "BadDigest" in asked(chunked(b"Body", b"x-amz-checksum-sha256:" + right), **streaming)


def test_a_body_that_ends_early_is_refused():
    assert asked(b"bod", 3) == b"bod"
    assert "IncompleteBody" in asked(b"bod", 4)


OWNER = """
import sys, time
from pathlib import Path
from tests.emulators.s3 import running
with running(Path(sys.argv[1])) as emulator:
    print(emulator.process.pid, flush=True)
    time.sleep(600)
"""


def test_the_server_is_gone_when_whoever_started_it_is_killed(tmp_path):
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as owner:
        server = psutil.Process(int(owner.stdout.readline()))
        owner.send_signal(signal.SIGKILL)
    eventually(lambda: not lives(server), seconds=120)
