"""Flows in this very process: a Prefect API starts while what is slow is imported, and hears all at the end."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

from deployments.server import prefect_api
from tasks.adapters import home


@contextmanager
def at_prefect(slow_to_import: Sequence[str]) -> Iterator[None]:
    """Have a Prefect API and everything imported meanwhile."""
    with prefect_api(home.root()) as ready:
        _import_all(slow_to_import)
        ready()
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker
        from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

        # A flow run in this process needs no heartbeat, and joining its thread costs a second per flow.
        with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
            try:
                yield
            finally:
                # What the server has not heard by now it never will.
                APILogWorker.drain_all(timeout=5)
                EventsWorker.drain_all(timeout=5)


def _import_all(modules: Sequence[str]) -> None:
    """Import what is slow. It stays to the end: looking through it for garbage, at exit most of all, took seconds."""
    gc.disable()
    for module in modules:
        import_module(module)
    gc.freeze()
    gc.enable()
