from dataclasses import replace

from tasks.core.stores import Agreement, Kept, Shown, StoreState, divergences, lags

FIRST = Shown("shops", "prod", "v2", "d2", 5, whole=True)
PRIMARY = StoreState("file:///a", (FIRST,), (("shops", 5),))


def test_all_stores_are_wanted_where_the_policy_names_no_number():
    two = Agreement((Kept("a"), Kept("b", "it did not answer")))
    assert (two.agreed, two.missing(None), two.missing(2), two.missing(1)) == (1, 1, 1, 0)
    assert two.sentence == "1 of 2 stores hold it; b does not: it did not answer"


def test_more_stores_than_there_are_cannot_be_wanted():
    assert Agreement((Kept("a"), Kept("b"))).missing(5) == 0


def test_a_mirror_that_shows_the_same_does_not_diverge():
    assert [*divergences(PRIMARY, replace(PRIMARY, uri="b"))] == []


def test_a_mirror_behind_says_by_how_many_entries_and_what_it_shows():
    behind = StoreState("b", (replace(FIRST, version="v1", digest="d1", number=3),), (("shops", 3),))
    assert lags(PRIMARY, behind) == {"shops": 2}
    assert [*divergences(PRIMARY, behind)] == [
        "shops: 2 ledger entries behind",
        "shops in prod: shows v1, the primary v2",
    ]


def test_a_mirror_ahead_is_told_from_one_behind():
    ahead = replace(PRIMARY, uri="b", entries=(("shops", 6), ("tours", 1)))
    assert lags(PRIMARY, ahead) == {"shops": -1, "tours": -1}
    assert "shops: 1 ledger entries ahead of the primary" in divergences(PRIMARY, ahead)


def test_a_ring_only_one_of_them_knows_is_a_divergence():
    assert [*divergences(PRIMARY, replace(PRIMARY, shown=()))] == ["shops in prod: shows nothing, the primary v2"]
    more = replace(PRIMARY, shown=(FIRST, replace(FIRST, ring="qa")))
    assert [*divergences(PRIMARY, more)] == ["shops in qa: shows v2, the primary nothing"]


def test_missing_files_diverge_also_in_the_primary_itself():
    cut = replace(PRIMARY, shown=(replace(FIRST, whole=False),))
    assert [*divergences(cut, cut)] == ["shops in prod: files of v2 are missing or cut"]


def test_a_store_that_cannot_be_looked_at_diverges_by_its_own_words():
    assert [*divergences(PRIMARY, StoreState("b", trouble="it did not answer"))] == ["it did not answer"]


def test_days_a_mirror_lacks_or_has_otherwise_are_counted_and_its_older_ones_are_not():
    first, second, third = (f"predictions/shops/2026-11-{day}/prod.json" for day in (19, 20, 21))
    primary = replace(PRIMARY, days=((first, "a"), (second, "b"), (third, "c")))
    assert [*divergences(primary, replace(primary, uri="b", days=(("older", "o"), *primary.days)))] == []
    assert [*divergences(primary, replace(primary, uri="b", days=((first, "a"), (second, "x"))))] == [
        f"2 of 3 published days are missing or not the same, newest {third}"
    ]
