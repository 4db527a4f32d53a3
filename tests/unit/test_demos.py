"""What every workload's generator of demo rows does alike."""

import importlib

import pytest

from tasks.errors import BadRequest
from tasks.workloads import WORKLOADS

DEMOS = {name: importlib.import_module(f"tasks.workloads.demo.{name}") for name in WORKLOADS}


@pytest.fixture(params=DEMOS)
def demo(request):
    return DEMOS[request.param]


def test_an_unknown_drift_is_refused_and_the_known_ones_are_listed(demo):
    with pytest.raises(BadRequest, match=r"no drift 'sideways'.*shift: ") as refused:
        demo.generate(10, 1, "sideways")
    assert all(drift in str(refused.value) for drift in demo.DRIFTS)


def test_zero_rows_are_refused(demo):
    with pytest.raises(BadRequest, match="0 were asked for, at least 1"):
        demo.generate(0, 1)


def test_every_drift_changes_the_rows_and_keeps_the_faults_where_they_are(demo):
    for drift in demo.DRIFTS:
        assert not demo.generate(500, 1, drift).equals(demo.generate(500, 1))
        assert demo.truth(500, 1, drift)["fault"].equals(demo.truth(500, 1)["fault"])
