"""Measures a champion's networks on this machine: every way to run them, and what teaching them costs on its device.

For whoever wonders whether a GPU, another machine or another variant pays. Nothing is published or changed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tasks.adapters import contents, frames, serving, variants
from tasks.adapters.store import Store
from tasks.core import training
from tasks.core.estimators import ALGORITHMS
from tasks.core.learners.lesson import Device
from tasks.core.models import Model
from tasks.core.page.sheet import Ran
from tasks.core.values import Evaluation
from tasks.core.variants import ROWS_LEAST, choose
from tasks.errors import BadRequest
from tasks.workloads.spec import Workload

BATCH = 128


@dataclass(frozen=True)
class NetworkCosts:
    """What was measured of one champion; ``training`` says in words, per target and device, what an epoch costs."""

    workload: str
    version: str
    ways: tuple[Ran, ...]
    training: tuple[str, ...]


def measure(store: Store, keys: Path, spec: Workload, ring: str, device: Device, folder: Path) -> NetworkCosts:
    """Measure the networks of what serves in *ring*; raises BadRequest where it has none."""
    bundle = serving.open_champion(store, keys, spec.name, ring).bundle
    evidence = contents.evidence_of(bundle)
    ways: list[Ran] = []
    told: list[str] = []
    for each in (one for one in evidence.evaluations if variants.has_network(one)):
        model = contents.model_of(bundle, each.target)
        tried = variants.try_variants(
            spec, model, variants.holdout(store, evidence.training_set.rows, each), folder, time.thread_time
        )
        timed = {trial.score.name: trial.speed for trial, _ in tried}
        scores = choose([trial for trial, _ in tried]) if tried else ()
        ways += [Ran(each.target, score, timed[score.name]) for score in scores]
        if tried:
            cards = (card for card in evidence.scorecards if card.target == each.target)
            winner = training.choose(cards, spec.target(each.target).by)
            rows = frames.read(store, evidence.training_set.rows)
            asked = variants.asked_of(model, rows)
            batch = int(winner.params.get("batch", BATCH))
            told += [f"{each.target}: {line}" for line in _taught(model, asked, batch, device)]
    if not ways:
        raise BadRequest(_nothing_to_measure(spec.name, ring, bundle.manifest.version, evidence.evaluations))
    return NetworkCosts(spec.name, bundle.manifest.version, tuple(ways), tuple(told))


def _nothing_to_measure(workload: str, ring: str, version: str, judged: Sequence[Evaluation]) -> str:
    """Say who answers instead, or that there are too few rows, and what to do."""
    known = ", ".join(name for name, each in ALGORITHMS.items() if each.variants)
    networks = [each.target for each in judged if variants.has_network(each)]
    if networks:
        return (
            f"the networks of {workload} in {ring}, version {version}, answer fewer than {ROWS_LEAST} holdout rows of "
            f"{', '.join(networks)}: too few to measure; train on more rows: greenlight run {workload} --source PATH"
        )
    winners = ", ".join(f"{each.target} by {each.algorithm}" for each in judged)
    return (
        f"no network of {workload} serves in {ring}, version {version}: it answers {winners}, and what can be measured "
        f"is {known}; name another ring with --ring, or another workload"
    )


def _taught(model: Model, asked: Any, batch: int, device: Device) -> list[str]:
    from tasks.core.learners.training_cost import cost

    # Of several networks all are as large, and each was begun as the first.
    whole = variants.network_of(model)
    network, asked = whole.parts[0], whole.asked_of_parts(asked)
    devices: tuple[Device, ...] = ("cpu",) if device == "cpu" else ("cpu", "cuda")
    found = [cost(network, asked, batch, each, time.perf_counter) for each in devices]
    lines = [
        f"an epoch of {each.rows:,} rows by {each.batch} on {each.device} takes {each.epoch_seconds:.3g} s; "
        f"compiling {each.compiled}; working layers out again {each.recomputed}"
        for each in found
    ]
    lines += [
        f"on cuda at most {each.peak_mib:,.0f} MiB are held, the GPU computes {each.busy_share:.0%} of the time, and "
        f"a batch of {each.largest_batch:,} still fits"
        for each in found
        if each.peak_mib is not None
    ]
    return lines
