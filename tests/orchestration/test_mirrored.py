"""Nothing is let out before the mirrors hold it; one that was away is brought up afterwards."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from tests.command_line import said_plainly

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.fixture
def mirrored(first_run, greenlight, tmp_path):
    """A finished home whose mirror is down: its disk is to be mounted where a file lies."""
    first_run.copied_to(greenlight.home)
    (tmp_path / "disk").write_text("a file where a disk is to be mounted")
    return greenlight.seeing(GREENLIGHT_MIRRORS=(tmp_path / "disk" / "mirror").as_uri())


def test_a_mirror_that_is_down_stops_the_promotion_and_is_healed_once_it_is_back(mirrored, tmp_path):
    line = mirrored
    assert line("stores").rc == 1
    stopped = line("promote", "channels", "--to-ring", "qa", "--json")
    assert (stopped.rc, stopped.value["error"]) == (7, "Unreachable")
    assert "the policy wants it in 2 stores, 1 of 2 stores hold it" in stopped.value["message"]
    assert [entry["ring"] for entry in line("history", "channels", "--json").value] == ["dev"]

    (tmp_path / "disk").unlink()
    assert line("promote", "channels", "--to-ring", "qa").rc == 0
    matrix = line("stores", "--json")
    assert (matrix.rc, [len(each["shown"]) for each in matrix.value["stores"]]) == (1, [2, 1])
    assert line("stores", "repair").rc == 0
    assert line("stores").rc == 0
    for pointer in (line.home / "store/champions/channels").iterdir():
        assert (tmp_path / "disk/mirror/champions/channels" / pointer.name).read_bytes() == pointer.read_bytes()

    (tmp_path / "disk/mirror/champions/channels/qa.json").unlink()
    assert line("stores").rc == 1
    assert "now names" in line("reconcile", "channels").out
    assert line("stores").rc == 0


def test_where_the_policy_wants_one_store_a_promotion_goes_on_and_the_mirror_is_repaired_later(mirrored, tmp_path):
    sources = tmp_path / "sources"
    shutil.copytree(mirrored.checkout, sources)
    with (sources / "deployments/policies/qa.yaml").open("a") as policy:
        policy.write("stores: 1\n")
    line = replace(mirrored, checkout=sources)

    done = line("promote", "channels", "--to-ring", "qa")
    assert done.rc == 0, done.err[-3000:]
    mirror = tmp_path / "disk/mirror"
    assert f"{mirror.as_uri()} stays behind" in done.out + done.err
    assert [entry["ring"] for entry in line("history", "channels", "--json").value] == ["dev", "qa"]
    assert line("stores").rc == 1
    (tmp_path / "disk").unlink()
    assert line("stores", "repair").rc == 0
    assert line("stores").rc == 0
    pointers = [store / "champions/channels/qa.json" for store in (line.home / "store", mirror)]
    assert pointers[0].read_bytes() == pointers[1].read_bytes()
    assert len(list((mirror / "reports/channels").glob("*/qa-*.json"))) == 1


def test_repairing_without_a_mirror_is_refused(greenlight):
    assert said_plainly(greenlight("stores", "repair"), 2, "GREENLIGHT_MIRRORS names none")


def test_a_mirror_that_is_the_store_itself_is_refused(greenlight):
    same = (greenlight.home / "store").as_uri()
    assert said_plainly(greenlight.seeing(GREENLIGHT_MIRRORS=same)("stores"), 2, "a store is named twice")
