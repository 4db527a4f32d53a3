"""Archetypes: groups of rows that look alike, how sure we are of them, and a name only where the numbers earn one.

Pure: rows in, small values and one assignment per row out. Nothing here reads, stores or draws.

The road: log where declared → robust scale (median, interquartile range) → DBSCAN sets the outliers apart → KMeans on
the rest for k in 2..8 → the k by ``CRITERION`` → names by the workload's rules. Everything is fitted on at most
``FIT_ROWS`` complete rows drawn with the seed, then every row is assigned to its nearest centre, so a million rows cost
one pass. A row that lacks one feature is assigned on the others; a row that lacks more is left out, and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.cluster import DBSCAN, KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from tasks.core.archetype_names import Archetype, describe_clusters
from tasks.core.archetype_summary import LEFT_OUT, OUTLIER, STABLE_ARI, ArchetypeSummary, ClusterCount
from tasks.errors import DataRejected
from tasks.workloads.spec import Archetypes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

FIT_ROWS = 10_000
SILHOUETTE_ROWS = 2_000
MIN_ROWS = 50
MISSING_ALLOWED = 1
# A feature that fewer rows have is left aside, rather than most rows for lack of it.
KNOWN_SHARE = 0.5
CLUSTER_COUNTS = range(2, 9)
SEED_REFITS = 5
BOOTSTRAP_REFITS = 10
# One cluster with almost everything has a fine silhouette and says nothing.
LARGEST_SHARE = 0.8
# Silhouettes closer than this are the same; the smaller k is easier to explain.
PARSIMONY = 0.01
CRITERION = (
    f"the highest silhouette among cluster counts whose adjusted Rand index over seeds and over bootstrap refits is at "
    f"least {STABLE_ARI}, no cluster holding more than {LARGEST_SHARE:.0%} of the rows; the smallest count of those "
    f"within {PARSIMONY}"
)


@dataclass(frozen=True)
class Archetyped:
    """The summary, and one row per input row: the keys, ``archetype``, and its place ``x``, ``y`` on a 2-D map."""

    summary: ArchetypeSummary
    assignments: pl.DataFrame


def find_archetypes(
    frame: pl.DataFrame,
    spec: Archetypes,
    seed: int,
    *,
    keys: Sequence[str] = ("_row",),
    describe: Sequence[str] = ("category", "country"),
) -> Archetyped:
    """Group the rows of *frame* by ``spec.features``; same rows and seed, same answer, whatever the thread count.

    *keys* are carried into the assignments and *describe* summarised per archetype, where the frame has them. Raises
    ``DataRejected`` when fewer than ``MIN_ROWS`` rows have every feature that is known at all.
    """
    spec = replace(spec, features=_usable(frame, spec))
    values = _logged(frame, spec)
    missing = np.isnan(values).sum(axis=1)
    complete = np.flatnonzero(missing == 0)
    if len(complete) < MIN_ROWS or len(spec.features) < 2:
        raise DataRejected(
            f"archetypes need two features and {MIN_ROWS} rows that have them all; {len(complete)} of {len(values)} "
            f"have {', '.join(spec.features) or 'none'}. Give the source those columns, or declare other features"
        )
    with threadpool_limits(1):  # Two threads add up in whatever order they finish, and the last digit moves.
        grouped = _group(values, complete, seed)
    left_out = missing > MISSING_ALLOWED
    labels = np.where(left_out, -2, np.where(grouped.far, -1, grouped.nearest))
    found = describe_clusters(frame, spec, labels, grouped.places, [name for name in describe if name in frame.columns])
    summary = _summarised(spec, grouped, left_out, tuple(found.values()))
    names = {label: archetype.name for label, archetype in found.items()} | {-1: OUTLIER, -2: LEFT_OUT}
    places = np.where(left_out[:, None], np.nan, grouped.places)
    assignments = frame.select(name for name in keys if name in frame.columns).with_columns(
        archetype=pl.Series(labels).replace_strict(names, return_dtype=pl.String),
        complete=pl.Series(missing == 0),
        x=pl.Series(places[:, 0]).fill_nan(None),
        y=pl.Series(places[:, 1]).fill_nan(None),
    )
    return Archetyped(summary, assignments)


def choose(tried: Sequence[ClusterCount]) -> ClusterCount:
    """Pick by ``CRITERION``; where no count is stable, the best silhouette of all, which ``stable`` then denies."""
    sound = [count for count in tried if count.stable and count.largest_share <= LARGEST_SHARE]
    field = sound or [count for count in tried if count.largest_share <= LARGEST_SHARE] or list(tried)
    best = max(count.silhouette for count in field)
    return next(count for count in field if count.silhouette >= best - PARSIMONY)


@dataclass(frozen=True)
class _Grouped:
    """What the fit says of every row: whether it lies far out, its nearest centre, its place on the map."""

    far: NDArray[np.bool_]
    nearest: Ints
    places: Floats
    explained: tuple[float, float]
    rows_fitted: int
    eps: float
    tried: tuple[ClusterCount, ...]
    chosen: ClusterCount


def _summarised(
    spec: Archetypes, grouped: _Grouped, left_out: NDArray[np.bool_], found: tuple[Archetype, ...]
) -> ArchetypeSummary:
    return ArchetypeSummary(
        rows=len(left_out),
        rows_left_out=int(left_out.sum()),
        rows_outlying=int(grouped.far.sum()),
        rows_fitted=grouped.rows_fitted,
        features=spec.features,
        criterion=CRITERION,
        chosen=grouped.chosen,
        tried=grouped.tried,
        outlier_distance=grouped.eps,
        explained=grouped.explained,
        archetypes=found,
    )


def _group(values: Floats, complete: Ints, seed: int) -> _Grouped:
    scaled = _scaled(values, complete)
    sample = _sample(complete, FIT_ROWS, seed)
    far, eps = _outlying(scaled, sample)
    inside = sample[~far[sample]]
    tried = tuple(_judge(scaled[inside], k, seed) for k in CLUSTER_COUNTS if k <= max(2, len(inside) // 10))
    chosen = choose(tried)
    centres = np.round(_fit(scaled[inside], chosen.k, seed).cluster_centers_, 9)
    places, explained = _map(scaled, inside)
    return _Grouped(far, _nearest(scaled, centres), places, explained, len(inside), eps, tried, chosen)


def _usable(frame: pl.DataFrame, spec: Archetypes) -> tuple[str, ...]:
    """Return the features that enough rows have: a source without one still has archetypes of the others."""
    known = {name: frame[name].cast(pl.Float64).is_finite().sum() for name in spec.features if name in frame.columns}
    return tuple(name for name, rows in known.items() if rows >= KNOWN_SHARE * frame.height)


def _logged(frame: pl.DataFrame, spec: Archetypes) -> Floats:
    columns = [
        pl.col(name).cast(pl.Float64).clip(lower_bound=0).log1p() if name in spec.log else pl.col(name).cast(pl.Float64)
        for name in spec.features
    ]
    values = frame.select(columns).fill_null(np.nan).to_numpy().astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _scaled(values: Floats, complete: Ints) -> Floats:
    low, middle, high = np.percentile(values[complete], [25, 50, 75], axis=0)
    spread = (high - low) / 1.349  # The interquartile range of a standard normal: one unit is about one deviation.
    return np.asarray((values - middle) / np.where(spread > 0, spread, 1.0), dtype=np.float64)


def _sample(rows: Ints, most: int, seed: int) -> Ints:
    if len(rows) <= most:
        return rows
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _outlying(scaled: Floats, sample: Ints) -> tuple[NDArray[np.bool_], float]:
    """DBSCAN on the sample, its radius at the knee of the k-distance curve; other rows by distance to a core point."""
    near = 2 * scaled.shape[1]
    points = scaled[sample]
    reach = np.sort(NearestNeighbors(n_neighbors=near + 1).fit(points).kneighbors(points)[0][:, -1])
    eps = float(max(reach[_knee(reach)], 1e-9))
    found = DBSCAN(eps=eps, min_samples=near).fit(points)
    far = _beyond(scaled, points[found.core_sample_indices_], eps)
    far[sample] = found.labels_ == -1
    return far, round(eps, 9)


def _beyond(scaled: Floats, cores: Floats, eps: float) -> NDArray[np.bool_]:
    """Return the rows with no core point within *eps*, on the features a row has; a row that lacks two is never far."""
    far = np.zeros(len(scaled), dtype=bool)
    lacking = np.isnan(scaled)
    for absent in (None, *range(scaled.shape[1])):
        pattern = np.arange(scaled.shape[1]) == absent
        rows = np.flatnonzero((lacking == pattern).all(axis=1))
        if len(rows) and len(cores):
            nearest = NearestNeighbors(n_neighbors=1).fit(cores[:, ~pattern])
            far[rows] = nearest.kneighbors(scaled[rows][:, ~pattern])[0][:, 0] > eps
    return far


def _knee(rising: Floats) -> int:
    """Return where a rising curve is farthest below its chord (Satopää et al. 2011, "Kneedle", without smoothing)."""
    span = rising[-1] - rising[0]
    if span <= 0:
        return len(rising) - 1
    return int(np.argmax(np.linspace(0, 1, len(rising)) - (rising - rising[0]) / span))


def _fit(points: Floats, k: int, seed: int) -> KMeans:
    return KMeans(k, n_init=5, random_state=seed).fit(points)


def _judge(points: Floats, k: int, seed: int) -> ClusterCount:
    labels = _fit(points, k, seed).labels_
    draw = np.random.default_rng([seed, k])
    seeds = [adjusted_rand_score(labels, _fit(points, k, seed + refit).labels_) for refit in range(1, SEED_REFITS + 1)]
    drawn = (draw.integers(0, len(points), len(points)) for _ in range(BOOTSTRAP_REFITS))
    samples = [adjusted_rand_score(labels, _fit(points[again], k, seed).predict(points)) for again in drawn]
    some = _sample(np.arange(len(points)), SILHOUETTE_ROWS, seed)
    return ClusterCount(
        k=k,
        silhouette=round(float(silhouette_score(points[some], labels[some])), 6),
        ari_seeds=round(float(np.mean(seeds)), 6),
        ari_bootstrap=round(float(np.mean(samples)), 6),
        largest_share=round(float(np.bincount(labels).max() / len(labels)), 6),
    )


def _nearest(scaled: Floats, centres: Floats) -> Ints:
    """Return the nearest centre of each row on the features it has."""
    distance = [np.nansum((scaled - centre) ** 2, axis=1) for centre in centres]
    return np.asarray(np.argmin(np.stack(distance, axis=1), axis=1), dtype=np.int64)


def _map(scaled: Floats, inside: Ints) -> tuple[Floats, tuple[float, float]]:
    """Two principal components of the clustered rows, signed so that each leans to its features' high side."""
    centre = scaled[inside].mean(axis=0)
    _, sizes, axes = np.linalg.svd(scaled[inside] - centre, full_matrices=False)
    axes = axes[:2] * np.where(axes[:2].sum(axis=1) < 0, -1, 1)[:, None]
    share = sizes**2 / (sizes**2).sum()
    places = np.round(np.nan_to_num(scaled - centre) @ axes.T, 6)
    return places, (round(float(share[0]), 6), round(float(share[1]), 6))
