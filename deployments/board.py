"""How the status is drawn on one screen: what is wrong first, then what waits for a person, then what serves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.table import Table
from rich.text import Text

from deployments.screen import console
from tasks.adapters.overview import Overview
from tasks.core.watch import Watched


def show(found: Overview) -> None:
    """Print the overview for people."""
    out = console()
    for sentence in _urgent(found):
        out.print(Text(f"! {sentence}", style="yellow"), soft_wrap=True)
    for table in _tables(found):
        out.print(table)
    if not found.champions:
        out.print("nothing serves yet; begin with: greenlight run WORKLOAD --source PATH")


def _urgent(found: Overview) -> Iterator[str]:
    yield from (stopped.sentence for stopped in found.stops)
    for entry in found.unreviewed:
        yield (
            f"{entry.workload} {entry.version} was let out in {entry.ring} by breaking the glass (entry "
            f"{entry.number}, {entry.at}, {entry.decided_by}: {entry.reason}) and nobody has reviewed it"
        )
    yield from found.troubles


def _tables(found: Overview) -> Iterator[Table]:
    if found.waiting:
        yield _waiting(found)
    if found.champions:
        yield _champions(found)
    if found.incidents:
        yield _incidents(found)
    if found.watched:
        yield _watched(found)
    if found.runs:
        yield _runs(found)


def _waiting(found: Overview) -> Table:
    table = _titled(
        "Waiting for a person", "workload", "ring", "version", "recommended", "asked", "until", "decided by"
    )
    for each in found.waiting:
        until = f"expired {each.expires_at}" if each.expired else each.expires_at or "no end"
        table.add_row(
            each.workload, each.ring, each.version, each.recommendation, each.requested_at, until, each.wanted
        )
    return table


def _champions(found: Overview) -> Table:
    table = _titled("Champions", "workload", "ring", "version", "since", "by", "entry")
    for each in found.champions:
        by = f"{each.by} (rollback)" if each.kind == "rollback" else each.by
        version = f"{each.version}  {each.semantic_version}".strip()
        table.add_row(each.workload, each.ring, version, each.since, by, str(each.number))
    return table


def _incidents(found: Overview) -> Table:
    table = _titled(
        "Drift", "workload", "state", "since", "until", "retrains this month", "events that started nothing"
    )
    for each in found.incidents:
        stands = each.standing
        swallowed = "\n".join(f"{event.at}: {event.because}" for event in each.swallowed)
        table.add_row(
            each.workload, stands.state, stands.since, stands.until, str(stands.retrains_this_month), swallowed
        )
    return table


def _watched(found: Overview) -> Table:
    table = _titled("Monitored", "workload", "ring", "batch", "seen", "severity", "critical in a row", "because")
    serving = {(each.workload, each.ring): each.number for each in found.champions}
    for each in found.watched:
        where = (each.workload, each.ring, str(each.batch), f"{each.at[:19]} UTC")
        notes = _notes(each, beside_champion=serving[each.workload, each.ring] == each.champion)
        table.add_row(*where, each.severity, str(each.critical_in_a_row), "; ".join(notes))
    return table


def _notes(seen: Watched, *, beside_champion: bool) -> Iterator[str]:
    yield seen.because
    if seen.pooled:
        yield f"looked at with {_numbers(seen.pooled)}"
    if seen.waiting:
        yield f"{_numbers(seen.waiting)} too small: to be looked at with the next"
    if seen.incident:
        yield f"drift {seen.incident} goes on"
    if not beside_champion:
        yield f"held against {seen.version}, which served before"


def _numbers(batches: Sequence[int]) -> str:
    return f"batch{'es' if len(batches) > 1 else ''} {', '.join(map(str, batches))}"


def _runs(found: Overview) -> Table:
    table = _titled("Last runs", "workload", "run", "heard of", "outcome")
    for each in found.runs:
        table.add_row(each.workload, each.key, each.at, each.outcome)
    return table


def _titled(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left")
