"""Score: the champion answers a batch, its challengers answer it in the shadow, and the day is published last."""

from __future__ import annotations

import logging
from dataclasses import replace

from prefect.artifacts import create_markdown_artifact

from tasks import workloads
from tasks.adapters import (
    arms,
    batches,
    contents,
    home,
    mirrors,
    policies,
    predictions,
    scoring,
    serving,
    shadows,
    skew,
)
from tasks.adapters.home import root, scratch, signer, store
from tasks.adapters.predictions import QUARANTINED, SCORED, Day
from tasks.adapters.scoring import ScoredRows, Scorer
from tasks.adapters.signing import trusted_keys
from tasks.adapters.store import address, open_store
from tasks.core.partitions import Table, partition_key
from tasks.core.rollback import Observation
from tasks.core.rules import reasons
from tasks.core.scoring import Asked, Batch, Published, Scored, Skew, alarms, observation
from tasks.core.shadow import Cycle
from tasks.core.values import Contracted, Snapshot
from tasks.errors import Unreachable
from tasks.patience import patient
from tasks.stages import stage

logger = logging.getLogger(__name__)


@patient(name="open batch {asked.workload} {asked.ring}")
def open_batch(asked: Asked) -> Batch:
    """Name a batch and note what serves and what is published before any work begins."""
    return batches.open_batch(store(), root() / "keys", asked)


@patient(name="score {batch.run.workload}", timeout_minutes=600)
def score_rows(batch: Batch, contracted: Contracted) -> ScoredRows:
    """Answer every accepted row with the champion; a rerun goes on at the part where a killed run was."""
    with stage(batch.run, "score") as told, scratch(batch.run.workload, "score") as folder:
        scorer = _scorer(batch, contracted)
        scored = scoring.score(store(), signer(), scorer, contracted.accepted, contracted.rows_accepted, folder)
        told.rows, told.reused = scored.table.rows, scored.reused
        told.note = f"{scored.table.rows:,} rows by {batch.champion.version}"
    return scored


@patient(name="give arms {batch.run.workload}", timeout_minutes=600)
def give_arms(batch: Batch, contracted: Contracted, scored: ScoredRows) -> ScoredRows:
    """Give the entities of an experiment's other arm the answers of its version; without one, all is the champion's."""
    experiment = batch.experiment
    if experiment is None:
        return scored
    with stage(batch.run, "give arms") as told, scratch(batch.run.workload, "arms") as folder:
        spec, rows = workloads.get(batch.run.workload), contracted.rows_accepted
        other = _beside(batch, contracted, experiment.treatment)
        treatment = scoring.score(store(), signer(), other, contracted.accepted, rows, folder)
        given = arms.given(store(), spec, experiment, scored, treatment, folder)
        told.rows, told.reused, told.note = rows, given.reused, f"experiment {experiment.name}"
    return given


@patient(name="check skew of {batch.run.workload}")
def check_skew(batch: Batch, contracted: Contracted, scored: ScoredRows) -> Skew:
    """Answer a block of the rows again from the offline store; any difference is an alarm."""
    with stage(batch.run, "check skew") as told, scratch(batch.run.workload, "skew") as folder:
        found = skew.measure(store(), _scorer(batch, contracted), contracted, scored.table, folder)
        told.rows, told.note = found.rows, f"{found.differing} of {found.rows} rows differ from the offline store"
    return found


@patient(name="publish {batch.run.workload} {batch.date}")
def publish(batch: Batch, snapshot: Snapshot, contracted: Contracted, scored: ScoredRows, found: Skew) -> Published:
    """Publish the day: its manifest is the last thing written, and readers see all of it or nothing."""
    with stage(batch.run, "publish") as told:
        day = _day(batch, snapshot, contracted, scored, found)
        for alarm in alarms(found, scored.not_finite):
            logger.warning("%s: %s", batch.run.workload, alarm.message)
        to = open_store(batch.output)
        changed = predictions.publish(to, signer(), day, source=store(), replaces=batch.replaces)
        ours = to.uri == store().uri
        if not ours:
            predictions.keep(store(), signer(), day)
        shadows.keep(store(), signer(), shadows.own_cycle(day), None)
        key = partition_key(predictions.KIND, batch.run.workload, batch.date, batch.run.ring)
        manifest = address(to, key)
        behind = mirrors.carry(to, home.mirrors(), trusted_keys(root() / "keys"), key) if ours else ()
        told.rows, told.reused, told.note = scored.table.rows, not changed, "; ".join((manifest, *behind))
    return Published("published" if changed else "unchanged", day.about, manifest, (), behind)


