import base64
import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest
import yaml

from tasks.adapters import approvers, key_files
from tasks.adapters.signing import public_line
from tasks.errors import BadRequest, Misdeclared

ROOT = Path(__file__).parents[2]
has_ssh_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen here")


@pytest.fixture
def listed(tmp_path):
    def write(*people, text=None):
        path = tmp_path / "approvers.yaml"
        path.write_text(text if text is not None else yaml.safe_dump({"approvers": list(people)}))
        return path

    return write


@pytest.fixture
def person(tmp_path):
    def make(name, **changes):
        signer = key_files.make(tmp_path / "keys" / f"{name}-{len(list(tmp_path.rglob('*.pub')))}", name)
        line = public_line(signer.private.public_key(), name).decode().strip()
        return {"name": name, "roles": ["approver"], "key": line} | changes

    return make


def refused(path, *words):
    with pytest.raises(Misdeclared) as letter:
        approvers.load(path)
    for word in (str(path), *words):
        assert word in str(letter.value), letter.value


def test_the_list_that_ships_is_empty_and_says_how_to_fill_it():
    shipped = ROOT / "deployments" / "approvers.yaml"
    assert approvers.load(shipped) == ()
    assert "greenlight key new" in shipped.read_text()
    assert approvers.path_in_use() == shipped


def test_an_approver_is_read_with_roles_fingerprint_and_last_day(listed, person):
    alice = person("alice", roles=["approver", "release-manager"], expires=date(2027, 6, 30))
    (found,) = approvers.load(listed(alice))
    assert (found.name, found.roles, found.expires) == ("alice", ("approver", "release-manager"), date(2027, 6, 30))
    assert found.fingerprint in approvers.trust((found,)).keys


def test_the_lines_of_a_new_key_can_be_pasted(listed, person):
    line = person("alice")["key"]
    (found,) = approvers.load(listed(text="approvers:\n" + approvers.entry("alice", line)))
    assert (found.name, found.roles, found.key) == ("alice", ("approver",), line)


def test_a_missing_list_is_named(tmp_path):
    with pytest.raises(BadRequest, match=r"no list of approvers at .*GREENLIGHT_APPROVERS"):
        approvers.load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"role": ["approver"]}, "role"),
        ({"roles": []}, "roles"),
        ({"roles": ["admin"]}, "roles"),
        ({"roles": "approver"}, "roles"),
        ({"name": ""}, "name"),
        ({"name": "../alice"}, "name"),
        ({"name": "alice\n"}, "name"),
        ({"expires": "soon"}, "expires"),
        ({"key": None}, "key"),
    ],
)
def test_a_slip_in_the_list_is_named(listed, person, change, word):
    refused(listed(person("alice") | change), f"approvers.0.{word}")


@pytest.mark.parametrize(
    "text", ["", "[]", "approvers: [", "people: []", "approvers: []\nmore: 1", "\x00", "? [a]\n: b\napprovers: []"]
)
def test_a_list_that_is_none_is_refused(listed, text):
    refused(listed(text=text))


def test_a_key_under_two_names_is_refused(listed, person):
    alice = person("alice")
    refused(listed(alice, alice | {"name": "alicia"}), "has the key SHA256:", "more than once")


def test_a_key_under_two_names_is_found_whatever_its_comment_says(listed, person):
    alice = person("alice")
    refused(listed(alice, {**alice, "name": "bob", "key": alice["key"].removesuffix("alice") + "bob"}), "has the key")


def test_one_name_with_two_keys_is_refused_in_any_case_of_letters(listed, person):
    refused(listed(person("alice"), person("Alice")), "has the name alice more than once")


def test_a_field_that_is_written_twice_is_refused(listed, person):
    text = "approvers:\n" + approvers.entry("alice", person("alice")["key"]) + "    roles: [release-manager]\n"
    refused(listed(text=text), "'roles' is written twice")


@has_ssh_keygen
@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_a_key_of_another_kind_is_refused(listed, person, tmp_path, kind):
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", tmp_path / "other"], check=True)
    line = (tmp_path / "other.pub").read_text().strip()
    refused(listed(person("alice") | {"key": line}), "the key of alice is", "wanted one ssh-ed25519 line")


def test_the_private_half_is_refused_and_not_repeated(listed, person, tmp_path):
    key_files.make(tmp_path / "mine", "alice")
    private = (tmp_path / "mine").read_text()
    with pytest.raises(Misdeclared) as letter:
        approvers.load(listed(person("alice") | {"key": private}))
    assert private.splitlines()[1] not in str(letter.value)


def test_a_line_of_authorized_keys_with_options_or_a_second_line_is_refused(listed, person):
    line = person("alice")["key"]
    refused(listed(person("alice") | {"key": f'from="*" {line}'}), "wanted one ssh-ed25519 line")
    refused(listed(person("alice") | {"key": f"{line}\n{person('bob')['key']}"}), "wanted one ssh-ed25519 line")


@has_ssh_keygen
def test_a_certificate_is_refused_though_the_library_would_take_its_key(listed, person, tmp_path):
    alice = person("alice")
    (tmp_path / "alice.pub").write_text(alice["key"] + "\n")
    key_files.make(tmp_path / "authority", "authority")
    signing = ["ssh-keygen", "-q", "-s", tmp_path / "authority", "-I", "alice", "-n", "alice", tmp_path / "alice.pub"]
    subprocess.run(signing, check=True)
    line = (tmp_path / "alice-cert.pub").read_text().strip()
    refused(listed(alice | {"key": line}), "is 'ssh-ed25519-cert-v01@openssh.com', wanted one ssh-ed25519 line")


def test_a_key_cut_short_is_refused(listed, person):
    line = person("alice")["key"]
    body = base64.b64decode(line.split()[1])[:-1]
    refused(listed(person("alice") | {"key": f"ssh-ed25519 {base64.b64encode(body).decode()}"}), "the key of alice")
