"""The experience buffer: a bounded sample of all labelled rows ever learned from, most of it of late.

Which rows stay follows from the rows alone: buffers of parts, merged, are the buffer of the whole, in whatever order
they came. Nothing is kept here; what is learned from the buffer is updating.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from tasks.core.splitting import hash_shares

# Rows a buffer holds: an update over as many takes a minute, however long the history.
ROWS_MOST = 5_000
# A row is half as likely to stay as one that is so much younger.
HALF_LIFE_DAYS = 30.0
SALT = "experience"


def experience(
    parts: Sequence[pl.DataFrame],
    keys: Sequence[str],
    at: str,
    *,
    most: int = ROWS_MOST,
    half_life_days: float = HALF_LIFE_DAYS,
) -> pl.DataFrame:
    """Return at most *most* rows of *parts*, told apart by *keys* (of equal ones the last), likeliest the newest *at*.

    A weighted reservoir (Efraimidis and Spirakis 2006): each row draws −log(u) / weight, the least stay; u is a hash of
    its keys, and the weight doubles every *half_life_days*.
    """
    rows = pl.concat([part for part in parts if part.height], how="diagonal")
    rows = rows.unique(subset=list(keys), keep="last", maintain_order=True)
    shares = hash_shares(rows.select(_named(keys)).to_series(), SALT)
    days = rows[at].dt.epoch("ms").cast(pl.Float64).to_numpy() / 86_400_000
    # On the log scale, since a weight of years ago is none that a float can hold.
    drawn = np.log(-np.log(np.clip(shares, 1e-300, 1 - 1e-16))) - days / half_life_days * np.log(2)
    kept = rows.with_columns(pl.Series("_drawn", drawn)).sort("_drawn", *keys).head(most)
    return kept.drop("_drawn").sort(*keys)


def unseen(rows: pl.DataFrame, seen: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """Return the *rows* that are not among those *seen*, by their *keys*."""
    return rows.join(seen.select(keys), on=list(keys), how="anti", maintain_order="left")


def _named(keys: Sequence[str]) -> pl.Expr:
    return pl.concat_str([pl.col(key).cast(pl.String).fill_null("") for key in keys], separator="\x1f")
