"""Where a version stands, by what the ledger says of each ring."""

from tasks.core.rings import rolled_back_by, stands_in
from tasks.core.values import Entry


def entry(number, kind, ring, version):
    return Entry("shops", number, kind, ring, version, "", (), "", "", "policy", "why", "", "")


def test_a_version_stands_where_it_was_let_out_and_nowhere_else():
    entries = [entry(1, "promotion", "dev", "a"), entry(2, "hold", "qa", "a")]
    assert stands_in(entries, "dev", "a")
    assert not stands_in(entries, "qa", "a")
    assert not stands_in(entries, "dev", "b")
    assert not stands_in([], "dev", "a")


def test_one_that_was_replaced_by_a_better_one_still_stands():
    assert stands_in([entry(1, "promotion", "dev", "a"), entry(2, "promotion", "dev", "b")], "dev", "a")


def test_one_that_was_rolled_back_from_stands_no_more_until_it_is_let_out_again():
    entries = [entry(1, "promotion", "dev", "a"), entry(2, "promotion", "dev", "b"), entry(3, "rollback", "dev", "a")]
    assert stands_in(entries, "dev", "a")
    assert not stands_in(entries, "dev", "b")
    assert stands_in([*entries, entry(4, "promotion", "dev", "b")], "dev", "b")


def test_a_rollback_in_another_ring_takes_nothing_away():
    entries = [entry(1, "promotion", "dev", "a"), entry(2, "promotion", "qa", "b"), entry(3, "rollback", "qa", "c")]
    assert stands_in(entries, "dev", "a")
    assert not stands_in(entries, "qa", "b")


def test_the_rollback_away_from_a_version_is_found_until_it_is_let_out_again():
    entries = [entry(1, "promotion", "dev", "a"), entry(2, "promotion", "dev", "b"), entry(3, "rollback", "dev", "a")]
    assert rolled_back_by(entries, "dev", "b") == entries[2]
    assert rolled_back_by(entries, "dev", "a") is None
    assert rolled_back_by(entries, "qa", "b") is None
    assert rolled_back_by([*entries, entry(4, "promotion", "dev", "b")], "dev", "b") is None
    assert rolled_back_by([*entries, entry(4, "rollback", "dev", "b")], "dev", "b") is None
