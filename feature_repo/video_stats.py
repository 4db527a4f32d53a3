"""Feast's view of the workload ``video_stats``: one entity, three feature views, and the service a model is trained on.

Only declarations belong here: how features are computed is the workload's ``derive``. The source is named relative to
the repository path, as in the neighbours.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Array, Float64, String
from feast.value_type import ValueType

TTL = timedelta(days=30)
COUNTS = ("views", "likes", "comments")
HOURS = (6, 24, 72)
KEPT = ("previous", "growth", "carried", "trend")

ASKED = [
    Field(name="category", dtype=String),
    Field(name="country", dtype=String),
    Field(name="weekday", dtype=String),
    Field(name="hour", dtype=Float64),
    Field(name="hours_ahead", dtype=Float64),
    Field(name="age_hours", dtype=Float64),
]

GROWTH = [
    *(Field(name=f"{what}_{count}", dtype=Float64) for what in KEPT for count in COUNTS),
    *(Field(name=f"growth_{count}_{hours}h", dtype=Float64) for hours in HOURS for count in COUNTS),
    *(Field(name=f"views_per_hour_{hours}h", dtype=Float64) for hours in HOURS),
    Field(name="trend_state", dtype=String),
    Field(name="like_rate", dtype=Float64),
    Field(name="comment_rate", dtype=Float64),
    Field(name="looks_before", dtype=Float64),
]

HISTORY = [Field(name="history", dtype=Array(Float64))]


def objects(source_path: str = "features.parquet") -> list[FileSource | Entity | FeatureView | FeatureService]:
    """Return every Feast object of the workload, reading features from *source_path*, a file or a folder."""
    source = FileSource(
        name="video_stats", path=source_path, timestamp_field="observed_at", created_timestamp_column="created"
    )
    video = Entity(
        name="video_id", join_keys=["video_id"], value_type=ValueType.STRING, description="a video, by its identifier"
    )
    key = Field(name="video_id", dtype=String)

    def view(name: str, fields: list[Field], description: str) -> FeatureView:
        return FeatureView(
            name=f"video_{name}",
            entities=[video],
            ttl=TTL,
            schema=[key, *fields],
            source=source,
            description=description,
        )

    asked = view("asked", ASKED, "which moment is asked for, and what the video is")
    growth = view("growth", GROWTH, "what the last look showed, and how the counts grew until then")
    history = view("history", HISTORY, "the last looks themselves, for learners of sequences")
    service = FeatureService(
        name="video_stats", features=[asked, growth, history], description="every feature a model of videos may see"
    )
    return [source, video, asked, growth, history, service]


# The names under which `feast apply` finds them.
source, video, video_asked, video_growth, video_history, video_stats = objects()
