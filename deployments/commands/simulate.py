"""The command that asks what a champion would say if a row were different, and which lever would raise it most."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deployments import screen
from deployments.options import Json, WorkloadName
from tasks import workloads
from tasks.adapters import home
from tasks.errors import BadRequest

if TYPE_CHECKING:
    import polars as pl

    from tasks.adapters.simulations import Simulated, Simulator
    from tasks.core.simulation import Choice

From = Annotated[Path | None, typer.Option("--from", metavar="FILE", help="a file with the row; else --entity")]
Entity = Annotated[str | None, typer.Option(metavar="ID", help="whose row: in the file, else among those learned from")]
Vary = Annotated[
    list[str], typer.Option(metavar="NAME=VALUES", help="10:1000:10 (from:to:step), a,b, or * for all levels seen")
]
Most = Annotated[int, typer.Option(min=1, max=10_000_000, help="how many settings are tried at most")]
ObservedAt = Annotated[str | None, typer.Option(help="ISO 8601 date of a row that does not say when it was seen")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    workload: WorkloadName,
    vary: Vary,
    source: From = None,
    entity: Entity = None,
    ring: Annotated[str, typer.Option(help="whose champion is asked")] = "prod",
    target: Annotated[str | None, typer.Option(help="only this target; else every one that serves")] = None,
    most: Most = 100_000,
    top: Annotated[int, typer.Option(min=1, max=100, help="how many settings are shown")] = 5,
    observed_at: ObservedAt = None,
    json: Json = False,
) -> None:
    """Say which settings of a row's levers raise its predictions most, how sure that is, and what the model never saw.

    Example: greenlight simulate channels --entity "Channel 1" --vary uploads=10:1000:10 --vary "category=*"
    """
    from rich.progress import Progress

    from tasks.adapters import simulations
    from tasks.core import simulation

    spec = workloads.get(workload)
    asked = simulations.opened(home.store(), home.root() / "keys", spec, ring, target)
    varied = [simulation.parsed(text, spec, asked.seen, most) for text in vary]
    points = simulation.count_points(varied, most)
    base = _base(asked, source, entity, observed_at)
    console = screen.console(stderr=True)
    with Progress(console=console, transient=True, disable=not sys.stderr.isatty()) as progress:
        bar = progress.add_task("settings", total=points)
        found = simulations.simulate(
            asked, base, varied, points, min(top, points), lambda done: progress.advance(bar, done)
        )
    screen.show(found, "\n".join(_told(found)), json=json)


def _base(asked: Simulator, source: Path | None, entity: str | None, observed_at: str | None) -> pl.DataFrame:
    from deployments import readers
    from tasks.adapters import simulations

    if source is None:
        if entity is None:
            raise BadRequest("whose row? name it with --entity ID, or give it with --from FILE")
        return simulations.learned_row(asked, entity)
    return readers.row_of(asked.spec, asked.serving.bundle, source, entity, observed_at=observed_at)


def _told(found: Simulated) -> Iterator[str]:
    yield f"{found.entity} in {found.ring} by {found.version}: {found.points:,} settings"
    if found.outside:
        yield f"  warning: {found.outside:,} of the {found.points:,} settings are outside of what the model has seen"
    yield from (f"  warning: as it is, {each}" for each in found.warnings)
    for advice in found.advice:
        yield f"{advice.target}: {advice.as_it_is:,.0f} {advice.unit} as it is"
        for how, choices in (("alone", advice.alone), ("together", advice.together)):
            for choice in choices:
                yield from _line(how, choice)
    yield f"In brackets: {found.interval}."


def _line(how: str, choice: Choice) -> Iterator[str]:
    said = ", ".join(
        f"{name} = {value:g}" if isinstance(value, float) else f"{name} = {value}"
        for name, value in choice.settings.items()
    )
    by = choice.difference
    sure = "" if by.low > 0 else "; it may as well be less"
    more = f"{by.value:+,.0f}  [{by.low:+,.0f}, {by.high:+,.0f}]{sure}" if by.value > 0 else "no value raises it"
    yield f"  {how:<9} {said:<50} {choice.predicted:>16,.0f}  {more}"
    yield from (f"            warning: {each}" for each in choice.warnings)
