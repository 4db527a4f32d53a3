"""Feast's view of the workload ``content``: one entity, three feature views, and the service a model is trained on.

Only declarations belong here: how features are computed is the workload's ``derive``. The source is named relative to
the repository path, as in the neighbours.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Array, Float64, String
from feast.value_type import ValueType

TTL = timedelta(days=30)
KNOWN = ("trend", "like_rate", "comment_rate", "quality", "views", "momentum")
WORDING = ("chars", "words", "capitals", "digits", "asks", "exclaims", "marks", "emoji")

PLANNED = [
    Field(name="title", dtype=String),
    Field(name="tags", dtype=String),
    *(Field(name=f"title_{what}", dtype=Float64) for what in WORDING),
    Field(name="tag_count", dtype=Float64),
    Field(name="tag_chars", dtype=Float64),
    Field(name="tags_in_title", dtype=Float64),
    Field(name="hour", dtype=Float64),
    Field(name="weekday", dtype=String),
    Field(name="minutes", dtype=Float64),
    Field(name="country", dtype=String),
    Field(name="category", dtype=String),
    Field(name="subscribers", dtype=Float64),
]

RECORD = [
    *(Field(name=f"{whose}_{what}", dtype=Float64) for whose in ("category", "channel") for what in KNOWN),
    Field(name="channel_videos", dtype=Float64),
    Field(name="channel_pause", dtype=Float64),
]

RESULTS = [Field(name="results", dtype=Array(Float64))]


def objects(source_path: str = "features.parquet") -> list[FileSource | Entity | FeatureView | FeatureService]:
    """Return every Feast object of the workload, reading features from *source_path*, a file or a folder."""
    source = FileSource(
        name="content", path=source_path, timestamp_field="published_at", created_timestamp_column="created"
    )
    video = Entity(
        name="video",
        join_keys=["video"],
        value_type=ValueType.STRING,
        description="a video, in a country if it has one",
    )
    key = Field(name="video", dtype=String)
    views = [
        FeatureView(
            name=f"content_{name}",
            entities=[video],
            ttl=TTL,
            schema=[key, *fields],
            source=source,
            description=description,
        )
        for name, fields, description in (
            ("planned", PLANNED, "what is decided before it is published"),
            ("record", RECORD, "how its channel and niche stood before it"),
            ("results", RESULTS, "the last results of its channel, or of its niche"),
        )
    ]
    service = FeatureService(name="content", features=[*views], description="every feature a model of content may see")
    return [source, video, *views, service]


# The names under which `feast apply` finds them.
source, video, content_planned, content_record, content_results, content = objects()
