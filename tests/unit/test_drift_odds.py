"""How often the rule errs on halves of the same rows, entities dealt whole."""

from __future__ import annotations

import numpy as np

from tasks.core.drift_odds import RULE, Calibration, on_noise
from tests.drift_worlds import reference, rows


def measured(per_entity: int):
    frame = rows(4000, np.random.default_rng(5), per_entity)
    beside = reference(frame)
    return on_noise(frame, frame["entity"], {}, beside, {}, set(), trials=8, chance=np.random.default_rng(6))


def test_halves_of_the_same_rows_are_not_critical_though_entities_repeat():
    for per_entity in (1, 8):
        found = measured(per_entity)
        assert (found.trials, found.fired, found.rows) == (8, 0, 2000)
        assert found.rate.low == 0 and 0.2 < found.rate.high < 0.4


def test_what_was_measured_is_said_in_one_sentence():
    said = Calibration("shops", "prod", "v", "p", RULE, measured(1), 9, 2, 1).sentence
    assert said.startswith("on pure noise this rule would fire 0.0 % of batches (95% interval 0.0 % to 32.4 %")
    assert said.endswith("over the last 9 batches it would have fired 1 times")
