"""Which runner a run gets: the settings' own, by the time it begins."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from prefect.task_runners import ThreadPoolTaskRunner

import tasks
from tasks.adapters.environment import QUIET
from tasks.adapters.settings import settings
from tasks.errors import BadRequest
from tasks.fan_out import FAN_OUT


def test_threads_unless_the_settings_say_otherwise():
    assert type(FAN_OUT.duplicate()) is ThreadPoolTaskRunner


def test_a_cluster_that_is_asked_for_and_not_installed_is_a_bad_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GREENLIGHT_RUNNER", "dask")
    settings.cache_clear()
    monkeypatch.setitem(sys.modules, "prefect_dask.task_runners", None)
    monkeypatch.delitem(sys.modules, "tasks.cluster", raising=False)
    monkeypatch.delattr(tasks, "cluster", raising=False)
    with pytest.raises(BadRequest, match=r"prefect_dask.* is not installed: pip install 'greenlight\[dask\]'"):
        FAN_OUT.duplicate()


def test_dask_is_silent_where_it_is_told_to_be():
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    talking = "import logging, tasks.cluster; print([n for n in logging.root.manager.loggerDict if n.split('.')[0] =="
    talking += " 'distributed' and logging.getLogger(n).isEnabledFor(logging.WARNING)])"
    asked = [sys.executable, "-c", talking]
    said = subprocess.run(asked, env=os.environ | QUIET, capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


@pytest.mark.slow
def test_a_worker_that_reads_another_store_is_refused_and_one_of_ours_is_taken(monkeypatch, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra dask is not installed")
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    monkeypatch.setenv("GREENLIGHT_RUNNER", "dask")
    monkeypatch.setenv("GREENLIGHT_HOME", str(ours))
    quiet = {"dashboard_address": None, "scheduler_kwargs": {"dashboard_address": "127.0.0.1:0"}, "silence_logs": 50}
    for home in (theirs, ours):
        settled = {"env": {"GREENLIGHT_HOME": str(home)}, "local_directory": str(tmp_path)}
        with distributed.LocalCluster(n_workers=1, threads_per_worker=1, host="127.0.0.1", **quiet, **settled) as there:
            monkeypatch.setenv("GREENLIGHT_DASK_ADDRESS", there.scheduler_address)
            settings.cache_clear()
            if home == ours:
                with FAN_OUT.duplicate() as runner:
                    assert list(runner.client.nthreads().values()) == [1]
            else:
                with pytest.raises(BadRequest, match=rf"would train something else .*store file://{theirs}"):
                    FAN_OUT.duplicate().__enter__()
