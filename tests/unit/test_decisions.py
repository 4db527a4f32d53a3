from dataclasses import replace
from datetime import date, timedelta

import pytest

from tasks.core.decisions import Settled, Wants, differences, refusals, settled
from tests.deciding import A_CLAIM, NOW, SIGNATURE, TWO_SIGNATURES, approver, decision, dossier

ALICE, BOB, CAROL = approver("alice"), approver("bob"), approver("carol")
EVERYBODY = (ALICE, BOB, CAROL)
ASKED = dossier()


def why(said=None, asked=ASKED, **changes):
    told = {"approvers": EVERYBODY, "wants": SIGNATURE, "now": NOW, "signed_by": "ALICE"}
    return refusals(said or decision(asked), asked, **(told | changes))


def only(sentences, *words):
    assert len(sentences) == 1, sentences
    for word in words:
        assert word in sentences[0]


def at(hour):
    return f"2026-11-21T{hour:02}:00:00+00:00"


def test_a_signed_greenlight_by_a_listed_approver_counts():
    assert why() == ()


def test_a_claimed_name_does_not_count_where_a_signature_is_wanted():
    only(why(signed_by=""), "prod asks for a signature", "'alice' is only a claimed name")


def test_a_claimed_name_counts_where_none_is_wanted():
    stranger = decision(ASKED, approver="dave")
    assert why(stranger, wants=A_CLAIM, signed_by="") == ()


def test_a_claimed_name_must_still_hold_a_role_the_policy_names():
    wants = replace(A_CLAIM, roles=("release-manager",))
    only(why(decision(ASKED, approver="dave"), wants=wants, signed_by=""), "'dave' is no approver")
    only(why(wants=wants, signed_by=""), "alice has the role approver; prod wants release-manager")


def test_a_stranger_is_refused_by_name():
    only(why(decision(ASKED, approver="mallory"), signed_by="MALLORY"), "'mallory' is no approver", "alice, bob, carol")


def test_nobody_is_an_approver_of_an_empty_list():
    only(why(approvers=()), "approvers.yaml lists nobody")


def test_a_decision_under_the_name_of_another_is_refused():
    only(why(decision(ASKED, approver="bob")), "signed by the key ALICE, but approvers.yaml lists BOB for bob")


def test_a_key_counts_on_its_last_day_and_not_after():
    people = (replace(ALICE, expires=NOW.date()),)
    assert why(approvers=people) == ()
    only(why(approvers=(replace(ALICE, expires=date(2026, 11, 20)),)), "the key of alice expired on 2026-11-20")


def test_without_the_role_a_signature_does_not_count():
    wants = replace(SIGNATURE, roles=("release-manager",))
    only(why(wants=wants), "alice has the role approver; prod wants release-manager")
    assert why(wants=wants, approvers=(replace(ALICE, roles=("approver", "release-manager")),)) == ()


@pytest.mark.parametrize("name", ["carol", "Carol"])
def test_whoever_asked_may_not_decide(name):
    only(why(decision(ASKED, approver=name), signed_by="CAROL"), "asked for this promotion and may not decide")


def test_the_reason_is_as_long_as_the_policy_wants_and_blanks_do_not_count():
    assert why(decision(ASKED, reason="0123456789")) == ()
    only(why(decision(ASKED, reason="ok      \n   fine")), "has 7 characters, wanted at least 10 characters")


def test_a_reason_that_would_play_with_the_terminal_is_refused():
    only(why(decision(ASKED, reason="all is well \x1b[2J")), "cannot be printed")


def test_a_decision_counts_until_the_second_it_expires():
    assert why(decision(ASKED, expires_at="2026-11-21T12:00:01+00:00")) == ()
    only(why(decision(ASKED, expires_at="2026-11-21T12:00:00+00:00")), "it expired at 2026-11-21T12:00:00")


def test_no_decision_counts_once_the_request_has_expired():
    late = NOW + timedelta(days=2)
    sentences = why(decision(ASKED, expires_at="2027-01-01T00:00:00+00:00"), now=late)
    only(sentences, "the request expired at 2026-11-22T12:00:00+00:00")


def test_a_request_without_an_end_does_not_expire():
    assert why(asked=dossier(expires_at=""), now=NOW + timedelta(days=900)) == ()


def test_a_decision_dated_ahead_of_the_clock_is_refused_and_clocks_may_be_five_minutes_apart():
    assert why(decision(ASKED, at="2026-11-21T12:05:00+00:00")) == ()
    only(why(decision(ASKED, at="2026-11-21T12:05:01+00:00")), "set the clock right")


def test_a_time_nobody_can_read_is_refused():
    only(why(decision(ASKED, at="yesterday")), "one of its times cannot be read")


def test_a_decision_nobody_knows_is_refused():
    only(why(decision(ASKED, kind="maybe")), "'maybe' is no decision: say greenlight, hold, reject")


