"""All that the page of a run shows, as one value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from tasks.core.archetype_summary import ArchetypeSummary
from tasks.core.influence import InfluenceTable
from tasks.core.run import RunStatus, StageTime
from tasks.core.values import Challenger, Contracted, Entry, Evaluation, Scorecard, Snapshot, TrainingSet, Verdict
from tasks.workloads.spec import Workload


@dataclass(frozen=True)
class RunReport:
    """All that the page shows of one run. ``lineage`` is (name, digest) in order; frames are small or sampled here.

    ``predictions`` per target: ``actual``, ``predicted``, ``low``, ``high``, ``baseline`` and a column per slice.
    ``quarantine`` has the snapshot's columns and ``_rules``: the broken rules, a list or comma-joined text.
    """

    spec: Workload
    outcome: RunStatus
    because: str
    version: str
    ring: str
    snapshot: Snapshot
    contracted: Contracted
    training_set: TrainingSet
    scorecards: tuple[Scorecard, ...]
    evaluations: tuple[Evaluation, ...]
    predictions: Mapping[str, pl.DataFrame]
    verdicts: tuple[Verdict, ...]
    serves: tuple[str, ...] = ()
    champion_before: str = ""
    champion_after: str = ""
    challenger: Challenger | None = None
    entry: Entry | None = None
    archetypes: ArchetypeSummary | None = None
    assignments: pl.DataFrame | None = None
    influence: tuple[InfluenceTable, ...] = ()
    quarantine: pl.DataFrame | None = None
    lineage: tuple[tuple[str, str], ...] = ()
    times: tuple[StageTime, ...] = ()
