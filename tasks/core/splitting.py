"""Who is kept from training: the holdout and the folds, by a hash of the entity or by time, never by a row's place.

All rows of one entity, or of one block of time, are on one side, in any process, on any machine, whatever the order of
the rows. Fitting and judging do not belong here, nor what makes groups alike, which is strata's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.strata import GROUP, kept, strata
from tasks.errors import DataRejected
from tasks.workloads.spec import Target, Workload

Rows = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]

# Below this a fold's error says nothing; the run is refused rather than judged on a handful.
LABELLED_ROWS_PER_FOLD = 5
# From here on one repeat tells candidates apart as well as several, and they only cost time.
ROWS_FOR_ONE_REPEAT = 5_000


@dataclass(frozen=True)
class Split:
    """Positions of the labelled rows of one target in the training set: to learn from, and to be judged on.

    ``late`` ones lie before the holdout, but their label was not known yet when its first row was: neither.
    """

    train: Rows
    holdout: Rows
    late: Rows


@dataclass(frozen=True)
class Fold:
    """Positions, within the rows handed in, of one fold of one repeat; of so many ``late`` ones see ``Split``."""

    repeat: int
    fold: int
    fit: Rows
    judge: Rows
    late: int = 0


def hash_shares(entities: pl.Series, salt: str) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) per row, the same for the same entity and *salt* in every process (BLAKE2b)."""
    names = entities.cast(pl.String).fill_null("")
    unique = names.unique(maintain_order=True)
    key = salt.encode()[:64]
    shares = [
        int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8, key=key).digest(), "big") >> 11 for name in unique
    ]
    lookup = pl.DataFrame({"name": unique, "share": pl.Series(shares, dtype=pl.Float64) / 2.0**53})
    return pl.DataFrame({"name": names}).join(lookup, on="name", how="left", maintain_order="left")["share"].to_numpy()


def in_holdout(entities: pl.Series, spec: Workload) -> Mask:
    """Say for each row whether its entity is kept from training; new rows move none across."""
    return hash_shares(entities, f"holdout {spec.holdout.seed}") < spec.holdout.share


def blocks(spec: Workload, rows: pl.DataFrame) -> pl.Series:
    """Return the number of the block of time each row lies in."""
    return rows[spec.event_time].dt.epoch("s") // (3600 * spec.holdout.block_hours)


def units(spec: Workload, rows: pl.DataFrame) -> pl.Series:
    """Return what each row stays with on one side: its block of time where time parts the rows, else its witness."""
    return blocks(spec, rows) if spec.holdout.by == "time" else witness_of(spec, rows)


def witness_of(spec: Workload, rows: pl.DataFrame) -> pl.Series:
    """Return what each row errs together with: its witness; without one (a track of no known artist) it is its own."""
    if spec.witness == spec.entity:
        return rows[spec.entity]
    own = called(spec).str.to_lowercase() if spec.holdout.goes_by else pl.col(spec.witness)
    named = pl.coalesce(own, pl.col(spec.entity).cast(pl.String))
    return rows.select(named.alias(spec.witness)).to_series()


def called(spec: Workload) -> pl.Expr:
    """Return what the witness of each row is called: two that differ in nothing but case are one."""
    return spec.holdout.goes_by(pl.col(spec.witness)) if spec.holdout.goes_by else pl.col(spec.witness)


