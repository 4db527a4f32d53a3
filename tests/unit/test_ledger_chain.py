from dataclasses import replace

import pytest

from tasks.core.ledger_chain import Anchor, digest_of_entry, first_break, link, same_change
from tasks.core.values import Entry


def draft(version="v1", ring="dev", kind="promotion"):
    return Entry(
        "channels", 0, kind, ring, version, "d" * 64, ("subscribers",), "e", "p", "policy", "r", "2026", "", "k"
    )


def chain(*drafts):
    entries = []
    for each in drafts:
        entries.append(link(each, entries[-1] if entries else None))
    return entries


def three():
    return chain(draft("v1"), draft("v2"), draft("v3"))


def test_entries_are_numbered_and_hold_the_digest_of_the_one_before():
    one, two, _ = three()
    assert (one.number, one.previous) == (1, "")
    assert (two.number, two.previous) == (2, digest_of_entry(one))


def test_a_whole_ledger_has_no_break():
    assert first_break(three()) is None
    assert first_break([]) is None


@pytest.mark.parametrize("field", ["version", "reason", "at", "ring", "decided_by", "policy", "evidence"])
def test_a_changed_entry_breaks_the_chain_after_it(field):
    entries = three()
    entries[0] = replace(entries[0], **{field: "other"})
    assert first_break(entries).number == 2


def test_a_removed_entry_is_found_where_it_is_missing():
    one, _, three_ = three()
    broken = first_break([one, three_])
    assert broken.number == 2
    assert "says it is number 3, wanted 2" in broken.reason


def test_a_cut_off_end_is_found_by_an_anchor_only():
    entries = three()
    anchor = Anchor(3, digest_of_entry(entries[2]))
    assert first_break(entries, anchor) is None
    assert first_break(entries[:2]) is None
    assert first_break(entries[:2], anchor).number == 3
    assert "its end was cut off" in first_break(entries[:2], anchor).reason


def test_of_two_anchors_the_one_that_does_not_hold_is_found():
    one, two, three_ = three()
    behind, ahead = Anchor(1, digest_of_entry(one)), Anchor(3, digest_of_entry(three_))
    assert first_break([one, two, three_], behind, ahead) is None
    assert first_break([one, two], behind, ahead).number == 3


def test_a_ledger_written_anew_is_found_by_an_anchor():
    forged = chain(draft("v1"), draft("v2"), draft("v4"))
    assert first_break(forged, Anchor(3, digest_of_entry(three()[2]))).number == 3


def test_an_entry_of_another_workload_breaks_the_chain():
    one = link(draft(), None)
    two = link(replace(draft("v2"), workload="tracks"), one)
    assert "belongs to the workload tracks" in first_break([one, two]).reason


def test_the_same_change_is_the_same_whenever_it_was_written():
    entry = link(draft(), None)
    assert same_change(entry, replace(entry, number=9, previous="x", at="later"))
    for field in ("version", "ring", "kind", "run_key", "serves", "manifest_digest"):
        assert not same_change(entry, replace(entry, **{field: "other"}))
