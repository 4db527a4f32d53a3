"""The verdict's evidence: the winner, fitted on the training part, against the untouched holdout.

Every figure stands beside the best naive baseline and carries an interval. Whether that is good enough is for the
gates; which candidate won is for training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import scipy

from tasks.core import metrics
from tasks.core.aspects import aspect_weights
from tasks.core.baselines import baselines
from tasks.core.chances import best_way, calibration_error, recalibration, reliability
from tasks.core.encoding import masked, numbers
from tasks.core.intervals import bootstrap, entity_sums, share_of_units
from tasks.core.lateness import late_rows
from tasks.core.learners.lesson import Checkpoints, Device, Telling
from tasks.core.model_files import to_files
from tasks.core.models import COVERAGE, Learned, Model, calibrate, learn, optional_features
from tasks.core.scales import label_unit
from tasks.core.splitting import Split, hash_shares, split, units
from tasks.core.strata import sides
from tasks.core.training import out_of_fold, rounds, training_rows
from tasks.core.typical import set_apart, starting
from tasks.core.values import BaselineScore, Judged, Scorecard, SliceScore, Table
from tasks.workloads.spec import Candidate, Slice, Target, Workload

Floats = npt.NDArray[np.float64]

# A slice with fewer holdout rows is not judged on its own.
ROWS_PER_SLICE = 10
SMALL = "too few rows each"
MISSING = "missing"
BARE_SLICE = "inputs"
ROWS_SHUFFLED_MOST = 2_000
SHUFFLES = 3
# What is made of a chance that a learner said.
PLATT, SHIFT, NOTHING = "Platt's curve", "the mean residual", "nothing"

# Columns of the sums a bootstrap draws from.
COUNT, ERROR, NAIVE, SQUARE, LABEL, LABEL_SQUARE = range(6)
# An error is no less than nothing, and no more of one can be saved than all.
POSITIVE, SAVED = (0.0, np.inf), (-np.inf, 1.0)


@dataclass(frozen=True)
class Evaluated:
    """The evidence, the holdout's predictions, the shipped model and its files (named within the model's folder)."""

    judged: Judged
    predictions: pl.DataFrame
    model: Model
    files: Mapping[str, bytes]


def evaluate(
    spec: Workload,
    rows: pl.DataFrame,
    target: Target,
    winner: Scorecard,
    *,
    refit_on_all: bool,
    threads: int = 1,
    device: Device = "cpu",
    out_of_fold_predictions: pl.DataFrame | None = None,
    checkpoints: Checkpoints | None = None,
    grown: Learned | None = None,
) -> Evaluated:
    """Fit the winner on the training part, judge it on the holdout, and return what is shipped.

    One that was *grown* out of the champion is judged and shipped as it is.

    *out_of_fold_predictions* of ``score_candidate`` are made again where they are not handed in. With *refit_on_all*
    the shipped model is fitted on all labelled rows; its corrections and intervals stay those of the training part.
    """
    parts = split(spec, rows, target)
    train, holdout = rows[parts.train], rows[parts.holdout]
    candidate = Candidate(winner.algorithm, winner.params)
    unit = label_unit(target, numbers(train[target.column]))
    fit = partial(learn, spec, target=target, candidate=candidate, unit=unit)
    fit = partial(fit, threads=threads, device=device, checkpoints=checkpoints)
    learned = fit(rows=train) if grown is None else grown
    refit_on_all = refit_on_all and grown is None
    known = out_of_fold_predictions
    if known is None:
        known = out_of_fold(spec, training_rows(spec, rows, target), target, candidate, threads=threads, device=device)
    # An update is judged in two folds that time does not order.
    forward = spec.holdout.by == "time" and grown is None
    calibrated = partial(_calibrated, spec, target, known=known, forward=forward)
    shipped = model = calibrated(learned)
    hearing = _hear(spec, target, model, train, holdout)
    judged = replace(_judged(hearing, train.height, refitted=refit_on_all), rows_late=parts.late.size)
    if refit_on_all:
        labelled = rows[np.sort(np.concatenate([parts.train, parts.late, parts.holdout]))]
        shipped = calibrated(fit(rows=labelled))
    validated = None if grown else training_rows(spec, rows, target)
    beside = (*_sides(spec, target, rows, parts), *late_rows(spec, parts, validated))
    told = (*beside, *starting(model, holdout, hearing.predictions), *_told(learned, shipped.learned))
    judged = replace(judged, told=told)
    return Evaluated(judged, hearing.predictions, shipped, to_files(shipped))


def golden(rows: pl.DataFrame, model: Model, n: int = 20) -> dict[str, Any]:
    """Return *n* rows as plain JSON values with what *model* answers; every fourth without what may be missing.

    Whoever loads the model later, elsewhere, checks that it still says the same.
    """
    places = np.unique(np.linspace(0, rows.height - 1, min(n, rows.height)).round().astype(int))
    names = [feature.name for feature in model.learned.features]
    chosen = rows[places].select(names)
    unknown = (*model.optional, *([model.learned.previous] if model.typical else []))
    chosen = masked(chosen, tuple(dict.fromkeys(unknown)), np.arange(chosen.height) % 4 == 3)
    return {"inputs": chosen.to_dicts(), "outputs": model.score(chosen).to_dicts()}


def slice_labels(part: Slice, rows: pl.DataFrame) -> pl.Series:
    """Return the label of each row: its category, or the class between the edges its number falls into."""
    if not part.edges:
        return rows[part.column].cast(pl.String).fill_null(MISSING).alias(part.name)
    values = numbers(rows[part.column])
    labels = np.array([*part.labels, MISSING], dtype=object)
    place = np.searchsorted(np.asarray(part.edges), values, side="right")
    return pl.Series(part.name, labels[np.where(np.isnan(values), len(part.labels), place)].tolist(), dtype=pl.String)


def _calibrated(spec: Workload, target: Target, learned: Learned, *, known: pl.DataFrame, forward: bool) -> Model:
    known, typical = set_apart(known, learned)
    scale, actual = learned.scale, known["link_actual"].to_numpy()
    links, turns = (known["link"].to_numpy(), known["link_bare"].to_numpy()), rounds(known, forward=forward)
    full, bare = (
        calibrate(
            link,
            actual,
            log=scale.log,
            shifted=not target.as_change,
            way=best_way(link, actual, turns) if scale.chance else None,
        )
        for link in links
    )
    return Model(target.name, target.unit, learned, optional_features(spec, target), full, bare, typical)


def _sides(spec: Workload, target: Target, rows: pl.DataFrame, parts: Split) -> tuple[Table, ...]:
    """Return how alike both sides are, where groups were parted so that they are."""
    if not spec.holdout.within:
        return ()
    both = np.sort(np.concatenate([parts.train, parts.holdout]))
    groups, label = units(spec, rows[both]), rows[both][target.column]
    unit = f"{target.name} ({target.unit})"
    return (sides(groups, label, np.isin(both, parts.holdout), named=spec.holdout.within, unit=unit),)


def _told(judged: Learned, shipped: Learned) -> tuple[Table, ...]:
    """Return what the learner has to say of the fit that was judged, and of the shipped one if it is another."""
    tables = judged.estimator.told() if isinstance(judged.estimator, Telling) else ()
    if shipped is judged or not isinstance(shipped.estimator, Telling):
        return tables
    again = (replace(each, title=f"{each.title}; as fitted again on all rows") for each in shipped.estimator.told())
    return (*tables, *again)


@dataclass(frozen=True)
class _Hearing:
    """The model before the holdout: what the figures are computed from. ``units`` numbers what is drawn whole."""

    spec: Workload
    target: Target
    model: Model
    holdout: pl.DataFrame
    predictions: pl.DataFrame
    naive: Mapping[str, Floats]
    baseline: str
    units: npt.NDArray[np.intp]

    def column(self, name: str) -> Floats:
        return self.predictions[name].to_numpy()


def _hear(spec: Workload, target: Target, model: Model, train: pl.DataFrame, holdout: pl.DataFrame) -> _Hearing:
    """Answer the holdout; its ``baseline`` is the naive guess that is hardest to beat there."""
    actual = numbers(holdout[target.column])
    naive = baselines(spec, train, holdout, target)
    best = min(naive, key=lambda name: metrics.mae(actual, naive[name], chance=target.is_chance))
    answered = pl.DataFrame({"row": holdout["_row"], "actual": actual}).hstack(model.score(holdout))
    labels = [slice_labels(part, holdout) for part in spec.slices]
    predictions = answered.with_columns(pl.Series("baseline", naive[best]), *labels)
    names = units(spec, holdout).cast(pl.String).fill_null("").to_numpy().astype(str)
    return _Hearing(spec, target, model, holdout, predictions, naive, best, np.unique(names, return_inverse=True)[1])


def _judged(hearing: _Hearing, rows_trained: int, *, refitted: bool) -> Judged:
    actual, low, high = (hearing.column(name) for name in ("actual", "low", "high"))
    predicted, expected = hearing.column("predicted"), hearing.column("expected")
    chance = hearing.target.is_chance
    found = metrics.merit(actual, predicted, expected, log=hearing.model.learned.scale.log, chance=chance)
    sums = entity_sums(_terms(hearing.predictions, hearing.target), hearing.units)
    ranks = entity_sums(_rank_terms(actual, predicted), hearing.units)
    confidence, seed = hearing.spec.gate.confidence, hearing.spec.holdout.seed
    inside = entity_sums(np.column_stack([(low <= actual) & (actual <= high), np.ones_like(actual)]), hearing.units)
    return Judged(
        target=hearing.target.name,
        algorithm=hearing.model.learned.algorithm,
        model=f"models/{hearing.target.name}",
        describes="training part" if refitted else "shipped",
        rows_trained=rows_trained,
        rows_holdout=actual.size,
        units=len(sums),
        mae=bootstrap(sums, _mae, confidence=confidence, seed=seed, limits=POSITIVE),
        rmse=found.rmse,
        r2=bootstrap(sums, _r2, confidence=confidence, seed=seed, limits=SAVED),
        log_r2=found.log_r2,
        spearman=found.spearman,
        skill=bootstrap(sums, _skill, confidence=confidence, seed=seed, limits=SAVED),
        baseline=hearing.baseline,
        baselines=tuple(_baseline_score(name, actual, guess, hearing.target) for name, guess in hearing.naive.items()),
        slices=(*_slice_scores(hearing), *_bare_score(hearing)),
        coverage_wanted=COVERAGE,
        coverage=share_of_units(inside[:, 0], inside[:, 1], confidence),
        importances=_importances(hearing),
        rmse_interval=bootstrap(sums, _rmse, confidence=confidence, seed=seed, limits=POSITIVE),
        spearman_interval=bootstrap(ranks, _correlation, confidence=confidence, seed=seed, limits=(-1, 1)),
        aspects=aspect_weights(hearing.model.learned),
        **(_of_a_chance(hearing, actual, predicted) if chance else {}),
    )


def _of_a_chance(hearing: _Hearing, actual: Floats, predicted: Floats) -> dict[str, Any]:
    """Return what is said of chances only: whether they mean what they say, and what they were before correction."""
    said = np.clip(hearing.model.learned.link(hearing.holdout), 0.0, 1.0)
    correction = hearing.model.full.correction
    confidence, seed = hearing.spec.gate.confidence, hearing.spec.holdout.seed
    return {
        "calibration_error": calibration_error(actual, predicted),
        "reliability": reliability(actual, predicted),
        "uncorrected": reliability(actual, said),
        "corrected_by": PLATT if correction.slope else SHIFT if correction.shift else NOTHING,
        "recalibration": recalibration(actual, predicted, hearing.units, confidence=confidence, seed=seed),
    }


def _terms(predictions: pl.DataFrame, target: Target) -> Floats:
    actual, predicted, expected, naive = (
        predictions[name].to_numpy() for name in ("actual", "predicted", "expected", "baseline")
    )
    made, left = (metrics.errors(actual, answer, chance=target.is_chance) for answer in (predicted, naive))
    return np.column_stack([np.ones_like(actual), made, left, (actual - expected) ** 2, actual, actual**2])


def _mae(totals: Floats) -> Floats:
    return totals[..., ERROR] / totals[..., COUNT]


def _rank_terms(actual: Floats, predicted: Floats) -> Floats:
    """Return what the rank correlation is summed from; ranks are those in the whole holdout, not drawn again."""
    a, b = (scipy.stats.rankdata(side) / side.size - 0.5 for side in (actual, predicted))
    return np.column_stack([np.ones_like(a), a, b, a * a, b * b, a * b])


def _correlation(totals: Floats) -> Floats:
    count, a, b, aa, bb, ab = np.moveaxis(totals, -1, 0)
    norm = np.sqrt(np.maximum((aa - a * a / count) * (bb - b * b / count), 0.0))
    return np.where(norm > 1e-12, (ab - a * b / count) / np.where(norm > 1e-12, norm, 1.0), 0.0)


def _rmse(totals: Floats) -> Floats:
    return np.sqrt(totals[..., SQUARE] / totals[..., COUNT])


def _skill(totals: Floats) -> Floats:
    naive = totals[..., NAIVE]
    perfect = np.where(totals[..., ERROR] > 0, -1.0, 0.0)
    return np.where(naive > 0, 1.0 - totals[..., ERROR] / np.where(naive > 0, naive, 1.0), perfect)


def _r2(totals: Floats) -> Floats:
    spread = totals[..., LABEL_SQUARE] - totals[..., LABEL] ** 2 / totals[..., COUNT]
    return np.where(spread > 0, 1.0 - totals[..., SQUARE] / np.where(spread > 0, spread, 1.0), 0.0)


def _baseline_score(name: str, actual: Floats, guess: Floats, target: Target) -> BaselineScore:
    rmse = float(np.sqrt(np.mean((actual - guess) ** 2)))
    return BaselineScore(name, metrics.mae(actual, guess, chance=target.is_chance), rmse, metrics.r2(actual, guess))


def _slice_scores(hearing: _Hearing) -> list[SliceScore]:
    """Judge every label of every slice; labels with too few rows are judged together, none is left out."""
    scores = []
    for part in hearing.spec.slices:
        labels, title = hearing.predictions[part.name], hearing.spec.title_of(part)
        rows = dict(labels.value_counts().iter_rows())
        order = [*part.labels, MISSING] if part.edges else sorted(rows, key=lambda label: (-rows[label], label))
        large = [label for label in order if rows.get(label, 0) >= ROWS_PER_SLICE]
        for label in large:
            scores.append(_slice_score(hearing, title, label, (labels == label).to_numpy()))
        small = ~labels.is_in(large).to_numpy()
        if small.any():
            scores.append(_slice_score(hearing, title, SMALL, small))
    return scores


def _bare_score(hearing: _Hearing) -> list[SliceScore]:
    """Judge the whole holdout as if only what is always known were known."""
    optional, holdout = hearing.model.optional, hearing.holdout
    if not optional:
        return []
    answered = hearing.model.score(masked(holdout, optional))
    bare = replace(hearing, predictions=hearing.predictions.with_columns(answered["predicted"], answered["expected"]))
    label = "only " + ", ".join(hearing.spec.always_known)
    return [_slice_score(bare, BARE_SLICE, label, np.ones(holdout.height, dtype=bool))]


def _slice_score(hearing: _Hearing, name: str, label: str, rows: npt.NDArray[np.bool_]) -> SliceScore:
    part = hearing.predictions.filter(pl.Series(rows))
    places = np.unique(hearing.units[rows], return_inverse=True)[1]
    sums = entity_sums(_terms(part, hearing.target), places)
    confidence, seed = hearing.spec.gate.confidence, hearing.spec.holdout.seed
    skill = bootstrap(sums, _skill, confidence=confidence, seed=seed, limits=SAVED)
    mae = metrics.mae(part["actual"].to_numpy(), part["predicted"].to_numpy(), chance=hearing.target.is_chance)
    return SliceScore(name, label, part.height, mae, skill)


def _importances(hearing: _Hearing) -> dict[str, float]:
    """Return each feature's rise of MAE when shuffled among holdout rows, as a share of MAE, largest first."""
    rows, spec, model = hearing.holdout, hearing.spec, hearing.model
    if rows.height > ROWS_SHUFFLED_MOST:
        shares = hash_shares(rows[spec.entity], "importance")
        rows = rows[np.sort(np.argsort(shares, kind="stable")[:ROWS_SHUFFLED_MOST])]
    actual = numbers(rows[hearing.target.column])
    before = metrics.mae(actual, model.predict(rows), chance=hearing.target.is_chance)
    rises = {}
    for place, feature in enumerate(model.learned.features):
        chance = np.random.default_rng([spec.holdout.seed, place])
        orders = [chance.permutation(rows.height) for _ in range(SHUFFLES)]
        shuffled = pl.concat([rows.with_columns(rows[feature.name].gather(order)) for order in orders])
        after = metrics.mae(np.tile(actual, SHUFFLES), model.predict(shuffled), chance=hearing.target.is_chance)
        rises[feature.name] = after / before - 1.0 if before > 0 else 0.0
    return dict(sorted(rises.items(), key=lambda rise: (-rise[1], rise[0])))
