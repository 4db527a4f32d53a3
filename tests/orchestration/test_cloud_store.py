"""The whole road with a store in a cloud: what a home needs of it is fetched, what it decides is decided there."""

from __future__ import annotations

import shutil

import pytest

from tasks.adapters.directory import DirectoryStore
from tasks.adapters.store import open_store
from tests.command_line import end
from tests.deciding import short_road
from tests.emulators import s3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]
WHY = ("--reason", "predicts negative earnings")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    with s3.running(tmp_path_factory.mktemp("s3")) as emulator:
        yield emulator


@pytest.fixture
def away(bucket, greenlight, request):
    """The command line on an empty home whose store is a prefix of its own in S3."""
    prefix = request.node.name[:40]
    patient = {"GREENLIGHT_STORE_SECONDS": "120"}
    return greenlight.seeing(GREENLIGHT_STORE=bucket.uri(prefix=prefix), **bucket.credentials, **patient)


@pytest.fixture
def moved(bucket, first_run, greenlight, tmp_path, monkeypatch):
    """The command line on a finished home whose store was moved to S3, with production right after dev."""
    first_run.copied_to(greenlight.home)
    for name, said in bucket.credentials.items():
        monkeypatch.setenv(name, said)
    here, uri = DirectoryStore(greenlight.home / "store"), bucket.uri(prefix="moved")
    there = open_store(uri)
    for key in here.list(""):
        there.put(key, here.local_path(key))
    shutil.rmtree(here.root)
    road = short_road(greenlight.checkout, tmp_path / "road")
    people = {"GREENLIGHT_APPROVERS": str(tmp_path / "approvers.yaml"), "PYTHONPATH": str(road)}
    return greenlight.seeing(GREENLIGHT_STORE=uri, GREENLIGHT_STORE_SECONDS="120", **bucket.credentials, **people)


def ran(line, *asked):
    done = line(*asked, "--json")
    assert done.rc == 0, (asked, done.err[-3000:], done.out[-2000:])
    return done.value


def test_a_champion_in_s3_is_let_out_looked_at_rolled_back_and_restored(away, sources, tmp_path):
    first = ran(away, "run", "channels", "--source", sources["first"])
    assert first["promotion"]["status"] == "promoted"
    assert first["bundle"].startswith("s3://greenlight/") and "/bundles/channels/" in first["bundle"]
    page = away.home / "cache/pages/reports/channels"
    assert first["promotion"]["page"] == str(next(page.iterdir()))
    assert not (away.home / "store").exists()

    again = ran(away, "run", "channels", "--source", sources["first"])
    assert again["status"] == "unchanged"
    second = ran(away, "run", "channels", "--source", sources["second"])
    old, new = first["promotion"]["version"], second["promotion"]["version"]
    serves = new if second["promotion"]["status"] == "promoted" else old

    assert [each["version"] for each in ran(away, "status")["champions"]] == [serves]
    assert ran(away, "predict", "channels", "--source", sources["second"], "--out", tmp_path / "scored.csv")["rows"] > 0
    assert ran(away, "verify", "channels")["champion"] == serves
    if serves == new:
        assert ran(away, "rollback", "channels", *WHY, "--ring", "dev")["entry"]["version"] == old
    assert ran(away, "pull", "channels", "--ring", "dev", "--to", tmp_path / "reader")["version"] == old

    for lost in away.home.iterdir():
        if lost.name != "keys":
            shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
    assert ran(away, "ledger", "verify")
    assert "the registry had lost" in " ".join(ran(away, "reconcile")["changes"])
    assert [each["version"] for each in ran(away, "status")["champions"]] == [old]
    assert ran(away, "verify", "channels")["champion"] == old


def test_what_a_person_lets_out_in_s3_is_what_a_reader_pulls(moved, tmp_path):
    key = ran(moved, "key", "new", "alice", "--no-passphrase", "--out", tmp_path / "alice")
    (tmp_path / "approvers.yaml").write_text("approvers:\n" + key["entry"])
    asked = moved("promote", "channels", "--to-ring", "prod", "--json")
    assert [each["status"] for each in asked.value] == ["waiting"], asked.err
    assert moved("pull", "channels", "--ring", "prod", "--to", tmp_path / "reader").rc == 2
    said = ran(moved, "approve", "channels", "--reason", "holdout better, shadow clean", "--key", tmp_path / "alice")
    assert (said["outcome"], said["verified"]) == ("promoted", True)
    pulled = ran(moved, "pull", "channels", "--ring", "prod", "--to", tmp_path / "reader")
    assert [each["version"] for each in ran(moved, "history", "channels")] == [pulled["version"]] * 2
    assert (tmp_path / "reader/card.md").is_file()
    assert ran(moved, "ledger", "verify")[0]["entries"] == 2
    assert not (moved.home / "store").exists()


def test_two_processes_that_race_to_promote_write_one_entry(away, sources, tmp_path):
    ran(away, "run", "channels", "--source", sources["first"])
    homes = [away.home, tmp_path / "other"]
    # Another machine: nothing is shared but the store and the service's key.
    shutil.copytree(away.home / "keys", homes[1] / "keys")
    lines = [away, away.seeing(GREENLIGHT_HOME=str(homes[1]))]
    children = [line.started("promote", "channels", "--to-ring", "qa", "--json") for line in lines]
    try:
        told = [child.communicate(timeout=600) for child in children]
    finally:
        for child in children:
            end(child)
    assert {child.returncode for child in children} <= {0, 5}, told
    history = ran(away, "history", "channels")
    assert [each["ring"] for each in history if each["kind"] == "promotion"] == ["dev", "qa"]
    assert ran(away, "ledger", "verify")[0]["entries"] == 2


def test_after_a_collection_all_that_served_opens_and_runs_again(first_run, greenlight, sources):
    first_run.copied_to(greenlight.home)
    old = ran(greenlight, "run", "channels", "--source", sources["first"])["promotion"]["version"]
    second = ran(greenlight, "run", "channels", "--source", sources["second"])
    for _ in range(2):
        ran(greenlight, "gc", "--grace-hours", "0", "--keep", "1")
    assert ran(greenlight, "gc", "--dry-run", "--grace-hours", "0")["deleted"] == []
    assert ran(greenlight, "ledger", "verify") and ran(greenlight, "verify", "channels")
    assert ran(greenlight, "run", "channels", "--source", sources["second"])["status"] == "unchanged"
    if second["promotion"]["status"] == "promoted":
        assert ran(greenlight, "rollback", "channels", *WHY, "--ring", "dev")["entry"]["version"] == old
    assert ran(greenlight, "verify", "channels")["champion"] == old
    assert ran(greenlight, "run", "channels", "--source", sources["first"])["promotion"]["version"] == old
