"""The road from rows to a promoted champion, travelled by the command line itself."""

from __future__ import annotations

import getpass
import json
import re
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import bundles, dossiers, ledger, partitions, registry_peek
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import trusted_keys
from tests.command_line import ask_api, digests, eventually

# The first test of all waits for a server and a whole run.
pytestmark = pytest.mark.timeout(1200)

BEFORE_TRAINING = ["ingest", "check contract", "materialize", "refuse leaks"]
DECIDED = ["judge", "open request", "write dossier", "decide", "project", "write page", "close request"]
AFTER_EVALUATION = ["portray", "publish bundle", "register", *DECIDED]
LOCAL = re.compile(r"sin6?_addr=inet_addr\(\"127\.|\"::1\"|sa_family=AF_(UNIX|NETLINK|UNSPEC)")


@pytest.fixture
def finished(first_run, greenlight):
    """The command line on a copy of the finished home."""
    first_run.copied_to(greenlight.home)
    return greenlight


def test_a_run_ends_promoted_with_every_row_accounted_for(first_run):
    found = first_run.done.value
    assert found["status"] == "promoted"
    assert found["rows_in"] == 300
    assert found["rows_in"] == found["rows_accepted"] + found["rows_quarantined"]
    assert found["rows_quarantined"] == pl.read_parquet(found["quarantine"]).height > 0
    assert {each["target"] for each in found["evaluations"]} == {"subscribers", "earnings", "growth"}
    assert Path(found["bundle"]).is_file()
    assert Path(found["promotion"]["page"]).read_text().startswith("<!doctype html>")


def test_a_run_is_published_as_tables_too(first_run):
    store, trust = DirectoryStore(first_run.home / "store"), trusted_keys(first_run.home / "keys")
    ((day, name),) = partitions.days(store, "reports", "channels")
    report = partitions.read(store, trust, "reports", "channels", day, name)
    assert report.about["dossier"] == ledger.champion(store, "channels", "dev").evidence
    assert all(store.head(key) for key in report.about["pages"].values())
    rows = {table: partitions.scan(store, report.tables[table]).collect().height for table in report.tables}
    assert rows == {table: report.tables[table].rows for table in rows}
    assert rows["quarantined"] == first_run.done.value["rows_quarantined"]
    assert rows["scorecards"] == len(first_run.done.value["scorecards"]) == 18


def test_a_bundle_has_its_card_its_evidence_and_the_list_of_what_it_was_made_with(first_run):
    found = first_run.done.value["promotion"]
    store, trust = DirectoryStore(first_run.home / "store"), trusted_keys(first_run.home / "keys")
    bundle = bundles.open_bundle(store, trust, "channels", found["version"])
    assert {"card.md", "evidence.json", "environment.json", "profile.json", "sbom.cdx.json"} <= set(
        bundle.manifest.files
    )
    card = bundle.read("card.md").decode()
    for part in ("## Intended use", "## Data", "## Models", "95% interval", "## Limits"):
        assert part in card
    made_with = {each["name"]: each["version"] for each in json.loads(bundle.read("sbom.cdx.json"))["components"]}
    assert made_with["polars"] == pl.__version__


def test_who_started_a_run_is_who_asked_for_what_it_let_out(first_run):
    store = DirectoryStore(first_run.home / "store")
    asked = dossiers.read(store, ledger.champion(store, "channels", "dev").evidence)
    assert asked.requested_by == getpass.getuser() != "service"


def test_a_run_says_every_stage_once_and_nothing_else(first_run):
    stages = first_run.done.stages
    assert stages[:4] == BEFORE_TRAINING
    assert sum(stage.startswith("train ") for stage in stages) == 18
    assert sum(stage.startswith("evaluate ") for stage in stages) == 3
    assert stages[-10:] == AFTER_EVALUATION
    told = first_run.done.err.splitlines()
    assert told[0].startswith("channels: ")
    assert len(told) == 1 + len(stages)


