"""The command that fills a week: slots and programmes in, the best timetable the champions can tell of out."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments import screen
from deployments.options import Json
from tasks.adapters import home
from tasks.errors import BadRequest

if TYPE_CHECKING:
    from tasks.adapters.timetables import Timetabled
    from tasks.core.timetable.wishes import Wishes

First = Annotated[str | None, typer.Option("--from", metavar="DATE", help="its first day; else the next Monday, UTC")]
Slots = Annotated[Path, typer.Option(metavar="FILE", help="CSV or Parquet: what is to be filled, docs/timetable.md")]
Programmes = Annotated[Path, typer.Option(metavar="FILE", help="CSV or Parquet: what it may be filled with")]
Current = Annotated[Path | None, typer.Option(metavar="FILE", help="what is scheduled now: slot, programme")]
Rule = Annotated[
    list[str], typer.Option(metavar="NAME=VALUE", help="in_a_row, per_day, watershed, most_idle_minutes …")
]
Cap = Annotated[list[str], typer.Option(metavar="GENRE=N", help="another cap a day for one genre")]
Weight = Annotated[list[str], typer.Option(metavar="GOAL=N", help="of revenue, audience or balance; 0 leaves it out")]
Share = Annotated[list[str], typer.Option(metavar="GENRE=S", help="wanted share of a genre; they sum to 1")]
Turn = Annotated[list[str], typer.Option(metavar="NAME=VALUE", help="population, generations, selection, crossover …")]

WORKLOAD = "broadcast"
SLOW_TO_IMPORT = ("flows.timetable",)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(timetable)


def timetable(
    slots: Slots,
    programmes: Programmes,
    first: First = None,
    current: Current = None,
    days: Annotated[int, typer.Option(help="how many days, 1 to 366")] = 7,
    ring: Annotated[str, typer.Option(help="whose champions predict")] = "dev",
    engine: Annotated[str, typer.Option(help="hybrid, ga or exact")] = "hybrid",
    seed: Annotated[int, typer.Option(help="the same seed gives the same timetable")] = 0,
    partial: Annotated[bool, typer.Option("--partial", help="leave empty what nothing may fill")] = False,
    top: Annotated[int, typer.Option(help="how many alternatives nearly as good")] = 3,
    differ: Annotated[int, typer.Option(help="slots in which any two of them differ at least")] = 3,
    weight: Weight = [],  # noqa: B006
    share: Share = [],  # noqa: B006
    rule: Rule = [],  # noqa: B006
    cap: Cap = [],  # noqa: B006
    turn: Turn = [],  # noqa: B006
    json: Json = False,
) -> None:
    """Fill slots with programmes for the most revenue, audience and balance, and say how far from the best that can be.

    Example: greenlight timetable --from 2026-06-29 --slots slots.csv --programmes programmes.csv --weight revenue=0.7
    """
    from deployments.meanwhile import at_prefect
    from tasks.adapters import timetables

    logging.getLogger("tasks").addHandler(_Generations())
    screen.Progress()
    wishes = _wishes(
        {"engine": engine, "partial": partial, "alternatives": top, "differ": differ}
        | {"rules": {**_said("--rule", rule), "per_day_of": _said("--cap", cap)}}
        | {"goals": {**_said("--weight", weight), "shares": _said("--share", share)}}
        | {"search": {**_said("--turn", turn), "seed": seed}}
    )
    asked: dict[str, Any] = {
        "current": str(current or ""),
        "first": first,
        "days": days,
        "ring": ring,
        "wishes": wishes,
    }
    files = str(slots), str(programmes)
    # Before a server is started for it: what is asked wrongly is said at once.
    timetables.open_request(home.store(), home.root() / "keys", WORKLOAD, *files, **asked)
    with at_prefect(SLOW_TO_IMPORT):
        from flows.timetable import timetable as flow

        done = flow(WORKLOAD, *files, **asked)
    screen.show(done, "\n".join(_told(done)), json=json)


def _said(option: str, given: list[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    odd = [name for name, equals, value in pairs if not (name and equals and value)]
    if odd:
        raise BadRequest(f"{option} {odd[0]!r} says no value; write NAME=VALUE")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _wishes(given: dict[str, Any]) -> Wishes:
    from pydantic import ValidationError

    from tasks.core.timetable.wishes import Wishes

    try:
        return Wishes.model_validate(given)
    except ValidationError as error:
        found = error.errors()[0]
        where = ".".join(str(part) for part in found["loc"])
        if found["type"] == "extra_forbidden":
            part = getattr(Wishes(), str(found["loc"][0]))
            raise BadRequest(f"nothing is called {where}; there are: {', '.join(type(part).model_fields)}") from error
        raise BadRequest(f"{where}: found {found['input']!r}; {found['msg']}") from error


class _Generations(logging.Handler):
    """Shows where the search is, on one line where somebody looks on."""

    def emit(self, record: logging.LogRecord) -> None:
        text, terminal = getattr(record, "progress", None), sys.stderr.isatty()
        if terminal:
            # Whatever is said next stands on a line of its own.
            sys.stderr.write(f"\r\033[K{'  ' if text else ''}{text or ''}")
        elif text:
            sys.stderr.write(f"  {text}\n")
        sys.stderr.flush()


def _told(done: Timetabled) -> Iterator[str]:
    from tasks.core.timetable.grid import EMPTY_COSTS

    yield f"{done.status}: {done.slots} slots from {done.first} by {done.version} of {done.ring}, engine {done.engine}"
    yield from (f"  note: {each}" for each in done.notes)
    yield from (f"  empty: {each}" for each in done.missing)
    costs = f" (each of {len(done.missing)} empty slots costs {EMPTY_COSTS:g})" if done.missing else ""
    yield f"  value {done.value:.5f}{costs}, proven bound {done.bound:.5f}"
    yield f"  gap   {done.gap:.3%}: no timetable under these rules is better by more, by these predictions"
    for row in done.totals:
        if row["low"] is not None:
            yield f"  {row['timetable']:<16}{row['goal']:<14}{_sum(row['value'], row['low'], row['high'])}"
        elif row["timetable"] in ("new", "current"):
            yield f"  {row['timetable']:<16}{row['goal']:<26}{row['value']:>4.2f}"
    if done.honest:
        for goal in ("revenue", "audience"):
            beside = getattr(done.honest, goal)
            yield f"  {'held out':<16}{goal:<14}{_sum(beside.held_out, beside.low, beside.high)}"
        yield f"    held out: {done.honest.how}"
    yield from (f"  {file}" for file in (done.manifest, *done.files))


def _sum(value: float, low: float, high: float) -> str:
    return f"{value:>16,.0f}  [{low:,.0f}, {high:,.0f}]"
