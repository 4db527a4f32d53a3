"""The commands of an experiment: start it, look at it as often as one likes, and conclude it. None of them promotes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deployments import screen
from deployments.options import By, Json, Reason, WorkloadName
from tasks import workloads
from tasks.adapters import environment, experiments, home, serving
from tasks.adapters.experiments import Looked
from tasks.adapters.signing import trusted_keys
from tasks.core import experiments as core
from tasks.core.experiments import Analysis, Better, Conclusion, Experiment
from tasks.core.rollback import checked_reason
from tasks.errors import BadRequest

Ring = Annotated[str, typer.Option(help="where both versions answer")]
Outcomes = Annotated[Path, typer.Option(metavar="FILE", help="CSV or Parquet: entity and value, one row per entity")]


def register(app: typer.Typer) -> None:
    """Add the commands of this family."""
    family = typer.Typer(rich_markup_mode=None, help="Let two versions answer side by side and see which does better.")
    family.command()(start)
    family.command()(status)
    family.command()(conclude)
    app.add_typer(family, name="experiment")


def start(
    workload: WorkloadName,
    treatment: Annotated[str, typer.Option(metavar="VERSION", help="what answers half of the entities")],
    effect: Annotated[float, typer.Option(help="the smallest difference worth finding, in the outcome's unit")],
    sd: Annotated[float, typer.Option(help="the standard deviation of the outcome between entities")],
    reason: Reason,
    ring: Ring = "prod",
    alpha: Annotated[float, typer.Option(help="how often equals may be told apart, over all looks")] = 0.05,
    power: Annotated[float, typer.Option(help="how often the effect is to be found")] = 0.8,
    better: Annotated[Better, typer.Option(help="which outcome is better")] = "higher",
    requested_by: By = "",
    json: Json = False,
) -> None:
    """Let another version answer half of the entities of every batch scored from now on, the same ones each time.

    Example: greenlight experiment start channels --treatment 24880f4cb88e --effect 0.02 --sd 0.3 --reason "better?"
    """
    workloads.get(workload)
    store, keys = home.store(), home.root() / "keys"
    champion = serving.champion(store, keys, workload, ring)
    number = 1 + len(experiments.known(store, trusted_keys(keys), workload, ring)[0])
    planned = core.planned_units(effect, sd, alpha, power)
    who, now = requested_by or environment.user_name(), datetime.now(UTC).isoformat(timespec="seconds")
    draft = Experiment(
        workload, ring, number, champion.version, treatment, effect, sd, alpha, power, better, planned,
        checked_reason(reason), who, now,
    )  # fmt: skip
    begun = experiments.start(store, keys, home.signer(), draft, champion)
    screen.show(begun, "\n".join(_begun(begun)), json=json)


def status(
    workload: WorkloadName,
    ring: Ring = "prod",
    outcomes: Annotated[Path | None, typer.Option(metavar="FILE", help="look at these: entity and value")] = None,
    json: Json = False,
) -> None:
    """Say which experiment runs and, of a file of outcomes, what may be said by now; look as often as you like.

    Example: greenlight experiment status channels --outcomes outcomes.csv
    """
    spec = workloads.get(workload)
    store, trust = home.store(), trusted_keys(home.root() / "keys")
    begun, ended = experiments.known(store, trust, workload, ring)
    on = core.standing(begun, ended)
    if outcomes is not None:
        looked = experiments.look(store, trust, spec, _running(on, workload, ring), outcomes)
        screen.show(looked, "\n".join([*_begun(looked.experiment), *_looked(looked)]), json=json)
        return
    past = [f"concluded: {_past(begun, each)}" for each in ended]
    said = [*past, *(_begun(on) if on else ["no experiment runs"])]
    screen.show({"running": on, "started": begun, "concluded": ended}, "\n".join(said), json=json)


def conclude(
    workload: WorkloadName,
    outcomes: Outcomes,
    reason: Reason,
    ring: Ring = "prod",
    requested_by: By = "",
    json: Json = False,
) -> None:
    """Record the last look and end the experiment: the champion answers all again. Promoting is another command.

    Example: greenlight experiment conclude channels --outcomes outcomes.csv --reason "the plan is met"
    """
    spec = workloads.get(workload)
    store, trust = home.store(), trusted_keys(home.root() / "keys")
    on = _running(experiments.running(store, trust, workload, ring), workload, ring)
    looked = experiments.look(store, trust, spec, on, outcomes)
    who, now = requested_by or environment.user_name(), datetime.now(UTC).isoformat(timespec="seconds")
    end = Conclusion(on.number, looked.analysis, looked.outcomes, who, checked_reason(reason), now)
    experiments.conclude(store, home.signer(), on, end)
    said = [*_begun(on), *_looked(looked), f"concluded by {who}; nothing was promoted"]
    screen.show(end, "\n".join(said), json=json)


def _running(on: Experiment | None, workload: str, ring: str) -> Experiment:
    if on is None:
        raise BadRequest(
            f"no experiment of {workload} runs in {ring}; start one: greenlight experiment start {workload}"
        )
    return on


def _begun(on: Experiment) -> Iterator[str]:
    yield f"experiment {on.name}: {on.control} (control) against {on.treatment} (treatment), by {on.by} at {on.at}"
    yield f"  {on.reason}"
    yield (
        f"  {on.planned:,} entities in both arms together find a difference of {on.effect:g} (sd {on.sd:g}) with a "
        f"power of {on.power:.0%}; equals are told apart in at most {on.alpha:.0%}, however often one looks"
    )


def _looked(looked: Looked) -> Iterator[str]:
    found = looked.analysis
    for arm, known in (("control", found.control), ("treatment", found.treatment)):
        yield f"  {arm:<9} {known.units:>9,} entities  mean {known.mean:,.6g}"
    if looked.strangers:
        yield f"  {looked.strangers:,} outcomes are of nobody the experiment answered; they are left out"
    if found.lift is not None:
        share = "" if found.relative is None else f" ({found.relative:+.1%})"
        yield f"  lift      {found.lift.value:+,.6g}{share}  [{found.lift.low:+,.6g}, {found.lift.high:+,.6g}]"
    yield f"{found.verdict}: {found.sentence}"


def _past(begun: list[Experiment], ended: Conclusion) -> str:
    of = next(each for each in begun if each.number == ended.number)
    said: Analysis = ended.analysis
    return f"{of.name} by {ended.by} at {ended.at}: {said.verdict}: {said.sentence}"
