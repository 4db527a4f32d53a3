"""What a store no longer needs: which versions may go, which blobs nothing names, and since when nothing does.

Reading and deleting belong to the adapters.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")


@dataclass(frozen=True)
class Sweep:
    """What is remembered from one collection to the next.

    ``marks``: since when (ISO 8601) a blob is named by nothing. ``deleting``: what is being deleted, not later than
    ``until``. ``forgotten``: files of retired bundles, which old records still name. ``number`` makes every note
    another: a store may tell two of the same content apart by nothing else.
    """

    marks: Mapping[str, str] = field(default_factory=dict)
    deleting: tuple[str, ...] = ()
    until: str = ""
    forgotten: tuple[str, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class Collected:
    """What a collection found, and what it deleted or, in a dry run, would delete.

    ``waiting``: the blobs that nothing names and that stay for now, each with since when (ISO 8601) that is known.
    """

    blobs: int
    unnamed: int
    retired: tuple[str, ...]
    deleted: tuple[str, ...]
    deleted_bytes: int
    waiting: Mapping[str, str]
    dry_run: bool


def digests_in(raw: bytes) -> frozenset[str]:
    """Return everything in a document that is written like a digest: a form nobody thought of keeps its blobs too."""
    return frozenset(found.decode() for found in DIGEST.findall(raw))


def marked(known: Mapping[str, str], unnamed: AbstractSet[str], now: datetime) -> dict[str, str]:
    """Return since when each unnamed blob is unnamed; one that is named again has lost its mark."""
    return {digest: known.get(digest, now.isoformat()) for digest in sorted(unnamed)}


def due(marks: Mapping[str, str], now: datetime, grace: timedelta) -> tuple[str, ...]:
    """Return the blobs that have been unnamed for *grace*."""
    return tuple(digest for digest, since in marks.items() if datetime.fromisoformat(since) <= now - grace)


def retired(measured: Mapping[str, str], keep: int, protected: AbstractSet[str]) -> Sequence[str]:
    """Return the versions to retire: all but the *keep* measured last and the *protected*.

    One without a date counts as the newest, since nobody knows better.
    """
    newest_first = sorted(measured, key=lambda version: (not measured[version], measured[version]), reverse=True)
    return [version for version in newest_first[keep:] if version not in protected]
