"""What a question comes to: real stores, keys and signatures, and everybody who would let out what nobody approved."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.adapters import (
    approvers,
    decisions,
    dossiers,
    key_files,
    ledger,
    line,
    policies,
    requests,
    settlement,
    tokens,
)
from tasks.adapters.blobs import blob_key
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.overview import unreviewed
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.core.digests import canonical_json
from tasks.core.gates import BUNDLE_GATES, KEEPS_TARGETS, TARGET_GATES
from tasks.core.values import Verdict
from tasks.errors import BadRequest, HomeDamaged, LedgerMoved, NotTrusted
from tasks.workloads.channels import CHANNELS
from tests.deciding import decision, dossier

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SIGNED = {"decision": "signed", "min_reason_characters": 10, "roles": ["approver"]}
GLASS = {"decision": "signed", "breaks_glass": True, "approvals": 2, "roles": ["release-manager"], "expires_hours": 4}
PASSED = tuple(Verdict(gate, "pass", "", "", "") for gate in ("bundle rehearsed", "line running"))


class Court:
    """A store with a service key, a list of approvers, and rings of its own."""

    def __init__(self, folder):
        self.folder, self.store = folder, DirectoryStore(folder / "store")
        self.service, self.trust = service_signer(folder / "keys"), trusted_keys(folder / "keys")
        self.list, self.keys = folder / "approvers.yaml", {}
        self.list.write_text("approvers:\n")
        (folder / "policies").mkdir()
        self.rule("prod", SIGNED)
        self.rule("break-glass", GLASS)

    def rule(self, ring, asks):
        (self.folder / "policies" / f"{ring}.yaml").write_text(json.dumps({"ring": ring, **asks}))

    def hire(self, name, role="approver"):
        self.keys[name] = key_files.make(self.folder / name, name)
        line = (self.folder / f"{name}.pub").read_text()
        with self.list.open("a") as out:
            out.write(approvers.entry(name, line).replace("[approver]", f"[{role}]"))

    def policy(self, broken=False):
        find = policies.breaking_glass if broken else policies.of
        return find(CHANNELS, "prod")

    def ask(self, **changes):
        broken = bool(changes.get("break_glass"))
        asked = dossier(workload="channels", policy=self.policy(broken).digest, verdicts=PASSED)
        return requests.open_request(self.store, self.service, self.trust, replace(asked, **changes))

    def sign(self, asked, name="alice", **changes):
        said = decision(asked, approver=name, **changes)
        return tokens.sign(self.keys[name], said)

    def say(self, asked, name="alice", now=NOW, **changes):
        return self.hand_in(asked, self.sign(asked, name, **changes), now)

    def hand_in(self, asked, token, now=NOW):
        return decisions.submit(self.store, self.service, asked, token, decisions.rules(asked, self.trust), now)

    def settle(self, asked, now=NOW):
        policy = policies.asked_under(CHANNELS, asked)
        return settlement.settle(self.store, self.service, self.trust, asked, policy, now)

    def expire(self, now):
        return settlement.expire(self.store, self.service, self.trust, "channels", "prod", now)

    def review(self, number, by):
        why = "the slice was measured on stale rows"
        return settlement.review(self.store, self.service, self.trust, "channels", number, by=by, reason=why)

    def lose(self, name):
        for key in [key for key in self.store.list("decisions/") if f"/{name}-" in key]:
            self.store.delete(key)

    def entries(self):
        return [(entry.kind, entry.decided_by.partition(" (")[0]) for entry in ledger.read(self.store, "channels")]


@pytest.fixture
def court(tmp_path, monkeypatch):
    monkeypatch.setattr(policies, "policies_folder", lambda: tmp_path / "policies")
    monkeypatch.setenv("GREENLIGHT_APPROVERS", str(tmp_path / "approvers.yaml"))
    made = Court(tmp_path)
    made.hire("alice")
    made.hire("bob")
    return made


def test_nothing_is_let_out_before_somebody_has_signed(court):
    asked = court.ask()
    found = court.settle(asked)
    assert (found.status, found.entry) == ("waiting", None)
    assert "greenlight approve channels --ring prod --version v-new" in found.because
    assert court.entries() == []


def test_an_approval_is_appended_with_who_gave_it_and_what_they_said(court):
    asked = court.ask()
    assert court.say(asked) == ()
    entry = court.settle(asked).entry
    assert (entry.kind, entry.ring, entry.version, entry.evidence) == ("promotion", "prod", "v-new", asked.digest)
    assert entry.decided_by == f"alice ({court.keys['alice'].fingerprint})"
    assert entry.reason == "holdout better, shadow clean"
    (key,) = court.store.list("decisions/")
    assert [entry.decisions[0][:16]] == [key.rpartition("-")[2].removesuffix(".json")]


def test_a_run_killed_after_the_nonce_was_used_or_the_entry_appended_ends_in_one_entry(court):
    asked = court.ask()
    court.say(asked)
    decisions.spend(court.store, asked, ("alice",))
    first = court.settle(asked).entry
    assert court.settle(asked, NOW + timedelta(minutes=1)).entry == first
    assert court.entries() == [("promotion", "alice")]


def test_a_pasted_token_whose_signature_is_a_number_is_refused_and_kept_nowhere(court):
    asked = court.ask()
    body = json.loads(base64.urlsafe_b64decode(court.sign(asked).removeprefix("gl1.") + "=="))
    body["signature"]["value"] = 5
    odd = "gl1." + base64.urlsafe_b64encode(canonical_json(body)).decode().rstrip("=")
    assert court.hand_in(asked, odd) == ("the token bears no signature; paste what greenlight sign printed",)
    assert court.settle(asked).status == "waiting"


def test_what_failed_is_never_a_persons_to_decide(court):
    asked = court.ask(recommendation="reject", because="leakage fail")
    court.say(asked)
    assert court.settle(asked).status == "not promoted"
    assert court.entries() == []


def test_a_doubt_is_a_persons_to_decide(court):
    asked = court.ask(recommendation="hold", because="earnings: beats the baseline inconclusive.")
    assert (
        "recommended is hold, because earnings: beats the baseline inconclusive; approver"
        in court.settle(asked).because
    )
    court.say(asked)
    assert court.settle(asked).status == "promoted"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"version": "v-other"}, "it is for the version v-other, asked is v-new"),
        ({"ring": "qa"}, "it is for the ring qa, asked is prod"),
        ({"manifest": "0" * 64}, "what differs: the bundle"),
        ({"policy": "0" * 64}, "what differs: the policy"),
        ({"nonce": "m" * 32}, "what differs: the request"),
    ],
)
def test_a_token_made_on_anything_else_lets_nothing_out(court, other, why):
    asked = court.ask()
    foreign = replace(asked, **other)
    dossiers.keep(court.store, foreign)
    assert any(why in each for each in court.hand_in(asked, court.sign(foreign)))
    assert court.settle(asked).status == "waiting"


def test_whoever_asked_cannot_approve(court):
    asked = court.ask(requested_by="Alice")
    assert any("asked for this promotion and may not decide" in each for each in court.say(asked))
    assert court.settle(asked).status == "waiting"


def test_an_approval_that_has_expired_meanwhile_counts_no_more(court):
    asked = court.ask()
    court.say(asked, expires_at="2026-11-21T12:30:00+00:00")
    assert court.settle(asked, NOW + timedelta(hours=1)).status == "waiting"
    assert court.entries() == []


def test_a_greenlight_that_a_hold_took_back_does_not_come_back_when_the_hold_expires(court):
    asked = court.ask()
    court.say(asked)
    court.say(asked, kind="hold", at="2026-11-21T11:30:00+00:00", expires_at="2026-11-21T13:00:00+00:00")
    assert court.settle(asked, NOW + timedelta(hours=2)).status == "waiting"
    assert court.entries() == []
    later = NOW + timedelta(hours=2)
    court.say(asked, now=later, at="2026-11-21T13:30:00+00:00")
    assert court.settle(asked, later).status == "promoted"


def test_a_key_that_is_struck_off_between_approval_and_resumption_takes_the_approval_with_it(court):
    asked = court.ask()
    court.say(asked)
    court.list.write_text("approvers:\n")
    assert court.settle(asked).status == "waiting"
    assert court.entries() == []


def test_a_policy_that_is_changed_after_the_approval_makes_it_worth_nothing(court):
    asked = court.ask()
    court.say(asked)
    court.rule("prod", SIGNED | {"approvals": 2})
    with pytest.raises(BadRequest, match="the policy of prod was changed"):
        court.settle(asked)
    assert court.entries() == []


def test_a_changed_byte_in_a_recorded_decision_is_no_decision(court):
    asked = court.ask()
    court.say(asked)
    (key,) = court.store.list("decisions/")
    path = court.folder / "store" / key
    path.chmod(0o644)
    path.write_bytes(path.read_bytes().replace(b"gl1.ey", b"gl1.eY"))
    assert court.settle(asked).status == "waiting"


def test_a_nonce_that_another_dossier_used_up_lets_nothing_out(court):
    asked = court.ask()
    court.say(asked)
    decisions.spend(court.store, replace(asked, version="v-other"), ("alice",))
    found = court.settle(asked)
    assert (found.status, court.entries()) == ("waiting", [])
    with pytest.raises(NotTrusted, match="an approval is used once"):
        decisions.spend(court.store, asked, ("alice",))


def test_of_two_that_were_approved_over_the_same_champion_one_is_let_out(court):
    one, other = court.ask(), court.ask(version="v-other", nonce="m" * 32)
    court.say(one)
    court.say(other, "bob")
    assert court.settle(one).status == "promoted"
    with pytest.raises(LedgerMoved, match="another came first and nothing was promoted"):
        court.settle(other)
    assert court.entries() == [("promotion", "alice")]


def test_a_reject_and_a_hold_are_in_the_ledger_with_who_and_why(court):
    asked = court.ask()
    court.say(asked, kind="hold", reason="wait for Monday's data")
    assert court.settle(asked).status == "waiting"
    court.settle(asked, NOW + timedelta(minutes=1))
    court.say(asked, "bob", kind="reject", reason="two slices got worse")
    found = court.settle(asked)
    assert (found.status, found.entry) == ("rejected", None)
    assert court.entries() == [("hold", "alice"), ("rejection", "bob")]
    assert [entry.reason for entry in ledger.read(court.store, "channels")] == [
        "wait for Monday's data",
        "two slices got worse",
    ]
    assert ledger.champion(court.store, "channels", "prod") is None


def test_what_was_held_and_then_replaced_is_closed_as_superseded_and_never_as_promoted(court):
    held, other = court.ask(), court.ask(version="v-other", nonce="m" * 32)
    court.say(held, kind="hold")
    court.settle(held)
    court.say(other)
    number = court.settle(other).entry.number
    requests.settle(court.store, court.service, court.trust, other, number, at=NOW.isoformat())
    closed = requests.closed_request(court.store, court.trust, held)
    assert (closed.outcome, closed.number) == ("superseded", 0)


def test_a_rollback_that_names_a_dossier_is_not_what_answered_it(court):
    asked = court.ask()
    court.say(asked)
    let_out = court.settle(asked).entry
    ledger.append(court.store, court.service, replace(let_out, kind="rollback", decided_by="ann"), let_out.number)
    assert settlement.noted(court.store, asked) == let_out.number


def test_a_reject_that_is_deleted_from_the_store_is_still_a_reject(court):
    asked = court.ask()
    court.say(asked)
    court.say(asked, "bob", kind="reject")
    assert court.settle(asked).status == "rejected"
    at = NOW.isoformat()
    requests.close_request(court.store, court.service, court.trust, asked, "rejected", at=at, number=1)
    court.lose("bob")
    for key in [key for key in court.store.list("requests/") if key.endswith(".closed.json")]:
        court.store.delete(key)
    found = court.settle(asked)
    assert (found.status, found.entry) == ("rejected", None)
    assert "rejection by bob" in found.because
    assert "(ledger entry 1)" in found.because
    assert court.entries() == [("rejection", "bob")]


@pytest.mark.parametrize("lost", ["bob", "erin"])
def test_a_hold_that_is_deleted_from_the_store_lets_nothing_out(court, lost):
    court.hire("erin")
    asked = court.ask()
    court.say(asked)
    for name in ("bob", "erin"):
        court.say(asked, name, kind="hold")
        court.settle(asked)
    for name in {"bob", "erin"} - {lost}:
        court.say(asked, name, at="2026-11-21T11:30:00+00:00")
    court.lose(lost)
    with pytest.raises(HomeDamaged, match=r"was held by .*1 of the \d decisions .* removed from the store"):
        court.settle(asked)
    assert [kind for kind, _ in court.entries()] == ["hold", "hold"]


def test_a_hold_that_its_author_lifts_does_not_stand_in_the_way(court):
    asked = court.ask()
    court.say(asked, kind="hold")
    court.settle(asked)
    court.say(asked, at="2026-11-21T11:30:00+00:00")
    assert court.settle(asked).status == "promoted"


def passed_whole(target):
    whole = [Verdict(gate, "pass", "", "", "") for gate in (*BUNDLE_GATES, KEEPS_TARGETS)]
    return (*whole, *(Verdict(gate, "pass", "", "", "", target) for gate in TARGET_GATES))


@pytest.mark.parametrize("asks", [SIGNED, {"automatic": True}])
def test_a_line_that_was_stopped_after_the_gates_looked_lets_nothing_out(court, asks):
    court.rule("prod", asks)
    asked = court.ask(verdicts=passed_whole("sales"))
    if asks is SIGNED:
        court.say(asked)
    line.stop(court.store, court.service, court.trust, reason="the source counts twice", by="ann")
    found = court.settle(asked)
    assert (found.status, found.entry, court.entries()) == ("not promoted", None, [])
    assert "the line was stopped by ann" in found.because
    line.resume(court.store, court.service, court.trust, reason="the source is mended", by="ann")
    assert court.settle(asked).status == "promoted"


def test_what_was_let_out_before_the_line_was_stopped_is_found_again(court):
    asked = court.ask()
    court.say(asked)
    entry = court.settle(asked).entry
    line.stop(court.store, court.service, court.trust, reason="the source counts twice", by="ann")
    assert court.settle(asked).entry == entry


def test_what_nobody_answers_ends_expired_and_never_approved(court):
    asked = court.ask()
    assert court.expire(NOW) == ()
    court.say(asked, "alice")
    late = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    assert court.expire(late) == (asked,)
    assert court.expire(late) == ()
    assert court.entries() == [("expiry", "service")]
    closed = requests.closed_request(court.store, court.trust, asked)
    assert (closed.outcome, closed.number) == ("expired", 1)
    assert court.settle(asked, late).status == "waiting"


def test_what_was_let_out_by_a_run_that_was_killed_then_does_not_expire(court):
    asked = court.ask()
    court.say(asked)
    court.settle(asked)
    assert court.expire(datetime(2026, 11, 23, tzinfo=UTC)) == ()
    assert court.entries() == [("promotion", "alice")]


def test_two_approvals_are_two_people(court):
    court.rule("prod", SIGNED | {"approvals": 2})
    asked = court.ask()
    court.say(asked)
    court.say(asked, reason="said it once more, louder")
    assert "waiting for 1 more approval; greenlit by alice" in court.settle(asked).because
    court.say(asked, "bob")
    assert court.settle(asked).entry.decided_by.count("SHA256:") == 2


def burning(court, *failed, **changes):
    verdicts = (*PASSED, *(Verdict(gate, "fail", "", "", "") for gate in failed))
    asked = {"verdicts": verdicts, "recommendation": "reject", "break_glass": "what serves is worse"}
    return court.ask(**(asked | changes))


def test_the_glass_is_broken_by_two_release_managers_and_stays_flagged_until_somebody_else_reviews(court):
    for name in ("erin", "frank"):
        court.hire(name, "release-manager")
    why, asked = "the champion predicts negative earnings", burning(court, "leakage")
    assert any("wants release-manager" in each for each in court.say(asked, "alice", reason=why))
    assert court.say(asked, "erin", reason=why) == ()
    assert court.settle(asked).status == "waiting"
    court.say(asked, "frank", reason=why)
    entry = court.settle(asked).entry
    assert entry.decided_by.startswith("break-glass by erin (SHA256:")
    assert list(unreviewed(ledger.read(court.store, "channels"))) == [entry]
    for own in ("Erin", "frank", "carol"):
        with pytest.raises(BadRequest, match="somebody else reviews it"):
            court.review(entry.number, own)
    with pytest.raises(BadRequest, match=r"entry 9 of channels did not break the glass.*: 1"):
        court.review(9, "grace")
    with pytest.raises(BadRequest, match=r"'grace' is no approver, .* lists alice, bob, erin, frank"):
        court.review(entry.number, "grace")
    court.hire("grace")
    court.store.delete(blob_key(asked.digest))
    assert list(unreviewed(ledger.read(court.store, "channels"))) == [entry]
    dossiers.keep(court.store, asked)
    assert court.review(entry.number, "grace").kind == "review"
    assert list(unreviewed(ledger.read(court.store, "channels"))) == []


@pytest.mark.parametrize("firm", ["bundle rehearsed", "line running"])
def test_some_gates_are_never_overridden(court, firm):
    verdicts = tuple(replace(each, outcome="fail") if each.gate == firm else each for each in PASSED)
    for asked in (burning(court, verdicts=verdicts), burning(court, verdicts=())):
        assert court.settle(asked).status == "not promoted"
