"""The stores that are measured."""

from tests.stores import cloud, emulators, place

__all__ = ["cloud", "emulators", "place"]
