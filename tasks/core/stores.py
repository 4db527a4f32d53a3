"""What several stores have to agree on: who holds a bundle whole, and whether each shows readers what the first shows.

The first store is the primary: it holds the ledger that decides. How the others are brought up to it is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Kept:
    """What one store says of having all of a bundle; ``because`` is empty where it has, byte for byte."""

    uri: str
    because: str = ""


@dataclass(frozen=True)
class Agreement:
    """What every store says of one bundle, the primary first."""

    stores: tuple[Kept, ...]

    @property
    def agreed(self) -> int:
        """How many stores hold the bundle, verified."""
        return len(self.stores) - len(self.laggards)

    @property
    def laggards(self) -> tuple[Kept, ...]:
        """Those that do not."""
        return tuple(each for each in self.stores if each.because)

    def missing(self, required: int | None) -> int:
        """Return how many stores are missing of those *required*; None wants all of them."""
        return max(0, min(required or len(self.stores), len(self.stores)) - self.agreed)

    @property
    def sentence(self) -> str:
        """What a person reads."""
        said = f"{self.agreed} of {len(self.stores)} stores hold it"
        return "; ".join((said, *(f"{each.uri} does not: {each.because}" for each in self.laggards)))


@dataclass(frozen=True)
class Shown:
    """What readers of one store find serving in a ring; ``whole`` says whether every file of its bundle is there."""

    workload: str
    ring: str
    version: str
    digest: str
    number: int
    whole: bool


@dataclass(frozen=True)
class StoreState:
    """One row of the matrix. ``entries`` counts each workload's ledger entries; ``verified_at`` is when this home last
    compared every byte. ``trouble`` says why it could not be looked at, empty where it could. ``days`` are the newest
    published ones, oldest first: where each manifest lies, and its digest."""

    uri: str
    shown: tuple[Shown, ...] = ()
    entries: tuple[tuple[str, int], ...] = ()
    verified_at: str = ""
    trouble: str = ""
    days: tuple[tuple[str, str], ...] = ()


def lags(primary: StoreState, other: StoreState) -> dict[str, int]:
    """Return how many ledger entries *other* is behind, by workload; below zero it is ahead."""
    has = dict(other.entries)
    behind = {workload: entries - has.pop(workload, 0) for workload, entries in primary.entries}
    return {workload: by for workload, by in (behind | {name: -ahead for name, ahead in has.items()}).items() if by}


def divergences(primary: StoreState, other: StoreState) -> Iterator[str]:
    """Yield a sentence for everything in which *other* differs from *primary*."""
    if other.trouble:
        yield other.trouble
        return
    for workload, by in lags(primary, other).items():
        yield f"{workload}: {abs(by)} ledger entries {'behind' if by > 0 else 'ahead of the primary'}"
    wanted = {(each.workload, each.ring): each for each in primary.shown}
    found = {(each.workload, each.ring): each for each in other.shown}
    for workload, ring in sorted(wanted.keys() | found.keys()):
        yield from _differs(wanted.get((workload, ring)), found.get((workload, ring)))
    there = dict(other.days)
    gone = [key for key, digest in primary.days if there.get(key) != digest]
    if gone:
        yield f"{len(gone)} of {len(primary.days)} published days are missing or not the same, newest {gone[-1]}"


def _differs(wanted: Shown | None, found: Shown | None) -> Iterator[str]:
    if found is not None and not found.whole:
        yield f"{found.workload} in {found.ring}: files of {found.version} are missing or cut"
    if (wanted and wanted.digest) != (found and found.digest):
        where = wanted or found
        assert where is not None
        yield (
            f"{where.workload} in {where.ring}: shows {found.version if found else 'nothing'}, "
            f"the primary {wanted.version if wanted else 'nothing'}"
        )
