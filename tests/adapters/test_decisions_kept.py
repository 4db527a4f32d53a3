"""The attacks on a decision, with real keys and a real store: none of them ends in a greenlight."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from tasks.adapters import decisions, dossiers, key_files, tokens
from tasks.adapters.decisions import Rules
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import public_line, service_signer, trusted_keys
from tasks.core.decisions import Approver
from tasks.errors import HomeDamaged, NotTrusted
from tests.deciding import A_CLAIM, NOW, SIGNATURE, TWO_SIGNATURES, decision, dossier

ASKED = dossier()


class Desk:
    """A store with the dossier on it, three people with keys, and what the ring wants."""

    def __init__(self, folder, wants):
        self.store = DirectoryStore(folder / "store")
        self.service = service_signer(folder / "keys")
        self.keys = {name: key_files.make(folder / "people" / name, name) for name in ("alice", "bob", "carol")}
        people = tuple(
            Approver(name, ("approver",), public_line(key.private.public_key(), name).decode(), key.fingerprint)
            for name, key in self.keys.items()
        )
        self.rules = Rules(people, wants, trusted_keys(folder / "keys"))
        dossiers.keep(self.store, ASKED)

    def token(self, name="alice", asked=ASKED, **changes):
        return tokens.sign(self.keys[name], decision(asked, approver=name, **changes))

    def submit(self, said, asked=ASKED, now=NOW, rules=None):
        return decisions.submit(self.store, self.service, asked, said, rules or self.rules, now)

    def settle(self, asked=ASKED, now=NOW, rules=None):
        return decisions.settle(self.store, asked, rules or self.rules, now)

    def without(self, name):
        return replace(self.rules, approvers=tuple(each for each in self.rules.approvers if each.name != name))

    def refuses(self, said, *words, **how):
        found = self.submit(said, **how)
        assert found and all(any(word in sentence for sentence in found) for word in words), found
        assert self.settle(how.get("asked", ASKED)).state == "waiting"


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path, SIGNATURE)


@pytest.fixture
def two(tmp_path):
    return Desk(tmp_path, TWO_SIGNATURES)


@pytest.fixture
def open_desk(tmp_path):
    return Desk(tmp_path, A_CLAIM)


def test_a_signed_greenlight_settles_the_matter(desk):
    assert desk.settle().state == "waiting"
    assert desk.submit(desk.token()) == ()
    assert (desk.settle().state, desk.settle().by) == ("greenlit", ("alice",))


def test_two_people_make_a_quorum_and_the_same_one_twice_does_not(two):
    assert two.submit(two.token()) == () == two.submit(two.token(at="2026-11-21T11:30:00+00:00"))
    assert (two.settle().state, two.settle().missing) == ("waiting", 1)
    assert two.submit(two.token("bob")) == ()
    assert (two.settle().state, two.settle().by) == ("greenlit", ("bob", "alice"))


def test_a_token_told_twice_is_kept_once(two):
    assert two.submit(two.token()) == () == two.submit("  " + two.token() + "\n")
    assert len(list(two.store.list("decisions/"))) == 1
    assert two.settle().missing == 1


@pytest.mark.parametrize("part", ["manifest", "policy", "evidence", "snapshot", "definitions"])
def test_one_changed_digit_in_what_was_decided_on_makes_the_token_stale_and_is_named(desk, part):
    changed = replace(ASKED, **{part: "0" + getattr(ASKED, part)[1:]})
    desk.refuses(desk.token(), "what differs: the ", asked=changed)


def test_a_decision_recorded_before_the_change_does_not_count_after_it(desk):
    assert desk.submit(desk.token()) == ()
    assert desk.settle(replace(ASKED, manifest="0" * 64)).state == "waiting"


def test_a_token_of_another_candidate_or_ring_is_refused(desk):
    desk.refuses(desk.token(asked=dossier(version="v-old")), "it is for the version v-old, asked is v-new")
    desk.refuses(desk.token(asked=dossier(ring="qa")), "it is for the ring qa, asked is prod")


def test_a_token_for_the_other_ring_with_this_dossiers_digest_is_refused(desk):
    desk.refuses(desk.token(ring="qa"), "it is for the ring qa, asked is prod")


def test_an_expired_token_is_refused_and_a_recorded_one_stops_counting(desk):
    short = desk.token(expires_at="2026-11-21T12:30:00+00:00")
    desk.refuses(desk.token(expires_at="2026-11-21T11:59:59+00:00"), "it expired at")
    assert desk.submit(short) == ()
    assert desk.settle().state == "greenlit"
    assert desk.settle(now=NOW + timedelta(minutes=30)).state == "waiting"


def test_nothing_counts_once_the_request_has_expired(desk):
    assert desk.submit(desk.token()) == ()
    assert desk.settle(now=NOW + timedelta(days=2)).state == "waiting"


def test_whoever_asked_is_refused(desk):
    desk.refuses(desk.token("carol"), "carol asked for this promotion and may not decide")


def test_a_key_removed_from_the_list_stops_counting_at_once(two):
    assert two.submit(two.token()) == () == two.submit(two.token("bob"))
    assert two.settle().state == "greenlit"
    assert two.settle(rules=two.without("bob")).missing == 1
    told = decisions.decisions_on(two.store, ASKED, two.without("bob"), NOW)
    assert [each.refused == () for each in told] == [True, False]
    assert "has been removed" in told[1].refused[0]


def test_a_stranger_with_a_key_of_their_own_is_refused(desk, tmp_path):
    mallory = key_files.make(tmp_path / "mallory", "alice")
    desk.refuses(tokens.sign(mallory, decision(ASKED)), "never listed or has been removed")


def test_an_approver_cannot_sign_in_the_name_of_another(desk):
    desk.refuses(tokens.sign(desk.keys["carol"], decision(ASKED)), "but approvers.yaml lists")


def test_a_changed_token_is_not_kept(desk):
    token = desk.token()
    desk.refuses(token[:40] + ("A" if token[40] != "A" else "B") + token[41:])
    assert list(desk.store.list("decisions/")) == []


def test_a_claim_does_not_count_where_a_signature_is_wanted(desk):
    desk.refuses(decision(ASKED), "is only a claimed name")


def test_a_claim_counts_where_none_is_wanted_and_is_marked_as_one(open_desk):
    assert open_desk.submit(decision(ASKED, approver="Dora Ünal")) == ()
    assert open_desk.settle().by == ("Dora Ünal",)
    (told,) = decisions.decisions_on(open_desk.store, ASKED, open_desk.rules, NOW)
    assert not told.verified


def test_a_signature_counts_where_none_is_wanted_and_is_marked_as_one(open_desk):
    assert open_desk.submit(open_desk.token()) == ()
    (told,) = decisions.decisions_on(open_desk.store, ASKED, open_desk.rules, NOW)
    assert told.verified


def test_nobody_lifts_a_signed_hold_by_claiming_its_authors_name(open_desk):
    assert open_desk.submit(open_desk.token(kind="hold", reason="wait for Monday")) == ()
    assert open_desk.submit(decision(ASKED, approver="Alice", at="2026-11-21T11:59:00+00:00")) == ()
    assert open_desk.settle().state == "held"


def test_a_claim_put_into_the_store_by_hand_does_not_count(open_desk, tmp_path):
    elsewhere = service_signer(tmp_path / "elsewhere")
    decisions.record(open_desk.store, elsewhere, decision(ASKED))
    assert open_desk.settle().state == "waiting"


def test_a_claim_copied_to_another_dossier_does_not_count(open_desk):
    key = decisions.record(open_desk.store, open_desk.service, decision(ASKED))
    other = dossier(version="v-other")
    with open_desk.store.open(key) as stream:
        open_desk.store.put(key.replace(ASKED.digest[:16], other.digest[:16]), stream.read())
    assert open_desk.settle(other).state == "waiting"


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'{"token": 3}', b'{"token": "gl1."}', b'{"form": "x"}'])
def test_what_is_no_decision_is_told_and_stands_in_nobodys_way(desk, raw):
    desk.store.put(f"decisions/{ASKED.digest[:16]}/alice-0.json", raw)
    assert desk.submit(desk.token("bob")) == ()
    assert desk.settle().by == ("bob",)
    told = decisions.decisions_on(desk.store, ASKED, desk.rules, NOW)
    assert sum(bool(each.refused) for each in told) == 1


def test_a_hold_stops_a_quorum_until_its_author_lets_go(two):
    assert two.submit(two.token()) == () == two.submit(two.token("bob", kind="hold", reason="wait for Monday"))
    assert (two.settle().state, two.settle().reason) == ("held", "wait for Monday")
    assert two.submit(two.token("bob", at="2026-11-21T11:30:00+00:00")) == ()
    assert two.settle().state == "greenlit"


def test_a_reject_is_the_end_whoever_greenlights_after_it(desk):
    assert desk.submit(desk.token("bob", kind="reject", reason="the data is wrong")) == ()
    assert desk.submit(desk.token()) == ()
    assert (desk.settle().state, desk.settle().by) == ("rejected", ("bob",))


def test_a_nonce_is_used_up_by_one_dossier_and_found_again_by_the_same(desk):
    decisions.spend(desk.store, ASKED, ("alice",))
    decisions.spend(desk.store, ASKED, ("alice", "bob"))
    assert decisions.spent_on(desk.store, ASKED.nonce) == ASKED.digest
    with pytest.raises(NotTrusted, match="an approval is used once"):
        decisions.spend(desk.store, dossier(version="v-other"), ("alice",))


def test_a_token_on_a_dossier_with_a_used_nonce_is_refused(desk):
    other = dossier(version="v-other")
    decisions.spend(desk.store, other, ("alice",))
    desk.refuses(desk.token(), f"used up by the dossier {other.digest[:12]}…")


def test_a_garbled_nonce_stops_everything(desk):
    assert desk.submit(desk.token()) == ()
    decisions.spend(desk.store, ASKED, ("alice",))
    (desk.store.root / "nonces" / ASKED.nonce).write_bytes(b"{")
    with pytest.raises(HomeDamaged, match="is garbled"):
        desk.settle()


def test_a_dossier_that_was_named_by_a_path_is_looked_for_nowhere(desk):
    desk.refuses(desk.token(dossier="../../../etc/passwd"), "which part is no longer known")


def test_what_is_kept_is_the_token_itself_and_no_private_key(desk, tmp_path):
    assert desk.submit(desk.token()) == ()
    (key,) = desk.store.list("decisions/")
    assert key.startswith(f"decisions/{ASKED.digest[:16]}/alice-") and key.endswith(".json")
    assert json.loads((desk.store.root / key).read_text()) == {"token": desk.token()}
