"""Groups parted so that both sides are alike: in how many rows a group has, and in what its labels come to on average.

Within a stratum whoever drew the lowest numbers is kept from training, so that a few new rows move few groups across.
Who draws, and what a group is, is splitting's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.values import Table

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

GROUP, ROWS, LABEL, SIZE, BAND = "_group", "_rows", "_label", "_size", "_band"
# Groups of 1, 2 to 3, 4 to 7, … rows; from 32 on they are few, and are one class.
LARGEST = 5
# Parts of a class, from its lowest mean label to its highest.
BANDS = 5
# Sums that are equal but for the order they were made in are equal.
DECIMALS = 9


def strata(groups: pl.Series, label: pl.Series) -> pl.DataFrame:
    """Return one line per group: name, rows, the sum of its labels, its class of size, its band of mean label in that.

    Labels are in standard deviations from their mean. Groups of the same mean are in one band, however many they are.
    """
    values = label.cast(pl.Float64)
    known = pl.DataFrame({GROUP: groups.cast(pl.String), LABEL: (values - values.mean()) / (values.std(ddof=0) or 1.0)})
    found = known.group_by(GROUP, maintain_order=True).agg(pl.len().cast(pl.Int64).alias(ROWS), pl.sum(LABEL))
    mean = (pl.col(LABEL) / pl.col(ROWS)).round(DECIMALS)
    found = found.with_columns(_size(pl.col(ROWS)).alias(SIZE), mean.alias("mean"))
    band = (pl.col("mean").rank("min").cast(pl.Int64) - 1) * BANDS // pl.len().cast(pl.Int64)
    return found.select(GROUP, ROWS, LABEL, SIZE, band.over(SIZE).alias(BAND))


def kept(found: pl.DataFrame, draws: Floats, share: float) -> pl.Series:
    """Return the groups of *found* that are kept from training: of each stratum those with the lowest *draws*.

    As many as come nearest to *share* of its rows and of its labels; the next stratum makes up for what one takes too
    much or too little. The largest groups go first, so that the smallest make it even.
    """
    order = {SIZE: True, BAND: False, "draw": False, GROUP: False}
    drawn = found.with_columns(pl.Series("draw", draws)).sort(list(order), descending=list(order.values()))
    names, owed = [], np.zeros(2)
    for stratum in drawn.partition_by(SIZE, BAND, maintain_order=True):
        taken = np.vstack([np.zeros(2), np.cumsum(stratum.select(ROWS, LABEL).to_numpy(), axis=0)])
        owed = owed + share * taken[-1]
        # Equal but for the last bits of a sum is equal: the fewest.
        count = int(np.argmin(np.linalg.norm(taken - owed, axis=1).round(DECIMALS)))
        names.append(stratum[GROUP].head(count))
        owed = owed - taken[count]
    return pl.concat(names)


def sides(groups: pl.Series, label: pl.Series, held: Mask, *, named: str, unit: str) -> Table:
    """Return how alike the rows that are *held* and the others are: in number, in mean *label*, and by size of group.

    *named* is what a group is called, *unit* the label's.
    """
    values, size = label.cast(pl.Float64).to_numpy(), _sizes(groups)
    spread = float(values.std()) or 1.0
    means = [float(values[side].mean()) for side in (~held, held)]
    count = [groups.filter(pl.Series(side)).n_unique() for side in (~held, held)]
    lines = [
        ("rows", f"{int((~held).sum()):,}", f"{int(held.sum()):,}", f"{held.mean():.1%} held out"),
        (f"{named}s", f"{count[0]:,}", f"{count[1]:,}", f"{sum(count) - groups.n_unique():,} on both sides"),
        (f"mean {unit}".strip(), *(f"{mean:.4g}" for mean in means), f"{(means[1] - means[0]) / spread:+.3f} sd"),
    ]
    for each in np.unique(size):
        shares = [float((size[side] == each).mean()) for side in (~held, held)]
        told = f"of {named}s of {_span(int(each))}"
        lines.append((told, *(f"{share:.1%}" for share in shares), f"{100 * (shares[1] - shares[0]):+.1f} points"))
    return Table(f"Both sides of the split, by {named}", ("", "training part", "holdout", "apart"), tuple(lines))


def _size(rows: pl.Expr) -> pl.Expr:
    return rows.log(2).floor().cast(pl.Int64).clip(0, LARGEST)


def _sizes(groups: pl.Series) -> npt.NDArray[np.int64]:
    rows = pl.DataFrame({GROUP: groups}).select(_size(pl.len().over(GROUP)))
    return rows.to_series().to_numpy()


def _span(size: int) -> str:
    first, last = 2**size, 2 ** (size + 1) - 1
    if size == LARGEST:
        return f"{first} rows and more"
    return f"{first} to {last} rows" if size else "1 row"
