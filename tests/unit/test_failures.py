"""One hopeless target stops only itself, and says why; all of them hopeless stops the run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tasks.core.failures import trained, untrained
from tasks.core.values import Scorecard
from tasks.errors import NoCandidatePassed
from tests.builders import shops_spec

SALES = shops_spec().targets[0]
SPEC = shops_spec(targets=(SALES, replace(SALES, name="visits", column="visitors", blind_to=("visitors",))))
CONSTANT = "target 'visits' is 7 in all 60 labelled rows."


def card(target: str, algorithm: str, reason: str = "") -> Scorecard:
    return Scorecard(target, algorithm, {}, "failed" if reason else "scored", reason, skill=None if reason else 0.1)


def test_a_target_with_one_candidate_left_is_trained():
    cards = [card("sales", "mlp", "it broke"), card("sales", "xgboost"), card("visits", "mlp")]
    assert [target.name for target in trained(SPEC, cards)] == ["sales", "visits"]
    assert untrained(cards) == {}


def test_a_target_whose_labels_are_no_use_is_left_out_with_the_reason_said_once():
    cards = [card("sales", "mlp"), card("visits", "mlp", CONSTANT), card("visits", "xgboost", CONSTANT)]
    assert [target.name for target in trained(SPEC, cards)] == ["sales"]
    assert untrained(cards) == {"visits": CONSTANT}


def test_candidates_that_failed_each_in_its_own_way_are_all_named():
    cards = [card("visits", "mlp", "no memory"), card("visits", "xgboost", "bad depth")]
    assert untrained(cards) == {
        "visits": "target 'visits': 0 of 2 candidates could be fitted (mlp: no memory; xgboost: bad depth)."
    }


def test_no_target_left_is_an_error_with_every_reason():
    cards = [card("sales", "mlp", "it broke"), card("visits", "mlp", CONSTANT)]
    with pytest.raises(NoCandidatePassed, match=r"shops: 0 of 2 targets can be trained.*it broke.*is 7 in all 60"):
        trained(SPEC, cards)
