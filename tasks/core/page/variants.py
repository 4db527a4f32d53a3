"""The ways a network was run when its bundle was made: how fast, how exact, and which of them serves.

Words and figures only; which one is chosen is ``tasks.core.variants``.
"""

from __future__ import annotations

from collections.abc import Sequence

from tasks.core import variants
from tasks.core.drawing import percent, short
from tasks.core.page.paper import Table
from tasks.core.page.sheet import Ran
from tasks.core.page.wording import as_words
from tasks.core.variants import Speed

HEADER = (
    "variant",
    "target",
    "serves",
    "a row alone, ms (95 %)",
    f"rows/s by {variants.SMALL_BATCH}",
    f"rows/s by {variants.LARGE_BATCH:,}",
    "KiB",
    "error",
    "largest move",
    "within the budget",
)
UNKNOWN = "–"


def ways(found: Sequence[Ran]) -> Table:
    """Return one line per target and variant, in the order they were tried."""
    caption = (
        "Processor time in one thread on the machine that made the bundle. Served is the fastest within the budget "
        f"that is faster than simpler ones by {percent(variants.MARGIN)}: on the holdout at most "
        f"{percent(variants.BUDGET, 1)} more error than the fitted weights, and no answer moved by more than "
        f"{variants.APART_MOST:g} standard deviations of the label."
    )
    return Table(caption, HEADER, tuple(map(_line, found)))


def _line(ran: Ran) -> tuple[str, ...]:
    score = ran.score
    return (
        score.name,
        as_words(ran.target),
        "serves" if score.chosen else "",
        *_times(ran.speed),
        f"{score.size / 1024:,.1f}" if score.size else UNKNOWN,
        UNKNOWN if score.error is None else short(score.error),
        UNKNOWN if score.apart is None else f"{score.apart:.2g}",
        "yes" if score.within else f"no: {score.reason}",
    )


def _times(speed: Speed | None) -> tuple[str, str, str]:
    if speed is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    alone = f"{speed.p50_ms:.3g} ({speed.p95_ms:.3g})"
    return alone, f"{speed.small_rows_per_second:,.0f}", f"{speed.large_rows_per_second:,.0f}"
