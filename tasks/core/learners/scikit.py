"""scikit-learn's learners, kept as skops: a zip of a JSON schema and arrays, loaded against a short reviewed list.

skops names things by their address in memory and zip stamps the time; both are normalised here, so that the same fit
gives the same bytes.
"""

from __future__ import annotations

import io
import json
import threading
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sklearn.utils
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import ElasticNet, LogisticRegression, Ridge
from sklearn.tree import DecisionTreeRegressor
from threadpoolctl import threadpool_limits

from tasks.core.learners.lesson import Floats, Lesson
from tasks.errors import NotTrusted

# Reviewed: both are plain containers of node arrays, read at prediction; neither runs code on load.
TRUSTED = ("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor", "sklearn.tree._tree.Tree")
LEARNERS = (ElasticNet, RandomForestRegressor, HistGradientBoostingRegressor)
# What the learner of TF-IDF, whose file is read by its own module, is made of.
LINEAR = (LogisticRegression, Ridge)
# What skops would trust of scikit-learn's estimators is all of them, and to name them it imports every module there is,
# torch among them: seconds in each process. Ours, and what a forest is made of, are enough.
_all_estimators = sklearn.utils.all_estimators
sklearn.utils.all_estimators = lambda *_: [
    (kind.__name__, kind) for kind in (*LEARNERS, *LINEAR, DecisionTreeRegressor)
]
try:
    import skops.io
finally:
    sklearn.utils.all_estimators = _all_estimators
PATIENCE = 15
# The oldest time a zip can hold.
EPOCH = (1980, 1, 1, 0, 0, 0)
_LIMITED = threading.local()


@dataclass(frozen=True)
class Scikit:
    """A fitted scikit-learn regressor."""

    fitted: Any

    def predict(self, x: Floats) -> Floats:
        """Return one standardised prediction per row."""
        return np.asarray(self.fitted.predict(x), dtype=np.float64)

    def to_bytes(self) -> bytes:
        """Return a skops archive, normalised."""
        return normalised(skops.io.dumps(self.fitted))


def fit_elastic_net(lesson: Lesson) -> Scikit:
    """Fit a linear model on all rows; nothing to stop."""
    params = lesson.params
    model = ElasticNet(alpha=params["alpha"], l1_ratio=params["l1_ratio"], max_iter=2000, tol=1e-4)
    return _fit(model, lesson, stops=False)


def fit_random_forest(lesson: Lesson) -> Scikit:
    """Fit a random forest on all rows; missing values go the way that splits best."""
    params = lesson.params
    model = RandomForestRegressor(
        n_estimators=params["trees"],
        min_samples_leaf=params["min_leaf"],
        max_features=params.get("feature_share", 0.4),
        max_samples=min(1.0, params.get("rows_per_tree", 10_000) / len(lesson.y)),
        random_state=lesson.seed,
        n_jobs=lesson.threads,
    )
    return _fit(model, lesson, stops=False)


def fit_hist_gradient_boosting(lesson: Lesson) -> Scikit:
    """Fit boosted trees until the stopping rows get no better."""
    params = lesson.params
    model = HistGradientBoostingRegressor(
        max_iter=params["rounds"],
        learning_rate=params["learning_rate"],
        max_leaf_nodes=params["leaves"],
        min_samples_leaf=params.get("min_leaf", 15),
        l2_regularization=params.get("l2", 1.0),
        max_features=params.get("feature_share", 0.5),
        early_stopping=True,
        n_iter_no_change=PATIENCE,
        random_state=lesson.seed,
    )
    return _fit(model, lesson, stops=True)


FITS: Mapping[str, Callable[[Lesson], Scikit]] = {
    "elastic_net": fit_elastic_net,
    "random_forest": fit_random_forest,
    "hist_gradient_boosting": fit_hist_gradient_boosting,
}


def from_bytes(data: bytes) -> Scikit:
    """Load a skops archive; NotTrusted if it asks for any type that is not on the list."""
    fitted = loaded(data)
    if not isinstance(fitted, LEARNERS):
        raise _stranger(type(fitted).__name__)
    return Scikit(fitted)


def loaded(data: bytes) -> Any:
    """Return what a skops archive holds; NotTrusted if it asks for any type that is not on the list."""
    try:
        strangers = sorted(set(skops.io.get_untrusted_types(data=data)) - set(TRUSTED))
        found = None if strangers else skops.io.loads(data, trusted=list(TRUSTED))
    except Exception as error:  # hostile bytes raise anything in zip, JSON and NumPy; all of it means the same
        raise NotTrusted(
            f"the scikit-learn model cannot be read as skops ({error}); publish the bundle again"
        ) from error
    if strangers:
        raise _stranger(", ".join(strangers))
    return found


def _stranger(found: str) -> NotTrusted:
    return NotTrusted(f"the scikit-learn model asks for {found}, which is not on the reviewed list; it was not loaded")


def _fit(model: Any, lesson: Lesson, *, stops: bool) -> Scikit:
    limit(lesson.threads)
    if stops:
        model.fit(_without_void(lesson.x), lesson.y, X_val=lesson.x_stop, y_val=lesson.y_stop)
    else:
        model.fit(np.vstack([lesson.x, lesson.x_stop]), np.concatenate([lesson.y, lesson.y_stop]))
    return Scikit(model)


def _without_void(x: Floats) -> Floats:
    """Return *x* with 0 throughout a column without values: scikit-learn 1.9 cannot bin it, and no tree asks for it."""
    return np.where(np.isnan(x).all(axis=0), 0.0, x)


def limit(threads: int) -> None:
    """Limit OpenMP and BLAS, once per thread (OpenMP counts per thread).

    Not restored: two fits side by side would restore each other's limit, and more threads would change the last bits.
    """
    if getattr(_LIMITED, "threads", None) != threads:
        threadpool_limits(limits=threads)
        _LIMITED.threads = threads


def normalised(archive: bytes) -> bytes:
    """Return the archive with names in order of appearance, no padding garbage and no clock."""
    source = zipfile.ZipFile(io.BytesIO(archive))
    schema = json.loads(source.read("schema.json"))
    names: dict[str, str] = {}
    _renumber(schema, {}, names)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as target:
        for old, new in names.items():
            target.writestr(
                _entry(new), _without_padding(source.read(old)) if new.endswith(".npy") else source.read(old)
            )
        target.writestr(_entry("schema.json"), json.dumps(schema, sort_keys=True, separators=(",", ":")))
    return out.getvalue()


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry


def _renumber(node: Any, numbers: dict[int, int], names: dict[str, str]) -> None:
    """Replace addresses in memory by order of appearance; a scalar gets its own, since sharing it means nothing."""
    for item in node if isinstance(node, list) else [value for _, value in sorted(node.items())]:
        if isinstance(item, dict | list):
            _renumber(item, numbers, names)
    if isinstance(node, dict) and "__id__" in node:
        old = -len(numbers) - 1 if node.get("is_json") else node["__id__"]
        node["__id__"] = numbers.setdefault(old, len(numbers) + 1)
    if isinstance(node, dict) and isinstance(node.get("file"), str):
        suffix = node["file"].rpartition(".")[2]
        node["file"] = names.setdefault(node["file"], f"{len(names):06d}.{suffix}")


def _without_padding(npy: bytes) -> bytes:
    """Return an array file whose bytes between fields are zero; they are whatever was in memory otherwise."""
    array = np.load(io.BytesIO(npy), allow_pickle=False)
    if array.dtype.names is None:
        return npy
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    out = io.BytesIO()
    np.save(out, clean, allow_pickle=False)
    return out.getvalue()
