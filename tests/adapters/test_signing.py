import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasks.adapters.signing import Signature, Signer, seal, service_signer, trusted_keys, unseal
from tasks.errors import HomeDamaged, NotTrusted, OutOfSpace

ROOT = Path(__file__).parents[2]
FORM = "greenlight.test/1"


@pytest.fixture
def keys(tmp_path):
    return tmp_path / "keys"


def stranger():
    return Signer(Ed25519PrivateKey.generate())


def test_the_service_key_is_made_once_and_only_its_owner_may_read_it(keys):
    first = service_signer(keys)
    assert service_signer(keys).fingerprint == first.fingerprint
    assert stat.S_IMODE((keys / "service.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert sorted(path.name for path in keys.iterdir()) == ["service.key", "service.pub"]


def test_the_public_key_is_an_openssh_line_and_is_made_again_if_it_is_gone(keys):
    service_signer(keys)
    line = (keys / "service.pub").read_text()
    assert line.startswith("ssh-ed25519 AAAA")
    (keys / "service.pub").unlink()
    service_signer(keys)
    assert (keys / "service.pub").read_text() == line


def test_the_fingerprint_is_the_one_ssh_keygen_prints(keys):
    signer = service_signer(keys)
    if shutil.which("ssh-keygen") is None:
        assert signer.fingerprint.startswith("SHA256:")
        return
    shown = subprocess.run(["ssh-keygen", "-lf", keys / "service.pub"], capture_output=True, text=True, check=True)
    assert signer.fingerprint in shown.stdout


def test_two_processes_at_once_get_the_same_key(keys):
    script = (
        "import sys; from pathlib import Path; from tasks.adapters.signing import service_signer;"
        "sys.stdin.readline(); print(service_signer(Path(sys.argv[1])).fingerprint)"
    )
    command = [sys.executable, "-c", script, str(keys)]
    both = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    assert len({process.communicate("go\n")[0] for process in both}) == 1


def test_the_same_bytes_get_the_same_signature(keys):
    signer = service_signer(keys)
    assert signer.sign(b"x") == signer.sign(b"x")
    signer.trust().verify(b"x", signer.sign(b"x"), "x")


def test_a_signature_over_other_bytes_is_refused(keys):
    signer = service_signer(keys)
    with pytest.raises(NotTrusted, match=r"the signature of the manifest by the key SHA256:.* does not fit"):
        signer.trust().verify(b"y", signer.sign(b"x"), "the manifest")


@pytest.mark.parametrize("value", ["", "AAAA", "not base64!", "ä"])
def test_a_signature_that_is_none_is_refused(keys, value):
    signer = service_signer(keys)
    with pytest.raises(NotTrusted):
        signer.trust().verify(b"x", Signature(signer.fingerprint, value), "x")


def test_a_foreign_signature_is_refused_by_the_fingerprint_of_its_key(keys):
    service_signer(keys)
    other = stranger()
    with pytest.raises(
        NotTrusted, match=f"signed by the key {other.fingerprint}, which is none of the 1 trusted".replace("+", r"\+")
    ):
        trusted_keys(keys).verify(b"x", other.sign(b"x"), "x")


def test_a_signature_under_a_borrowed_name_is_refused(keys):
    signer = service_signer(keys)
    forged = Signature(signer.fingerprint, stranger().sign(b"x").value)
    with pytest.raises(NotTrusted, match="does not fit its content"):
        signer.trust().verify(b"x", forged, "x")


def test_a_key_put_among_the_trusted_counts(keys, tmp_path):
    service_signer(keys)
    colleague = service_signer(tmp_path / "elsewhere")
    (keys / "trusted").mkdir(parents=True)
    shutil.copy(tmp_path / "elsewhere" / "service.pub", keys / "trusted" / "colleague.pub")
    trust = trusted_keys(keys)
    trust.verify(b"x", colleague.sign(b"x"), "x")
    assert len(trust.keys) == 2


def test_a_reader_of_an_empty_home_makes_no_key_and_trusts_nobody(keys):
    with pytest.raises(NotTrusted, match=r"has signed nothing yet and trusts no key: restore keys/service\.key"):
        trusted_keys(keys).verify(b"x", stranger().sign(b"x"), "x")
    assert not keys.exists()


@pytest.mark.parametrize("content", [b"", b"ssh-ed25519 AAAA", b"garbage"])
def test_a_trusted_file_that_is_no_key_is_named(keys, content):
    (keys / "trusted").mkdir(parents=True)
    (keys / "trusted" / "bad.pub").write_bytes(content)
    with pytest.raises(HomeDamaged, match=r"bad\.pub is no public key"):
        trusted_keys(keys)


@pytest.mark.parametrize("keep", [0, 30, 200])
def test_a_cut_service_key_is_named_and_never_replaced(keys, keep):
    service_signer(keys)
    whole = (keys / "service.key").read_bytes()
    (keys / "service.key").write_bytes(whole[:keep])
    with pytest.raises(HomeDamaged, match=r"service\.key cannot be read"):
        service_signer(keys)
    assert (keys / "service.key").read_bytes() == whole[:keep]


def test_a_folder_that_takes_no_key_is_out_of_space(tmp_path):
    (tmp_path / "keys").write_text("a file")
    with pytest.raises((OutOfSpace, HomeDamaged)):
        service_signer(tmp_path / "keys")


def test_a_sealed_document_opens_to_what_was_sealed(keys):
    signer = service_signer(keys)
    raw = seal(signer, FORM, {"a": [1, "ü"]})
    assert unseal(signer.trust(), FORM, raw, "it") == {"a": [1, "ü"]}
    assert seal(signer, FORM, {"a": [1, "ü"]}) == raw


def test_no_byte_of_a_sealed_document_can_be_changed(keys):
    signer = service_signer(keys)
    raw = seal(signer, FORM, {"a": 1})
    for position in range(len(raw)):
        changed = bytearray(raw)
        changed[position] ^= 1
        with pytest.raises((NotTrusted, HomeDamaged)):
            unseal(signer.trust(), FORM, bytes(changed), "it")


def test_a_document_cut_anywhere_is_damaged(keys):
    signer = service_signer(keys)
    raw = seal(signer, FORM, {"a": 1})
    for length in range(len(raw)):
        with pytest.raises(HomeDamaged, match="it is truncated or garbled"):
            unseal(signer.trust(), FORM, raw[:length], "it")


def test_a_document_of_another_form_is_refused(keys):
    signer = service_signer(keys)
    raw = seal(signer, "greenlight.other/1", {"a": 1})
    with pytest.raises(NotTrusted, match=r"of the form 'greenlight\.other/1', wanted 'greenlight\.test/1'"):
        unseal(signer.trust(), FORM, raw, "it")
    renamed = json.loads(raw) | {"form": FORM}
    with pytest.raises(NotTrusted, match="does not fit its content"):
        unseal(signer.trust(), FORM, json.dumps(renamed).encode(), "it")


@pytest.mark.parametrize("signature", [{"key": [], "value": "A"}, {"key": "A", "value": 5}, {"key": None, "value": {}}])
def test_a_signature_that_is_no_text_is_damaged(keys, signature):
    raw = json.loads(seal(service_signer(keys), FORM, {"a": 1})) | {"signature": signature}
    with pytest.raises(HomeDamaged, match="it is truncated or garbled"):
        unseal(service_signer(keys).trust(), FORM, json.dumps(raw).encode(), "it")


def test_a_document_nested_without_end_is_damaged(keys):
    with pytest.raises(HomeDamaged, match="it is truncated or garbled"):
        unseal(service_signer(keys).trust(), FORM, b"[" * 100_000, "it")
