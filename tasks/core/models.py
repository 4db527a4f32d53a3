"""A model: the encoder, the estimator, the target's scale, and what its out-of-fold residuals taught.

``predict`` is the conditional median, which MAE judges; ``expected`` is the conditional mean, which R² and RMSE judge
(Gneiting 2011). Choosing, judging and files do not belong here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core.chances import Way
from tasks.core.encoding import Design, Encoder, fit_encoder, numbers, with_gaps
from tasks.core.estimators import algorithm, fit_estimator
from tasks.core.intervals import Band, conformal_band
from tasks.core.learners.lesson import Chained, Checkpoints, Device, Estimator, Lesson, Odds
from tasks.core.scales import Correction, Scale, fit_correction, fit_scale, label_unit
from tasks.core.splitting import stopping_rows, units
from tasks.workloads.spec import Candidate, Feature, Target, Workload

Floats = npt.NDArray[np.float64]

# What share of single predictions the interval should hold.
COVERAGE = 0.9
# What is said to answer a row that a change is asked of and whose label before is not known.
TYPICAL = "typical"


@dataclass(frozen=True)
class Learned:
    """Encoder, scale and estimator, fitted together on the same rows.

    ``previous`` is the feature a change is learned from; empty where the label itself is learned. ``trend`` is the
    feature that holds the label if it goes on as before; empty where there is none.
    """

    algorithm: str
    features: tuple[Feature, ...]
    encoder: Encoder
    scale: Scale
    estimator: Estimator
    previous: str = ""
    trend: str = ""

    def link(self, rows: pl.DataFrame) -> Floats:
        """Return predictions on the learned scale."""
        answer = self.estimator.predict(self.design(rows))
        return self.scale.from_standard(answer, _before(rows, self.previous))

    def starts(self, rows: pl.DataFrame) -> npt.NDArray[np.bool_]:
        """Say of which rows a change is learned and the label before is not known."""
        before = _before(rows, self.previous)
        return np.zeros(rows.height, dtype=bool) if before is None else np.isnan(before)

    def link_or_typical(self, rows: pl.DataFrame) -> Floats:
        """Return predictions on the learned scale; of rows that start, which taught nothing, the same for all."""
        return np.where(self.starts(rows), self.scale.start, self.link(rows))

    def scored_by(self, rows: pl.DataFrame) -> list[str] | None:
        """Return which part of a chain answers each row; None where one estimator answers all."""
        return self.estimator.scored_by(self.design(rows)) if isinstance(self.estimator, Chained) else None

    def design(self, rows: pl.DataFrame) -> Floats:
        """Return what the estimator reads of *rows*."""
        return _x(rows, self.encoder, self.scale, algorithm(self.algorithm).design, self.previous, self.trend)


@dataclass(frozen=True)
class Calibration:
    """What out-of-fold residuals taught about one kind of row: its correction and its band."""

    correction: Correction
    band: Band


@dataclass(frozen=True)
class Model:
    """What a bundle ships for one target. Rows with most optional features missing have a calibration of their own.

    So have those whose label before is not known, where a change is learned: ``typical``; None in models made before.
    """

    target: str
    unit: str
    learned: Learned
    optional: tuple[str, ...]
    full: Calibration
    bare: Calibration
    typical: Calibration | None = None

    def predict(self, rows: pl.DataFrame) -> Floats:
        """Return the conditional median, in the target's unit."""
        return self.score(rows)["predicted"].to_numpy()

    def expected(self, rows: pl.DataFrame) -> Floats:
        """Return the conditional mean, in the target's unit."""
        return self.score(rows)["expected"].to_numpy()

    def score(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return ``predicted``, ``expected``, ``low`` and ``high`` per row, in the target's unit."""
        link = self.learned.link_or_typical(rows) if self.typical else self.learned.link(rows)
        chosen = np.where(
            mostly_missing(rows, self.optional)[:, None], self._said(link, self.bare), self._said(link, self.full)
        )
        if self.typical:
            chosen = np.where(self.learned.starts(rows)[:, None], self._said(link, self.typical), chosen)
        return pl.DataFrame(chosen, schema=["predicted", "expected", "low", "high"])

    def scored_by(self, rows: pl.DataFrame) -> list[str] | None:
        """Return what answers each row: the typical, a part of a chain, or the algorithm; None if always that one."""
        by = self.learned.scored_by(rows)
        if self.typical is None:
            return by
        names = by or [self.learned.algorithm] * rows.height
        return [TYPICAL if starts else name for starts, name in zip(self.learned.starts(rows), names, strict=True)]

    def _said(self, link: Floats, calibration: Calibration) -> Floats:
        scale, correction = self.learned.scale, calibration.correction
        low, high = calibration.band.around(link)
        return np.column_stack(
            [correction.median(link, scale), correction.mean(link, scale), scale.label(low), scale.label(high)]
        )


@dataclass(frozen=True)
class Material:
    """What every candidate for a target is taught: codes and scale, rows to fit on and rows that tell when to stop."""

    features: tuple[Feature, ...]
    encoder: Encoder
    scale: Scale
    taught: pl.DataFrame
    taught_label: Floats
    stop: pl.DataFrame
    stop_label: Floats
    seed: int
    previous: str = ""
    trend: str = ""
    units_stop: npt.NDArray[np.intp] | None = None
    others: tuple[Target, ...] = ()


def learn(
    spec: Workload,
    rows: pl.DataFrame,
    target: Target,
    candidate: Candidate,
    *,
    unit: float,
    threads: int = 1,
    device: Device = "cpu",
    checkpoints: Checkpoints | None = None,
) -> Learned:
    """Fit *candidate* on labelled *rows*; a part of them only tells when to stop. *unit*: ``label_unit``."""
    material = prepare(spec, rows, target, unit=unit)
    return teach(material, candidate, threads=threads, device=device, checkpoints=checkpoints)


def prepare(spec: Workload, rows: pl.DataFrame, target: Target, *, unit: float) -> Material:
    """Make labelled *rows* ready for any candidate; a part of them only tells when to stop.

    Where a change is learned, a row without a previous label teaches nothing: it is answered with what is typical.
    """
    previous = target.previous if target.as_change else ""
    before = _before(rows, previous)
    rows = rows if before is None else rows.filter(pl.Series(~np.isnan(before)))
    label = numbers(rows[target.column])
    stop = stopping_rows(units(spec, rows), spec.holdout.seed)
    fit_rows = rows.filter(pl.Series(~stop))
    before = _before(fit_rows, previous)
    scale = fit_scale(target, label[~stop], unit, before)
    features = spec.features_for(target)
    encoder = fit_encoder(fit_rows, features, scale.link(label[~stop]) - scale.base(before))
    taught = with_gaps(fit_rows, label[~stop], optional_features(spec, target), spec.holdout.seed)
    return Material(
        features,
        encoder,
        scale,
        *taught,
        rows.filter(pl.Series(stop)),
        label[stop],
        spec.holdout.seed,
        previous,
        target.trend,
        numbered(units(spec, rows).filter(pl.Series(stop))),
        tuple(each for each in spec.targets if each.name != target.name),
    )


def teach(
    material: Material,
    candidate: Candidate,
    *,
    threads: int = 1,
    device: Device = "cpu",
    checkpoints: Checkpoints | None = None,
) -> Learned:
    """Fit *candidate* on what was prepared; one that takes long goes on from its *checkpoints* after a kill."""
    encoder, scale, previous, trend = material.encoder, material.scale, material.previous, material.trend
    design = algorithm(candidate.algorithm).design
    lesson = Lesson(
        x=_x(material.taught, encoder, scale, design, previous, trend),
        y=scale.standard(material.taught_label, _before(material.taught, previous)),
        x_stop=_x(material.stop, encoder, scale, design, previous, trend),
        y_stop=scale.standard(material.stop_label, _before(material.stop, previous)),
        categories=encoder.category_columns,
        params=candidate.params,
        seed=material.seed,
        threads=threads,
        device=device,
        layout=encoder.layout,
        checkpoints=checkpoints,
        aspects=encoder.aspects(material.features),
        odds=Odds(scale.center, scale.spread) if scale.chance and not previous else None,
        levels=encoder.levels,
        units_stop=material.units_stop,
        others=_others(material) if candidate.params.get("joint") else None,
    )
    fitted = fit_estimator(candidate.algorithm, lesson)
    return Learned(candidate.algorithm, material.features, encoder, scale, fitted, previous, trend)


def standardised(learned: Learned, rows: pl.DataFrame, target: Target) -> tuple[Floats, Floats]:
    """Return labelled *rows* as the learner of *learned* takes them: its design, and the standardised label."""
    return learned.design(rows), learned.scale.standard(numbers(rows[target.column]), _before(rows, learned.previous))


def numbered(units: pl.Series) -> npt.NDArray[np.intp]:
    """Return the place of each row's unit among all, in order."""
    return np.unique(units.cast(pl.String).fill_null("").to_numpy().astype(str), return_inverse=True)[1]


def optional_features(spec: Workload, target: Target) -> tuple[str, ...]:
    """Return what *target* may see and a user may not have; nothing if nothing is declared always known."""
    if not spec.always_known:
        return ()
    return tuple(feature.name for feature in spec.features_for(target) if feature.name not in spec.always_known)


def mostly_missing(rows: pl.DataFrame, optional: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Say which rows miss more than half of the *optional* features."""
    if not optional:
        return np.zeros(rows.height, dtype=bool)
    missing = rows.select(pl.sum_horizontal(_is_missing(rows, name) for name in optional)).to_series()
    return missing.to_numpy() > len(optional) / 2


def calibrate(
    link: Floats, actual_link: Floats, *, log: bool, shifted: bool = True, way: Way | None = None
) -> Calibration:
    """Learn correction and band from out-of-fold predictions and truths, both on the learned scale."""
    correction = fit_correction(link, actual_link, log=log, shifted=shifted, way=way)
    return Calibration(correction, conformal_band(link, actual_link - link, COVERAGE))


def _x(rows: pl.DataFrame, encoder: Encoder, scale: Scale, design: Design, previous: str, trend: str) -> Floats:
    """Return the design; of sequences, before it, what the trend would have been answered with, NaN where not known."""
    x = encoder.design(rows, design)
    if design != "sequence":
        return x
    carried = numbers(rows[trend]) if trend else np.full(rows.height, np.nan)
    return np.column_stack([scale.standard(carried, _before(rows, previous)), x])


def _others(material: Material) -> Floats | None:
    """Return the taught rows' labels of the other targets, each on its own scale, NaN where it is not known."""
    columns = []
    for target in material.others:
        label = numbers(material.taught[target.column])
        before = _before(material.taught, target.previous if target.as_change else "")
        known = np.isfinite(label) if before is None else np.isfinite(label) & np.isfinite(before)
        if known.any():
            unit, started = label_unit(target, label[known]), None if before is None else before[known]
            scale = fit_scale(target, label[known], unit, started)
            columns.append(np.where(known, scale.standard(label, before), np.nan))
    return np.column_stack(columns) if columns else None


def _before(rows: pl.DataFrame, previous: str) -> Floats | None:
    return numbers(rows[previous]) if previous else None


def _is_missing(rows: pl.DataFrame, name: str) -> pl.Expr:
    column = pl.col(name)
    return (column.is_null() | column.is_nan()) if rows.schema[name].is_float() else column.is_null()
