"""The stores under test, what enrichment is tested with, and a champion of scored days, for every test here."""

from tests.enriching import second, server, world
from tests.scored_days import learnt
from tests.stores import cloud, emulators, place

__all__ = ["cloud", "emulators", "learnt", "place", "second", "server", "world"]
