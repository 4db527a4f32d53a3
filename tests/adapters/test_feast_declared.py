"""The Feast objects of each workload and its declaration say the same."""

from __future__ import annotations

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest

from tasks.adapters import feast_store  # noqa: F401  (makes `import feast` cheap)
from tasks.workloads import WORKLOADS
from tasks.workloads.spec import Workload

from feast import Entity, FeatureService, FeatureView  # isort: skip
from feast.types import Array, Float64, String  # isort: skip

DTYPES = {"float": Float64, "category": String, "series": Array(Float64), "text": String}


def objects(spec: Workload, kind: type, *path: str) -> list[Any]:
    return [each for each in import_module(f"feature_repo.{spec.name}").objects(*path) if isinstance(each, kind)]


@pytest.fixture(params=WORKLOADS.values(), ids=list(WORKLOADS))
def spec(request: pytest.FixtureRequest) -> Workload:
    found: Workload = request.param
    return found


def test_the_views_hold_exactly_the_declared_features_in_their_types(spec: Workload) -> None:
    views = objects(spec, FeatureView)
    held = {field.name: field.dtype for view in views for field in view.features}

    assert held == {feature.name: DTYPES[feature.type] for feature in spec.features}
    assert sum(len(view.features) for view in views) == len(spec.features)


def test_the_entity_and_the_time_are_the_workloads(spec: Workload) -> None:
    (entity,) = objects(spec, Entity)
    views = objects(spec, FeatureView)

    assert entity.join_key == spec.entity
    assert {tuple(view.entities) for view in views} == {(entity.name,)}
    assert {view.batch_source.timestamp_field for view in views} == {spec.event_time}
    assert {view.ttl for view in views} == {timedelta(days=30)}


def test_the_service_is_named_as_the_workload_and_offers_every_view(spec: Workload) -> None:
    (service,) = objects(spec, FeatureService)

    assert service.name == spec.name
    assert [each.name for each in service.feature_view_projections] == [
        each.name for each in objects(spec, FeatureView)
    ]


def test_the_source_is_named_without_a_home_so_that_definitions_are_the_same_everywhere(spec: Workload) -> None:
    assert {view.batch_source.path for view in objects(spec, FeatureView)} == {"features.parquet"}
    assert {view.batch_source.path for view in objects(spec, FeatureView, "elsewhere")} == {"elsewhere"}


def test_no_two_workloads_share_the_name_of_a_view_or_a_source() -> None:
    """One registry serves all: a name that is taken twice would be the later one's."""
    named = [each.name for spec in WORKLOADS.values() for each in objects(spec, FeatureView)]
    assert len(named) == len(set(named))