def split(spec: Workload, rows: pl.DataFrame, target: Target) -> Split:
    """Part the labelled rows of *target*; DataRejected if they are too few or all the same.

    Where rows stay together within a column, its groups are parted so that both sides have alike ones.
    """
    label = rows[target.column].cast(pl.Float64)
    labelled = label.is_finite().fill_null(False).to_numpy()
    _check_enough(spec, rows, target, labelled)
    _check_varies(spec, target, label.filter(pl.Series(labelled)))
    held = _held(spec, rows, label, labelled)
    train, holdout = np.flatnonzero(labelled & ~held), np.flatnonzero(labelled & held)
    known = known_before(spec, rows[train], rows[holdout])
    found = Split(train[known], holdout, train[~known])
    wanted = LABELLED_ROWS_PER_FOLD * spec.holdout.folds
    if found.train.size < wanted or found.holdout.size < LABELLED_ROWS_PER_FOLD:
        raise DataRejected(
            f"target {target.name!r} leaves {found.train.size} labelled rows to learn from and"
            f" {found.holdout.size} to be judged on; at least {wanted} and {LABELLED_ROWS_PER_FOLD} are needed."
            f"{_told_late(found.late.size)} Bring more labelled rows, or declare fewer folds."
        )
    _check_folds(spec, rows[found.train], target)
    _check_changes(spec, rows[found.train], target)
    return found


def known_before(spec: Workload, rows: pl.DataFrame, judged: pl.DataFrame) -> Mask:
    """Say of which *rows* the label was known before the first of the *judged* ones: of all, where nothing says when.

    Which rows tell a fit when to stop is not asked here: they are of its own rows, all of which were known by then.
    """
    if not spec.holdout.known_at:
        return np.ones(rows.height, dtype=bool)
    settled = pl.col(spec.event_time) + pl.duration(days=spec.holdout.settled_days)
    # The later of both; where the row does not say, max_horizontal takes the other.
    known = pl.max_horizontal(spec.holdout.known_at, settled) < judged[spec.event_time].min()
    return rows.select(known.fill_null(False).alias("known")).to_series().to_numpy()


def folds_of(spec: Workload, rows: pl.DataFrame) -> Iterator[Fold]:
    """Yield the ``folds`` of *rows*, each without rows whose label was not known yet when the first of it was judged.

    A fold that is left with too few rows to learn from, or all of one block of time, of which none could tell when to
    stop, is none: the oldest, where labels take long to be known.
    """
    together = units(spec, rows)
    for fold in folds(spec, together):
        known = known_before(spec, rows[fold.fit], rows[fold.judge])
        fit = fold.fit[known]
        if known.all() or (fit.size >= LABELLED_ROWS_PER_FOLD and together[fit].n_unique() > 1):
            yield replace(fold, fit=fit, late=int((~known).sum()))


def folds(spec: Workload, units: pl.Series) -> Iterator[Fold]:
    """Yield folds × repeats over the rows of *units*, each unit whole and folds of even size; many rows get one repeat.

    Where time parts the rows, the blocks are cut into one part more than there are folds: each fold learns from all
    parts before its own, so the oldest part is judged in none.
    """
    if spec.holdout.by == "time":
        yield from _ahead(units, spec.holdout.folds)
        return
    repeats = spec.holdout.repeats if units.len() < ROWS_FOR_ONE_REPEAT else 1
    for repeat in range(repeats):
        number = _fold_numbers(units, spec.holdout.folds, f"fold {spec.holdout.seed} {repeat}")
        for fold in range(spec.holdout.folds):
            yield Fold(repeat, fold, np.flatnonzero(number != fold), np.flatnonzero(number == fold))


def stopping_rows(units: pl.Series, seed: int, share: float = 0.15) -> Mask:
    """Say which training rows only tell a learner when to stop; whole units."""
    stop: Mask = _fold_numbers(units, max(2, round(1 / share)), f"stop {seed}") == 0
    return stop


def _held(spec: Workload, rows: pl.DataFrame, label: pl.Series, labelled: Mask) -> Mask:
    if spec.holdout.by == "time":
        return _newest(spec, rows, labelled)
    return _alike(spec, rows, label, labelled) if spec.holdout.within else in_holdout(units(spec, rows), spec)


def _alike(spec: Workload, rows: pl.DataFrame, label: pl.Series, labelled: Mask) -> Mask:
    """Say which rows are of groups that are kept: ``share`` of the labelled rows of each stratum of groups."""
    groups, known = units(spec, rows).cast(pl.String).fill_null(""), pl.Series(labelled)
    found = strata(groups.filter(known), label.filter(known))
    draws = hash_shares(found[GROUP], f"holdout {spec.holdout.seed}")
    return groups.is_in(kept(found, draws, spec.holdout.share).implode()).to_numpy()


