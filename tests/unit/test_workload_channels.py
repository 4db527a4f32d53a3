import math
from dataclasses import replace
from datetime import UTC, datetime

import polars as pl
import pytest

from tasks.errors import Misdeclared, UnknownWorkload
from tasks.workloads import WORKLOADS, get
from tasks.workloads.channels import CHANNELS, derive
from tasks.workloads.spec import POLARS_TYPES, Archetypes, Candidate, Holdout, Influence, Slice, Target


def row(**values):
    empty = {column.name: pl.Series([None], dtype=POLARS_TYPES[column.type]) for column in CHANNELS.columns}
    given = {"observed_at": datetime(2023, 1, 1, tzinfo=UTC), "created_year": 2013, "created_month": 1} | values
    typed = {name: pl.Series([value], dtype=empty[name].dtype) for name, value in given.items()}
    return derive(pl.DataFrame(empty | typed).lazy()).collect().row(0, named=True)


def test_age_counts_from_when_the_row_was_seen_and_not_from_today():
    assert math.isclose(row()["age_years"], 10.0, abs_tol=0.01)


def test_a_channel_without_uploads_has_an_unknown_number_of_them():
    found = row(uploads=0, video_views=1_000)
    assert found["uploads_total"] is None and found["views_per_upload"] is None


def test_ratios_are_what_their_names_say():
    found = row(uploads=200, video_views=1_000_000, subscribers=50_000, views_30d=10_000)
    assert found["views_per_upload"] == 5_000
    assert found["views_per_subscriber"] == 20
    assert found["recent_view_share"] == 0.01
    assert found["recent_views_per_upload"] == 50


def test_recent_views_above_all_views_are_no_share():
    assert row(video_views=100, views_30d=200)["recent_view_share"] is None


def test_a_row_with_only_what_a_user_knows_still_has_those_features():
    found = row(uploads=100, category="Music", country="India")
    assert all(found[name] is not None for name in CHANNELS.always_known)


def test_every_declared_feature_comes_out_of_derive():
    assert set(CHANNELS.feature_names) <= set(row())


def test_earnings_never_see_the_views_they_are_computed_from():
    seen = {feature.name for feature in CHANNELS.features_for(CHANNELS.target("earnings"))}
    assert not seen & {"views_last_30d", "recent_view_share", "recent_views_per_upload"}


def test_an_unknown_workload_names_the_known_ones():
    with pytest.raises(UnknownWorkload, match="channels"):
        get("chanels")


def test_the_registry_names_workloads_as_they_name_themselves():
    assert all(name == workload.name for name, workload in WORKLOADS.items())


def archetype(subject: str, quantile: float = 0.5) -> Archetypes:
    """Return archetypes of uploads with one rule, on *subject*."""
    return Archetypes(("uploads",), (), {"x": ((subject, "high", quantile),)})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": "Channels!"}, "lower-case identifier"),
        ({"entity": "channel_id"}, "entity 'channel_id' is not a declared column"),
        ({"event_time": "when"}, "event time 'when' is not a declared column"),
        ({"newest_year": "year"}, "newest_year names 'year'"),
        ({"targets": ()}, "no target"),
        ({"candidates": ()}, "no candidate"),
        ({"candidates": (Candidate("catbost"),)}, "no algorithm is called 'catbost'; there are elastic_net"),
        ({"features": (*CHANNELS.features, CHANNELS.features[0])}, "declared twice"),
        ({"targets": (Target("x", "nowhere", "", ""),)}, "reads column 'nowhere'"),
        ({"targets": (Target("x", "subscribers", "", "", blind_to=("nothing",)),)}, "blind to nothing"),
        ({"targets": (Target("x", "rank", "", "", previous="nothing"),)}, "takes 'nothing' for its previous value"),
        ({"holdout": Holdout(by="time")}, "a holdout by time takes block_hours above 0 and 1 repeat, not 0 and 2"),
        ({"slices": (Slice("s", "nowhere"),)}, "slice 's' reads 'nowhere'"),
        ({"slices": (Slice("s", "uploads", (1.0,), ("few",)),)}, "needs 2 labels"),
        ({"group": "nowhere"}, "group 'nowhere'"),
        ({"always_known": ("nothing",)}, "always_known names nothing"),
        ({"archetypes": Archetypes(("uplods",), (), {})}, "archetypes look at uplods"),
        ({"archetypes": Archetypes(("uploads",), ("rank",), {})}, "take the log of rank"),
        ({"archetypes": archetype("video_views")}, "'x' has a rule on 'video_views', which is not among"),
        ({"archetypes": archetype("categry=Music")}, "'x' has a rule on 'categry', which is neither a column"),
        ({"archetypes": archetype("uploads", 1.5)}, r"asks for 'high' 1\.5"),
        ({"influence": Influence(("county",), ("subscribers",))}, "influence reads county"),
        ({"influence": Influence(("country",), ("views",))}, "influence reads views"),
        ({"influence": Influence(("country",), (), {"country": "code"})}, "influence reads code"),
        ({"influence": Influence(("country",), (), {"category": "country"})}, "codes for category"),
    ],
)
def test_a_misdeclared_workload_fails_with_a_sentence(change, sentence):
    with pytest.raises(Misdeclared, match=sentence):
        replace(CHANNELS, **change)
