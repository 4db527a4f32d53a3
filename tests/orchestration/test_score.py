"""A champion put to work by the command line: a day is published whole, again the same, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import bundles, ledger, predictions
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.predictions import QUARANTINED, SCORED
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.errors import BadRequest
from tests.command_line import CommandLine, digests, said_plainly

# The first test of all waits for a server and a whole run.
pytestmark = pytest.mark.timeout(1800)

DAY = ("--ring", "dev", "--date", "2026-11-20")
STAGES = ["ingest", "check contract", "score", "check skew", "publish"]


@pytest.fixture
def serving(first_run, greenlight):
    """The command line on a copy of a home whose dev ring has a champion."""
    first_run.copied_to(greenlight.home)
    return greenlight


def read(home: Path, day: str = "") -> predictions.Day:
    return predictions.read(DirectoryStore(home / "store"), trusted_keys(home / "keys"), "channels", "dev", day)


def test_a_batch_becomes_a_day_with_every_row_accounted_for(serving, sources):
    done = serving("score", "channels", "--input", sources["second"], *DAY, "--json")
    assert done.rc == 0, done.err
    assert done.stages == STAGES
    found = done.value["day"]
    assert (done.value["status"], found["rows_in"]) == ("published", 300)
    assert found["rows_in"] == found["rows_scored"] + found["rows_quarantined"] and found["rows_quarantined"] > 0
    assert found["skew"] == {"rows": found["rows_scored"], "differing": 0, "columns": []}
    assert not {"skew", "not_finite"} & {each["code"] for each in found["findings"]}

    store, day = DirectoryStore(serving.home / "store"), read(serving.home)
    assert day.about.rows_scored == found["rows_scored"] and day.about.date == "2026-11-20"
    rows = predictions.rows(store, day).collect()
    assert rows.height == found["rows_scored"]
    assert rows["run_id"].unique().to_list() == [found["run"]]
    assert rows["model_version"].unique().to_list() == [found["version"]]
    for target in found["targets"]:
        assert rows.select((pl.col(f"{target}_low") <= pl.col(f"{target}_high")).all()).item()
    aside = predictions.rows(store, day, predictions.QUARANTINED).collect()
    assert aside.height == found["rows_quarantined"] and aside["_rules"].null_count() == 0


@pytest.mark.slow
def test_the_same_batch_again_changes_nothing_and_another_replaces_the_day(serving, sources):
    assert serving("score", "channels", "--input", sources["second"], *DAY).rc == 0
    found, before = read(serving.home).about, digests(serving.home / "store")
    again = serving("score", "channels", "--input", sources["second"], *DAY)
    assert again.rc == 0, again.err
    assert "unchanged: channels of 2026-11-20 in dev" in again.out
    assert digests(serving.home / "store") == before

    other = serving("score", "channels", "--input", sources["first"], *DAY)
    assert other.rc == 0, other.err
    assert read(serving.home).about.run != found.run
    assert (
        predictions.rows(DirectoryStore(serving.home / "store"), read(serving.home)).collect()["run_id"].n_unique() == 1
    )


def test_what_cannot_be_scored_is_said_in_one_sentence_and_publishes_nothing(serving, sources, tmp_path):
    (tmp_path / "empty.csv").touch()
    mistakes = (
        (("--input", tmp_path / "empty.csv", *DAY), ("empty (0 bytes)",)),
        (("--input", sources["first"], "--ring", "prod"), ("no champion in prod", "greenlight run channels")),
        (("--input", sources["first"], "--ring", "moon"), ("'moon' is no ring", "dev, qa, preprod, prod")),
        (("--input", sources["first"], "--ring", "dev", "--date", "20.11.2026"), ("write it as 2026-11-21",)),
    )
    done = serving.each(*(("score", "channels", *asked) for asked, _ in mistakes))
    assert all(said_plainly(each, 2, *words) for each, (_, words) in zip(done, mistakes, strict=True))
    assert not (serving.home / "store" / "predictions").exists()


@pytest.mark.slow
def test_a_batch_that_lacks_a_required_column_is_refused_by_name(serving, sources, tmp_path):
    pl.read_csv(sources["first"], infer_schema=False).drop("uploads").write_csv(tmp_path / "narrow.csv")
    assert said_plainly(serving("score", "channels", "--input", tmp_path / "narrow.csv", *DAY), 2, "uploads")
    assert not (serving.home / "store" / "predictions").exists()


@pytest.mark.slow
def test_a_batch_of_few_rows_without_labels_is_scored_though_nothing_could_be_learned_from_it(
    serving, sources, tmp_path
):
    few = pl.read_csv(sources["second"], infer_schema=False)[5:25]
    few.drop("highest_yearly_earnings").write_csv(tmp_path / "few.csv")
    done = serving("score", "channels", "--input", tmp_path / "few.csv", *DAY, "--output", tmp_path / "out", "--json")
    assert done.rc == 0, done.err
    assert done.value["day"]["rows_in"] == 20
    elsewhere = DirectoryStore(tmp_path / "out")
    day = predictions.read(elsewhere, trusted_keys(serving.home / "keys"), "channels", "dev")
    assert predictions.rows(elsewhere, day).collect().height == done.value["day"]["rows_scored"] > 0
    assert not (serving.home / "store" / "predictions").exists()
    # Its truth comes to the home that scored it, whose own readers do not see it.
    own = DirectoryStore(serving.home / "store"), trusted_keys(serving.home / "keys"), "channels", "dev"
    assert predictions.read(*own, kinds=predictions.ANYWHERE) == day
    with pytest.raises(BadRequest, match="no predictions"):
        predictions.read(*own)


@pytest.mark.slow
def test_of_two_at_once_one_publishes_and_the_day_is_all_its_own(serving, sources):
    asked = [("score", "channels", "--input", sources[name], *DAY, "--json") for name in ("first", "second")]
    with contextlib.ExitStack() as running:
        children = [running.enter_context(serving.started(*each)) for each in asked]
        said = [child.communicate(timeout=900) for child in children]
    codes = [child.returncode for child in children]
    assert sorted(codes) in ([0, 5], [0, 0]), said
    won = [json.loads(out)["day"] for (out, _), code in zip(said, codes, strict=True) if code == 0]
    day = read(serving.home)
    assert day.about.run in {each["run"] for each in won}
    rows = predictions.rows(DirectoryStore(serving.home / "store"), day).collect()
    assert rows["run_id"].unique().to_list() == [day.about.run]


def registered(greenlight, home: Path, source: Path) -> str:
    """Learn from other rows, and let what was registered serve in dev whatever the gates say."""
    done = greenlight("run", "channels", "--source", source, "--json")
    assert done.rc == 0, done.err
    store, signer = DirectoryStore(home / "store"), service_signer(home / "keys")
    version = done.value["promotion"]["version"]
    standing = ledger.champion(store, "channels", "dev", signer.trust())
    manifest = bundles.read_manifest(store, signer.trust(), "channels", version)
    planted = {"version": version, "manifest_digest": manifest.digest, "evidence": "planted"}
    ledger.append(store, signer, replace(standing, **planted), standing.number)
    return version


@pytest.mark.slow
@pytest.mark.timeout(3_000)
def test_a_ring_lets_in_what_soaked_and_challengers_answer_in_its_champions_shadow(
    first_run, checkout, api, sources, tmp_path
):
    first_run.copied_to(tmp_path / "home")
    shutil.copytree(checkout, tmp_path / "sources")
    (tmp_path / "cwd").mkdir()
    policies = tmp_path / "sources/deployments/policies"
    for name in ("qa", "preprod"):
        (policies / f"{name}.yaml").unlink()
    asks = {"ring": "prod", "after": "dev", "decision": "automatic", "soak_cycles": 2}
    (policies / "prod.yaml").write_text(json.dumps(asks))
    greenlight = CommandLine(tmp_path / "sources", tmp_path / "cwd", tmp_path / "home", {"PREFECT_API_URL": api})

    def soaked() -> tuple[str, str]:
        (came,) = greenlight("promote", "channels", "--to-ring", "prod", "--json").value
        (verdict,) = [each for each in came["verdicts"] if each["gate"] == "soak"]
        return came["status"], verdict["found"].removesuffix(": greenlight score --ring dev makes one")

    assert soaked() == ("not promoted", "0 of 2 shadow cycles clean")
    for day, name in (("2026-11-18", "first"), ("2026-11-19", "first"), ("2026-11-19", "second")):
        if name == "second":
            assert soaked() == ("not promoted", "1 of 2 shadow cycles clean"), "the same rows prove nothing new"
        asked = ("--input", sources[name], "--ring", "dev", "--date", day)
        assert greenlight("score", "channels", *asked).rc == 0
    assert soaked() == ("promoted", "2 of 2 shadow cycles clean")

    version = registered(greenlight, greenlight.home, sources["second"])
    done = greenlight("score", "channels", "--input", sources["second"], "--ring", "prod", "--json")
    assert done.rc == 0, done.err
    (cycle,) = done.value["cycles"]
    assert (cycle["challenger"], cycle["champion"]) == (version, done.value["day"]["version"])
    assert cycle["rows"] == done.value["day"]["rows_scored"]
    assert [each["target"] for each in cycle["differences"]] == done.value["day"]["targets"]
    assert all(each["movers"] and each["rank_correlation"] > 0 for each in cycle["differences"])


@pytest.fixture(scope="module")
def never_killed(first_run, checkout, api, sources, tmp_path_factory):
    """A home that scored the second batch as the day and was not killed."""
    folder = tmp_path_factory.mktemp("never-killed")
    line = CommandLine(checkout, folder, first_run.copied_to(folder / "home"), {"PREFECT_API_URL": api})
    done = line("score", "channels", "--input", sources["second"], *DAY)
    assert done.rc == 0, done.err
    return line.home


def kept(home: Path) -> dict[str, str]:
    """What a home's store keeps, but for what is remembered of stages."""
    return {name: found for name, found in digests(home / "store").items() if not name.startswith("stages/")}


