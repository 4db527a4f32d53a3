"""What was observed of a champion, kept where all workers see it: an automatic rollback asks for several in a row.

Each is one object, named by its moment; whether they ask for a rollback is core's word. They are grouped by the ledger
entry of the champion they were made on, so that nobody reads what was seen of another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from tasks.adapters.store import Store, read_bytes
from tasks.core.digests import canonical_json
from tasks.core.rollback import Observation, Rule
from tasks.errors import BadRequest, HomeDamaged

OBSERVATION: TypeAdapter[Observation] = TypeAdapter(Observation)


def record(store: Store, workload: str, ring: str, seen: Observation) -> None:
    """Keep *seen*; of two words on one moment the newer stands, because labels come late.

    Raises BadRequest where its time is none, or names no zone.
    """
    seen = replace(seen, at=_moment(seen.at))
    key = f"{_folder(workload, ring, seen.champion)}{re.sub('[:.+]', '-', seen.at)}-{seen.trigger}.json"
    store.put(key, canonical_json(seen))


def of_champion(
    store: Store, workload: str, ring: str, champion: int, rules: Iterable[Rule]
) -> tuple[Observation, ...]:
    """Return what was observed of the champion of that ledger entry, oldest first: as much as *rules* look back on.

    More is not read: a champion is looked at for months.
    """
    keys = sorted(store.list(_folder(workload, ring, champion)))
    newest = (key for rule in rules for key in _of_trigger(keys, rule)[-rule.persistence :])
    return tuple(_read(store, key) for key in sorted(set(newest)))


def _of_trigger(keys: Sequence[str], rule: Rule) -> list[str]:
    return [key for key in keys if key.endswith(f"-{rule.trigger}.json")]


def _folder(workload: str, ring: str, champion: int) -> str:
    return f"observations/{workload}/{ring}/{champion:06}/"


def _moment(text: str) -> str:
    """Return the moment in one zone and one spelling, so that the order of names is the order of time."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequest(f"{text!r} is no moment in ISO 8601, so nothing was observed: {error}") from error
    if found.tzinfo is None:
        raise BadRequest(f"{text!r} names no time zone, so nothing was observed; write 2026-11-21T10:00:00+00:00")
    return found.astimezone(UTC).isoformat(timespec="microseconds")


def _read(store: Store, key: str) -> Observation:
    try:
        return OBSERVATION.validate_json(read_bytes(store, key))
    except ValidationError as error:
        raise HomeDamaged(f"{key} in {store.uri} cannot be read: restore it from a backup, or delete it") from error
