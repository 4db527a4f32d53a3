"""The feature store of a home: what the flow asks of Feast, and the only module that opens one.

Features of a snapshot lie under ``feast/offline/<workload>/<snapshot digest>``. Definitions name their source relative
to the folder a feature store is opened with, so every snapshot is served by one registry, two runs never read each
other's features, and the digest of the definitions is the same in every home. How rows are joined or stored does not
belong here: see the plug-ins beside this module.
"""

from __future__ import annotations

import fcntl
import importlib
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import polars as pl
import typeguard

from tasks.adapters.parquet import replacing, write_batches, write_parquet
from tasks.adapters.settings import settings
from tasks.core.digests import digest_of
from tasks.errors import HomeDamaged, Misdeclared, Unreachable
from tasks.workloads.spec import FEATURE_TYPES, POLARS_TYPES, Workload


@contextmanager
def _quick_import() -> Iterator[None]:
    """Import Feast in a third of the time, as of Feast 0.67.

    It leaves torch (2 CPU seconds, 190 MB) until somebody asks for a tensor, and Feast's classes without typeguard's
    instrumentation, which parses a module again for each of its methods (5 CPU seconds); mypy checks our calls. What
    its servers would measure is left out too: that makes a folder, which stays where a process is killed.
    """
    stub: Any = types.ModuleType("feast.torch_wrapper")
    stub.get_torch = lambda: importlib.import_module("torch")
    sys.modules.setdefault("feast.torch_wrapper", stub)
    sys.modules.setdefault("feast.metrics", types.ModuleType("feast.metrics"))
    instrumented = typeguard.typechecked
    vars(typeguard)["typechecked"] = lambda target=None, **_how: target
    try:
        yield
    finally:
        vars(typeguard)["typechecked"] = instrumented


with _quick_import():
    import feast.feature_store
from feast import FeatureService, FeatureStore, FeatureView, RepoConfig  # noqa: E402
from feast.errors import FeatureServiceNotFoundException  # noqa: E402
from google.protobuf.json_format import MessageToDict  # noqa: E402

from tasks.adapters.feast_answer import PolarsRetrievalJob  # noqa: E402
from tasks.adapters.feast_check import KEYS_PER_READ, held_online  # noqa: E402
from tasks.adapters.feast_parts import MORSEL_ROWS  # noqa: E402
from tasks.adapters.feast_polars import EVENT  # noqa: E402
from tasks.adapters.feast_sqlite import CompactSqliteOnlineStore  # noqa: E402

# Feast narrates materialization on standard output, which is the command's own.
vars(feast.feature_store)["print"] = lambda *_words, **_how: None

PROJECT = "greenlight"
SOURCE = "features.parquet"
CREATED = "created"
ROW = "_row"
# Joined in parts of this many rows, so that ten million stay under 1 GB.
BUCKET_ROWS = 100_000


@dataclass(frozen=True)
class MaterializedRows:
    """Rows of features in the snapshot, and entities whose newest values are online."""

    offline: int
    online: int


def write_features(spec: Workload, accepted: Path, home: Path, snapshot_digest: str) -> Path:
    """Derive the features of the *accepted* rows and write them where the snapshot's features belong.

    Of two rows of one entity at one time, the later in the source counts as created later, by a microsecond a row.
    """
    rows = spec.derive(pl.scan_parquet(accepted))
    to = _folder(spec, home, snapshot_digest) / SOURCE
    created = (pl.col(spec.event_time) + pl.duration(microseconds=pl.col(ROW))).alias(CREATED)
    features = [pl.col(each.name).cast(FEATURE_TYPES[each.type]) for each in spec.features]
    with pl.Config(streaming_chunk_size=MORSEL_ROWS):
        write_parquet(rows.select(spec.entity, spec.event_time, created, *features), to)
    return to


def apply(spec: Workload, home: Path, snapshot_digest: str) -> str:
    """Register the workload's definitions if they changed; return their digest. Safe for several processes at once."""
    objects = _objects(spec)
    digest = _definitions_digest(objects)
    with _lock(home), _opened(spec, home, snapshot_digest) as store:
        if _registered(store, spec) != digest:
            _service(objects).tags["definitions"] = digest
            store.apply(objects)
    return digest


