"""Feast's view of the workload ``channels``: one entity, two feature views, and the service a model is trained on.

Only declarations belong here: how features are computed is the workload's ``derive``. The source is one file or
folder, named relative to the repository path a feature store is opened with: each run opens its own snapshot's folder,
so one registry serves all snapshots and a training set follows from its snapshot alone.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float64, String
from feast.value_type import ValueType

TTL = timedelta(days=30)

PROFILE = [
    Field(name="age_years", dtype=Float64),
    Field(name="category", dtype=String),
    Field(name="country", dtype=String),
    Field(name="channel_type", dtype=String),
    Field(name="country_population", dtype=Float64),
    Field(name="country_urban_share", dtype=Float64),
    Field(name="country_unemployment", dtype=Float64),
    Field(name="country_tertiary_enrolment", dtype=Float64),
]

ACTIVITY = [
    Field(name="uploads_total", dtype=Float64),
    Field(name="uploads_per_year", dtype=Float64),
    Field(name="views_total", dtype=Float64),
    Field(name="views_per_upload", dtype=Float64),
    Field(name="views_per_year", dtype=Float64),
    Field(name="subscribers_now", dtype=Float64),
    Field(name="views_per_subscriber", dtype=Float64),
    Field(name="views_last_30d", dtype=Float64),
    Field(name="recent_view_share", dtype=Float64),
    Field(name="recent_views_per_upload", dtype=Float64),
]


def objects(source_path: str = "features.parquet") -> list[FileSource | Entity | FeatureView | FeatureService]:
    """Return every Feast object of the workload, reading features from *source_path*, a file or a folder."""
    source = FileSource(
        name="channels", path=source_path, timestamp_field="observed_at", created_timestamp_column="created"
    )
    channel = Entity(
        name="channel", join_keys=["channel"], value_type=ValueType.STRING, description="a YouTube channel, by its name"
    )
    key = Field(name="channel", dtype=String)
    profile = FeatureView(
        name="channel_profile",
        entities=[channel],
        ttl=TTL,
        schema=[key, *PROFILE],
        source=source,
        description="what a channel is: its age, its category, its country and that country's figures",
    )
    activity = FeatureView(
        name="channel_activity",
        entities=[channel],
        ttl=TTL,
        schema=[key, *ACTIVITY],
        source=source,
        description="what a channel does and how it is watched: uploads, views and their ratios",
    )
    service = FeatureService(
        name="channels", features=[profile, activity], description="every feature a channels model may see"
    )
    return [source, channel, profile, activity, service]


# The names under which `feast apply` finds them.
source, channel, channel_profile, channel_activity, channels = objects()
