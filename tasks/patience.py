"""How every face of ours is a Prefect task: what is retried, how often, and what is never kept.

Results are not cached by Prefect: stages remember their own results in the store, by the content of their inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import State, Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun

from tasks.errors import Unreachable

P = ParamSpec("P")
R = TypeVar("R")

RETRY_AFTER_SECONDS = [1.0, 5.0, 20.0]


def patient(*, name: str, timeout_minutes: int = 60) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a function a Prefect task called *name* that is retried when a store or service did not answer."""
    return task(
        task_run_name=name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=len(RETRY_AFTER_SECONDS),
        retry_delay_seconds=RETRY_AFTER_SECONDS,
        retry_condition_fn=_unreachable,
        timeout_seconds=timeout_minutes * 60,
    )


def _unreachable(task: Any, run: TaskRun, state: State[Any]) -> bool:
    return isinstance(state.result(raise_on_failure=False), Unreachable)
