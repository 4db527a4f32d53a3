"""Feast's view of the workload ``broadcast``: one entity, two feature views, and the service a model is trained on.

Only declarations belong here: how features are computed is the workload's ``derive``. The source is one file or
folder, named relative to the repository path a feature store is opened with: each run opens its own snapshot's folder,
so one registry serves all snapshots and a training set follows from its snapshot alone.
"""

from datetime import timedelta

from feast import Entity, FeatureService, FeatureView, Field, FileSource
from feast.types import Float64, String
from feast.value_type import ValueType

TTL = timedelta(days=30)
LABELS = ("rating", "revenue", "audience", "engagement")

SLOT = [
    Field(name="network", dtype=String),
    Field(name="country", dtype=String),
    Field(name="genre", dtype=String),
    Field(name="kind", dtype=String),
    Field(name="slot", dtype=String),
    Field(name="weekday", dtype=String),
    Field(name="hour", dtype=Float64),
    Field(name="slot_minutes", dtype=Float64),
    Field(name="promo_spots", dtype=Float64),
    Field(name="season_cos", dtype=Float64),
    Field(name="season_sin", dtype=Float64),
    Field(name="lead_in_genre", dtype=String),
    Field(name="lead_in_audience", dtype=Float64),
    Field(name="lead_in_rating", dtype=Float64),
]

HISTORY = [
    Field(name="airings_before", dtype=Float64),
    Field(name="days_since_previous", dtype=Float64),
    *(Field(name=f"{when}_{label}", dtype=Float64) for when in ("previous", "recent", "slot") for label in LABELS),
]


def objects(source_path: str = "features.parquet") -> list[FileSource | Entity | FeatureView | FeatureService]:
    """Return every Feast object of the workload, reading features from *source_path*, a file or a folder."""
    source = FileSource(
        name="broadcast", path=source_path, timestamp_field="airs_at", created_timestamp_column="created"
    )
    programme = Entity(
        name="programme", join_keys=["programme"], value_type=ValueType.STRING, description="a programme, by its name"
    )
    key = Field(name="programme", dtype=String)
    slot = FeatureView(
        name="broadcast_slot",
        entities=[programme],
        ttl=TTL,
        schema=[key, *SLOT],
        source=source,
        description="what is aired when and where: the slot, the programme's kind, and what it follows",
    )
    history = FeatureView(
        name="broadcast_history",
        entities=[programme],
        ttl=TTL,
        schema=[key, *HISTORY],
        source=source,
        description="what earlier days say of the programme and of the slot",
    )
    service = FeatureService(
        name="broadcast", features=[slot, history], description="every feature a broadcast model may see"
    )
    return [source, programme, slot, history, service]


# The names under which `feast apply` finds them.
source, programme, broadcast_slot, broadcast_history, broadcast = objects()
