"""Makes the variants of a winner's network, measures each, and puts the fastest within the budget into its files.

Measured once: the choice is remembered, so that the same run again gives the same bundle, and the times, which belong to
this machine, are noted beside the bundle and not in it. How one is chosen is the core's part.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import TypeAdapter, ValidationError

from tasks.adapters import frames, onnx_files
from tasks.adapters.blobs import put_blob, read_blob
from tasks.adapters.memo import Remembered, remember
from tasks.adapters.signing import Signer, Trust, seal, unseal
from tasks.adapters.store import Store, read_bytes
from tasks.core import golden, metrics, variants
from tasks.core.digests import canonical_json, plain
from tasks.core.encoding import numbers
from tasks.core.estimators import ALGORITHMS
from tasks.core.model_files import from_files, to_files
from tasks.core.models import Model
from tasks.core.values import Blob, Evaluation, TrainingSet, VariantScore
from tasks.core.variants import Speed, Trial
from tasks.errors import AlreadyExists, NotTrusted, TrainingBroke
from tasks.workloads.spec import Workload

FORM = "greenlight.variants/1"
Clock = Callable[[], float]
Speeds = Mapping[str, Speed]
_NOTED = TypeAdapter(dict[str, dict[str, Speed]])


@dataclass(frozen=True)
class Measured:
    """What came of one winner: its files with the variant that serves, every score, and the times by variant."""

    files: Mapping[str, Blob]
    scores: tuple[VariantScore, ...]
    speeds: Speeds


def has_network(evaluation: Evaluation) -> bool:
    """Say whether the winner is of a kind whose network is worth other variants."""
    return ALGORITHMS[evaluation.algorithm].variants


def fastest(
    store: Store, signer: Signer, spec: Workload, training_set: TrainingSet, evaluation: Evaluation, folder: Path
) -> Remembered[Measured]:
    """Return the winner's files with the fastest variant of its network that stays within the budget; measured once."""
    inputs = {
        "target": evaluation.target,
        "files": evaluation.files,
        "rows": training_set.rows,
        "judged": evaluation.predictions,
    }
    rows = training_set.rows

    def compute() -> Measured:
        held = holdout(store, rows, evaluation)
        return _measured(store, spec, evaluation, held, folder)

    return remember(store, signer, spec.name, "variants", inputs, Measured, compute)


def holdout(store: Store, rows: Blob, evaluation: Evaluation) -> pl.DataFrame:
    """Return the holdout rows a winner was judged on, out of the training set's *rows*."""
    judged = frames.read(store, evaluation.predictions)["row"]
    return frames.read(store, rows).filter(pl.col("_row").is_in(judged.implode()))


def _measured(
    store: Store, spec: Workload, evaluation: Evaluation, rows: pl.DataFrame, folder: Path
) -> Measured:
    prefix = f"{evaluation.model}/"
    known = {path: blob for path, blob in evaluation.files.items() if path.startswith(prefix)}
    model = from_files({path.removeprefix(prefix): read_blob(store, blob) for path, blob in known.items()})
    tried = try_variants(spec, model, rows, folder)
    if not tried:
        return Measured(evaluation.files, (), {})
    scores = variants.choose([trial for trial, _ in tried])
    speeds = {each.score.name: each.speed for each, _ in tried if each.speed}
    served = next(served for each, (_, served) in zip(scores, tried, strict=True) if each.chosen)
    if served is None or scores[0].chosen:
        return Measured(evaluation.files, scores, speeds)
    sample = f"golden/{evaluation.target}.json"
    found: dict[str, Any] = json.loads(read_blob(store, evaluation.files[sample]))
    made = {f"{prefix}{name}": content for name, content in to_files(served).items()}
    made[sample] = canonical_json(golden.answered(found, served))
    files = {path: blob for path, blob in evaluation.files.items() if path not in made}
    return Measured(files | {path: put_blob(store, each) for path, each in made.items()}, scores, speeds)


def try_variants(
    spec: Workload, model: Model, rows: pl.DataFrame, folder: Path, clock: Clock = time.perf_counter
) -> list[tuple[Trial, Model | None]]:
    """Make and measure every variant of the model's network on *rows* it was judged on, the fitted weights first.

    Nothing where it has no network, or the network answers too few of the rows. The model beside a trial is the one
    that would serve; None where the variant could not be made.
    """
    from tasks.core.learners.network import FP32, count, tensors
    from tasks.core.learners.variants import VARIANTS

    rows = rows.gather_every(max(1, -(-rows.height // variants.ROWS_MOST)))
    estimator: Any = model.learned.estimator
    if estimator.network is None:
        return []
    asked = estimator.asked(model.learned.design(rows))
    if count(asked) < variants.ROWS_LEAST:
        return []
    bench = _Bench(spec, model, rows, asked, clock)
    files = dict(_files(estimator.network, asked, folder))
    return [bench.trial(name, files.get(name, b"")) for name in VARIANTS]


def _files(network: Any, asked: Any, folder: Path) -> Iterator[tuple[str, bytes | str]]:
    """Yield the file of every variant that has one, or why there is none."""
    from tasks.core.learners.onnx_export import exported
    from tasks.core.learners.variants import ONNX, ONNX_INT8

    try:
        graph = exported(network, asked)
        yield ONNX, graph
        yield ONNX_INT8, onnx_files.quantized(graph, folder)
    except TrainingBroke as error:
        yield ONNX_INT8, str(error)