def materialize(spec: Workload, home: Path, snapshot_digest: str) -> MaterializedRows:
    """Carry the snapshot's newest features online; count on both sides and raise HomeDamaged if any is missing there.

    What is online already and newer stays.
    """
    rows = pl.scan_parquet(_features(spec, home, snapshot_digest))
    count, first, last = _extent(rows, spec.event_time)
    if first is None or last is None:
        return MaterializedRows(offline=count, online=0)
    with _opened(spec, home, snapshot_digest) as store:
        views = _views(store, spec)
        store.materialize(first, last, feature_views=[view.name for view in views])
        held = held_online(store, views, rows, spec.entity, spec.event_time)
    for name, count_online in held.items():
        if count_online.found != count_online.wanted:
            raise HomeDamaged(
                f"workload {spec.name!r}: feature view {name!r} has {count_online.found} of {count_online.wanted} "
                f"entities online after materializing {first} to {last}; delete {home / 'feast' / 'online.sqlite'} "
                "and run again"
            )
    return MaterializedRows(offline=count, online=max(each.wanted for each in held.values()))


def training_rows(spec: Workload, home: Path, accepted: Path, to: Path, *, snapshot_digest: str) -> int:
    """Write to *to* one row per *accepted* row with the features known at its time; return the number of rows.

    Columns: entity, event time, ``_row``, target columns, slice and group columns that are no features, every feature.
    Rows are in ``_row`` order. Raises GreenlightError when rows out are not rows in.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    _features(spec, home, snapshot_digest)
    with _opened(spec, home, snapshot_digest) as store:
        service = _declared_service(store, spec)
        entities = _entity_rows(spec, accepted).rename({spec.event_time: EVENT})
        job = cast(PolarsRetrievalJob, store.get_historical_features(entity_df=cast(Any, entities), features=service))
        columns = [*_frame_columns(spec), *spec.feature_names]
        named = pl.Schema({spec.event_time if name == EVENT else name: dtype for name, dtype in job.schema.items()})
        batches = (each.rename({EVENT: spec.event_time}).select(columns) for each in job.batches(to.parent))
        with replacing(to) as part:
            written = write_batches(batches, pl.Schema({name: named[name] for name in columns}), part)
            job.check(written)
    return written


def online_features(spec: Workload, home: Path, entity_keys: Sequence[str | int]) -> pl.DataFrame:
    """Return the newest features of each key, in the keys' order; a key nobody knows has none."""
    schema = {spec.entity: _entity_type(spec)} | {each.name: FEATURE_TYPES[each.type] for each in spec.features}
    parts = [pl.DataFrame(schema=schema)]
    with _opened(spec, home, "") as store:
        service = _declared_service(store, spec)
        for start in range(0, len(entity_keys), KEYS_PER_READ):
            asked = {spec.entity: list(entity_keys[start : start + KEYS_PER_READ])}
            found = store.get_online_features(features=service, entity_rows=asked).to_dict()
            parts.append(pl.DataFrame({name: found[name] for name in schema}, schema=schema))
    return pl.concat(parts)


def _folder(spec: Workload, home: Path, snapshot_digest: str) -> Path:
    return home / "feast" / "offline" / spec.name / snapshot_digest


def _features(spec: Workload, home: Path, snapshot_digest: str) -> Path:
    path = _folder(spec, home, snapshot_digest) / SOURCE
    if not path.exists():
        raise HomeDamaged(f"workload {spec.name!r}: no features at {path}; write the snapshot's features again")
    return path


def _config(spec: Workload, home: Path, snapshot_digest: str) -> RepoConfig:
    root = home.resolve() / "feast"
    return RepoConfig(
        project=PROJECT,
        provider="local",
        registry={
            "registry_type": "sql",
            "path": f"sqlite:///{root / 'registry.sqlite'}?timeout=60",
            "cache_ttl_seconds": 60,
            # A killed run leaves a view marked as materializing; what it holds is whole and is served.
            "serve_features_while_materializing": True,
        },
        offline_store={"type": "tasks.adapters.feast_polars.PolarsOfflineStore", "bucket_rows": BUCKET_ROWS},
        online_store=_online(root),
        batch_engine={"type": "tasks.adapters.feast_engine.PolarsComputeEngine"},
        entity_key_serialization_version=3,
        repo_path=_folder(spec, home.resolve(), snapshot_digest),
    )


def _online(root: Path) -> dict[str, Any]:
    if settings().online == "redis":
        return {"type": "redis", "connection_string": settings().redis.connection.get_secret_value()}
    return {
        "type": "tasks.adapters.feast_sqlite.CompactSqliteOnlineStore",
        "path": str(root / "online.sqlite"),
    }


