"""What a challenger was judged on: the evidence that travels in its bundle, and from which every page is drawn.

It holds no time and no place, so that the same rows, code and policy give the same bundle on any machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tasks.core.values import Blob, Contracted, Evaluation, Scorecard, Snapshot, TrainingSet
from tasks.workloads.spec import Gate


@dataclass(frozen=True)
class Portrait:
    """What the data look like, as blobs: archetypes (JSON) with their assignments, influence, reference profile.

    ``likeness`` are the files that rows are asked for their like with.
    """

    archetypes: Blob | None
    assignments: Blob | None
    influence: Mapping[str, Blob]
    profile: Blob
    likeness: Mapping[str, Blob] = field(default_factory=dict)


@dataclass(frozen=True)
class Evidence:
    """Everything a gate, a page or an auditor needs to know of a challenger, without opening a model.

    ``measured_for`` are the numbers leaks were looked for with, and the confidence of every interval.
    """

    workload: str
    run_key: str
    policy: str
    measured_for: Gate
    code: str
    snapshot: Snapshot
    contracted: Contracted
    training_set: TrainingSet
    leaks: tuple[str, ...]
    scorecards: tuple[Scorecard, ...]
    evaluations: tuple[Evaluation, ...]
    portrait: Portrait
