"""A bundle is rehearsed in a process of its own, and whatever goes wrong there is a rehearsal that failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from tasks.adapters import bundles, environment, rehearsal
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.provenance import library_versions
from tasks.adapters.signing import service_signer
from tasks.core import evaluation
from tasks.core.digests import canonical_json
from tasks.core.golden import largest_difference
from tasks.core.manifest import About
from tasks.core.model_files import to_files
from tasks.core.models import Model
from tasks.core.training import score_candidate
from tasks.workloads.spec import Workload
from tests.builders import quick, shops, shops_spec


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path, str]]:
    """A store with one signed bundle: a model of shops and its golden sample."""
    folder = tmp_path_factory.mktemp("rehearsal")
    spec, rows = shops_spec(), shops(200)
    target = spec.targets[0]
    model = learnt(spec, rows)
    files = {f"models/{target.name}/{name}": content for name, content in to_files(model).items()}
    golden = evaluation.golden(rows, model)
    files[f"golden/{target.name}.json"] = canonical_json(golden)
    files["environment.json"] = canonical_json(library_versions())
    assert largest_difference(golden, model) == 0.0
    store = DirectoryStore(folder / "store")
    made = bundles.publish(store, service_signer(folder / "keys"), "shops", files, About((target.name,)))
    yield store.uri, folder / "keys", made.version


def learnt(spec: Workload, rows: pl.DataFrame) -> Model:
    target = spec.targets[0]
    winner = score_candidate(spec, rows, target, quick("elastic_net")).scorecard
    return evaluation.evaluate(spec, rows, target, winner, refit_on_all=False).model


@pytest.mark.slow
def test_a_process_that_was_prepared_answers_the_same(published) -> None:
    rehearsal.prepare()
    (done,) = rehearsal.rehearse(published[0], published[1], "shops", published[2])
    assert done.loaded and done.version == published[2]


def test_a_bundle_that_is_not_there_is_a_rehearsal_that_failed(published) -> None:
    (done,) = rehearsal.rehearse(published[0], published[1], "shops", "0" * 12)
    assert not done.loaded and "the clean process failed" in done.reason


@pytest.mark.slow
def test_challenger_and_champion_are_rehearsed_in_one_process_and_a_damaged_one_takes_no_other_along(published) -> None:
    lost, kept = rehearsal.rehearse(published[0], published[1], "shops", "0" * 12, published[2])
    assert (lost.loaded, kept.loaded) == (False, True)
    assert kept.seconds > 0 and kept.at.endswith("+00:00")


@pytest.mark.slow
def test_a_process_that_dies_at_a_version_takes_no_other_along(published, monkeypatch) -> None:
    began = []
    start = rehearsal._start
    monkeypatch.setattr(rehearsal, "_start", lambda: began.append(start()) or began[-1])
    rehearsal.prepare()
    began[0].kill()
    began[0].wait()
    lost, kept = rehearsal.rehearse(published[0], published[1], "shops", "0" * 12, published[2])
    assert not lost.loaded and kept.loaded and len(began) == 2


@pytest.mark.slow
def test_a_bundle_made_with_other_libraries_is_named_for_it(published, tmp_path) -> None:
    store, keys = DirectoryStore.at(published[0]), published[1]
    made = bundles.open_bundle(store, service_signer(keys).trust(), "shops", published[2])
    files = {path: made.read(path) for path in made.manifest.files}
    files["environment.json"] = canonical_json(library_versions() | {"xgboost": "0.1"})
    other = bundles.publish(store, service_signer(keys), "shops", files, About(made.manifest.targets))
    (done,) = rehearsal.rehearse(published[0], keys, "shops", other.version)
    assert done.loaded and done.largest_difference == 0.0
    assert done.other_versions == (f"xgboost {library_versions()['xgboost']} is installed, it was made with 0.1")


def test_a_sound_bundle_says_again_what_it_said_in_a_process_that_sees_nothing_of_what_others_added_to_python(
    published, tmp_path, monkeypatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('an extra was loaded')\n")
    (tmp_path / "xgboost.py").write_text("raise SystemExit('a stranger was loaded')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "sitecustomize.py"))
    (done,) = rehearsal.rehearse(published[0], published[1], "shops", published[2])
    assert done.loaded, done.reason
    assert done.rows == 20 and done.largest_difference == 0.0


def test_a_prepared_process_that_dies_is_a_rehearsal_that_failed(published) -> None:
    rehearsal.prepare()
    process = rehearsal._prepared[0]
    process.kill()
    process.wait()
    (done,) = rehearsal.rehearse(published[0], published[1], "shops", published[2])
    assert not done.loaded


def test_processes_that_were_never_asked_are_ended() -> None:
    rehearsal.prepare()
    process = rehearsal._prepared[0]
    rehearsal.dismiss()
    assert process.poll() is not None and not rehearsal._prepared


def test_other_answers_than_the_golden_ones_are_measured() -> None:
    spec, rows = shops_spec(), shops(200)
    model = learnt(spec, rows)
    golden = evaluation.golden(rows, model)
    first = golden["outputs"][0]
    golden["outputs"][0] = first | {"predicted": first["predicted"] * 2}
    assert largest_difference(golden, model) == pytest.approx(0.5)
    golden["outputs"] = golden["outputs"][1:]
    assert largest_difference(golden, model) == float("inf")


@pytest.mark.parametrize(
    ("store", "seen"),
    [
        ("s3://models/here", {"AWS_PROFILE", "https_proxy"}),
        ("az://models", {"AZURE_CLIENT_ID", "https_proxy"}),
        ("file:///srv/models", set()),
    ],
)
def test_the_clean_process_sees_the_credentials_of_its_stores_cloud_and_no_others(store, seen, monkeypatch) -> None:
    monkeypatch.setenv("GREENLIGHT_STORE", store)
    planted = {"AWS_PROFILE", "AZURE_CLIENT_ID", "OCI_CLI_USER", "GITHUB_TOKEN", "https_proxy"}
    for name in planted:
        monkeypatch.setenv(name, "planted")
    assert {name for name in environment.clean() if name in planted} == seen
