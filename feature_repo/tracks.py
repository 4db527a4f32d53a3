"""Feast's view of the workload ``tracks``: one entity, two feature views, and the service a model is trained on.

Only declarations belong here: how features are computed is the workload's ``derive``. The source is one file or
folder, named relative to the repository path a feature store is opened with: each run opens its own snapshot's folder,
so one registry serves all snapshots and a training set follows from its snapshot alone.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float64, String
from feast.value_type import ValueType

TTL = timedelta(days=30)

SOUND = [
    Field(name="danceability", dtype=Float64),
    Field(name="energy", dtype=Float64),
    Field(name="speechiness", dtype=Float64),
    Field(name="acousticness", dtype=Float64),
    Field(name="instrumentalness", dtype=Float64),
    Field(name="liveness", dtype=Float64),
    Field(name="valence", dtype=Float64),
    Field(name="loudness", dtype=Float64),
    Field(name="bpm", dtype=Float64),
    Field(name="minutes", dtype=Float64),
    Field(name="pitch", dtype=String),
    Field(name="scale", dtype=String),
    Field(name="beats", dtype=String),
    Field(name="section_count", dtype=Float64),
]

RELEASE = [
    Field(name="genre", dtype=String),
    Field(name="release_decade", dtype=Float64),
    Field(name="release_month", dtype=Float64),
]


def objects(source_path: str = "features.parquet") -> list[FileSource | Entity | FeatureView | FeatureService]:
    """Return every Feast object of the workload, reading features from *source_path*, a file or a folder."""
    source = FileSource(
        name="tracks", path=source_path, timestamp_field="observed_at", created_timestamp_column="created"
    )
    track = Entity(
        name="track_id", join_keys=["track_id"], value_type=ValueType.STRING, description="a track, by its own name"
    )
    key = Field(name="track_id", dtype=String)
    sound = FeatureView(
        name="tracks_sound",
        entities=[track],
        ttl=TTL,
        schema=[key, *SOUND],
        source=source,
        description="what the track sounds like",
    )
    release = FeatureView(
        name="tracks_release",
        entities=[track],
        ttl=TTL,
        schema=[key, *RELEASE],
        source=source,
        description="when and as what it was released",
    )
    service = FeatureService(
        name="tracks", features=[sound, release], description="every feature a model of tracks may see"
    )
    return [source, track, sound, release, service]


# The names under which `feast apply` finds them.
source, track, tracks_sound, tracks_release, tracks = objects()