@pytest.mark.slow
@pytest.mark.parametrize("after", STAGES[:-1])
def test_killed_half_way_and_run_again_it_ends_in_the_same_bytes(never_killed, serving, sources, after):
    asked = ("score", "channels", "--input", sources["second"], *DAY)
    assert serving.dying_after(after)(*asked).rc == -signal.SIGKILL
    assert not (serving.home / "store" / "predictions").exists()
    assert serving(*asked).rc == 0
    assert kept(serving.home) == kept(never_killed)
    assert not list((serving.home / "tmp").glob("channels-*"))


# Python reads this file as it starts: the process dies where a store gives, or gave, a finished file its name.
DYING = """
import os, signal

when, where = os.environ["DIES"].split(" ")

def dying(call):
    def named(source, target, **options):
        if when == "before" and str(target).startswith(where):
            os.kill(os.getpid(), signal.SIGKILL)
        call(source, target, **options)
        if when == "after" and str(target).startswith(where):
            os.kill(os.getpid(), signal.SIGKILL)
    return named

os.link, os.replace = dying(os.link), dying(os.replace)
"""


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_killed_while_it_publishes_a_reader_has_the_old_day_or_the_new_one_whole(
    never_killed, serving, sources, tmp_path
):
    (tmp_path / "dying").mkdir()
    (tmp_path / "dying" / "sitecustomize.py").write_text(DYING)
    out, own = DirectoryStore(tmp_path / "out"), DirectoryStore(serving.home / "store")
    trust, new = trusted_keys(serving.home / "keys"), read(never_killed)

    def scored(name: str, **settings: str) -> int:
        asked = ("score", "channels", "--input", sources[name], *DAY, "--output", out.root)
        return serving.seeing(**settings)(*asked).rc

    def seen(store: DirectoryStore) -> predictions.Day:
        day = predictions.read(store, trust, "channels", "dev", kinds=predictions.ANYWHERE)
        rows, aside = (predictions.rows(store, day, name).collect() for name in (SCORED, QUARANTINED))
        assert (rows.height, aside.height) == (day.about.rows_scored, day.about.rows_quarantined)
        assert rows["run_id"].unique().to_list() == [day.about.run]
        return day

    assert scored("first") == 0
    old = seen(out)
    assert old != new and seen(own) == old
    for dies, there, here in (
        (f"after {out.root}/blobs/", old, old),
        (f"before {out.root}/predictions/", old, old),
        (f"after {out.root}/predictions/", new, old),
        (f"after {own.root}/elsewhere/", new, new),
    ):
        path = f"{tmp_path / 'dying'}{os.pathsep}{serving.checkout}"
        assert scored("second", DIES=dies, PYTHONPATH=path) == -signal.SIGKILL, dies
        assert (seen(out), seen(own)) == (there, here), dies

    assert scored("second") == 0
    assert seen(out) == seen(own) == new
    whole = DirectoryStore(tmp_path / "whole")
    signer = service_signer(never_killed / "keys")
    predictions.publish(whole, signer, new, source=DirectoryStore(never_killed / "store"), replaces="")
    assert digests(out.root).items() >= digests(whole.root).items()
    alike = {name: found for name, found in kept(never_killed).items() if not name.startswith("predictions/")}
    assert kept(serving.home).items() >= alike.items()
    assert not list((serving.home / "tmp").glob("channels-*"))
