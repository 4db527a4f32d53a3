"""Shops of four towns, one of which is another world: what a network with niches is taught."""

from __future__ import annotations

import polars as pl

from tasks.core.models import Learned, learn
from tasks.core.scales import label_unit
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


def learned_by_town() -> Learned:
    """Return a network with niches, Cork's among them."""
    rows = towns(1_200)
    unit = label_unit(TARGET, rows["sales"].to_numpy())
    return learn(SPEC, rows, TARGET, Candidate("transformer", PARAMS), unit=unit)
