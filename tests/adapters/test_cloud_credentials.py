"""Where Google's and Azure's stores find an account: what each SDK's own chain offers, told apart when it fails."""

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tasks.adapters.store import open_store, read_bytes
from tasks.errors import AccessDenied
from tests.emulators import azure, gcs
from tests.stores import Place


@pytest.fixture
def google(emulators, monkeypatch):
    place = Place("gs", emulators("gs"), "credentials", monkeypatch)
    place.see(place.emulator.credentials)
    return place


@pytest.fixture
def microsoft(emulators, monkeypatch):
    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)
    return Place("az", emulators("az"), "credentials", monkeypatch)


def secrets(environment: Mapping[str, str]) -> list[str]:
    """Return what an environment, and the files it leads to, have of the length of a key."""
    paths = [path for value in environment.values() for path in (Path(value), *Path(value).rglob("*"))]
    texts = [path.read_text(errors="ignore") for path in paths if path.is_file()]
    # A key drawn at random may begin with a slash; it is no path for that.
    texts += [value for value in environment.values() if not Path(value).exists()]
    return re.findall(r"(?<![\w+/])[A-Za-z0-9+/]{40,}={0,2}(?![\w+/])", "\n".join(texts).replace("\\n", "\n"))


def connection(port, account=azure.ACCOUNT):
    endpoint = f"http://127.0.0.1:{port}/{azure.ACCOUNT}"
    return f"DefaultEndpointsProtocol=http;AccountName={account};AccountKey={azure.KEY};BlobEndpoint={endpoint};"


def test_google_is_where_its_emulator_variable_says(google):
    google.see({"STORAGE_EMULATOR_HOST": f"127.0.0.1:{google.emulator.port}"})
    open_store(f"gs://{gcs.BUCKET}/credentials").put("emulated", b"v")
    assert read_bytes(google.open(), "emulated") == b"v"


def test_a_key_file_that_is_not_there_is_named(google):
    google.see({"GOOGLE_APPLICATION_CREDENTIALS": "/nowhere/account.json"})
    with pytest.raises(AccessDenied, match=r"/nowhere/account\.json was not found"):
        google.open().head("k")


def test_the_project_of_the_address_pays(google):
    address = google.emulator.uri(prefix="paid")
    assert open_store(f"{address}&project={gcs.PROJECT}").put("k", b"v").size == 1
    with pytest.raises(AccessDenied, match="may not use the project somebody-elses"):
        open_store(f"{address}&project=somebody-elses").put("k", b"v")


def test_azures_connection_string_is_enough(microsoft):
    microsoft.see({"AZURE_STORAGE_CONNECTION_STRING": connection(microsoft.emulator.port)})
    store = open_store(f"az://{microsoft.emulator.bucket}/connected")
    store.put("k", b"v")
    assert read_bytes(store, "k") == b"v"


def test_a_connection_string_of_another_account_than_the_addresss_is_refused(microsoft):
    microsoft.see({"AZURE_STORAGE_CONNECTION_STRING": connection(microsoft.emulator.port, "somebodyelse")})
    with pytest.raises(AccessDenied, match="connection string of the account somebodyelse"):
        microsoft.open().put("k", b"v")


def test_azures_shared_access_signature_is_enough(microsoft):
    from datetime import UTC, datetime, timedelta

    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    may = AccountSasPermissions(read=True, write=True, create=True, list=True)
    kinds = ResourceTypes(container=True, object=True)
    until = datetime.now(UTC) + timedelta(hours=1)
    signature = generate_account_sas(azure.ACCOUNT, azure.KEY, kinds, may, until)
    microsoft.see({"AZURE_STORAGE_SAS_TOKEN": signature})
    store = microsoft.open()
    store.put("signed", b"v")
    assert read_bytes(store, "signed") == b"v"
    with pytest.raises(AccessDenied) as caught:
        store.delete("signed")
    assert signature not in str(caught.value)


def test_azure_without_any_account_is_told(microsoft):
    with pytest.raises(AccessDenied, match="connection_string or account_name"):
        open_store(f"az://{microsoft.emulator.bucket}").head("k")


def test_a_token_is_not_sent_in_the_clear(microsoft):
    with pytest.raises(AccessDenied, match="only supported with HTTPS"):
        microsoft.open().head("k")


def test_a_folder_of_a_hierarchical_namespace_is_no_object(microsoft):
    from azure.storage.blob import BlobServiceClient

    microsoft.see({azure.SECRET: azure.KEY})
    store = microsoft.open()
    store.put("folder/k", b"v")
    with BlobServiceClient.from_connection_string(connection(microsoft.emulator.port)) as client:
        folder = client.get_blob_client(microsoft.emulator.bucket, f"{microsoft.prefix}/folder")
        folder.upload_blob(b"", metadata={"hdi_isfolder": "true"})
    assert list(store.list("folder")) == ["folder/k"]


def test_no_secret_is_logged_by_us_or_by_an_sdk_however_much_it_says(cloud, caplog):
    kept = secrets(cloud.emulator.credentials)
    assert kept
    with caplog.at_level(logging.DEBUG):
        store = cloud.open()
        store.put("k", b"v")
        assert (read_bytes(store, "k"), list(store.list("k"))) == (b"v", ["k"])
        cloud.see(cloud.emulator.wrong_credentials)
        with pytest.raises(AccessDenied) as caught:
            cloud.open().head("k")
    assert caplog.text
    said = caplog.text + repr(caught.value) + repr(store)
    assert [secret for secret in kept + secrets(cloud.emulator.wrong_credentials) if secret in said] == []
