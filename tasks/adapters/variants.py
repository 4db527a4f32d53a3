"""Makes the variants of a winner's network, measures each, and puts the fastest within the budget into its files.

Measured once: the choice is remembered, so that the same run again gives the same bundle, and the times, which belong
to this machine, are noted beside the bundle and not in it. How one is chosen is the core's part.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
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
from tasks.core.models import Floats, Model
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

    def compute() -> Measured:
        held = holdout(store, training_set.rows, evaluation)
        return _measured(store, spec, evaluation, held, folder)

    return remember(store, signer, spec.name, "variants", inputs, Measured, compute)


def holdout(store: Store, rows: Blob, evaluation: Evaluation) -> pl.DataFrame:
    """Return the holdout rows a winner was judged on, out of the training set's *rows*."""
    judged = frames.read(store, evaluation.predictions)["row"]
    return frames.read(store, rows).filter(pl.col("_row").is_in(judged.implode()))


def _measured(store: Store, spec: Workload, evaluation: Evaluation, rows: pl.DataFrame, folder: Path) -> Measured:
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
    spec: Workload, model: Model, rows: pl.DataFrame, folder: Path, clock: Clock = time.thread_time
) -> list[tuple[Trial, Model | None]]:
    """Make and measure every variant of the model's network on *rows* it was judged on, the fitted weights first.

    Nothing where it has no network, or the network answers too few of the rows. The model beside a trial is the one
    that would serve; None where the variant could not be made.
    """
    from tasks.core.learners.network import count
    from tasks.core.learners.variants import VARIANTS

    rows = rows.gather_every(max(1, -(-rows.height // variants.ROWS_MOST)))
    network = network_of(model)
    if network is None:
        return []
    model = _as_fitted(model)
    asked = asked_of(model, rows)
    if count(asked) < variants.ROWS_LEAST:
        return []
    files = _files(network, network.asked_of_parts(asked), folder)
    bench = _Bench(spec, model, rows, asked, clock)
    return [bench.trial(name, files.get(name, ())) for name in VARIANTS]


def network_of(model: Model) -> Any:
    """Return the model's network as it was fitted; None where it has none."""
    return getattr(model.learned.estimator, "network", None)


def asked_of(model: Model, rows: pl.DataFrame) -> Any:
    """Return what the model's network is asked of those of *rows* that it answers."""
    estimator: Any = model.learned.estimator
    return estimator.asked(model.learned.design(rows))


def _as_fitted(model: Model) -> Model:
    estimator: Any = model.learned.estimator
    return replace(model, learned=replace(model.learned, estimator=replace(estimator, variant=None)))


@dataclass(frozen=True)
class _Bench:
    """Where variants of one network are held against its fitted weights, on the same rows."""

    spec: Workload
    model: Model
    rows: pl.DataFrame
    asked: Any
    clock: Clock

    def trial(self, name: str, made: tuple[bytes, ...] | str) -> tuple[Trial, Model | None]:
        """Measure one variant; *made* are its files, none where it needs none, or why it could not be made."""
        from tasks.core.learners.variants import opened

        if isinstance(made, str):
            return Trial(VariantScore(name, reason=made)), None
        estimator: Any = self.model.learned.estimator
        try:
            variant = opened(name, estimator.network, *made)
            served = self._served(variant)
            apart = float(np.abs(self._said(served) - self._said(self.model)).max())
        except (NotTrusted, RuntimeError) as error:
            return Trial(VariantScore(name, reason=f"it does not run here: {str(error).splitlines()[0]}")), None
        score = variants.score(name, variant.sized(), self._error(served), apart, self._error(self.model))
        return Trial(score, self._speed(variant)), served

    def _served(self, variant: Any) -> Model:
        estimator: Any = self.model.learned.estimator
        return replace(self.model, learned=replace(self.model.learned, estimator=estimator.run_as(variant)))

    def _said(self, model: Model) -> Floats:
        """Return what the estimator answers, in standard deviations of the label."""
        return model.learned.estimator.predict(self.model.learned.design(self.rows))

    def _error(self, model: Model) -> float:
        target = self.spec.target(model.target)
        return metrics.mae(numbers(self.rows[target.column]), model.predict(self.rows), chance=target.is_chance)

    def _speed(self, variant: Any) -> Speed:
        from tasks.core.learners.network import count, inference, some
        from tasks.core.learners.torch_mlp import limit

        limit(1)
        answer, rows = variant.answer, count(self.asked)
        singles = [some(self.asked, (place,)) for place in range(min(rows, variants.TIMES_MOST))]
        batches = {size: some(self.asked, range(size)) for size in (variants.SMALL_BATCH, variants.LARGE_BATCH)}
        with inference():
            return variants.time(
                lambda number: answer(singles[number % len(singles)]), lambda size: answer(batches[size]), self.clock
            )


def _files(network: Any, asked: Any, folder: Path) -> dict[str, tuple[bytes, ...] | str]:
    """Return the files of every variant that has some, one for each part of the network, or why there are none."""
    from tasks.core.learners.onnx_export import exported
    from tasks.core.learners.variants import ONNX, ONNX_INT8, WITH_FILE

    try:
        graphs = tuple(exported(each, asked) for each in network.parts)
    except TrainingBroke as error:
        return dict.fromkeys(WITH_FILE, str(error))
    try:
        return {ONNX: graphs, ONNX_INT8: tuple(onnx_files.quantized(each, folder) for each in graphs)}
    except TrainingBroke as error:
        return {ONNX: graphs, ONNX_INT8: str(error)}


def note(store: Store, signer: Signer, workload: str, version: str, speeds: Mapping[str, Speeds]) -> None:
    """Note how fast the variants of *version* answered, by target; the same version keeps its first times."""
    body = {"workload": workload, "version": version, "speeds": plain(speeds)}
    with suppress(AlreadyExists):
        store.put(_key(workload, version), seal(signer, FORM, body), if_absent=True)


def noted(store: Store, trust: Trust, workload: str, version: str) -> Mapping[str, Speeds]:
    """Return what was noted of *version*, by target and variant; nothing where nobody did; raises NotTrusted."""
    key = _key(workload, version)
    if store.head(key) is None:
        return {}
    body = unseal(trust, FORM, read_bytes(store, key), key)
    if (body.get("workload"), body.get("version")) != (workload, version):
        return {}
    try:
        return _NOTED.validate_python(body.get("speeds"))
    except ValidationError as error:
        raise NotTrusted(f"{key} is not what this version notes ({error.error_count()} fields differ)") from error


def _key(workload: str, version: str) -> str:
    return f"measured/{workload}/{version}/variants.json"