def test_a_run_writes_nothing_outside_its_home(first_run):
    assert [path for path in first_run.elsewhere.rglob("*") if path.is_file()] == []
    assert not list((first_run.home / "tmp").glob("channels-*"))


def test_a_run_connects_to_nothing_but_this_machine(first_run):
    if first_run.connects is None:
        pytest.skip("strace is not there, or may not watch processes here")
    connects = [line for line in first_run.connects.read_text().splitlines() if "connect(" in line]
    assert connects, "not even the temporary server was connected to: the watch did not work"
    assert [line for line in connects if not LOCAL.search(line)] == []


def test_the_same_rows_again_change_nothing_and_machines_and_people_are_told(finished, sources):
    before = digests(finished.home / "store")
    asked = ("run", "channels", "--source", sources["first"])
    machines, people = finished.each((*asked, "--json"), asked)
    assert machines.rc == 0, machines.err
    assert machines.value["status"] == "unchanged"
    assert machines.err == ""
    assert people.rc == 0, people.err
    assert "unchanged: the same rows, code and policy were run before" in people.out
    assert "rows in 300 = accepted" in people.out
    assert people.stages == []
    assert digests(finished.home / "store") == before


def test_a_finished_home_verifies_and_has_nothing_to_mend(finished):
    checked, mended = finished.each(("verify", "channels"), ("reconcile", "channels"))
    assert (checked.rc, checked.err) == (0, "")
    assert re.search(
        r"channels: 1 ledger entries hold; \w{12} serves .+ in dev, let out on the dossier [0-9a-f]{16}; "
        r"signature and \d+ files",
        checked.out,
    )
    assert (mended.rc, mended.out) == (0, "nothing to mend\n")


def test_projections_that_were_lost_are_made_again(finished):
    seen = finished.home / "store" / "champions" / "channels" / "dev.json"
    before = seen.read_bytes()
    seen.unlink()
    mended = finished("reconcile", "channels", "--json")
    assert mended.rc == 0
    assert len(mended.value["changes"]) == 1
    assert seen.read_bytes() == before


def test_what_a_user_has_is_enough_to_be_scored(finished, tmp_path):
    mine = tmp_path / "mine.csv"
    mine.write_text(
        "channel,uploads,country,category,created_year,created_month\n"
        "Mine,120,Germany,Education,2019,Mar\n"
        "Yours,4000,India,Music,2010,Jan\n"
    )
    scored = finished("predict", "channels", "--source", mine, "--out", tmp_path / "scored.csv", "--json")
    assert scored.rc == 0, scored.err
    rows = pl.read_csv(tmp_path / "scored.csv")
    assert rows["channel"].to_list() == ["Mine", "Yours"]
    for target in scored.value["targets"]:
        for low, predicted, high in rows.select(f"{target}_low", target, f"{target}_high").iter_rows():
            assert 0 <= low <= predicted <= high


def test_rows_are_scored_the_same_every_time(finished, sources, tmp_path):
    asked = ("predict", "channels", "--source", sources["second"], "--out")
    done = finished.each(*((*asked, tmp_path / name) for name in ("one.parquet", "two.parquet")))
    assert [each.rc for each in done] == [0, 0], done
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    assert pl.read_parquet(tmp_path / "one.parquet").height == 300


def test_a_champion_taught_other_features_scores_nothing(finished, sources, checkout, tmp_path):
    newer = tmp_path / "newer"
    shutil.copytree(checkout, newer)
    declared = newer / "tasks" / "workloads" / "channels.py"
    changed = declared.read_text().replace("known_views / known_uploads", "known_views / (known_uploads + 1)")
    declared.write_text(changed)
    done = replace(finished, checkout=newer)(
        "predict", "channels", "--source", sources["second"], "--out", tmp_path / "out.csv"
    )
    assert (done.rc, done.out) == (2, "")
    assert re.search(r"trained on features of the definition \w{12}, .* those of \w{12}: .*retrain with", done.err)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.slow
