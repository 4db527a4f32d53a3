"""A network with niches: who answers which row, what is told of each, and what a file may say."""

from __future__ import annotations

import json
from dataclasses import replace

import polars as pl
import pytest
import safetensors.torch
import torch

from tasks.core.learners.lesson import Chained, Telling
from tasks.core.learners.niched import NICHES, Niched, from_bytes
from tasks.core.learners.transformer import Reader
from tasks.core.models import label_unit, learn
from tasks.core.training import score_candidate
from tasks.errors import NotTrusted
from tasks.workloads.spec import Candidate
from tests.builders import shops, shops_spec

SPEC = shops_spec(always_known=(), slices=())
(TARGET,) = SPEC.targets
# Too short a fit to find out that one town is another world.
PARAMS = {"dimension": 8, "hidden": 8, "epochs": 2, "learning_rate": 0.03, "batch": 64, "niches": "town"}


def towns(count: int, seed: int = 1) -> pl.DataFrame:
    """Return shops; in Cork they sell the more the fewer come."""
    upside_down = pl.when(pl.col("town") == "Cork").then(1e6 / pl.col("area")).otherwise(pl.col("sales"))
    return shops(count, seed).with_columns(upside_down.alias("sales"))


@pytest.fixture(scope="module")
def learned():
    rows = towns(1_200)
    unit = label_unit(TARGET, rows["sales"].to_numpy())
    return learn(SPEC, rows, TARGET, Candidate("transformer", PARAMS), unit=unit)


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
