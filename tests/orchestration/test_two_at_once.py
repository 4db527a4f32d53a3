"""Two runs of one workload at once: one works; the other says who does, or waits and finds the work done."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.command_line import end, stage_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def at_work(greenlight, sources):
    """A run that has begun and goes on."""
    with greenlight.started(
        "run", "channels", "--source", sources["first"], "--json", stdout=subprocess.DEVNULL
    ) as child:
        try:
            for line in child.stderr:
                if stage_of(line) == "ingest":
                    break
            yield child
        finally:
            end(child)


def test_the_second_run_says_who_is_at_work_or_waits_and_finds_it_done(at_work, greenlight, sources):
    asked = ("run", "channels", "--source", sources["first"])
    refused = greenlight(*asked)
    assert refused.rc == 5
    assert re.fullmatch(
        rf"greenlight: another run of channels is under way: process {at_work.pid} since \S+ \(run \w{{16}}\), "
        r"after waiting 0 s; wait for it to end, or end that process: the lock is freed with it\n",
        refused.err,
    )
    waited = greenlight(*asked, "--wait-seconds", "800", "--json")
    assert waited.rc == 0, waited.err
    assert waited.value["status"] == "unchanged"
    at_work.communicate(timeout=300)
    assert at_work.returncode == 0
    assert greenlight("verify", "channels", "--json").value["entries"] == 1
