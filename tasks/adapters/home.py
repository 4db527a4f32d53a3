"""The home of this process: its store, its scratch folder, the fan-out it may use. The faces' way to the settings."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Literal

from tasks.adapters import checkpoints, environment, leftovers
from tasks.adapters.cached import near
from tasks.adapters.checkpoints import Notes
from tasks.adapters.leftovers import own_folder
from tasks.adapters.lock import workload_lock
from tasks.adapters.provenance import code_digest
from tasks.adapters.registry import Registry
from tasks.adapters.settings import cores, settings
from tasks.adapters.signing import Signer, service_signer
from tasks.adapters.store import Store, open_store
from tasks.core.estimators import pick_device
from tasks.core.learners.lesson import Device
from tasks.errors import BadRequest

_held: ContextVar[frozenset[str]] = ContextVar("held", default=frozenset())


def root() -> Path:
    """Return the home folder, absolute."""
    return settings().root


@lru_cache(maxsize=16)
def _store(uri: str) -> Store:
    return open_store(uri)


@lru_cache(maxsize=4)
def _near(uri: str, root: Path) -> Store:
    return near(_store(uri), root)


def store() -> Store:
    """Return the object store the settings name."""
    return _near(settings().store_uri, root())


def mirrors() -> tuple[Store, ...]:
    """Return the stores that follow the first; raises BadRequest where one is named twice."""
    uris = settings().mirrors
    if len({settings().store_uri, *uris}) <= len(uris):
        raise BadRequest(f"a store is named twice: GREENLIGHT_MIRRORS {' '.join(uris)} besides {settings().store_uri}")
    return tuple(map(_store, uris))


@lru_cache(maxsize=1)
def signer() -> Signer:
    """Return the service's signer, made on first use."""
    return service_signer(root() / "keys")


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Return the model registry: MLflow's usual variable names a server, else a SQLite file in the home."""
    return Registry(root() / "mlflow", settings().mlflow_uri.get_secret_value())


def workers() -> int:
    """Return how many candidates may be trained at once."""
    return settings().workers or cores()


def runner() -> Literal["threads", "dask"]:
    """Return what trains candidates side by side."""
    return settings().runner


def cluster_address() -> str:
    """Return where the Dask cluster's scheduler listens; empty for a cluster of this machine's own."""
    return settings().dask_address


def store_uri() -> str:
    """Return the address of the store."""
    return settings().store_uri


def studies_database() -> str:
    """Return the database tuning keeps its studies in; empty: journals in the home."""
    return settings().tuning_storage.get_secret_value()


def warehouse() -> str:
    """Return the database vectors and tables are written to; empty: none."""
    return settings().warehouse.get_secret_value()


def device() -> Device:
    """Return where models train: what the settings say, else a GPU if there is one."""
    return pick_device(settings().device)


def notes(workload: str) -> Notes:
    """Return where fits of this code leave their checkpoints; another code would not know what to do with them."""
    return Notes(root() / "checkpoints" / workload / code_digest()[:16])


def born(folder: str) -> str:
    """Return a name that *folder* of the home keeps until it is deleted, so that what it held is made again then."""
    path = root() / folder / ".born"
    if not path.exists():
        with own_folder(path.parent) as unfinished:
            (unfinished / "born").write_text(uuid.uuid4().hex)
            (unfinished / "born").replace(path)
    return path.read_text()


@contextmanager
def hold(workload: str, run: str, *, wait_seconds: float = 0) -> Iterator[None]:
    """Hold the workload's lock meanwhile, and begin by sweeping what killed runs left; raises RunInProgress.

    Whoever holds it already and calls a flow that asks for it, goes on holding it.
    """
    if workload in _held.get():
        yield
        return
    # A worker's flow run comes by no command line of ours: every flow passes here before a library does anything.
    environment.confine(root(), workers())
    with workload_lock(root() / "locks", workload, run, wait_seconds):
        before = _held.set(_held.get() | {workload})
        try:
            sweep(workload)
            yield
        finally:
            _held.reset(before)


@contextmanager
def scratch(workload: str, use: str = "run") -> Iterator[Path]:
    """Yield a folder of the home that is gone afterwards, however this process ends."""
    with own_folder(root() / "tmp", f"{workload}-{use}-") as made:
        yield made


def sweep(workload: str) -> None:
    """Remove what killed processes left: scratch of *workload*, and half-made keys, registries and features."""
    leftovers.sweep(root() / "tmp", f"{workload}-")
    checkpoints.sweep(root() / "checkpoints" / workload)
    for folder in ("keys", "mlflow", "feast"):
        leftovers.sweep(root() / folder)
