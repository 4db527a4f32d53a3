"""Training–serving skew: scored rows are answered again from what the offline store gives, and compared bit by bit.

The batch takes the road that training takes (Feast's definitions, offline store and point-in-time join), beside the one
it was scored by. What a difference means is for whoever reads the finding.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tasks.adapters import partitions
from tasks.adapters.blobs import blob_path
from tasks.adapters.parquet import write_parquet
from tasks.adapters.scoring import Scorer
from tasks.adapters.store import Store
from tasks.core.partitions import Table
from tasks.core.scoring import BLOCK_ROWS, Skew, answers, columns_of, sampled_block, skew_between
from tasks.core.values import Contracted


def measure(store: Store, scorer: Scorer, contracted: Contracted, published: Table, folder: Path) -> Skew:
    """Answer one block of the scored rows again from the offline store, made in *folder*, and compare."""
    # Feast costs seconds to import; nobody else who scores needs it.
    from tasks.adapters import feast_store

    spec, accepted = scorer.spec, blob_path(store, contracted.accepted)
    start = sampled_block(published.rows, scorer.run)
    sample, joined = folder / "sample.parquet", folder / "joined.parquet"
    write_parquet(pl.scan_parquet(accepted).slice(start, BLOCK_ROWS), sample)
    feast_store.write_features(spec, accepted, folder, contracted.snapshot)
    feast_store.apply(spec, folder, contracted.snapshot)
    feast_store.training_rows(spec, folder, sample, joined, snapshot_digest=contracted.snapshot)
    named = [name for target in scorer.targets for name in columns_of(target)]
    said = partitions.scan(store, published).select(named).slice(start, BLOCK_ROWS).collect()
    return skew_between(said, answers(pl.read_parquet(joined), scorer.models))
