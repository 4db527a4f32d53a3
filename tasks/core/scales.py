"""The scale a target is learned on, and the way back from it: to the median and the mean in the target's unit.

What is learned on it, and how sure one can be of an answer, belongs to the models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tasks.core.chances import Curve, Way, fit_curve, mean_residual
from tasks.workloads.spec import Target

Floats = npt.NDArray[np.float64]

# The log scale bends at this share of the typical label: without it, labels of 1 to 10 where millions are typical
# would weigh as much as all the rest, and an error nobody cares about would steer the fit.
UNIT_SHARE = 0.1
# Beyond the labels (where a change is learned: the changes) seen in training by so many standard deviations, a
# prediction is cut.
REACH = 0.5


@dataclass(frozen=True)
class Scale:
    """Between the target's unit and the standardised scale it is learned on; a ``chance`` stays from 0 to 1.

    Nothing in the target's unit is below ``least`` or above ``most``, where the target has limits.

    Where a change is learned, ``center`` and ``spread`` are the change's, and ``start`` is the link changed from where
    the label *before* is not known. ``low`` and ``high`` cut the change where ``cuts_change``, else the label: models
    made before there was a choice cut the label.
    """

    log: bool
    unit: float
    center: float
    spread: float
    low: float
    high: float
    start: float = 0.0
    chance: bool = False
    cuts_change: bool = False
    least: float | None = None
    most: float | None = None

    def link(self, label: Floats) -> Floats:
        """Return labels on the learned scale, log1p(label / unit) where ``log``; not standardised."""
        return np.log1p(np.maximum(label, 0.0) / self.unit) if self.log else label

    def label(self, link: Floats) -> Floats:
        """Return the target's unit; never below zero on a log scale, nor beyond the target's limits."""
        if self.chance:
            return np.clip(link, 0.0, 1.0)
        return self.limited(np.maximum(np.expm1(link), 0.0) * self.unit if self.log else link)

    def limited(self, label: Floats) -> Floats:
        """Return labels cut to the target's limits, if it has any."""
        return label if self.least is None else np.clip(label, self.least, self.most)

    def base(self, before: Floats | None) -> Floats:
        """Return what each label is a change from, on the learned scale: zero where the label itself is learned."""
        return np.zeros(1) if before is None else np.where(np.isnan(before), self.start, self.link(before))

    def standard(self, label: Floats, before: Floats | None = None) -> Floats:
        """Return labels standardised, as learners see them."""
        return (self.link(label) - self.base(before) - self.center) / self.spread

    def from_standard(self, standard: Floats, before: Floats | None = None) -> Floats:
        """Return a learner's answer on the learned scale, cut to what was seen."""
        learned, base = standard * self.spread + self.center, self.base(before)
        if self.cuts_change:
            return np.clip(learned, self.low, self.high) + base
        return np.clip(learned + base, self.low, self.high)


@dataclass(frozen=True)
class Correction:
    """From the learned scale to the median and the mean in the target's unit, out of residuals on the learned scale.

    ``shift`` is the median residual. ``smear`` is Duan's smearing factor (1983), the mean of exp(residual), here
    weighted by exp(prediction) (Snowdon's ratio, 1991): small labels scatter more on a log scale, and an even mean
    would inflate the large ones. It makes predicted and true totals equal. On the identity scale: the mean residual.
    Of a chance both are the mean residual, since the median of 0 and 1 is no chance, or 0; or Platt's curve of
    ``offset`` and ``slope``, where that is not 0.
    """

    shift: float
    smear: float
    offset: float = 0.0
    slope: float = 0.0

    def median(self, link: Floats, scale: Scale) -> Floats:
        """Return the conditional median in the target's unit."""
        if self.slope:
            return Curve(self.offset, self.slope).chance(link)
        return scale.label(link + self.shift)

    def mean(self, link: Floats, scale: Scale) -> Floats:
        """Return the conditional mean in the target's unit."""
        if self.slope:
            return self.median(link, scale)
        if scale.log:
            return scale.limited(np.maximum(np.exp(link) * self.smear - 1.0, 0.0) * scale.unit)
        return scale.label(link + self.smear)


def label_unit(target: Target, label: Floats) -> float:
    """Return where the log scale of *target* bends: a power of ten, so that a few rows more do not move it."""
    positive = label[label > 0]
    if target.transform != "log1p" or positive.size == 0:
        return 1.0
    return float(10.0 ** np.floor(np.log10(np.median(positive) * UNIT_SHARE)))


def fit_scale(target: Target, label: Floats, unit: float, before: Floats | None = None) -> Scale:
    """Fit the standardisation and the reach of predictions; of the change from *before*, where that is learned."""
    bare = Scale(target.transform == "log1p", unit, 0.0, 1.0, 0.0, 0.0, chance=target.is_chance)
    if target.limits:
        bare = replace(bare, least=target.limits[0], most=target.limits[1])
    link = bare.link(label)
    if before is not None:
        bare = replace(bare, start=float(link.mean()), cuts_change=True)
    learned = link - bare.base(before)
    spread = float(learned.std()) or 1.0
    low, high = float(learned.min() - REACH * spread), float(learned.max() + REACH * spread)
    return replace(bare, center=float(learned.mean()), spread=spread, low=low, high=high)


def fit_correction(
    link: Floats, actual_link: Floats, *, log: bool, shifted: bool = True, way: Way | None = None
) -> Correction:
    """Fit median shift and smearing on out-of-fold predictions and truths, both on the learned scale.

    A change is not to be *shifted*: residuals are as large as the change, so one shift for all would move every count
    that hardly changes, and these are most. Of a chance, *way* is how it is corrected: see ``chances.best_way``.
    """
    if way is not None:
        shift = mean_residual(link, actual_link) if way == "shift" else 0.0
        curve = fit_curve(link, actual_link) if way == "curve" else Curve()
        return Correction(shift, shift, curve.offset, curve.slope)
    residuals = actual_link - link
    smear = np.exp(actual_link).sum() / np.exp(link).sum() if log else residuals.mean()
    return Correction(float(np.median(residuals)) if shifted else 0.0, float(smear))
