"""What is particular to Oracle's object storage: its address, and who signs."""

import base64
import json
from pathlib import Path

import pytest

from tasks.adapters.clouds import oracle
from tasks.adapters.store import open_store, read_bytes
from tasks.errors import AccessDenied, BadRequest, Unreachable
from tests.emulators import free_port
from tests.emulators.oci import REGION, TENANCY, profile
from tests.stores import Place


@pytest.fixture
def place(emulators, monkeypatch):
    for name in ("OCI_CONFIG_FILE", "OCI_RESOURCE_PRINCIPAL_VERSION"):
        monkeypatch.delenv(name, raising=False)
    place = Place("oci", emulators("oci"), "oracle", monkeypatch)
    place.see({**place.emulator.credentials, "GREENLIGHT_STORE_SECONDS": "4"})
    return place


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("oci://bucket/p", "names no namespace"),
        ("oci://@media/p", "names no namespace"),
        ("oci://bucket@media/p?auth=password", "known are api_key, instance_principal, oke_workload_identity"),
        ("oci://bucket@media/p?key=secret", "knows auth, endpoint, profile, region"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(uri, said):
    with pytest.raises(BadRequest, match=said):
        open_store(uri)


def test_the_configuration_may_lie_elsewhere_and_hold_several_profiles(place, tmp_path):
    config = Path(place.emulator.credentials["HOME"], ".oci", "config").read_text()
    (tmp_path / "config").write_text(config.replace("[DEFAULT]", "[media]"))
    place.see({"HOME": str(tmp_path), "OCI_CONFIG_FILE": str(tmp_path / "config")})
    store = open_store(f"{place.emulator.uri(prefix='elsewhere')}&profile=media&region={REGION}")
    store.put("k", b"v", if_absent=True)
    assert read_bytes(store, "k") == b"v"
    with pytest.raises(AccessDenied, match="Profile 'other' not found"):
        open_store(f"{place.emulator.uri()}&profile=other").head("k")


def test_a_profile_that_asks_for_it_gets_no_signature_printed(place, tmp_path, capfd):
    config = Path(place.emulator.credentials["HOME"], ".oci", "config").read_text()
    (tmp_path / "config").write_text(f"{config}log_requests=true\n")
    place.see({"HOME": str(tmp_path), "OCI_CONFIG_FILE": str(tmp_path / "config")})
    assert place.open().head("nothing") is None
    assert capfd.readouterr() == ("", "")


def test_without_any_credentials_the_first_request_says_so(place, tmp_path):
    place.see({"HOME": str(tmp_path)})
    store = place.open()
    with pytest.raises(AccessDenied, match=r"(?s)credentials.*Could not find config file"):
        store.head("k")


def test_a_configuration_that_cannot_be_read_says_so(place, tmp_path):
    (tmp_path / "config").write_text("user=me\n")
    place.see({"HOME": str(tmp_path), "OCI_CONFIG_FILE": str(tmp_path / "config")})
    with pytest.raises(AccessDenied, match="no section headers"):
        place.open().head("k")


def test_a_machine_that_is_no_instance_is_found_out_within_the_budget(place):
    place.see({"OCI_METADATA_BASE_URL": f"http://127.0.0.1:{free_port()}/opc/v2"})
    with pytest.raises(Unreachable, match="Connection refused"):
        open_store(f"{place.emulator.uri()}&auth=instance_principal").head("k")


def test_a_profile_with_a_session_token_signs_with_it(tmp_path, monkeypatch):
    home = tmp_path / "home"
    monkeypatch.setenv("HOME", profile(home)["HOME"])
    (home / "token").write_text("a.token\n")
    with (home / ".oci" / "config").open("a") as config:
        config.write(f"security_token_file={home}/token\n")
    _, known = oracle.credentials({"endpoint": "http://127.0.0.1:1"})
    assert known["service_endpoint"] == "http://127.0.0.1:1"
    assert known["signer"].api_key == "ST$a.token"
    (home / "token").unlink()
    with pytest.raises(oracle.oci.exceptions.InvalidConfig, match="token is not there"):
        oracle.credentials({})


def test_where_there_is_no_file_the_principal_a_job_was_given_signs(place, tmp_path):
    private = (Path(place.emulator.credentials["HOME"]) / "key.pem").read_text()
    claims = base64.urlsafe_b64encode(json.dumps({"exp": 4102444800, "res_tenant": TENANCY}).encode()).decode()
    place.see(
        {
            "HOME": str(tmp_path),
            "OCI_RESOURCE_PRINCIPAL_VERSION": "2.2",
            "OCI_RESOURCE_PRINCIPAL_RPST": f"e30.{claims}.e30",
            "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM": private,
            "OCI_RESOURCE_PRINCIPAL_REGION": REGION,
        }
    )
    _, known = oracle.credentials({})
    assert known["signer"].api_key == f"ST$e30.{claims}.e30"
    assert "signer" in oracle.credentials({"auth": "resource_principal"})[1]
