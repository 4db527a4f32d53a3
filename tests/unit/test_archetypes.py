from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tasks.core.archetype_names import name_clusters
from tasks.core.archetype_summary import LEFT_OUT, OUTLIER, ClusterCount
from tasks.core.archetypes import choose, find_archetypes
from tasks.errors import DataRejected
from tasks.workloads.spec import Archetypes

RULES = {
    "busy and small": (("uploads", "high", 0.6), ("growth", "low", 0.4)),
    "quiet and growing": (("uploads", "low", 0.4), ("growth", "high", 0.6)),
}
SPEC = Archetypes(features=("uploads", "growth"), log=("uploads", "growth"), rules=RULES)


def three_groups(each: int = 100, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    centres = [(8.0, 4.0), (3.0, 9.0), (5.5, 6.5)]
    points = np.concatenate([draw.normal(centre, 0.3, (each, 2)) for centre in centres])
    truth = np.repeat(["busy", "growing", "middle"], each)
    return pl.DataFrame(
        {"_row": np.arange(len(points)), "uploads": np.expm1(points[:, 0]), "growth": np.expm1(points[:, 1])}
    ).with_columns(category=pl.Series(truth))


def count(k: int, silhouette: float, ari: float = 0.9, largest: float = 0.5) -> ClusterCount:
    return ClusterCount(k, silhouette, ari, ari, largest)


def test_three_planted_groups_are_found_and_those_that_fit_a_rule_are_named():
    found = find_archetypes(three_groups(), SPEC, seed=7)
    assert found.summary.chosen.k == 3
    assert found.summary.stable
    assert {a.name for a in found.summary.archetypes} == {"busy and small", "quiet and growing", "unnamed A"}
    joined = three_groups().join(found.assignments, on="_row").filter(pl.col("archetype") != OUTLIER)
    assert joined.group_by("category", "archetype").len().height == 3


def test_every_row_is_in_an_archetype_an_outlier_or_left_out():
    rows = three_groups().with_columns(
        uploads=pl.when(pl.col("_row") < 5).then(None).otherwise(pl.col("uploads")),
        growth=pl.when(pl.col("_row") < 2).then(None).otherwise(pl.col("growth")),
    )
    found = find_archetypes(rows, SPEC, seed=7)
    summary = found.summary
    assert summary.rows_left_out == 2
    assert found.assignments.height == rows.height
    assert sum(a.rows for a in summary.archetypes) + summary.rows_outlying + summary.rows_left_out == 300
    assert found.assignments.filter(pl.col("archetype") == LEFT_OUT)["_row"].to_list() == [0, 1]
    assert found.assignments["complete"].sum() == 295


def test_a_far_away_row_is_an_outlier():
    far = pl.DataFrame({"_row": [999], "uploads": [1e12], "growth": [1e12], "category": ["odd"]})
    found = find_archetypes(pl.concat([three_groups().cast({"_row": pl.Int64}), far]), SPEC, seed=7)
    assert found.assignments.filter(pl.col("_row") == 999)["archetype"].to_list() == [OUTLIER]


def test_rows_beyond_the_sample_are_judged_by_the_same_radius(monkeypatch):
    monkeypatch.setattr("tasks.core.archetypes.FIT_ROWS", 200)
    far = pl.DataFrame({"_row": [999], "uploads": [1e12], "growth": [1e12], "category": ["odd"]})
    found = find_archetypes(pl.concat([three_groups().cast({"_row": pl.Int64}), far]), SPEC, seed=7)
    assert found.summary.rows_fitted <= 200
    assert found.assignments.filter(pl.col("_row") == 999)["archetype"].to_list() == [OUTLIER]
    assert sum(a.rows for a in found.summary.archetypes) > 250


def test_the_same_rows_and_seed_give_the_same_answer():
    one, two = (find_archetypes(three_groups(), SPEC, seed=7) for _ in range(2))
    assert one.summary == two.summary
    assert one.assignments.equals(two.assignments)


def test_names_do_not_depend_on_the_order_of_the_clusters():
    ranks = [{"uploads": 0.9, "growth": 0.1}, {"uploads": 0.2, "growth": 0.9}, {"uploads": 0.5, "growth": 0.5}]
    assert name_clusters(ranks, SPEC) == {0: "busy and small", 1: "quiet and growing"}
    assert name_clusters(ranks[::-1], SPEC) == {2: "busy and small", 1: "quiet and growing"}


def test_a_name_goes_to_the_best_fit_only():
    ranks = [{"uploads": 0.7, "growth": 0.3}, {"uploads": 0.95, "growth": 0.05}]
    assert name_clusters(ranks, SPEC) == {1: "busy and small"}


def test_a_tie_leaves_both_unnamed():
    ranks = [{"uploads": 0.9, "growth": 0.1}, {"uploads": 0.9, "growth": 0.1}]
    assert name_clusters(ranks, SPEC) == {}


def test_a_rule_on_a_category_asks_how_much_commoner_it_is_than_everywhere():
    spec = Archetypes(SPEC.features, SPEC.log, {"the busy": (("category=busy", "high", 0.6),)})
    named = {a.name: a.typical["category"] for a in find_archetypes(three_groups(), spec, seed=7).summary.archetypes}
    assert named["the busy"] == ("busy", 1.0)


def test_the_smallest_of_equally_good_stable_counts_is_chosen():
    assert choose([count(2, 0.30), count(3, 0.505), count(4, 0.51)]).k == 3


def test_an_unstable_count_is_chosen_only_when_none_is_stable_and_says_so():
    assert choose([count(2, 0.3), count(3, 0.9, ari=0.5)]).k == 2
    chosen = choose([count(2, 0.3, ari=0.1), count(3, 0.9, ari=0.5)])
    assert chosen.k == 3
    assert not chosen.stable


def test_one_cluster_holding_nearly_everything_is_no_archetype():
    assert choose([count(2, 0.8, largest=0.93), count(3, 0.3)]).k == 3


def test_noise_is_reported_as_unstable():
    draw = np.random.default_rng(3)
    noise = pl.DataFrame(
        {"_row": np.arange(400), "uploads": draw.uniform(1, 2, 400), "growth": draw.uniform(1, 2, 400)}
    )
    spec = Archetypes(("uploads", "growth"), (), {})
    found = find_archetypes(noise, spec, seed=7).summary
    assert not all(tried.stable for tried in found.tried)
    assert all(not archetype.named_by_rule for archetype in found.archetypes)


@pytest.mark.parametrize("lost", ["absent", "null"])
def test_a_feature_the_source_lacks_is_left_aside_and_its_rules_name_nothing(lost):
    spec = Archetypes(("uploads", "growth", "views"), (), RULES | {"seen": (("views", "high", 0.0),)})
    rows = three_groups()
    rows = rows if lost == "absent" else rows.with_columns(views=pl.lit(None, dtype=pl.Float64))
    found = find_archetypes(rows, spec, seed=7).summary
    assert found.features == ("uploads", "growth")
    assert found.rows_left_out == 0
    assert "seen" not in {archetype.name for archetype in found.archetypes}


def test_one_feature_alone_makes_no_archetypes():
    with pytest.raises(DataRejected, match="two features"):
        find_archetypes(three_groups().drop("growth"), SPEC, seed=7)


def test_too_few_complete_rows_are_refused_with_both_numbers():
    with pytest.raises(DataRejected, match=r"50 rows .* 30 of 30"):
        find_archetypes(three_groups(10), SPEC, seed=7)
