"""How often the rule calls a batch critical that is like all others: two thousand batches of each size, fresh worlds.

Half of them have ten rows of each entity. Counts are drawn at once (see ``drift_worlds``), which is statistically the
same as counting rows and a hundredth of the time; small batches are pooled as the monitor pools them.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from tasks.core.batch_counts import merge
from tasks.core.drift import ROWS_ENOUGH, compare
from tasks.core.intervals import wilson
from tests.drift_worlds import drawn_counts, reference, rows

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
BATCHES, WORLDS = 2000, 20
MOST = 0.01


@pytest.mark.parametrize("count", [100, 500, 5000, 100_000])
def test_batches_of_the_same_world_are_critical_in_less_than_one_of_a_hundred(count):
    chance, fired = np.random.default_rng([2026, 11, count]), 0
    pooled = -(-ROWS_ENOUGH // count)
    verdicts = BATCHES // pooled
    with threadpool_limits(1):
        for world in range(WORLDS):
            per_entity = 10 if world % 2 else 1
            beside = reference(rows(20_000, chance, per_entity))
            for _ in range(verdicts // WORLDS):
                drawn = (drawn_counts(count, chance, beside, per_entity) for _ in range(pooled))
                fired += compare(beside, reduce(merge, drawn), {}).severity == "critical"
    found = wilson(fired, verdicts, 0.95)
    low, high = found.low / pooled, found.high / pooled
    print(f"{count:>7,} rows: {fired} critical in {verdicts:,} looks, {low:.2%} to {high:.2%} of batches")
    assert high <= MOST