def looks(day: Scored) -> list[Observation]:
    """Return what a policy that rolls back by itself wants to know of the day."""
    return [observation(day, policies.of(workloads.get(day.workload), day.ring).scoring_error_share_most)]


@patient(name="find challengers of {batch.run.workload}")
def find_challengers(batch: Batch) -> tuple[str, ...]:
    """Return the versions that wait to serve in the ring."""
    return shadows.waiting(store(), trusted_keys(root() / "keys"), batch.champion)


@patient(name="score {batch.run.workload} with {version}", timeout_minutes=600)
def score_beside(batch: Batch, contracted: Contracted, scored: ScoredRows, day: Scored, version: str) -> Cycle:
    """Let a challenger answer the same rows, and keep where it differs; whatever goes wrong is a cycle not clean."""
    champions = Day(day, {SCORED: scored.table})
    with stage(batch.run, f"shadow {version}") as told, scratch(batch.run.workload, "shadow") as folder:
        beside: Table | None = None
        try:
            scorer = _beside(batch, contracted, version)
            found = scoring.score(store(), signer(), scorer, contracted.accepted, day.rows_scored, folder)
            beside, faults = found.table, (*shadows.broken(scored), *shadows.broken(found))
            compared = () if faults else shadows.differences(store(), scorer, contracted.accepted, champions, beside)
            unlike = shadows.unlike(scorer.spec, day.ring, compared)
            cycle = shadows.cycle(champions, version, compared, (*faults, *unlike))
        except Unreachable:
            raise
        except Exception as error:
            # Whatever is wrong with a challenger, the champion's day is published and this is no end of its scoring.
            logger.warning("%s could not score beside the champion", version, exc_info=True)
            cycle = shadows.cycle(champions, version, (), (f"{type(error).__name__}: {error}",))
        shadows.keep(store(), signer(), cycle, beside)
        told.rows, told.note = cycle.rows, "clean" if cycle.clean else f"not clean: {'; '.join(cycle.faults)}"
    return cycle


def show(published: Published, cycles: list[Cycle]) -> Published:
    """Return what came of it, and link it where people look."""
    day = published.day
    lines = [
        f"# {day.workload} in {day.ring}, {day.date}: {published.status}",
        "",
        f"{day.rows_in:,} rows in = {day.rows_scored:,} scored by {day.version} + {day.rows_quarantined:,} quarantined",
        "",
        *(f"- **{finding.code}** {finding.message}" for finding in day.findings),
        *(f"- {each}: greenlight stores repair" for each in published.behind),
        *(f"- shadow {each.challenger}: {'clean' if each.clean else '; '.join(each.faults)}" for each in cycles),
    ]
    key = f"{day.workload}-{day.ring}-scored".lower().replace("_", "-")
    create_markdown_artifact("\n".join(lines), key=key, description=published.manifest)
    return replace(published, cycles=tuple(cycles))


def _scorer(batch: Batch, contracted: Contracted) -> Scorer:
    champion = batch.champion
    bundle = serving.opened(store(), root() / "keys", champion)
    return Scorer(workloads.get(champion.workload), bundle, champion.serves, batch.run_id(contracted.snapshot))


def _beside(batch: Batch, contracted: Contracted, version: str) -> Scorer:
    spec = workloads.get(batch.run.workload)
    bundle = contents.open_verified(store(), root() / "keys", spec.name, version)
    contents.refuse_other_features(bundle, spec)
    shared = tuple(target for target in bundle.manifest.targets if target in batch.champion.serves)
    return Scorer(spec, bundle, shared, batch.run_id(contracted.snapshot))


def _day(batch: Batch, snapshot: Snapshot, contracted: Contracted, scored: ScoredRows, found: Skew) -> Day:
    champion = batch.champion
    about = Scored(
        workload=champion.workload,
        ring=champion.ring,
        date=batch.date,
        run=batch.run_id(contracted.snapshot),
        version=champion.version,
        bundle=champion.manifest_digest,
        champion=champion.number,
        snapshot=contracted.snapshot,
        targets=champion.serves,
        rows_in=contracted.rows_in,
        rows_scored=scored.table.rows,
        rows_quarantined=contracted.rows_quarantined,
        quarantine_reasons=reasons(contracted),
        skew=found,
        findings=(*alarms(found, scored.not_finite), *snapshot.findings),
        experiment=batch.experiment.name if batch.experiment else "",
    )
    quarantined = Table((contracted.quarantined,), contracted.rows_quarantined)
    return Day(about, {SCORED: scored.table, QUARANTINED: quarantined})
