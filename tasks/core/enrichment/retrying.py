"""Which failure is worth asking again, and how long to wait first. Pure: the clock and the chance are handed in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Request Timeout and Too Many Requests: the only refusals that may turn out otherwise by themselves (RFC 9110, 6585).
PASSING = frozenset({408, 429})


@dataclass(frozen=True)
class Patience:
    """How often one provider is asked for one row, and how long is waited between."""

    attempts: int = 4
    first_seconds: float = 1.0
    longest_seconds: float = 60.0


def retryable(status: int) -> bool:
    """Say whether the same request may be answered later: never after another refusal (4xx)."""
    return status in PASSING or 500 <= status < 600


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """Return how long a ``Retry-After`` asks to wait, in seconds or until a date; None where it says nothing usable."""
    text = (header or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, ((until if until.tzinfo else until.replace(tzinfo=UTC)) - now).total_seconds())


def wait_seconds(patience: Patience, failures: int, told: float | None, draw: float) -> float | None:
    """Return how long to wait after so many *failures* of a row; None: not again.

    Exponential with full jitter (M. Brooker, "Exponential Backoff And Jitter", 2015): *draw* in [0, 1) of the ceiling.
    It is never shorter than what the provider *told*; whoever tells to wait too long is not waited for.
    """
    if failures >= patience.attempts or (told is not None and told > patience.longest_seconds):
        return None
    ceiling = min(patience.longest_seconds, patience.first_seconds * 2.0 ** (failures - 1))
    return max(told or 0.0, draw * ceiling)
