"""What prefect.yaml and automations.yaml say, read strictly: Prefect itself passes over a key it does not know.

Nothing is registered here; whoever registers asks first, and is told of every mistake at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, TypeVar, get_type_hints

import yaml
from prefect import Flow
from prefect.client.schemas.schedules import CronSchedule
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from tasks.adapters import strict_yaml
from tasks.errors import Misdeclared
from tasks.workloads import WORKLOADS

# Deployments and automations of ours are known by these on any server; what others deployed there is left alone.
TAG = "greenlight"
PREFIX = "greenlight: "
SHORTEST_SILENCE_SECONDS = 10
# Every event of ours and what it tells; a trigger that expects another would wait for ever.
EVENTS = {
    "workload.drifted": "the newest rows are not like those the champion learned from",
    "workload.recovered": "they are again",
    "performance.degraded": "the champion's errors are larger than they were on its holdout",
    "data.arrived": "new rows lie at a workload's source",
    "challenger.ready": "a challenger is registered, or was let into the ring before",
    "champion.changed": "the ledger names another champion",
}


# What a trigger may take from its event. Prefect writes "| tojson" behind whatever stands between the braces: behind
# "or", say, that belongs to the last word alone, and the event starts nothing and says so nowhere.
TAKEN = re.compile(r"\{\{ *event\.(?:event|payload\.[a-z_]+) *\}\}")
TEMPLATE = re.compile(r"\{[{%#]")


class Strict(BaseModel):
    """A mapping that has no keys but these."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WorkPool(Strict):
    """Where runs go, and what their processes see."""

    name: str
    work_queue_name: str = "default"
    job_variables: dict[str, Any] = Field(default_factory=dict)


class Concurrency(Strict):
    """How many runs at once, and what becomes of the others."""

    limit: int = Field(ge=1)
    collision_strategy: Literal["ENQUEUE", "CANCEL_NEW"]


class Schedule(Strict):
    """One cron line; the slug is what the server knows it by."""

    cron: str
    timezone: str
    slug: str = Field(min_length=1)
    active: bool = True
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_a_cron_line(self) -> Schedule:
        CronSchedule(cron=self.cron, timezone=self.timezone)
        return self


class Trigger(Strict):
    """An event and what to look for in it."""

    type: Literal["event"]
    name: str = Field(min_length=1)
    enabled: bool = True
    posture: Literal["Reactive", "Proactive"]
    after: list[str] = Field(default_factory=list)
    expect: list[str] = Field(min_length=1)
    match: dict[str, str | list[str]]
    match_related: dict[str, str | list[str]] = Field(default_factory=dict)
    for_each: list[str] = Field(default_factory=list)
    threshold: int = Field(default=1, ge=1)
    within: float = Field(default=0, ge=0)
    parameters: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _gives_silence_time(self) -> Trigger:
        if self.posture == "Proactive" and self.within < SHORTEST_SILENCE_SECONDS:
            raise ValueError(f"within is {self.within:g} s, Prefect wants at least {SHORTEST_SILENCE_SECONDS}")
        return self


class Deployment(Strict):
    """One flow of one workload: where, when, upon which event, and how many at once."""

    name: str
    entrypoint: str = Field(pattern=r"^flows\.[a-z_]+\.[a-z_]+$")
    description: str = ""
    tags: list[str]
    work_pool: WorkPool
    enforce_parameter_schema: Literal[True]
    concurrency_limit: Concurrency
    parameters: dict[str, Any]
    schedules: list[Schedule] = Field(default_factory=list)
    triggers: list[Trigger] = Field(default_factory=list)

    @property
    def full_name(self) -> str:
        """What Prefect calls it: flow and name."""
        return f"{self.entrypoint.rpartition('.')[2].replace('_', '-')}/{self.name}"


class PrefectFile(Strict):
    """prefect.yaml."""

    name: str
    prefect_version: str = Field(alias="prefect-version")
    pull: list[dict[str, Any]]
    definitions: dict[str, Any] = Field(default_factory=dict)
    deployments: list[Deployment] = Field(min_length=1)


class SetState(Strict):
    """The only action an automation of ours takes."""

    type: Literal["change-flow-run-state"]
    state: Literal["CRASHED", "SCHEDULED"]
    message: str


class Automation(Strict):
    """One automation that belongs to no deployment."""

    name: str
    description: str
    trigger: Trigger
    actions: list[SetState] = Field(min_length=1)


class AutomationsFile(Strict):
    """automations.yaml."""

    definitions: dict[str, Any] = Field(default_factory=dict)
    automations: list[Automation]


