import shutil
import stat
import subprocess

import pytest

from tasks.adapters import key_files
from tasks.errors import AlreadyExists, BadRequest, NotTrusted

has_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")


def never():
    raise AssertionError("a passphrase was asked for")


def test_a_key_is_readable_by_its_owner_alone_and_signs(tmp_path):
    made = key_files.make(tmp_path / "keys" / "alice", "alice")
    assert stat.S_IMODE((tmp_path / "keys" / "alice").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert key_files.read(tmp_path / "keys" / "alice", never).fingerprint == made.fingerprint
    assert (tmp_path / "keys" / "alice.pub").read_text().endswith(" alice\n")


def test_nothing_else_is_left_beside_a_new_key(tmp_path):
    key_files.make(tmp_path / "keys" / "alice", "alice")
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == ["alice", "alice.pub"]


def test_a_key_is_never_overwritten(tmp_path):
    key_files.make(tmp_path / "alice", "alice")
    before = (tmp_path / "alice").read_bytes(), (tmp_path / "alice.pub").read_bytes()
    with pytest.raises(AlreadyExists, match="never overwritten"):
        key_files.make(tmp_path / "alice", "alice")
    assert ((tmp_path / "alice").read_bytes(), (tmp_path / "alice.pub").read_bytes()) == before


def test_a_passphrase_opens_its_key_and_no_other_does(tmp_path):
    made = key_files.make(tmp_path / "alice", "alice", "ein langer Satz, ä")
    assert key_files.read(tmp_path / "alice", lambda: "ein langer Satz, ä").fingerprint == made.fingerprint
    with pytest.raises(NotTrusted, match=r"the passphrase does not open the key .*alice") as refused:
        key_files.read(tmp_path / "alice", lambda: "a wrong guess")
    assert "a wrong guess" not in str(refused.value)
    with pytest.raises(NotTrusted, match="does not open"):
        key_files.read(tmp_path / "alice", lambda: "")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o700, 0o666])
def test_a_key_others_could_have_read_is_refused(tmp_path, mode):
    key_files.make(tmp_path / "alice", "alice")
    (tmp_path / "alice").chmod(mode)
    with pytest.raises(NotTrusted, match=rf"has the mode {mode:04o}, wanted 0600.*chmod 600"):
        key_files.read(tmp_path / "alice", never)


def test_a_key_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadRequest, match=r"nobody cannot be read: No such file.*--key"):
        key_files.read(tmp_path / "nobody", never)


@pytest.mark.parametrize("content", [b"", b"hello", b"ssh-ed25519 AAAA alice"])
def test_a_file_that_is_no_key_is_named(tmp_path, content):
    (tmp_path / "alice").write_bytes(content)
    (tmp_path / "alice").chmod(0o600)
    with pytest.raises(BadRequest, match="alice is no private key"):
        key_files.read(tmp_path / "alice", never)


@has_ssh_keygen
@pytest.mark.parametrize(("kind", "found"), [("rsa", "RSA"), ("ecdsa", "EC")])
def test_a_key_of_another_kind_is_refused(tmp_path, kind, found):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / "other"], check=True)
    with pytest.raises(BadRequest, match=f"is a .*{found}.*, wanted Ed25519"):
        key_files.read(tmp_path / "other", never)


@has_ssh_keygen
def test_a_key_made_by_ssh_keygen_works_and_ours_works_there(tmp_path):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "sesame", "-f", tmp_path / "theirs"], check=True)
    theirs = key_files.read(tmp_path / "theirs", lambda: "sesame")
    ours = key_files.make(tmp_path / "ours", "ours")
    for name, signer in (("theirs", theirs), ("ours", ours)):
        shown = subprocess.run(["ssh-keygen", "-lf", tmp_path / name], capture_output=True, text=True, check=True)
        assert signer.fingerprint in shown.stdout
