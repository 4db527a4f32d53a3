"""A network's variants are made, measured once and remembered; the times lie beside the bundle and not in it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tasks import register
from tasks.adapters import frames, variants
from tasks.adapters.blobs import put_blob, read_blob
from tasks.adapters.directory import DirectoryStore
from tasks.adapters.signing import service_signer, trusted_keys
from tasks.core import golden
from tasks.core.digests import canonical_json
from tasks.core.evaluation import evaluate
from tasks.core.evaluation import golden as golden_sample
from tasks.core.model_files import from_files, to_files
from tasks.core.models import Model, calibrate
from tasks.core.training import score_candidate
from tasks.core.values import Evaluation, TrainingSet
from tasks.core.variants import Speed, Trial, score
from tasks.errors import HomeDamaged, NotTrusted
from tasks.workloads.spec import Feature
from tests.builders import quick, shops, shops_spec
from tests.towns import SPEC as TOWNS
from tests.towns import learned_by_town, towns

SPEC = shops_spec(features=(*shops_spec().features, Feature("past", "series", "planted", width=2)))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("variants")
    return DirectoryStore(folder / "store"), service_signer(folder / "keys"), folder


@pytest.fixture(scope="module")
def judged(place) -> tuple[TrainingSet, Evaluation]:
    """Return an LSTM as it was judged, its rows and files in the store."""
    store, _, folder = place
    rows = _rows()
    target = SPEC.targets[0]
    card = score_candidate(SPEC, rows, target, quick("lstm")).scorecard
    done = evaluate(SPEC, rows, target, card, refit_on_all=False)
    files = {f"{done.judged.model}/{name}": put_blob(store, content) for name, content in done.files.items()}
    files["golden/sales.json"] = put_blob(store, canonical_json(golden_sample(rows, done.model)))
    told = done.judged.stored(frames.keep(store, done.predictions, folder, "predictions"), files)
    kept = frames.keep(store, rows, folder, "rows")
    return TrainingSet("shops", kept, rows.height, "snapshot", "definitions", 0), told


def _rows() -> pl.DataFrame:
    rows = shops(400)
    past = [[float((7 * row + step) % 11) for step in range(6)] for row in range(rows.height)]
    return rows.with_columns(past=pl.Series(past, dtype=pl.List(pl.Float64)))


def measured(place, judged):
    store, signer, folder = place
    return variants.fastest(store, signer, SPEC, *judged, folder)


def as_fast_as(**milliseconds: float):
    """Stand in for the bench: variants that need no file, each as fast as it is said to be."""

    def try_variants(spec, model, rows, folder, clock=None):
        from tasks.core.learners.variants import opened

        chain = model.learned.estimator
        for name, each in milliseconds.items():
            served = replace(model, learned=replace(model.learned, estimator=chain.run_as(opened(name, chain.network))))
            yield Trial(score(name, 1, 1.0, 0.0, 1.0), Speed(each, each, 1 / each, 1 / each)), served

    return lambda *given: list(try_variants(*given))


def test_what_was_chosen_once_stays_chosen_whatever_the_clock_says_later(place, judged, monkeypatch):
    monkeypatch.setattr(variants, "try_variants", as_fast_as(fp32=9.0, int8=3.0))
    first = measured(place, judged)
    assert [each.name for each in first.value.scores if each.chosen] == ["int8"] and not first.reused
    monkeypatch.setattr(variants, "try_variants", as_fast_as(fp32=3.0, int8=9.0))
    again = measured(place, judged)
    assert again.reused and again.value == first.value


def test_the_served_variant_gives_its_golden_sample_again_and_the_weights_are_those_fitted(place, judged, monkeypatch):
    monkeypatch.setattr(variants, "try_variants", as_fast_as(fp32=9.0, int8=3.0))
    files, before = measured(place, judged).value.files, judged[1].files
    weights = "models/sales/estimator.safetensors"
    assert files[weights] == before[weights] and files["golden/sales.json"] != before["golden/sales.json"]
    read = {path: read_blob(place[0], blob) for path, blob in files.items()}
    model = from_files({path.rpartition("/")[2]: read[path] for path in read if path.startswith("models/")})
    assert golden.tolerance_of(model) == 1e-2
    assert golden.largest_difference(json.loads(read["golden/sales.json"]), model) == 0.0


def test_every_variant_is_made_measured_and_says_what_was_fitted(place, judged):
    store, _, folder = place
    training_set, told = judged
    model = from_files(
        {path.rpartition("/")[2]: read_blob(store, told.files[path]) for path in told.files if "models/" in path}
    )
    rows = variants.holdout(store, training_set.rows, told)
    assert rows.height == told.rows_holdout
    tried = variants.try_variants(SPEC, model, rows, folder)
    assert [trial.score.name for trial, _ in tried] == ["fp32", "onnx", "int8", "onnx-int8"]
    assert all(trial.speed is not None and trial.score.size for trial, _ in tried)
    apart = {trial.score.name: trial.score.apart for trial, _ in tried}
    assert apart["fp32"] == 0.0 and apart["onnx"] < 1e-5 and 0 < apart["onnx-int8"] < 0.2
    graph = tried[1][1].learned.estimator.variant.contents[0]
    assert b"lstm_fit" not in graph and str(folder).encode() not in graph


def test_times_are_noted_once_and_only_by_us(place):
    store, signer, folder = place
    speeds = {"sales": {"fp32": Speed(1.0, 2.0, 3.0, 4.0)}}
    variants.note(store, signer, "shops", "v1", speeds)
    variants.note(store, signer, "shops", "v1", {"sales": {}})
    trust = trusted_keys(folder / "keys")
    assert variants.noted(store, trust, "shops", "v1") == speeds
    assert variants.noted(store, trust, "shops", "v2") == {}
    path = store.local_path("measured/shops/v1/variants.json")
    path.write_bytes(path.read_bytes().replace(b"1.0", b"0.1"))
    with pytest.raises((NotTrusted, HomeDamaged)):
        variants.noted(store, trust, "shops", "v1")


@pytest.mark.slow
def test_each_network_of_a_winner_with_niches_is_run_as_the_variant_and_another_process_says_the_same(tmp_path):
    learned, rows = learned_by_town(), towns(600, 4)
    known = calibrate(learned.link(rows), learned.scale.link(rows["sales"].to_numpy()), log=True)
    model = Model("sales", "US$", learned, (), known, known)
    tried = {trial.score.name: (trial, served) for trial, served in variants.try_variants(TOWNS, model, rows, tmp_path)}
    assert all(trial.speed is not None and trial.score.error for trial, _ in tried.values())
    assert tried["fp32"][0].score.apart == 0.0 and tried["onnx"][0].score.apart < 1e-5
    served = tried["onnx-int8"][1]
    assert set(served.learned.scored_by(rows)) == set(learned.scored_by(rows)) > {"common"}
    assert np.abs(served.predict(rows) / model.predict(rows) - 1).max() < 0.5
    files = to_files(served) | {"golden": canonical_json(golden.answered(golden_sample(rows, model), served))}
    assert {"network.onnx", "network-1.onnx"} <= set(files)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    asked = (
        "import json, sys, pathlib\n"
        "from tasks.core import golden\n"
        "from tasks.core.model_files import from_files\n"
        "files = {name: (pathlib.Path(sys.argv[1]) / name).read_bytes() for name in sys.argv[2:]}\n"
        "sample = json.loads(files.pop('golden'))\n"
        "model = from_files(files)\n"
        "print(model.learned.estimator.variant.name, golden.largest_difference(sample, model))\n"
    )
    said = subprocess.run([sys.executable, "-c", asked, str(tmp_path), *files], check=True, stdout=subprocess.PIPE)
    name, apart = said.stdout.decode().split()
    assert name == "onnx-int8" and float(apart) < 1e-6


@dataclass(frozen=True)
class Proof:
    """What registering reads of the evidence."""

    training_set: TrainingSet
    evaluations: tuple[Evaluation, ...]


def test_registering_hands_on_the_files_of_what_serves_and_leaves_other_winners_alone(place, judged, monkeypatch):
    store, signer, folder = place
    monkeypatch.setattr(variants, "try_variants", as_fast_as(fp32=9.0, int8=3.0))
    told = SimpleNamespace(reused=False, note="")
    given = {
        "store": lambda: store,
        "signer": lambda: signer,
        "scratch": lambda workload: nullcontext(folder),
        "stage": lambda run, name: nullcontext(told),
        "workloads": SimpleNamespace(get=lambda name: SPEC),
    }
    for name, stand_in in given.items():
        monkeypatch.setattr(register, name, stand_in)
    trees = replace(judged[1], target="visitors", algorithm="xgboost")
    evidence, speeds = register._with_fastest(SimpleNamespace(workload="shops"), Proof(judged[0], (judged[1], trees)))
    assert evidence.evaluations[1] == trees and set(speeds) == {"sales"}
    assert evidence.evaluations[0].files == measured(place, judged).value.files
    assert told.note == "sales: int8 of 2 variants"
    assert register._with_fastest(SimpleNamespace(workload="shops"), Proof(judged[0], (trees,)))[1] == {}
