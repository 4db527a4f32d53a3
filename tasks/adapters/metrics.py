"""Metrics for Prometheus, counted from the records each time: a kill loses nothing, and two processes cannot disagree.

The text is written whole for the node exporter's textfile collector, and pushed only where a gateway is configured.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest, push_to_gateway
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from tasks.adapters import appraisals, ledger, predictions, watch
from tasks.adapters.leftovers import own_folder
from tasks.adapters.signing import trusted_keys
from tasks.adapters.store import Store, read_bytes
from tasks.core.metrics_families import FAMILIES, PREFIX, SECONDS, SEVERITIES, Sample
from tasks.core.values import Entry
from tasks.errors import OutOfSpace, Unreachable

JOB = "greenlight"


def gather(store: Store, root: Path, workloads: Sequence[str], rings: Sequence[str]) -> tuple[Sample, ...]:
    """Return every figure there is, in a fixed order."""
    found = [sample for name in workloads for sample in _of_workload(store, root, name, rings)]
    return tuple(sorted(found, key=lambda each: (list(FAMILIES).index(each.family), each.labels)))


def text(samples: Iterable[Sample]) -> str:
    """Return the figures in Prometheus' text format."""
    return generate_latest(_registry(samples)).decode()


def write(samples: Iterable[Sample], path: Path) -> None:
    """Write the figures for the node exporter, whole or not at all; raises OutOfSpace."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with own_folder(path.parent) as unfinished:
            (unfinished / "text").write_text(text(samples))
            (unfinished / "text").replace(path)
    except OSError as error:
        raise OutOfSpace(f"the metrics {path} cannot be written: {error.strerror}; GREENLIGHT_METRICS_FILE") from error


def push(samples: Iterable[Sample], gateway: str) -> None:
    """Replace what the Pushgateway at *gateway* holds of us; raises Unreachable."""
    try:
        push_to_gateway(gateway, JOB, _registry(samples), timeout=10)
    except OSError as error:
        raise Unreachable(
            f"the Pushgateway {gateway} took no metrics: {error}; look after it, or unset GREENLIGHT_PUSHGATEWAY"
        ) from error


def _of_workload(store: Store, root: Path, workload: str, rings: Sequence[str]) -> Iterator[Sample]:
    keys = root / "keys"
    yield from _runs(store, workload)
    yield from _stages(root, workload)
    entries = ledger.read(store, workload, trusted_keys(keys))
    yield Sample("ledger_head", (workload,), len(entries))
    for ring in rings:
        champion = ledger.champion(store, workload, ring, trusted_keys(keys))
        if champion is not None:
            yield from _of_ring(store, keys, champion)


def _runs(store: Store, workload: str) -> Iterator[Sample]:
    statuses: Counter[str] = Counter()
    gates: Counter[tuple[str, str]] = Counter()
    for key in store.list(f"runs/{workload}/"):
        promotion = json.loads(read_bytes(store, key))["promotion"]
        statuses[promotion["status"]] += 1
        gates.update((each["gate"], each["outcome"]) for each in promotion["verdicts"])
    yield from (Sample("runs", (workload, status), count) for status, count in statuses.items())
    yield from (Sample("gates", (workload, *of), count) for of, count in gates.items())


def _stages(root: Path, workload: str) -> Iterator[Sample]:
    """Tell what stages cost on this machine, and how fast its newest scoring was."""
    folder = root / "runs" / workload
    newest: tuple[int, float] = (0, 0.0)
    for path in sorted(folder.rglob("*.jsonl")):
        for took in _journal(path):
            yield Sample("stage_seconds", (workload, took["stage"]), took["wall_seconds"])
            if took["stage"] == "score" and took["wall_seconds"] > 0:
                newest = max(newest, (path.stat().st_mtime_ns, took["rows"] / took["wall_seconds"]))
    if newest[0]:
        yield Sample("scored_rows_per_second", (workload,), newest[1])


def _journal(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text().splitlines():
        try:
            took = json.loads(line)
        except ValueError:
            # A torn last line: its stage is told once it has ended.
            continue
        if not took["reused"]:
            yield took


def _of_ring(store: Store, keys: Path, champion: Entry) -> Iterator[Sample]:
    of = champion.workload, champion.ring
    yield Sample("champion_since_seconds", of, datetime.fromisoformat(champion.at).timestamp())
    for seen in watch.known(store, *of, 1):
        yield Sample("monitored_batches", of, seen.number)
        yield Sample("drift_severity", of, SEVERITIES[seen.severity])
    if predictions.days(store, *of):
        day = predictions.read(store, trusted_keys(keys), *of).about
        yield Sample("scored_rows", of, day.rows_scored)
    appraised = appraisals.known(store, keys, *of)
    if appraised:
        yield Sample("model_age_days", of, appraised[-1].age_days)
    labelled = [day for day in appraised if day.realised]
    for each in labelled[-1].realised if labelled else ():
        if each.stated and each.stated.value > 0:
            yield Sample("realised_error_ratio", (*of, each.target), each.mae.value / each.stated.value)


class _Figures(Collector):
    def __init__(self, samples: Iterable[Sample]) -> None:
        self.samples = tuple(samples)

    def collect(self) -> Iterator[Metric]:
        for name, family in FAMILIES.items():
            of: dict[tuple[str, ...], list[float]] = {}
            for each in self.samples:
                if each.family == name:
                    of.setdefault(each.labels, []).append(each.value)
            yield _metric(PREFIX + name, family.kind, family.meaning, family.labels, of)


def _metric(
    name: str, kind: str, meaning: str, labels: Sequence[str], of: dict[tuple[str, ...], list[float]]
) -> Metric:
    if kind == "histogram":
        histogram = HistogramMetricFamily(name, meaning, labels=labels)
        for label, values in of.items():
            buckets = [(str(float(most)), float(sum(value <= most for value in values))) for most in SECONDS]
            histogram.add_metric(label, [*buckets, ("+Inf", float(len(values)))], sum(values))
        return histogram
    make = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
    metric = make(name, meaning, labels=labels)
    for label, values in of.items():
        metric.add_metric(label, sum(values))
    return metric


def _registry(samples: Iterable[Sample]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(samples))
    return registry
