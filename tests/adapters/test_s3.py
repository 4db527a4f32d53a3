"""What only S3 says, and what only an address of S3 can have wrong."""

import os

import pytest
from botocore.exceptions import ClientError

from tasks.adapters.clouds.backend import Address, Budget, Fault
from tasks.adapters.clouds.s3 import OPTIONS, S3
from tasks.adapters.store import open_store
from tasks.errors import AccessDenied, BadRequest

BUDGET = Budget(2)


@pytest.fixture(autouse=True)
def nobody(monkeypatch):
    """No credentials of this machine are in sight."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def backend(uri="s3://bucket?endpoint=http://127.0.0.1:1"):
    return S3(Address.of(uri, OPTIONS), BUDGET)


def test_without_credentials_nothing_is_asked():
    with pytest.raises(AccessDenied, match=r"k: the credentials are missing.*check the credentials"):
        open_store("s3://bucket?endpoint=http://127.0.0.1:1").head("k")


def test_half_of_the_credentials_is_none(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "half")
    with pytest.raises(AccessDenied, match="s3://bucket cannot be asked: Partial credentials"):
        backend()


def test_a_profile_nobody_wrote_is_named():
    with pytest.raises(AccessDenied, match=r"profile \(nobody\) could not be found"):
        backend("s3://bucket?profile=nobody")


def test_an_endpoint_that_is_no_address_is_refused():
    with pytest.raises(BadRequest, match="Invalid endpoint: nowhere; correct the options"):
        backend("s3://bucket?endpoint=nowhere")


def test_an_option_nobody_knows_is_refused_and_not_repeated():
    with pytest.raises(BadRequest, match=r"has the options secret; .* knows endpoint, profile, region") as caught:
        open_store("s3://bucket?secret=hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (400, "ExpiredToken", Fault.DENIED),
        (403, "AccessDenied", Fault.DENIED),
        (404, "NoSuchBucket", Fault.NO_BUCKET),
        (404, "NoSuchKey", Fault.MISSING),
        (404, "NoSuchUpload", Fault.UNREACHABLE),
        (409, "ConditionalRequestConflict", Fault.UNREACHABLE),
        (412, "PreconditionFailed", Fault.CONFLICT),
        (400, "BadDigest", Fault.CORRUPT),
        (503, "SlowDown", Fault.UNREACHABLE),
        (400, "InvalidRequest", Fault.REFUSED),
    ],
)
def test_what_s3_says_is_understood(status, code, fault):
    said = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    assert backend().fault(ClientError(said, "PutObject")) is fault
