import base64
import json
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as some

from tasks.adapters import tokens
from tasks.adapters.signing import Signer, public_line, seal
from tasks.core.decisions import Approver
from tasks.core.digests import canonical_json, plain
from tasks.errors import BadRequest, NotTrusted
from tests.deciding import decision, dossier

SAID = decision(dossier())


@cache
def key(name):
    return Signer(Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b".")))


def listed(name):
    line = public_line(key(name).private.public_key(), name).decode().strip()
    return Approver(name, ("approver",), line, key(name).fingerprint)


ALICE, BOB = listed("alice"), listed("bob")
TOKEN = tokens.sign(key("alice"), SAID)


def packed(content):
    raw = content if isinstance(content, bytes) else canonical_json(content)
    return tokens.PREFIX + base64.urlsafe_b64encode(raw).decode().rstrip("=")


def unpacked(token):
    body = token.removeprefix(tokens.PREFIX)
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))


def test_a_token_says_what_was_signed_and_by_which_key():
    found = tokens.read(TOKEN, (ALICE, BOB))
    assert found.decision == SAID
    assert found.fingerprint == ALICE.fingerprint


def test_a_token_is_one_line_that_survives_a_form_and_a_terminal():
    assert TOKEN.startswith("gl1.") and set(TOKEN[4:]) <= set(
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    )
    wrapped = "  " + "\r\n".join(TOKEN[at : at + 80] for at in range(0, len(TOKEN), 80)) + "\n"
    assert tokens.read(wrapped, (ALICE,)).decision == SAID


def test_the_same_decision_is_the_same_token():
    assert tokens.sign(key("alice"), SAID) == TOKEN


@given(position=some.integers(0, len(TOKEN) - 1), flip=some.integers(1, 255))
def test_no_byte_of_a_token_can_be_flipped(position, flip):
    changed = bytearray(TOKEN.encode())
    changed[position] ^= flip
    with pytest.raises((BadRequest, NotTrusted)):
        tokens.read(changed.decode("latin-1"), (ALICE, BOB))


@given(some.text())
def test_whatever_is_pasted_is_refused_in_a_sentence(text):
    with pytest.raises((BadRequest, NotTrusted)):
        tokens.read(text, (ALICE,))
    with pytest.raises((BadRequest, NotTrusted)):
        tokens.read("gl1." + text, (ALICE,))


@given(some.recursive(some.none() | some.integers() | some.text(), lambda inner: some.lists(inner) | some.dictionaries(
    some.sampled_from(["form", "decision", "signature", "key", "value", "kind"]), inner
)))  # fmt: skip
def test_whatever_json_is_packed_is_refused_in_a_sentence(content):
    with pytest.raises((BadRequest, NotTrusted)):
        tokens.read(packed(content), (ALICE,))


def test_a_token_cut_anywhere_is_refused():
    for length in range(len(TOKEN)):
        with pytest.raises((BadRequest, NotTrusted)):
            tokens.read(TOKEN[:length], (ALICE,))


def test_the_last_letter_of_the_signature_has_one_spelling():
    document = unpacked(TOKEN)
    value = document["signature"]["value"]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = value[:85] + letters[letters.index(value[85]) + 1] + "=="
    assert base64.b64decode(other) == base64.b64decode(value)
    document["signature"]["value"] = other
    with pytest.raises(NotTrusted, match="does not fit its content"):
        tokens.read(packed(document), (ALICE,))


def test_a_key_that_is_not_or_no_longer_listed_is_refused_by_its_fingerprint():
    with pytest.raises(NotTrusted, match=r"none of the 1 in approvers\.yaml: it was never listed or has been removed"):
        tokens.read(TOKEN, (BOB,))
    with pytest.raises(NotTrusted, match="none of the 0"):
        tokens.read(TOKEN, ())


def test_a_forged_fingerprint_is_refused():
    document = unpacked(TOKEN)
    document["signature"]["key"] = BOB.fingerprint
    with pytest.raises(NotTrusted, match="does not fit its content"):
        tokens.read(packed(document), (ALICE, BOB))


def test_a_decision_changed_after_signing_is_refused():
    document = unpacked(TOKEN)
    document["decision"]["kind"] = "reject"
    with pytest.raises(NotTrusted, match="does not fit its content"):
        tokens.read(packed(document), (ALICE,))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (plain(SAID) | {"roles": ["release-manager"]}, "roles"),
        ({name: value for name, value in plain(SAID).items() if name != "nonce"}, "nonce"),
        (plain(SAID) | {"kind": "approve"}, "kind"),
        (plain(SAID) | {"version": 3}, "version"),
        ([], "these fields are missing"),
    ],
)
def test_a_signed_token_with_a_field_too_many_too_few_or_odd_is_refused(content, word):
    with pytest.raises(BadRequest, match=word):
        tokens.read(packed(seal(key("alice"), tokens.FORM, {"decision": content})), (ALICE,))


def test_a_signed_token_that_carries_more_than_a_decision_is_refused():
    raw = seal(key("alice"), tokens.FORM, {"decision": plain(SAID), "also": "this"})
    with pytest.raises(BadRequest, match="holds also, decision; wanted a decision and nothing else"):
        tokens.read(packed(raw), (ALICE,))


def test_a_document_signed_for_another_purpose_is_no_token():
    raw = seal(key("alice"), "greenlight.ledger/1", {"decision": plain(SAID)})
    with pytest.raises(NotTrusted, match=r"of the form 'greenlight\.ledger/1'"):
        tokens.read(packed(raw), (ALICE,))


def test_another_spelling_of_the_same_json_is_refused():
    with pytest.raises(BadRequest, match="cut or was changed"):
        tokens.read(packed(json.dumps(unpacked(TOKEN)).encode()), (ALICE,))
    with pytest.raises(BadRequest, match="cut or was changed"):
        tokens.read(TOKEN + "==", (ALICE,))


def test_a_flood_is_no_token():
    with pytest.raises(BadRequest, match="it has 1000004 characters"):
        tokens.read("gl1." + "A" * 1_000_000, (ALICE,))
    with pytest.raises((BadRequest, NotTrusted)):
        tokens.read(packed(b"[" * 10_000), (ALICE,))


def test_no_message_repeats_the_token():
    with pytest.raises(BadRequest) as refused:
        tokens.read("gl1." + "secret" * 20, (ALICE,))
    assert "secret" not in str(refused.value)
