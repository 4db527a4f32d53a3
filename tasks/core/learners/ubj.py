"""Walks through UBJSON (https://ubjson.org, draft 12) to its end and reads nothing of it.

XGBoost's own reader trusts every length: it runs past the end of a document that is cut, and the process dies of it.
"""

from __future__ import annotations

# Bytes of a value by its marker.
WIDTHS = {b: w for w, markers in {0: b"ZNTF", 1: b"iUC", 2: b"I", 4: b"ld", 8: b"LD"}.items() for b in markers}
LENGTHS = frozenset(b"iUIlL")


def check(data: bytes) -> None:
    """Raise ValueError unless *data* is one whole UBJSON object, ends included and nothing behind it."""
    try:
        end = _object(data, 1) if data[:1] == b"{" else -1
    except (IndexError, RecursionError) as error:
        raise ValueError(f"its {len(data)} bytes end in the middle") from error
    if end != len(data):
        raise ValueError(f"its {len(data)} bytes are no UBJSON object")


def _value(data: bytes, at: int) -> int:
    """Return where the value whose marker is at *at* ends."""
    marker = data[at]
    if marker in b"SH":
        size, start = _length(data, at + 1)
        return _within(data, start + size)
    if marker == ord("{"):
        return _object(data, at + 1)
    return _array(data, at + 1) if marker == ord("[") else _within(data, at + 1 + _width(marker))


def _object(data: bytes, at: int) -> int:
    while data[at] != ord("}"):
        size, start = _length(data, at)
        at = _value(data, _within(data, start + size))
    return at + 1


def _array(data: bytes, at: int) -> int:
    """One kind and a count come before the values of a typed array, a count before those of another."""
    kind = None
    if data[at] == ord("$"):
        kind, at = data[at + 1], at + 2
    if data[at] == ord("#"):
        items, at = _length(data, at + 1)
        if kind is not None:
            return _within(data, at + items * _width(kind))
        for _ in range(items):
            at = _value(data, at)
        return at
    while data[at] != ord("]"):
        at = _value(data, at)
    return at + 1


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return the length whose marker is at *at*, and where what it counts begins."""
    if data[at] not in LENGTHS:
        raise ValueError(f"byte {at} is no length")
    end = _within(data, at + 1 + WIDTHS[data[at]])
    return int.from_bytes(data[at + 1 : end], "big"), end


def _width(marker: int) -> int:
    if marker not in WIDTHS:
        raise ValueError(f"{bytes([marker])!r} is no kind of value")
    return WIDTHS[marker]


def _within(data: bytes, end: int) -> int:
    if end > len(data):
        raise IndexError(end)
    return end
