"""How the page spells numbers, ranges and names. What it says belongs to its sections."""

from __future__ import annotations

import math
import re

from markupsafe import Markup

from tasks.core.drawing import percent
from tasks.core.values import Interval

NBSP = "\u00a0"
MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::\d\d(?:\.\d+)?)?(?:\+00:00|Z)(?![\w:])")
# What would turn the order of the letters after it round, or has no place in a page: it is spelt out instead.
UNSEEN = (*range(9), 11, 12, *range(14, 32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
SPELT_OUT = {code: f"\\u{code:04x}" for code in (*UNSEEN, *range(0xD800, 0xE000))}


def as_range(interval: Interval) -> str:
    """Return an interval as text, in per cent."""
    return f"{percent(interval.low).removesuffix(NBSP + '%')} to {percent(interval.high)}"


def as_bracket(interval: Interval) -> str:
    """Return a share with its interval in brackets, in per cent with one decimal."""
    low, high = (percent(bound, 1).removesuffix(NBSP + "%") for bound in (interval.low, interval.high))
    return f"{percent(interval.value, 1)} [{low}, {high}]"


def as_moments(text: str) -> str:
    """Return *text* with every moment in UTC in the one form the page has: 2026-11-21 09:00 UTC."""
    return MOMENT.sub(rf"\1 \2{NBSP}UTC", text)


def as_sentence(text: str) -> str:
    """Return *text* with a capital and a full stop."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith(('.', '!', '?')) else '.'}" if text else ""


def as_words(name: str) -> str:
    """Return a name with spaces for underscores."""
    return name.replace("_", " ")


def as_clock(seconds: float) -> str:
    """Return a duration in the unit a person would use."""
    return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def as_figure(value: float) -> str:
    """Return a figure with two decimals, a dash where it is no number."""
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else "–"


def as_seen(value: object) -> object:
    """Return what is printed, with letters nobody can see spelt out, so that no name shows as what it is not."""
    if isinstance(value, Markup):
        return Markup(str(value).translate(SPELT_OUT))
    return value.translate(SPELT_OUT) if isinstance(value, str) else value
