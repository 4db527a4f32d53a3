"""What is different from the champion: two bundles, fact by fact, so that whoever decides reads what changed first.

Pure: facts in, changes out. Where the facts come from belongs to the adapters, how a change is shown to the page, and
whether the input has drifted to ``profile_shift``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Fact = int | float | str
Facts = Mapping[str, Fact]
Part = Literal["targets served", "data", "features", "model", "code", "environment"]


@dataclass(frozen=True)
class Known:
    """What one bundle says of itself: everything by name. ``features`` and ``models`` are by target."""

    serves: tuple[str, ...]
    data: Facts
    features: Mapping[str, Mapping[str, str]]
    made_by: str
    models: Mapping[str, Facts]
    code: Facts
    environment: Facts


@dataclass(frozen=True)
class Change:
    """One fact under the champion and under the challenger; None where there is none of it."""

    part: Part
    what: str
    before: Fact | None
    after: Fact | None

    @property
    def same(self) -> bool:
        """Whether nothing changed."""
        return self.before == self.after


def differences(before: Known | None, after: Known) -> tuple[Change, ...]:
    """Return every fact of both, in the order an operator asks; *before* is None where there is no champion."""
    champion = before or Known((), {}, {}, "", {}, {}, {})
    return (
        Change("targets served", "targets", _listed(champion.serves) if before else None, _listed(after.serves)),
        *_changes("data", champion.data, after.data),
        *_features(before, after),
        *_models(champion, after),
        *_changes("code", champion.code, after.code),
        *_changes("environment", champion.environment, after.environment),
    )


def _changes(part: Part, before: Facts, after: Facts, prefix: str = "") -> Iterator[Change]:
    for name in dict.fromkeys((*after, *before)):
        yield Change(part, prefix + name, before.get(name), after.get(name))


def _models(before: Known, after: Known) -> Iterator[Change]:
    for target in dict.fromkeys((*after.models, *before.models)):
        yield from _changes("model", before.models.get(target, {}), after.models.get(target, {}), f"{target}: ")


def _features(before: Known | None, after: Known) -> Iterator[Change]:
    """Yield the number of features of each target, then each that was added, removed or is of another type."""
    known = before.features if before else {}
    for target in dict.fromkeys((*after.features, *known)):
        was, now = known.get(target), after.features.get(target)
        yield Change("features", f"{target}: features", _count(was), _count(now))
        if was is not None and now is not None:
            yield from (each for each in _changes("features", was, now, f"{target}: ") if not each.same)
    yield Change("features", "how they are made", before.made_by if before else None, after.made_by)


def _count(features: Mapping[str, str] | None) -> int | None:
    return None if features is None else len(features)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"
