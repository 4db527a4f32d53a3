"""Frames as blobs: what is too large for a value travels as Parquet with deterministic bytes."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import polars as pl

from tasks.adapters.blobs import blob_path, put_blob
from tasks.adapters.parquet import write_parquet
from tasks.adapters.store import Store
from tasks.core.values import Blob


def keep(store: Store, frame: pl.DataFrame | pl.LazyFrame, folder: Path, name: str) -> Blob:
    """Store *frame* as a Parquet blob; *folder* is scratch."""
    path = folder / f"{name}.parquet"
    write_parquet(frame.lazy(), path)
    return put_blob(store, path)


def read(store: Store, blob: Blob) -> pl.DataFrame:
    """Return the frame in *blob*; the same one is read once for all candidates that are trained side by side."""
    return _read(blob_path(store, blob))


@lru_cache(maxsize=2)
def _read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path)
