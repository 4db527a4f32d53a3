"""The stores under test, and what enrichment is tested with, for every test here."""

from tests.enriching import second, server, world
from tests.stores import cloud, emulators, place

__all__ = ["cloud", "emulators", "place", "second", "server", "world"]