Model = TypeVar("Model", bound=Strict)


def read_deployments(path: Path) -> PrefectFile:
    """Read and check prefect.yaml; raises Misdeclared with everything that is wrong in it."""
    declared = _parsed(path, PrefectFile)
    problems = [problem for each in declared.deployments for problem in _problems(each)]
    problems += _twice([each.full_name for each in declared.deployments])
    problems += _twice([trigger.name for each in declared.deployments for trigger in each.triggers])
    if problems:
        raise Misdeclared(_letter(path, problems))
    return declared


def read_automations(path: Path) -> tuple[Automation, ...]:
    """Read automations.yaml; raises Misdeclared with everything that is wrong in it."""
    found = _parsed(path, AutomationsFile).automations
    if problems := _twice([each.name for each in found]):
        raise Misdeclared(_letter(path, problems))
    return tuple(found)


def _parsed(path: Path, model: type[Model]) -> Model:
    try:
        return model.model_validate(strict_yaml.read(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Misdeclared(f"{path} cannot be read: {error}; name another file with --file") from error
    except ValidationError as error:
        raise Misdeclared(
            _letter(path, [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()])
        ) from error


def _problems(deployment: Deployment) -> Iterator[str]:
    where = deployment.full_name
    if TAG not in deployment.tags:
        yield f"{where} has not the tag {TAG!r}, by which it is known on the server"
    flow = _flow(deployment.entrypoint)
    if not isinstance(flow, Flow):
        yield f"{where}: there is no flow {deployment.entrypoint}"
        return
    for told, parameters in _all_parameters(deployment):
        for name in sorted(set(parameters) - set(flow.parameters.properties)):
            known = ", ".join(flow.parameters.properties)
            yield f"{where}, {told}: the flow has no parameter {name!r}; it has {known}"
    yield from _mistaken_values(flow, deployment)
    for trigger in deployment.triggers:
        yield from _unheard(where, trigger)
        yield from _unfillable(where, trigger)


def _flow(entrypoint: str) -> object:
    module, _, name = entrypoint.rpartition(".")
    try:
        return getattr(import_module(module), name, None)
    except ModuleNotFoundError:
        return None


def _all_parameters(deployment: Deployment) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield "parameters", deployment.parameters
    yield from ((f"schedule {each.slug}", each.parameters) for each in deployment.schedules)
    yield from ((f"trigger {each.name}", each.parameters) for each in deployment.triggers)


def _mistaken_values(flow: Flow[..., Any], deployment: Deployment) -> Iterator[str]:
    """Say which values the flow would not take; those of triggers are templates until an event fills them in."""
    types = get_type_hints(flow.fn, include_extras=True)
    schedules = [(f"schedule {each.slug}", each.parameters) for each in deployment.schedules]
    for told, parameters in (("parameters", deployment.parameters), *schedules):
        for name in sorted(parameters.keys() & types.keys()):
            try:
                TypeAdapter(types[name]).validate_python(parameters[name])
            except ValidationError as error:
                yield from (
                    f"{deployment.full_name}, {told}: {'.'.join(map(str, (name, *each['loc'])))}: {each['msg']}"
                    for each in error.errors()
                )


def _unheard(where: str, trigger: Trigger) -> Iterator[str]:
    for event in sorted(set(trigger.expect) - set(EVENTS)):
        yield f"{where}, trigger {trigger.name}: nobody emits {event!r}; events are {', '.join(EVENTS)}"
    resource = trigger.match.get("prefect.resource.id", "")
    if resource not in {f"workload.{name}" for name in WORKLOADS}:
        yield f"{where}, trigger {trigger.name}: {resource!r} is no workload's resource; write workload.NAME"


def _unfillable(where: str, trigger: Trigger) -> Iterator[str]:
    for name, value in sorted(trigger.parameters.items()):
        for text in _texts(value):
            if TEMPLATE.search(TAKEN.sub("", text)):
                yield (
                    f"{where}, trigger {trigger.name}: {name} is {text!r}, which Prefect may fail to fill in, and then "
                    'the event starts nothing; write "{{ event.payload.NAME }}" or "{{ event.event }}", with text '
                    "around them where you like, and let the flow work out the rest"
                )


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _twice(names: list[str]) -> list[str]:
    return [f"{name} is declared twice" for name in sorted({name for name in names if names.count(name) > 1})]


def _letter(path: Path, problems: list[str]) -> str:
    return f"{path} was not deployed, {len(problems)} mistakes: " + "; ".join(problems)
