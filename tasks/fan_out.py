"""Where a run's candidates are trained: side by side in this process, or on a Dask cluster.

Every flow that fans out carries the same ``FAN_OUT``; what it stands for is read from the settings when a run begins.
"""

from __future__ import annotations

from typing import Any, cast

from prefect.futures import PrefectFuture
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from tasks.adapters import home
from tasks.errors import BadRequest


class FanOut(ThreadPoolTaskRunner[Any]):
    """Threads, until a run begins and asks for its own runner."""

    def duplicate(self) -> TaskRunner[Any]:  # type: ignore[override]  # Prefect only ever enters it and submits
        """Return the runner the settings name; raises BadRequest where what it needs is not installed."""
        if home.runner() == "threads":
            return ThreadPoolTaskRunner()
        try:
            from tasks import cluster
        except ModuleNotFoundError as error:
            raise BadRequest(
                f"GREENLIGHT_RUNNER is dask, and {error.name} is not installed: pip install 'greenlight[dask]' here "
                "and on the cluster, or set GREENLIGHT_RUNNER to threads"
            ) from error
        return ThreadPoolTaskRunner() if cluster.on_a_worker() else cluster.runner()


FAN_OUT = cast(TaskRunner[PrefectFuture[Any]], FanOut())
