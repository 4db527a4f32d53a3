"""One spelling for a value, so that equal values have equal digests on every machine: canonical JSON and its sha256.

Nothing here knows what a value means or where it is kept.
"""

from __future__ import annotations

import hashlib
import json
import math
import numbers
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from typing import Any

from tasks.errors import BadRequest

NOT_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}


def canonical_json(value: Any) -> bytes:
    """Return *value* as JSON in its one spelling (sorted keys, no spaces, ASCII); BadRequest for a strange type."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def digest_of(value: Any) -> str:
    """Return the sha256 (hex) of the canonical JSON of *value*."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def digest_of_bytes(data: bytes) -> str:
    """Return the sha256 (hex) of *data* itself."""
    return hashlib.sha256(data).hexdigest()


def plain(value: Any) -> Any:
    """Return *value* made of dicts, lists, strings, numbers, booleans and None only.

    A float that is no number becomes the string ``NaN``, ``Infinity`` or ``-Infinity``, because JSON has no word for
    it. A function becomes its qualified name: its code is covered by the digest of the code.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return _float(float(value))
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    return _container(value)


def _container(value: Any) -> Any:
    if isinstance(value, Mapping):
        return _mapping(value)
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, AbstractSet):
        return sorted((plain(item) for item in value), key=canonical_json)
    if isinstance(value, date):
        return value.isoformat()
    if callable(value) and hasattr(value, "__qualname__"):
        return f"{value.__module__}.{value.__qualname__}"
    raise BadRequest(
        f"a value of type {type(value).__module__}.{type(value).__qualname__} has no canonical JSON; "
        "hand over a dataclass, a mapping, a sequence, text, a number or a date"
    )


def _mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    found = {str(key): plain(item) for key, item in value.items()}
    if len(found) != len(value):
        raise BadRequest(f"a mapping has {len(value)} keys but only {len(found)} as text; use keys that stay different")
    return found


def _float(value: float) -> float | str:
    return value if math.isfinite(value) else NOT_FINITE[str(value)]
