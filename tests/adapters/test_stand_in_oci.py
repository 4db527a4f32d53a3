"""What stands in for Oracle's object storage is as strict as the service: each test breaks one promise of a client."""

import email.utils
import hashlib
import time
from base64 import b64encode

import oci
import pytest
from oci._vendor import requests
from oci.exceptions import ServiceError
from oci.object_storage import ObjectStorageClient
from oci.object_storage.models import (
    CommitMultipartUploadDetails,
    CommitMultipartUploadPartDetails,
    CreateMultipartUploadDetails,
)

from tests.emulators.oci import BUCKET, NAMESPACE, running

AT = (NAMESPACE, BUCKET)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory):
    with running(tmp_path_factory.mktemp("oci")) as emulator:
        yield emulator


def signing(environment):
    """Return the SDK's client as the environment lets one be made."""
    config = oci.config.from_file(f"{environment['HOME']}/.oci/config")
    signer = oci.Signer(config["tenancy"], config["user"], config["fingerprint"], config["key_file"])
    return config, signer


@pytest.fixture(scope="module")
def client(emulator):
    config, _ = signing(emulator.credentials)
    return ObjectStorageClient(config, service_endpoint=f"http://127.0.0.1:{emulator.port}")


def sha256(data):
    return b64encode(hashlib.sha256(data).digest()).decode()


def refused(status, code):
    return pytest.raises(ServiceError, match=rf"'status': {status}(.|\n)*'code': '{code}'")


def asked(emulator, method="GET", *, path="/o", auth, **options):
    url = f"http://127.0.0.1:{emulator.port}/n/{NAMESPACE}/b/{BUCKET}{path}"
    return requests.request(method, url, auth=auth, timeout=120, **options)


def test_a_signed_request_is_answered(emulator):
    answer = asked(emulator, auth=signing(emulator.credentials)[1])
    assert answer.status_code == 200
    assert answer.json()["objects"] == []


def test_a_request_without_a_signature_is_refused(emulator):
    assert asked(emulator, auth=None).json()["code"] == "NotAuthenticated"


def test_another_key_is_refused(emulator):
    config, signer = signing(emulator.wrong_credentials)
    assert asked(emulator, auth=signer).status_code == 401
    known = signing(emulator.credentials)[0]
    pretender = oci.Signer(known["tenancy"], known["user"], known["fingerprint"], config["key_file"])
    answer = asked(emulator, auth=pretender)
    assert (answer.status_code, answer.json()["message"]) == (401, "the signature does not fit")


def test_a_request_changed_after_it_was_signed_is_refused(emulator):
    _, signer = signing(emulator.credentials)

    def changed(request):
        signer(request)
        request.url = request.url.replace("prefix=a", "prefix=b")
        return request

    answer = asked(emulator, path="/o?prefix=a", auth=changed)
    assert (answer.status_code, answer.json()["message"]) == (401, "the signature does not fit")


def test_a_date_six_minutes_off_is_refused(emulator):
    _, signer = signing(emulator.credentials)
    late = {"date": email.utils.formatdate(time.time() - 360, usegmt=True)}
    answer = asked(emulator, auth=signer, headers=late)
    assert (answer.status_code, answer.json()["message"]) == (401, "the date is more than 300 s off")


def test_a_signature_that_leaves_out_the_host_is_refused(emulator):
    _, signer = signing(emulator.credentials)
    signer.create_signers(signer.api_key, signer.private_key, ["date", "(request-target)"], [])
    assert "wanted ['(request-target)', 'host']" in asked(emulator, auth=signer).json()["message"]


def test_the_body_of_a_question_must_be_the_signed_one(emulator):
    _, signer = signing(emulator.credentials)
    wrong = {"x-content-sha256": sha256(b"another"), "content-type": "application/json"}
    answer = asked(emulator, "POST", path="/u", auth=signer, headers=wrong, data=b'{"object":"k"}')
    assert (answer.status_code, answer.json()["message"]) == (401, "x-content-sha256 does not match the body")


