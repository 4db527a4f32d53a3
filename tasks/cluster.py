"""The candidates on a Dask cluster: a local one of processes, or the one at an address; the only home of Dask.

What goes to a worker is small values and URIs; what comes back too. A worker needs what any machine of ours needs: the
same code, the same store, and the service's key in its home. Which runner a flow gets is not decided here.
"""

from __future__ import annotations

import logging
from concurrent.futures import CancelledError
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import distributed
from distributed.comm.core import CommClosedError
from distributed.scheduler import KilledWorker
from prefect.tasks import Task
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from tasks.adapters import home
from tasks.adapters.provenance import code_digest
from tasks.errors import BadRequest, OutOfMemory, Unreachable

R = TypeVar("R")
# Whoever killed one worker may have been unlucky; whoever killed two will kill the third.
TRIES = 2
CONNECT_SECONDS, WORKERS_SECONDS = 10, 60
_wait: Any = distributed.wait
# Dask gives these a level of their own, so that they went on talking where "distributed" was told to be silent.
for _name in ("distributed.client", "distributed.gc"):
    logging.getLogger(_name).setLevel(logging.NOTSET)


@dataclass(frozen=True)
class Place:
    """What the machines of one run must have in common."""

    store: str
    key: str
    code: str


def here() -> Place:
    """Return the place of this process."""
    return Place(home.store_uri(), home.signer().fingerprint, code_digest())


def on_a_worker() -> bool:
    """Say whether this is a task on a worker already: it fans out no further."""
    try:
        distributed.get_worker()
    except ValueError:
        return False
    return True


def runner() -> Cluster:
    """Return the runner for the cluster that the settings name, or for one of processes on this machine."""
    address = home.cluster_address()
    return Cluster(address=address or None, client_kwargs={"timeout": CONNECT_SECONDS})


class Answer(PrefectDaskFuture[R]):
    """What a worker will answer."""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> R:
        """Return it; raises OutOfMemory if its workers were killed over it, Unreachable if the cluster was lost."""
        try:
            return super().result(timeout, raise_on_failure)
        except KilledWorker as error:
            raise OutOfMemory(
                f"killed its worker {error.allowed_failures + 1} times: out of memory? Give each worker more memory"
                " (fewer of them, GREENLIGHT_WORKERS), or declare what it trains smaller"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise Unreachable(
                f"the Dask cluster was lost before it answered ({type(error).__name__}); run again: what was trained"
                " is kept and not trained anew"
            ) from error


class Cluster(DaskTaskRunner):
    """Prefect's runner, which connects before a run begins and hands out no more than there are threads for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._asked: list[Answer[Any]] = []

    def __enter__(self) -> Cluster:
        """Connect, or start the local cluster; raises Unreachable, BadRequest."""
        super().__enter__()  # type: ignore[no-untyped-call]
        try:
            self._connect()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def submit(  # type: ignore[override]  # one signature for what Prefect lists as two
        self, task: Task[Any, Any], parameters: dict[str, Any], wait_for: Any = None, dependencies: Any = None
    ) -> Answer[Any]:
        """Submit once a thread is free: Dask blames a worker's death on everything that waits there too."""
        self._make_room()
        asked = super().submit(task, parameters, wait_for, dependencies)
        answer = Answer[Any](task_run_id=asked.task_run_id, wrapped_future=asked.wrapped_future)
        self._asked.append(answer)
        return answer

    def _make_room(self) -> None:
        client: Any = self.client
        while len(self._asked) >= max(1, sum(client.nthreads().values())):
            with client.as_current():
                _wait([each.wrapped_future for each in self._asked], return_when="FIRST_COMPLETED")
            for each in self._asked:
                if each.wrapped_future.status != "pending":
                    # Fetched at once: an answer left on a worker is lost with it.
                    each.wait()
            self._asked = [each for each in self._asked if each.wrapped_future.status == "pending"]

    def _connect(self) -> None:
        if not self.address:
            self.cluster_kwargs = self._local()
        try:
            client: Any = self.client
            client.wait_for_workers(1, WORKERS_SECONDS)
            places = client.run(here)
        except (OSError, ValueError) as error:
            raise Unreachable(
                f"no worker of the Dask cluster at {self.address or 'this machine'} answered ({error}); start it, mend"
                " GREENLIGHT_DASK_ADDRESS (tcp://host:8786), or set GREENLIGHT_RUNNER to threads"
            ) from error
        except ImportError as error:
            raise BadRequest(f"a Dask worker cannot import our code ({error}); install greenlight there too") from error
        for worker, place in places.items():
            _refuse_another(worker, place, here())

    def _local(self) -> dict[str, Any]:
        """Return what a cluster on this machine is: seen by nobody else, each worker with its share of the memory."""
        return {
            "n_workers": home.workers(),
            "threads_per_worker": 1,
            "host": "127.0.0.1",
            # Any user of this machine can reach a port; certificates made for this cluster keep them out.
            "security": True,
            "dashboard_address": None,
            "scheduler_kwargs": {"allowed_failures": TRIES - 1, "dashboard_address": "127.0.0.1:0"},
            "local_directory": str(self._exit_stack.enter_context(home.scratch("cluster"))),
            "silence_logs": logging.CRITICAL,
        }


def _refuse_another(worker: str, found: Place, wanted: Place) -> None:
    other = [each.name for each in fields(Place) if getattr(found, each.name) != getattr(wanted, each.name)]
    if other:
        differences = "; ".join(f"{name} {getattr(found, name)}, here {getattr(wanted, name)}" for name in other)
        raise BadRequest(
            f"the Dask worker {worker} would train something else or where we cannot read it: {differences}. Give it"
            " our code, GREENLIGHT_STORE and the keys of this home"
        )
