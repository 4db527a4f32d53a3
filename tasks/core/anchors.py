"""Ledger heads noted elsewhere, as text a person can keep in a mail or a ticket: one ``workload:number:digest`` a line.

A chain does not show that its newest entries were cut off; what somebody noted elsewhere does. Pure: files are read by
whoever asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tasks.core.ledger_chain import Anchor
from tasks.errors import BadRequest

SPELLING = re.compile(r"(?:(?P<workload>[\w-]+):)?(?P<number>[1-9]\d{0,8}):(?P<digest>[0-9a-f]{64})")


def spelt(workload: str, anchor: Anchor) -> str:
    """Return the line to be noted elsewhere."""
    return f"{workload}:{anchor.number}:{anchor.digest}"


def parsed(lines: Iterable[str], workload: str | None) -> dict[str, Anchor]:
    """Return the anchors in *lines*, by workload; a line without a workload is for *workload*.

    Of several for one workload the newest stands. Raises BadRequest for a line that is none, and for no line at all.
    """
    found: dict[str, Anchor] = {}
    for line in filter(None, map(str.strip, lines)):
        name, anchor = _parsed(line, workload)
        if name not in found or found[name].number < anchor.number:
            found[name] = anchor
    if not found:
        raise BadRequest("no anchor was given: wanted are lines as printed by: greenlight ledger anchor")
    return found


def _parsed(line: str, workload: str | None) -> tuple[str, Anchor]:
    match = SPELLING.fullmatch(line)
    if match is None:
        raise BadRequest(
            f"{line!r} is no anchor; wanted is workload:number:digest, as printed by: greenlight ledger anchor"
        )
    name = match["workload"] or workload
    if name is None:
        raise BadRequest(f"the anchor {match['number']}:{match['digest'][:12]}… names no workload: say --workload")
    return name, Anchor(int(match["number"]), match["digest"])