def test_one_create_wins_and_only_the_version_that_is_there_can_be_replaced(client):
    first = client.put_object(*AT, "once", b"1", if_none_match="*").headers["etag"]
    with refused(412, "IfNoneMatchFailed"):
        client.put_object(*AT, "once", b"2", if_none_match="*")
    second = client.put_object(*AT, "once", b"2", if_match=first).headers["etag"]
    assert second != first
    with refused(412, "IfMatchFailed"):
        client.put_object(*AT, "once", b"3", if_match=first)
    with refused(412, "IfMatchFailed"):
        client.put_object(*AT, "never", b"3", if_match=first)
    assert client.get_object(*AT, "once").data.content == b"2"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"opc_content_sha256": sha256(b"another"), "opc_checksum_algorithm": "SHA256"}, "UnmatchedContentSHA256"),
        ({"content_md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}, "UnmatchedContentMD5"),
    ],
)
def test_a_body_with_another_digest_is_never_shown(client, said, code):
    with refused(400, code):
        client.put_object(*AT, "flipped", b"bytes", **said)
    with pytest.raises(ServiceError):
        client.head_object(*AT, "flipped")


def test_metadata_comes_back(client):
    client.put_object(*AT, "described", b"", opc_meta={"writer": "me"})
    assert client.head_object(*AT, "described").headers["opc-meta-writer"] == "me"


def test_a_range_is_part_of_the_object(client):
    client.put_object(*AT, "ranged", b"0123456789")
    answer = client.get_object(*AT, "ranged", range="bytes=7-")
    assert (answer.status, answer.data.content, answer.headers["content-range"]) == (206, b"789", "bytes 7-9/10")


def test_names_come_in_pages(client):
    for number in range(5):
        client.put_object(*AT, f"page/{number}", b"")
    page = client.list_objects(*AT, prefix="page/", limit=2).data
    assert [found.name for found in page.objects] == ["page/0", "page/1"]
    assert page.next_start_with == "page/2"
    page = client.list_objects(*AT, prefix="page/", limit=3, start="page/2").data
    assert [found.name for found in page.objects] == ["page/2", "page/3", "page/4"]
    assert page.next_start_with is None


def test_what_is_not_there_is_told_apart(client):
    with refused(404, "ObjectNotFound"):
        client.get_object(*AT, "nothing")
    with refused(404, "ObjectNotFound"):
        client.delete_object(*AT, "nothing")
    with refused(404, "BucketNotFound"):
        client.list_objects(NAMESPACE, "nothing")
    with refused(404, "NamespaceNotFound"):
        client.list_objects("nothing", BUCKET)


def begun(client, key):
    details = CreateMultipartUploadDetails(object=key, metadata={"opc-meta-writer": "me"})
    return client.create_multipart_upload(*AT, details).data.upload_id


def commit(client, key, upload, *etags):
    parts = [CommitMultipartUploadPartDetails(part_num=number, etag=etag) for number, etag in enumerate(etags, 1)]
    return client.commit_multipart_upload(*AT, key, upload, CommitMultipartUploadDetails(parts_to_commit=parts))


def test_parts_are_an_object_once_they_are_committed(client):
    upload = begun(client, "parts")
    etags = [
        client.upload_part(*AT, "parts", upload, number, part).headers["etag"]
        for number, part in enumerate((b"one", b"two"), 1)
    ]
    with refused(400, "InvalidUploadPart"):
        commit(client, "parts", upload, etags[0], "another")
    with pytest.raises(ServiceError):
        client.head_object(*AT, "parts")
    digest = sha256(hashlib.sha256(b"one").digest() + hashlib.sha256(b"two").digest())
    assert commit(client, "parts", upload, *etags).headers["opc-multipart-sha256"] == f"{digest}-2"
    answer = client.get_object(*AT, "parts")
    assert (answer.data.content, answer.headers["opc-meta-writer"]) == (b"onetwo", "me")
    assert client.list_multipart_uploads(*AT).data == []


def test_a_part_with_another_digest_is_refused_and_an_upload_can_be_given_up(client):
    upload = begun(client, "given up")
    with refused(400, "UnmatchedContentSHA256"):
        client.upload_part(*AT, "given up", upload, 1, b"x", opc_content_sha256=sha256(b"y"))
    assert [found.object for found in client.list_multipart_uploads(*AT).data] == ["given up"]
    client.abort_multipart_upload(*AT, "given up", upload)
    assert client.list_multipart_uploads(*AT).data == []
    with refused(404, "NoSuchUpload"):
        client.upload_part(*AT, "given up", upload, 1, b"x")
