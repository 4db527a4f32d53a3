"""Makes a Prefect server be as the files say: deployments, schedules, triggers, limits, automations, the work pool.

Prefect's own ``deploy`` registers; what it leaves behind when something goes from the file is removed here.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from httpx import HTTPError
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterTags, WorkPoolFilter, WorkPoolFilterName
from prefect.client.schemas.responses import DeploymentResponse
from prefect.events.schemas.automations import AutomationCore
from prefect.settings import PREFECT_API_URL, temporary_settings

from deployments.declared import PREFIX, TAG, Automation, Deployment, PrefectFile, read_automations, read_deployments
from tasks.adapters import environment
from tasks.errors import BadRequest, Unreachable

PAGE = 200


@dataclass(frozen=True)
class Registered:
    """One thing that the server has, or had, and what was done about it."""

    kind: str
    name: str
    done: str
    schedules: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    limit: str = ""


def deploy(api: str, path: Path, automations: Path) -> tuple[Registered, ...]:
    """Register what both files declare on the server at *api*, and remove what they no longer do.

    Raises Misdeclared before anything is done, Unreachable if the server does not answer, BadRequest if it refuses.
    """
    declared, watches = read_deployments(path), read_automations(automations)
    with temporary_settings({PREFECT_API_URL: api}):
        before = asyncio.run(_prepare(api, declared))
        _prefect_deploy(api, path)
        removed = asyncio.run(_reconcile(api, declared, watches))
    return (*_rows(declared, before), *removed)


async def _prepare(api: str, declared: PrefectFile) -> set[str]:
    """Make the work pools there are not; return the names of our deployments as they were."""
    async with _asking(api) as client:
        for name in sorted({each.work_pool.name for each in declared.deployments}):
            wanted = WorkPoolFilter(name=WorkPoolFilterName(any_=[name]))
            if not await client.read_work_pools(work_pool_filter=wanted):
                await client.create_work_pool(WorkPoolCreate(name=name, type="process"))
        return {name async for name, _ in _ours(client)}


def _prefect_deploy(api: str, path: Path) -> None:
    checkout = path.absolute().parent
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(path.absolute())],
        cwd=checkout,
        env=environment.for_child({"PREFECT_API_URL": api, "GREENLIGHT_CHECKOUT": str(checkout)}),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = " ".join((done.stdout + done.stderr).split())[-600:]
        raise BadRequest(f"the Prefect server at {api} did not take {path}: {last}")


async def _reconcile(api: str, declared: PrefectFile, watches: tuple[Automation, ...]) -> list[Registered]:
    wanted = {each.full_name: each for each in declared.deployments}
    async with _asking(api) as client:
        done = [await _settle(client, name, found, wanted.get(name)) async for name, found in _ours(client)]
        return [row for rows in done for row in rows] + await _watch(client, watches)


async def _settle(
    client: PrefectClient, name: str, found: DeploymentResponse, wanted: Deployment | None
) -> list[Registered]:
    if wanted is None:
        await client.delete_resource_owned_automations(f"prefect.deployment.{found.id}")
        await client.delete_deployment(found.id)
        return [Registered("deployment", name, "removed")]
    slugs = {schedule.slug for schedule in wanted.schedules}
    gone = [schedule for schedule in found.schedules if schedule.slug not in slugs]
    for schedule in gone:
        await client.delete_deployment_schedule(found.id, schedule.id)
    return [Registered("schedule", f"{name}: {schedule.slug}", "removed") for schedule in gone]


async def _watch(client: PrefectClient, watches: tuple[Automation, ...]) -> list[Registered]:
    known = {each.name: each for each in await client.read_automations() if each.name.startswith(PREFIX)}
    rows = []
    for watch in watches:
        content = {**watch.model_dump(exclude_defaults=True), "name": PREFIX + watch.name}
        core = AutomationCore.model_validate(content)
        there = known.pop(core.name, None)
        if there is None:
            await client.create_automation(core)
        else:
            await client.update_automation(there.id, core)
        rows.append(Registered("automation", watch.name, "updated" if there else "created"))
    for left in known.values():
        await client.delete_automation(left.id)
        rows.append(Registered("automation", left.name.removeprefix(PREFIX), "removed"))
    return rows


async def _ours(client: PrefectClient) -> AsyncIterator[tuple[str, DeploymentResponse]]:
    """Yield our deployments by full name; the list is read whole first, since they may be deleted meanwhile."""
    tagged = DeploymentFilter(tags=DeploymentFilterTags(all_=[TAG]))
    found: list[DeploymentResponse] = []
    while page := await client.read_deployments(deployment_filter=tagged, limit=PAGE, offset=len(found)):
        found += page
    for each in found:
        yield f"{(await client.read_flow(each.flow_id)).name}/{each.name}", each


@asynccontextmanager
async def _asking(api: str) -> AsyncIterator[PrefectClient]:
    try:
        async with get_client() as client:
            yield client
    except HTTPError as error:
        raise Unreachable(
            f"the Prefect server at {api} did not answer as wanted ({type(error).__name__}: {error}); start one with "
            "greenlight up, or set PREFECT_API_URL to yours"
        ) from error


def _rows(declared: PrefectFile, before: set[str]) -> Iterator[Registered]:
    for each in declared.deployments:
        yield Registered(
            "deployment",
            each.full_name,
            "updated" if each.full_name in before else "created",
            tuple(f"{schedule.cron} {schedule.timezone}" for schedule in each.schedules),
            tuple(event for trigger in each.triggers for event in trigger.expect),
            f"{each.concurrency_limit.limit} {each.concurrency_limit.collision_strategy}",
        )
