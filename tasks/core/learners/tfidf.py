"""Words counted, not read: a linear model on the pieces' TF-IDF beside the numbers; what a network must beat.

A chance is learned by logistic regression, anything else by ridge. Kept as skops with what the columns are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import scipy.sparse
import skops.io
from sklearn.linear_model import LogisticRegression, Ridge

from tasks.core.learners import scikit
from tasks.core.learners.lesson import Floats, Layout, Lesson, Odds
from tasks.errors import BadRequest, NotTrusted

KEPT = ("fitted", "idf", "layout", "odds")


@dataclass(frozen=True)
class Counted:
    """A fitted linear model; ``idf`` weighs each piece, ``odds`` are there where it answers chances."""

    layout: Layout
    idf: Floats
    fitted: Any
    odds: Odds | None = None

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        design = _design(x, self.layout, self.idf)
        if self.odds is None:
            return np.asarray(self.fitted.predict(design), dtype=np.float64).reshape(-1)
        return self.odds.standard(np.asarray(self.fitted.predict_proba(design)[:, 1], dtype=np.float64))

    def to_bytes(self) -> bytes:
        """Return a skops archive, normalised."""
        odds = list(astuple(self.odds)) if self.odds else []
        kept = {"fitted": self.fitted, "idf": self.idf, "layout": list(astuple(self.layout)), "odds": odds}
        return scikit.normalised(skops.io.dumps(kept))


def fit_tfidf(lesson: Lesson) -> Counted:
    """Fit on all rows; nothing to stop. The larger ``strength``, the less the weights are held to zero."""
    if lesson.layout is None:
        raise BadRequest("TF-IDF was asked for without a layout of its text; hand the lesson one")
    scikit.limit(lesson.threads)
    x, y = np.vstack([lesson.x, lesson.x_stop]), np.concatenate([lesson.y, lesson.y_stop])
    idf, strength = _idf(x, lesson.layout), lesson.params["strength"]
    design = _design(x, lesson.layout, idf)
    if lesson.odds is None:
        fitted = Ridge(alpha=1 / strength, solver="lsqr", tol=1e-6).fit(design, y)
    else:
        fitted = LogisticRegression(C=strength, max_iter=500, tol=1e-6).fit(design, lesson.odds.label(y))
    return Counted(lesson.layout, idf, fitted, lesson.odds)


def from_bytes(data: bytes) -> Counted:
    """Load a skops archive; NotTrusted unless it holds what is written here and no other type."""
    kept = scikit.loaded(data)
    if not isinstance(kept, dict) or tuple(sorted(kept)) != KEPT:
        raise NotTrusted(f"the TF-IDF model's file holds no {', '.join(KEPT)}; it was not loaded")
    layout, odds, fitted = kept["layout"], kept["odds"], kept["fitted"]
    wanted = LogisticRegression if odds else Ridge
    if not isinstance(fitted, wanted) or len(layout) != 6 or len(odds) not in (0, 2):
        raise NotTrusted(f"the TF-IDF model's file asks for a {type(fitted).__name__}; it was not loaded")
    return Counted(Layout(*layout), np.asarray(kept["idf"]), fitted, Odds(*odds) if odds else None)


FITS: Mapping[str, Callable[[Lesson], Counted]] = {"tfidf": fit_tfidf}


def _counts(x: Floats, layout: Layout) -> scipy.sparse.csr_matrix:
    """Return n × pieces: how often each piece stands in each text; padding is none."""
    pieces = x[:, x.shape[1] - layout.length :].astype(np.intp)
    rows = np.repeat(np.arange(len(x)), layout.length)
    found = pieces.reshape(-1)
    there = found > 0
    ones = np.ones(int(there.sum()))
    return scipy.sparse.csr_matrix((ones, (rows[there], found[there])), shape=(len(x), max(layout.pieces, 1)))


def _idf(x: Floats, layout: Layout) -> Floats:
    """Return log((1 + n) / (1 + rows with the piece)) + 1, as scikit-learn smooths it."""
    seen = np.asarray((_counts(x, layout) > 0).sum(axis=0)).reshape(-1)
    weights: Floats = np.log((1 + len(x)) / (1 + seen)) + 1
    return weights


def _design(x: Floats, layout: Layout, idf: Floats) -> scipy.sparse.csr_matrix:
    """Return each text's TF-IDF, of length one, beside the dense design."""
    weighed = _counts(x, layout) @ scipy.sparse.diags(idf)
    length = np.sqrt(np.asarray(weighed.multiply(weighed).sum(axis=1)).reshape(-1))
    unit = scipy.sparse.diags(1 / np.where(length > 0, length, 1.0)) @ weighed
    dense = scipy.sparse.csr_matrix(x[:, layout.tree : layout.tree + layout.dense])
    return scipy.sparse.hstack([unit, dense], format="csr")