@contextmanager
def _opened(spec: Workload, home: Path, snapshot_digest: str) -> Iterator[FeatureStore]:
    """Lend a feature store whose source is the snapshot's folder, and close its connections."""
    (home / "feast").mkdir(parents=True, exist_ok=True)
    store = FeatureStore(config=_config(spec, home, snapshot_digest))
    try:
        yield store
    except _refusals() as error:
        raise Unreachable(
            f"workload {spec.name!r}: the online store redis did not answer ({error}); start it, or name another "
            "in GREENLIGHT_REDIS__CONNECTION, then run again"
        ) from error
    finally:
        _close(store)


def _refusals() -> tuple[type[Exception], ...]:
    """Return what the configured online store's library raises; Redis is an extra and may not be installed."""
    if settings().online != "redis":
        return ()
    from redis.exceptions import RedisError

    return (RedisError,)


def _close(store: FeatureStore) -> None:
    online = store._get_provider().online_store
    if isinstance(online, CompactSqliteOnlineStore):
        online.disconnect()
    cast(Any, store.registry).write_engine.dispose()


@contextmanager
def _lock(home: Path) -> Iterator[None]:
    """Let one process at a time create and change the registry."""
    path = home / "locks" / "feast.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def _objects(spec: Workload) -> list[Any]:
    """Return fresh Feast objects from ``feature_repo/<workload>.py``."""
    try:
        module = importlib.import_module(f"feature_repo.{spec.name}")
    except ModuleNotFoundError as error:
        raise Misdeclared(
            f"workload {spec.name!r} has no Feast objects; write feature_repo/{spec.name}.py after a neighbour"
        ) from error
    return list(module.objects(SOURCE))


def _service(objects: Sequence[Any]) -> FeatureService:
    return next(each for each in objects if isinstance(each, FeatureService))


def _definitions_digest(objects: Sequence[Any]) -> str:
    """Digest what is declared, not when or where it was registered."""
    return digest_of(sorted((_undated(MessageToDict(each.to_proto())) for each in objects), key=digest_of))


def _undated(declared: Any) -> Any:
    if isinstance(declared, dict):
        return {name: _undated(value) for name, value in declared.items() if name != "meta"}
    return [_undated(each) for each in declared] if isinstance(declared, list) else declared


def _declared_service(store: FeatureStore, spec: Workload) -> FeatureService:
    try:
        return store.get_feature_service(spec.name)
    except FeatureServiceNotFoundException as error:
        raise HomeDamaged(
            f"workload {spec.name!r} is not in the feature registry of this home; apply its definitions, then run again"
        ) from error


def _registered(store: FeatureStore, spec: Workload) -> str:
    try:
        return str(store.get_feature_service(spec.name).tags.get("definitions", ""))
    except FeatureServiceNotFoundException:
        return ""


def _views(store: FeatureStore, spec: Workload) -> list[FeatureView]:
    service = _declared_service(store, spec)
    return [store.get_feature_view(projection.name) for projection in service.feature_view_projections]


def _extent(rows: pl.LazyFrame, event_time: str) -> tuple[int, datetime | None, datetime | None]:
    at = pl.col(event_time)
    found = rows.select(pl.len().alias("count"), at.min().alias("first"), at.max().alias("last"))
    count, first, last = found.collect(engine="streaming").row(0)
    return count, first, last


def _frame_columns(spec: Workload) -> list[str]:
    """Return the columns a training set carries beside its features."""
    declared = {column.name for column in spec.columns}
    judged = [target.column for target in spec.targets] + [part.column for part in spec.slices] + [spec.group]
    known = [spec.holdout.known_at] if spec.holdout.known_at else []
    beside = [name for name in judged if name in declared and name not in spec.feature_names]
    return list(dict.fromkeys([spec.entity, spec.event_time, ROW, spec.witness, *known, *beside]))


def _entity_rows(spec: Workload, accepted: Path) -> pl.LazyFrame:
    rows = pl.scan_parquet(accepted).select(_frame_columns(spec))
    in_order = rows.select((pl.col(ROW).diff() > 0).all()).collect(engine="streaming").item()
    return rows if in_order else rows.sort(ROW)


def _entity_type(spec: Workload) -> Any:
    return next(POLARS_TYPES[column.type] for column in spec.columns if column.name == spec.entity)
