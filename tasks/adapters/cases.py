"""Gathers all that the gates are shown of one challenger before one ring. What it means is for the gates."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tasks.adapters import contents, ledger, line, measured, policies, shadows, watch
from tasks.adapters.bundles import Bundle
from tasks.adapters.policies import Policy
from tasks.adapters.signing import trusted_keys
from tasks.adapters.store import Store
from tasks.core import failures
from tasks.core.comparison import Comparison
from tasks.core.drift import Drift, drift, unlike
from tasks.core.gates import NONE_YET, NOT_MONITORED, Case, Incumbent, LatestBatch, Rehearsal, ShadowCycles
from tasks.core.rings import rolled_back_by, stands_in
from tasks.core.run import Hearing
from tasks.core.values import Entry
from tasks.core.watch import newest_telling
from tasks.errors import BadRequest, HomeDamaged, NotTrusted
from tasks.workloads.spec import Workload


def gather(
    store: Store,
    keys: Path,
    spec: Workload,
    hearing: Hearing,
    comparisons: tuple[Comparison, ...],
    rehearsals: tuple[Rehearsal, ...],
) -> Case:
    """Return the case; *rehearsals* are the challenger's and, where something serves, its rollback target's."""
    trust = trusted_keys(keys)
    bundle = contents.open_verified(store, keys, hearing.workload, hearing.version)
    evidence, policy = contents.evidence_of(bundle), policies.of(spec, hearing.ring)
    stopped = line.running(store, trust, spec.name)
    entries = ledger.read(store, hearing.workload, trust)
    of = {done.version: done for done in rehearsals}
    return Case(
        version=hearing.version,
        targets=tuple(target.name for target in spec.targets),
        chances=tuple(target.name for target in spec.targets if target.is_chance),
        contracted=evidence.contracted,
        training_rows=evidence.training_set.row_count,
        measured_for=evidence.measured_for,
        leaks=evidence.leaks,
        evaluations=evidence.evaluations,
        incumbent=incumbent(hearing.champion),
        comparisons=comparisons,
        files=tuple(bundle.manifest.files),
        rehearsal=of.get(hearing.version),
        rollback=of.get(hearing.champion.version) if hearing.champion else nothing_rehearsed(),
        stopped=stopped.sentence if stopped else "",
        stands_in=_stands_in(entries, policy, hearing.version),
        rolled_back=_rolled_back(entries, hearing),
        shadow=ShadowCycles(
            shadows.clean_cycles(store, trust, hearing.workload, hearing.version, hearing.ring), policy.soak_cycles
        ),
        measured_at=measured.when(store, trust, hearing.workload, hearing.version),
        judged_at=datetime.now(UTC).isoformat(timespec="seconds"),
        drift=_drift(store, keys, hearing, bundle),
        latest=latest_batch(store, spec, hearing.ring, bundle),
        untrained=failures.untrained(evidence.scorecards),
    )


def incumbent(champion: Entry | None) -> Incumbent:
    """Return what serves, as the gates know it."""
    if champion is None:
        return NONE_YET
    return Incumbent(champion.version, champion.serves, champion.manifest_digest, champion.number)


def nothing_rehearsed() -> Rehearsal:
    """Return the rehearsal of a rollback to nothing."""
    return Rehearsal("", False, 0, float("inf"), 0.0, "nothing serves yet")


def latest_batch(store: Store, spec: Workload, ring: str, bundle: Bundle) -> LatestBatch:
    """Lay what the ring's newest batch of enough rows holds beside what the challenger of *bundle* learned from."""
    seen = newest_telling(watch.known(store, spec.name, ring))
    if not seen:
        return NOT_MONITORED
    try:
        learned, labels = json.loads(bundle.read(contents.PROFILE)), {target.column for target in spec.targets}
        return LatestBatch(seen[-1].number, unlike(learned, watch.profile_of(store, seen), labels))
    except HomeDamaged as error:
        return LatestBatch(seen[-1].number, Drift(0, 0, reason=f"the batch cannot be read: {error}"))


def _stands_in(entries: Sequence[Entry], policy: Policy, version: str) -> tuple[str, ...]:
    """Return those of the rings asked for in which the version stands."""
    return (policy.after,) if policy.after and stands_in(entries, policy.after, version) else ()


def _rolled_back(entries: Sequence[Entry], hearing: Hearing) -> str:
    away = rolled_back_by(entries, hearing.ring, hearing.version)
    return f"{away.decided_by} rolled back from it at {away.at}: {away.reason}" if away else ""


def _drift(store: Store, keys: Path, hearing: Hearing, bundle: Bundle) -> Drift:
    """Compare the profiles of both bundles; a champion that cannot be read is for a person to judge, not a dead end."""
    if hearing.champion is None:
        return Drift(0, 0)
    try:
        champion = contents.open_verified(store, keys, hearing.workload, hearing.champion.version)
        return drift(champion.read(contents.PROFILE), bundle.read(contents.PROFILE))
    except (BadRequest, HomeDamaged, NotTrusted) as error:
        return Drift(0, 0, reason=f"what the champion learned from cannot be read: {error}")
    except (ValueError, KeyError) as error:
        return Drift(0, 0, reason=f"the champion's profile is of another format: {error!r}")