def _newest(spec: Workload, rows: pl.DataFrame, labelled: Mask) -> Mask:
    """Say which rows lie at or after the block from which on the newest ``share`` of the labelled rows lies."""
    block = blocks(spec, rows)
    cut = block.filter(pl.Series(labelled)).quantile(1 - spec.holdout.share, "higher")
    return (block >= cut).fill_null(False).to_numpy()


def _ahead(blocks: pl.Series, folds: int) -> Iterator[Fold]:
    _, place = np.unique(blocks.to_numpy(), return_inverse=True)
    part = place * (folds + 1) // (place.max() + 1)
    for fold in range(folds):
        yield Fold(0, fold, np.flatnonzero(part <= fold), np.flatnonzero(part == fold + 1))


def _fold_numbers(entities: pl.Series, count: int, salt: str) -> npt.NDArray[np.intp]:
    shares = hash_shares(entities, salt)
    _, place = np.unique(shares, return_inverse=True)
    return place % count


def _check_enough(spec: Workload, rows: pl.DataFrame, target: Target, labelled: Mask) -> None:
    found = units(spec, rows).filter(pl.Series(labelled)).n_unique()
    by_time = spec.holdout.by == "time"
    # By time, two more: what is kept, and the oldest part, which is only learned from.
    what, least = ("blocks of time", spec.holdout.folds + 2) if by_time else ("entities", spec.holdout.folds)
    wanted = LABELLED_ROWS_PER_FOLD * spec.holdout.folds
    if found < least or labelled.sum() < wanted:
        raise DataRejected(
            f"target {target.name!r} has {int(labelled.sum())} labelled rows of {found} {what} among"
            f" {rows.height} rows; {spec.holdout.folds} folds need at least {wanted} rows of {least}"
            f" {what}. Bring more rows in which {target.column!r} is filled, or declare fewer folds."
        )


def _check_folds(spec: Workload, train: pl.DataFrame, target: Target) -> None:
    """Refuse labels that were known so late that no two folds are left: one is corrected by the residuals of others."""
    if spec.holdout.known_at and len(list(folds_of(spec, train))) < 2:
        raise DataRejected(
            f"target {target.name!r} leaves fewer than 2 of {spec.holdout.folds} folds: in the others fewer than"
            f" {LABELLED_ROWS_PER_FOLD} labels were known when the first row to be judged was. Bring rows of more time."
        )


def _told_late(rows: int) -> str:
    return f" Of {rows} more the label was not known yet when the first to be judged on was." if rows else ""


def _check_changes(spec: Workload, train: pl.DataFrame, target: Target) -> None:
    """Refuse a change that is to be learned where rows have no value before: of things that were seen once."""
    if not target.as_change:
        return
    known = train[target.previous].cast(pl.Float64).is_finite().fill_null(False).to_numpy()
    fewest = min(int(known[fold.fit].sum()) for fold in folds_of(spec, train))
    if fewest < LABELLED_ROWS_PER_FOLD:
        raise DataRejected(
            f"target {target.name!r} is learned as a change from {target.previous!r}, which {int(known.sum())} of"
            f" {train.height} rows to learn from have, and {fewest} of the fold that learns from fewest; at least"
            f" {LABELLED_ROWS_PER_FOLD} are needed. Bring later rows of the same {spec.entity}, over more time."
        )


def _check_varies(spec: Workload, target: Target, label: pl.Series) -> None:
    if label.n_unique() == 1:
        raise DataRejected(
            f"target {target.name!r} is {label[0]:,.10g} in all {label.len()} labelled rows (1 distinct value,"
            f" at least 2 needed): there is nothing to learn. Check column {target.column!r} of the source."
        )
