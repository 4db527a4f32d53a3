"""A circuit breaker as a value: after so many failures in a row a provider is left alone for a while, then tried once.

Where it is kept between runs, and what the time is, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Breaker:
    """How often a provider failed in a row, and when (seconds since 1970) it was last left alone for it."""

    failures: int = 0
    opened_at: float | None = None


@dataclass(frozen=True)
class Fuse:
    """After how many failures in a row it opens, and for how long."""

    failures: int = 5
    open_seconds: float = 60.0


CLOSED = Breaker()


def after_failure(breaker: Breaker, fuse: Fuse, now: float) -> Breaker:
    """Return the breaker after one more failure; it opens, or opens anew where the one try that was let in failed."""
    failures = breaker.failures + 1
    return Breaker(failures, now if failures >= fuse.failures else None)


def closed_in(breaker: Breaker, fuse: Fuse, now: float) -> float:
    """Return in how many seconds a request is let in; 0: now. A clock that was set back keeps nobody out for ever."""
    if breaker.opened_at is None or now < breaker.opened_at:
        return 0.0
    return max(0.0, breaker.opened_at + fuse.open_seconds - now)
