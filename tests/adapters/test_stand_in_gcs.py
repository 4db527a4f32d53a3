"""The stand-in for Google Cloud Storage is no pushover: what the service refuses, it refuses."""

import base64
import hashlib
import json
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import google_crc32c
import pytest
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request as TokenRequest
from google.oauth2.service_account import Credentials

from tests.emulators.gcs import PART_BYTES, SCOPE, running

UPLOADS = "/upload/storage/v1/b/greenlight/o?uploadType="


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with running(tmp_path_factory.mktemp("gcs")) as emulator:
        yield emulator


@pytest.fixture(scope="module")
def token(emulator):
    return token_of(emulator.credentials)


@pytest.fixture
def ask(emulator, token):
    def asked(method, path, body=b"", **headers):
        said = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): text for name, text in headers.items()}}
        request = Request(f"http://127.0.0.1:{emulator.port}{path}", body, said, method=method)
        try:
            with urlopen(request) as answer:
                return answer.status, answer.read(), answer.headers
        except HTTPError as error:
            with error:
                return error.status, error.read(), error.headers

    return asked


@pytest.fixture
def put(ask):
    def written(name, data, condition="", ending="\r\n", **about):
        head = ending.join(["--x", "Content-Type: application/json", "", json.dumps({"name": name, **about}), "--x"])
        body = f"{head}{ending}Content-Type: text/plain{ending * 2}".encode() + data + f"{ending}--x--".encode()
        where = f"{UPLOADS}multipart{condition}"
        return ask("POST", where, body, Content_Type='multipart/related; boundary="x"')[:2]

    return written


def token_of(credentials, scope=SCOPE):
    found = Credentials.from_service_account_file(credentials["GOOGLE_APPLICATION_CREDENTIALS"], scopes=[scope])
    found.refresh(TokenRequest())
    return found.token


def base64_of(digest):
    return base64.b64encode(digest).decode()


def generation(answer):
    return json.loads(answer[1])["generation"]


def test_a_stranger_with_the_right_name_and_another_key_gets_no_token(emulator):
    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        token_of(emulator.wrong_credentials)


def test_another_scope_than_the_least_gets_no_token(emulator):
    with pytest.raises(RefreshError, match=r"devstorage\.full_control"):
        token_of(emulator.credentials, SCOPE.replace("read_write", "full_control"))


def test_nothing_is_answered_without_a_token(ask):
    assert ask("GET", "/storage/v1/b/greenlight/o", Authorization="Bearer made-up")[0] == 401


@pytest.mark.parametrize(
    "said",
    [
        {"md5Hash": base64_of(hashlib.md5(b"other").digest())},
        {"crc32c": base64_of(google_crc32c.Checksum(b"other").digest())},
    ],
)
def test_bytes_with_another_digest_than_said_are_refused(ask, put, said):
    status, message = put("flipped", b"bytes", **said)
    assert status == 400
    assert b"doesn't match calculated" in message
    assert ask("GET", "/greenlight/flipped")[0] == 404


def test_bytes_with_both_digests_right_are_kept(put):
    md5, crc = hashlib.md5(b"bytes").digest(), google_crc32c.Checksum(b"bytes").digest()
    assert put("right", b"bytes", md5Hash=base64_of(md5), crc32c=base64_of(crc))[0] == 200


def test_a_multipart_body_whose_lines_end_with_less_is_refused(put):
    assert put("k", b"bytes", ending="\n")[0] == 400
    assert put("k", b"bytes\r")[0] == 200


def test_what_is_there_is_not_created_again(put):
    assert put("new", b"1", "&ifGenerationMatch=0")[0] == 200
    assert put("new", b"2", "&ifGenerationMatch=0")[0] == 412


def test_a_generation_is_swapped_once(ask, put):
    first = generation(put("swapped", b"1"))
    second = generation(put("swapped", b"2", f"&ifGenerationMatch={first}"))
    assert put("swapped", b"3", f"&ifGenerationMatch={first}")[0] == 412
    _, body, headers = ask("GET", "/greenlight/swapped")
    assert (body, headers["x-goog-generation"]) == (b"2", second)


def test_an_upload_in_parts_takes_each_in_its_turn(ask):
    data = b"a" * PART_BYTES + b"bc"
    about = {"name": "parts", "md5Hash": base64_of(hashlib.md5(data).digest())}
    where = ask("POST", f"{UPLOADS}resumable", json.dumps(about).encode())[2]["Location"].partition("/upload")
    path = f"/upload{where[2]}"

    def send(first, last):
        part = data[first : last + 1]
        return ask("PUT", path, part, Content_Range=f"bytes {first}-{last}/{len(data)}")

    assert send(1, 2)[0] == 308
    assert send(0, PART_BYTES - 2)[2]["Range"] is None
    assert send(0, PART_BYTES - 1)[2]["Range"] == f"bytes=0-{PART_BYTES - 1}"
    assert ask("GET", "/greenlight/parts")[0] == 404
    done = send(PART_BYTES, PART_BYTES + 1)
    assert done[0] == 200
    assert send(PART_BYTES, PART_BYTES + 1)[1] == done[1]
    assert ask("GET", "/greenlight/parts", Range=f"bytes={PART_BYTES - 1}-")[:2] == (206, b"abc")


def test_a_missing_bucket_is_told_apart_from_a_missing_object(ask):
    assert b"NoSuchBucket" in ask("GET", "/nowhere/k")[1]
    assert b"NoSuchKey" in ask("GET", "/greenlight/never-put")[1]
