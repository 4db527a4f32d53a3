"""A network with niches: who answers which row, what is told of each, and what a file may say."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from tasks.core.learners.lesson import Chained, Telling
from tasks.core.learners.network import Several, Variant
from tasks.core.learners.niched import NICHES, Niched, from_bytes, weighing
from tasks.core.learners.transformer import Reader
from tasks.core.learners.variants import opened
from tasks.core.model_files import from_files, network_files, to_files
from tasks.core.models import Model, calibrate
from tasks.core.training import score_candidate
from tasks.errors import NotTrusted
from tasks.workloads.spec import Candidate
from tests.builders import shops
from tests.towns import PARAMS, SPEC, TARGET, learned_by_town


@pytest.fixture(scope="module")
def learned():
    return learned_by_town()


def test_a_niche_that_is_better_answers_its_rows_and_says_so(learned):
    rows, estimator = shops(80, 3), learned.estimator
    assert isinstance(estimator, Chained) and isinstance(estimator, Telling)
    kept = set(estimator.weights)
    assert "Cork" in kept and kept <= {"Ayr", "Bath", "Cork", "Deal"}
    assert learned.scored_by(rows) == [town if town in kept else "common" for town in rows["town"].to_list()]
    (table,) = estimator.told()
    assert {line[0] for line in table.lines} == {"Ayr", "Bath", "Cork", "Deal"}
    assert {line[0] for line in table.lines if line[-1] == "kept"} == kept


def test_a_network_with_niches_that_went_through_bytes_says_the_same_bit_for_bit(learned):
    x = learned.design(shops(80, 3))
    data = learned.estimator.to_bytes()
    back = from_bytes(data)
    assert isinstance(back, Niched) and back.to_bytes() == data
    assert back.predict(x).tolist() == learned.estimator.predict(x).tolist()
    common = replace(learned.estimator, weights={})
    assert isinstance(from_bytes(common.to_bytes()), Reader)
    assert set(common.scored_by(x)) == {"common"}


def test_every_network_runs_in_eight_bits_and_answers_the_rows_that_are_its_own(learned):
    x, estimator = learned.design(shops(80, 3)), learned.estimator
    served = estimator.run_as(opened("int8", estimator.network))
    by = np.array(served.scored_by(x))
    assert len(set(by)) > 1
    for name in set(by):
        own = weighing(estimator.common, estimator.weights.get(name, estimator.common.weights))
        alone = own.run_as(opened("int8", own.network)).predict(x[by == name])
        assert served.predict(x)[by == name].tolist() == pytest.approx(alone.tolist(), abs=1e-6)
        assert served.predict(x)[by == name].tolist() != pytest.approx(own.predict(x[by == name]).tolist(), abs=1e-6)
    assert served.predict(x[:0]).size == 0
    common = estimator.common.network
    assert Several.of([common, common]).size == common.size


def test_a_bundles_model_with_niches_keeps_a_graph_for_each_network(learned):
    model = Model("sales", "US$", learned, (), *[calibrate(np.ones(9), np.ones(9), log=True)] * 2)
    graphs = tuple(bytes([place]) for place in range(len(learned.estimator.network.parts)))
    kept = Variant("onnx", learned.estimator.network.answer, lambda: 0, graphs)
    files = to_files(replace(model, learned=replace(learned, estimator=learned.estimator.run_as(kept))))
    assert {"network.onnx", "network-1.onnx"} <= set(files) == {*to_files(model), *network_files(len(graphs))}
    for spoiled, reason in (
        ({name: each for name, each in files.items() if name != "network-1.onnx"}, "has the files|with 1 files"),
        (files | {"network-9.onnx": b"1"}, "has the files"),
        (files, "network.onnx cannot be"),
    ):
        with pytest.raises(NotTrusted, match=reason):
            from_files(spoiled)


def test_a_file_whose_niches_are_not_the_networks_is_not_loaded(learned):
    kept = safetensors.torch.load(learned.estimator.to_bytes())
    about = torch.frombuffer(
        bytearray(json.dumps({"column": 2, "names": ["Ayr"], "kept": ["Rye"]}).encode()), dtype=torch.uint8
    )
    for spoiled, reason in (
        ({NICHES: about}, "names the niches"),
        ({NICHES: torch.zeros(3, dtype=torch.uint8)}, "does not say what its niches are"),
        ({"niche9.head.last.bias": torch.zeros(1)}, "of a niche it does not name"),
        ({"niche0.head.last.bias": torch.zeros(2)}, "should hold"),
    ):
        with pytest.raises(NotTrusted, match=reason):
            from_bytes(safetensors.torch.save(kept | spoiled))


def test_niches_of_what_is_no_category_are_a_failed_scorecard():
    candidate = Candidate("transformer", PARAMS | {"niches": "area"})
    card = score_candidate(SPEC, shops(240), TARGET, candidate).scorecard
    assert card.status == "failed" and "'area' were asked for, which is no category" in card.reason
