"""The algorithms a candidate may name: the design each reads, the file it is kept as, and where tuning may look.

A table and nothing else: how a library fits is in ``tasks.core.learners``, imported only when its algorithm is used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from tasks.core.encoding import Design
from tasks.core.learners.lesson import Device, Estimator, Lesson
from tasks.errors import BadRequest, Misdeclared, NotTrusted
from tasks.workloads.spans import Log, Span, Whole


@dataclass(frozen=True)
class Algorithm:
    """Where an algorithm lives: the learner's module, the design it reads, its file in the bundle, its search space.

    How many rounds or epochs is not searched for: early stopping says that. ``variants``: its network is large enough
    that other ways to run it are worth the seconds that making them costs.
    """

    module: str
    design: Design
    file: str
    search: Mapping[str, Span]
    variants: bool = False


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType(
    {
        "elastic_net": Algorithm(
            "scikit",
            "dense",
            "estimator.skops",
            {"alpha": Log(0.0005, 0.5), "l1_ratio": Span(0.02, 1.0)},
        ),
        "random_forest": Algorithm(
            "scikit",
            "tree",
            "estimator.skops",
            {"min_leaf": Whole(1, 20), "feature_share": Span(0.15, 1.0, usual=0.4)},
        ),
        "hist_gradient_boosting": Algorithm(
            "scikit",
            "tree",
            "estimator.skops",
            {
                "learning_rate": Log(0.02, 0.3),
                "leaves": Whole(4, 48),
                "min_leaf": Whole(5, 60, usual=15),
                "l2": Log(0.01, 30, usual=1.0),
                "feature_share": Span(0.2, 1.0, usual=0.5),
            },
        ),
        "xgboost": Algorithm(
            "xgb",
            "tree",
            "estimator.ubj",
            {
                "learning_rate": Log(0.02, 0.3),
                "depth": Whole(2, 8),
                "min_child_weight": Whole(1, 30, usual=5),
                "row_share": Span(0.5, 1.0, usual=0.8),
                "feature_share": Span(0.2, 1.0, usual=0.5),
                "l2": Log(0.1, 30, usual=2.0),
            },
        ),
        "catboost": Algorithm(
            "cat",
            "tree",
            "estimator.cbm",
            {"learning_rate": Log(0.02, 0.3), "depth": Whole(2, 7), "l2": Log(0.5, 30, usual=3.0)},
        ),
        "mlp": Algorithm(
            "torch_mlp",
            "dense",
            "estimator.safetensors",
            {
                "learning_rate": Log(0.001, 0.05),
                "hidden": Whole(8, 128),
                "dropout": Span(0.0, 0.5, usual=0.2),
                "weight_decay": Log(0.001, 0.5, usual=0.05),
            },
        ),
        "lstm": Algorithm(
            "torch_lstm",
            "sequence",
            "estimator.safetensors",
            {
                "learning_rate": Log(0.0005, 0.02),
                "hidden": Whole(8, 96),
                "weight_decay": Log(0.0001, 0.5, usual=0.01),
            },
            variants=True,
        ),
        "transformer": Algorithm(
            "niched",
            "text",
            "estimator.safetensors",
            {"learning_rate": Log(0.0005, 0.02), "weight_decay": Log(0.001, 0.5, usual=0.05)},
            variants=True,
        ),
        "tfidf": Algorithm("tfidf", "text", "estimator.skops", {"strength": Log(0.01, 100)}),
        "aspects": Algorithm("aspects", "dense", "estimator.safetensors", {"penalty": Log(0.5, 500, usual=20.0)}),
    }
)


def algorithm(name: str) -> Algorithm:
    """Return the algorithm called *name*; Misdeclared if there is none."""
    if name not in ALGORITHMS:
        raise Misdeclared(f"no algorithm is called {name!r}; there are {', '.join(ALGORITHMS)}")
    return ALGORITHMS[name]


def fit_estimator(name: str, lesson: Lesson) -> Estimator:
    """Fit the algorithm called *name*."""
    module = importlib.import_module(f"tasks.core.learners.{algorithm(name).module}")
    estimator: Estimator = module.FITS[name](lesson)
    return estimator


def load_estimator(name: str, data: bytes, categories: tuple[int, ...]) -> Estimator:
    """Read an estimator's file; NotTrusted if it is not what *name* writes."""
    module = importlib.import_module(f"tasks.core.learners.{algorithm(name).module}")
    estimator: Estimator = module.from_bytes(data, categories) if name == "catboost" else module.from_bytes(data)
    return estimator


def run_as(estimator: Estimator, variant: str, *contents: bytes) -> Estimator:
    """Return *estimator* with its network run as *variant*; NotTrusted if it has none or the files are not its."""
    networks = importlib.import_module("tasks.core.learners.network")
    network = estimator.network if isinstance(estimator, networks.Networked) else None
    if network is None:
        raise NotTrusted(f"a variant {variant!r} of a network was found, and the model has no network; publish again")
    made = importlib.import_module("tasks.core.learners.variants").opened(variant, network, *contents)
    changed: Estimator = estimator.run_as(made)  # type: ignore[attr-defined]  # checked above, by an import at run time
    return changed


def pick_device(wish: Literal["auto", "cpu", "cuda"]) -> Device:
    """Return the device to fit on: *auto* is CUDA where torch sees a device; raises BadRequest for one not there."""
    if wish == "cpu":
        return "cpu"
    torch_mlp = importlib.import_module("tasks.core.learners.torch_mlp")
    if torch_mlp.cuda_is_there():
        return "cuda"
    if wish == "cuda":
        raise BadRequest("a CUDA device was asked for and torch sees none; set GREENLIGHT_DEVICE to auto or cpu")
    return "cpu"