def test_a_second_source_is_held_against_the_champion_on_a_real_api(finished, sources, first_run, api):
    champion, began = first_run.done.value["promotion"]["version"], datetime.now(UTC)
    # Its own reason names its flow run, so that the API can be asked for it.
    done = finished("run", "channels", "--source", sources["second"], "--reason", "second", "--json")
    assert done.rc == 0, done.err
    assert "compare with champion" in done.stages
    found = done.value["promotion"]
    compared = [each for each in found["verdicts"] if each["gate"] == "not worse than the champion"]
    assert any(each["found"] != "nothing to compare with" for each in compared)
    assert found["version"] != champion
    assert finished("verify", "channels", "--json").value["entries"] == (2 if found["status"] == "promoted" else 1)
    promoted = _the_api_saw_every_task(api, found["version"], began)
    _the_api_keeps_the_verdicts(api, promoted, found["version"])
    _the_dossier_is_linked_from_the_run_and_kept_by_mlflow(api, finished.home, promoted, found["version"])


def _the_api_saw_every_task(api, version, began):
    wanted = {
        "retrain-channels-second": {
            "ingest channels",
            "check contract channels",
            "train growth xgboost",
            "evaluate subscribers",
            "register channels",
        },
        f"promote-channels-{version}": {
            f"verify bundle channels {version}",
            "compare channels with champion",
            f"judge channels {version}",
            f"decide channels {version}",
            f"write page channels {version}",
        },
    }
    for flow_run, tasks in wanted.items():
        # Other tests let the same challenger out from homes of their own.
        named = {"name": {"any_": [flow_run]}, "start_time": {"after_": began.isoformat()}}
        runs = ask_api(api, "/flow_runs/filter", {"flow_runs": named})
        assert [run["state_type"] for run in runs] == ["COMPLETED"]
        question = {
            "flow_runs": {"id": {"any_": [runs[0]["id"]]}},
            "task_runs": {"state": {"type": {"any_": ["COMPLETED"]}}},
        }
        eventually(
            lambda q=question, t=tasks: t <= {run["name"] for run in ask_api(api, "/task_runs/filter", q)}, seconds=240
        )
    return runs[0]["id"]


def _the_api_keeps_the_verdicts(api, run, version):
    which = {"key": {"any_": [f"channels-{version}-dev"]}, "flow_run_id": {"any_": [run]}}
    artifacts = ask_api(api, "/artifacts/filter", {"artifacts": which})
    assert len(artifacts) == 1
    assert "beats the baseline" in artifacts[0]["data"]


def _the_dossier_is_linked_from_the_run_and_kept_by_mlflow(api, home, run, version):
    which = {"key": {"like_": "dossier-channels-%"}, "flow_run_id": {"any_": [run]}}
    linked = ask_api(api, "/artifacts/filter", {"artifacts": which})
    (dossier,) = [each for each in linked if each["data"].startswith(f"# Shall channels {version} ")]
    assert "| verdict | gate | target | found | wanted |" in dossier["data"]
    page = Path(re.search(r"\[The dossier\]\((.*)\)", dossier["data"])[1])
    (kept,) = (home / "mlflow/artifacts/channels").rglob(page.name)
    assert kept.read_bytes() == page.read_bytes()
    assert json.loads(kept.with_suffix(".json").read_text())["dossier"]["version"] == version


def test_the_registry_points_at_the_newest_challenger_and_at_what_serves(first_run):
    found = registry_peek.aliases(first_run.home / "mlflow/mlflow.db")
    (entry,) = ledger.read(DirectoryStore(first_run.home / "store"), "channels", trusted_keys(first_run.home / "keys"))
    serving = entry.manifest_digest
    assert found == {("channels", "challenger"): serving, ("channels", "champion-dev"): serving}


def test_a_home_may_be_moved(first_run, greenlight, sources, tmp_path):
    first_run.copied_to(tmp_path / "old")
    shutil.move(tmp_path / "old", greenlight.home)
    verified, mended = greenlight.each(("verify", "channels"), ("reconcile", "channels"))
    assert (verified.rc, mended.out) == (0, "nothing to mend\n"), verified.err
