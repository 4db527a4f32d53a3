"""The stores under test, for every test here."""

from tests.stores import cloud, emulators, place

__all__ = ["cloud", "emulators", "place"]
