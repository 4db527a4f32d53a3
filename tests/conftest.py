"""What holds for every test: nothing it starts outlives the tests, even if killed; it reads its own settings."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests import watchdog

# The same examples in every run and on every machine, and no judgement of how fast they are drawn or tried.
LENIENT = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("ours", derandomize=True, deadline=None, database=None, suppress_health_check=LENIENT)
settings.load_profile("ours")

# Files are shared among workers in this order, then as they are found: none that lasts minutes is begun at the end.
LONGEST_FIRST = (
    *("test_kills", "test_promote_asks", "test_score", "test_up", "test_misuse", "test_deploy", "test_road"),
    *("test_drift_acceptance", "test_cloud_store", "test_incident_flood", "test_promote_rings", "test_break_glass"),
)

# What a process asks the environment for once, by module.
ASKED_ONCE = {"tasks.adapters.settings": ("settings",), "tasks.adapters.home": ("signer", "registry")}


def pytest_configure() -> None:
    watchdog.start()


def pytest_unconfigure() -> None:
    watchdog.stop()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(autouse=True)
def own_settings() -> Iterator[None]:
    """Forget after each test which home and settings it worked with; what was never loaded has nothing to forget."""
    yield
    for module, names in ASKED_ONCE.items():
        for name in names if module in sys.modules else ():
            getattr(sys.modules[module], name).cache_clear()