@pytest.mark.parametrize(
    ("part", "value", "word"),
    [
        ("manifest", "f" * 64, "the bundle"),
        ("policy", "f" * 64, "the policy"),
        ("snapshot", "f" * 64, "the data"),
        ("definitions", "f" * 64, "the feature definitions"),
        ("evidence", "f" * 64, "the evidence"),
        ("serves", (), "the serves"),
        ("because", "every gate passed.", "the because"),
        ("nonce", "m" * 32, "the request (opened again since)"),
    ],
)
def test_whatever_changes_in_the_dossier_makes_a_decision_stale_and_is_named(part, value, word):
    changed = replace(ASKED, **{part: value})
    only(why(decision(ASKED), changed, decided_on=ASKED), "what differs: " + word + ". Read")


def test_a_dossier_that_is_no_longer_known_is_still_another():
    only(why(decision(ASKED), dossier(policy="f" * 64)), "which part is no longer known")


def test_a_token_of_another_candidate_and_ring_says_both():
    sentences = why(decision(ASKED), dossier(ring="qa", version="v-other"), decided_on=ASKED)
    assert [sentence.split(",")[0] for sentence in sentences[:2]] == [
        "it is for the ring prod",
        "it is for the version v-new",
    ]
    assert "the ring, the candidate" in sentences[2]


def test_a_nonce_that_is_not_the_dossiers_is_refused():
    only(why(decision(ASKED, nonce="x")), "put together by hand")


def test_a_nonce_used_up_elsewhere_is_refused_and_used_up_here_is_not():
    only(why(spent_on="9" * 64), "used up by the dossier 999999999999…")
    assert why(spent_on=ASKED.digest) == ()


def test_every_reason_is_given_at_once():
    bad = decision(ASKED, approver="carol", reason="ok", expires_at=at(1), ring="dev")
    assert len(why(bad, signed_by="CAROL")) == 4


def test_the_words_of_differences_are_peoples():
    assert differences(ASKED, replace(ASKED, requested_by="dave", version="v2")) == (
        "the candidate",
        "the requested by",
    )


def said(name, kind, hour=10, reason="because it is so"):
    return decision(ASKED, approver=name, kind=kind, at=at(hour), reason=reason)


def test_nobody_having_said_anything_waits():
    found = settled((), TWO_SIGNATURES)
    assert found == Settled("waiting", (), 2, "")
    assert found.sentence == "waiting for 2 more approvals; greenlit by nobody yet"


def test_two_people_make_a_quorum_of_two():
    found = settled((said("bob", "greenlight", 11, "fine"), said("alice", "greenlight", 10, "good")), TWO_SIGNATURES)
    assert found == Settled("greenlit", ("alice", "bob"), 0, "good; fine")


@pytest.mark.parametrize("again", ["alice", "ALICE"])
def test_one_person_twice_counts_once(again):
    found = settled((said("alice", "greenlight", 9), said(again, "greenlight", 10)), TWO_SIGNATURES)
    assert (found.state, found.missing) == ("waiting", 1)
    assert found.sentence.startswith("waiting for 1 more approval; greenlit by ")


def test_a_policy_that_wants_no_approval_still_wants_one():
    assert settled((), Wants(signature=False, approvals=0)).state == "waiting"


def test_one_reject_outweighs_any_number_of_greenlights_before_and_after():
    found = settled(
        (said("alice", "greenlight"), said("bob", "reject", 11, "no"), said("bob", "greenlight", 12)), SIGNATURE
    )
    assert found == Settled("rejected", ("bob",), 0, "no")


def test_a_hold_stands_against_a_quorum_of_others():
    found = settled((said("alice", "greenlight", 11), said("bob", "hold", 10, "Friday")), SIGNATURE)
    assert found == Settled("held", ("bob",), 0, "Friday")
    assert found.sentence == "held by bob: Friday"


def test_a_hold_is_lifted_by_a_later_greenlight_of_the_same_person():
    found = settled((said("bob", "hold", 10), said("bob", "greenlight", 11)), SIGNATURE)
    assert (found.state, found.by) == ("greenlit", ("bob",))


def test_an_older_greenlight_told_again_lifts_no_hold():
    assert settled((said("bob", "hold", 11), said("bob", "greenlight", 10)), SIGNATURE).state == "held"


def test_of_two_decisions_dated_alike_the_more_careful_stands():
    assert settled((said("bob", "hold"), said("bob", "greenlight")), SIGNATURE).state == "held"


def test_the_order_in_which_decisions_are_read_changes_nothing():
    told = [said("alice", "greenlight", 9), said("bob", "hold", 10), said("bob", "greenlight", 11)]
    assert settled(told, TWO_SIGNATURES) == settled(reversed(told), TWO_SIGNATURES)


@pytest.mark.parametrize("last", ["hold", "greenlight"])
def test_whose_last_word_has_lapsed_says_nothing_and_what_it_took_back_stays_taken_back(last):
    found = settled([said("alice", "greenlight", hour=9)], SIGNATURE, [said("alice", last, hour=10)])
    assert (found.state, found.by) == ("waiting", ())


def test_what_lapsed_before_somebodys_last_word_changes_nothing():
    found = settled([said("alice", "greenlight", hour=10)], SIGNATURE, [said("alice", "hold", hour=9)])
    assert (found.state, found.by) == ("greenlit", ("alice",))


def test_a_reject_stands_though_its_author_said_something_since_that_has_lapsed():
    found = settled([said("alice", "reject", hour=9)], SIGNATURE, [said("alice", "greenlight", hour=10)])
    assert found.state == "rejected"
