"""Roll back: the adapter's one step as a task, for whoever asks through Prefect; the command line needs no server."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect.events import emit_event

from tasks import workloads
from tasks.adapters import home, ledger, mirrors, observations, policies
from tasks.adapters import rollback as rollbacks
from tasks.adapters.home import registry, root, signer, store
from tasks.adapters.rollback import RolledBack
from tasks.adapters.signing import trusted_keys
from tasks.core.ledger_chain import digest_of_entry
from tasks.core.rollback import Asked, Observation
from tasks.patience import patient


@patient(name="roll back {asked.workload} in {asked.ring}")
def roll_back(asked: Asked) -> RolledBack:
    """Let the version asked for serve again; the same wish twice in a row is carried out once, so a retry is safe."""
    done = rollbacks.roll_back(store(), signer(), trusted_keys(root() / "keys"), registry(), asked)
    mirrors.follow(store(), home.mirrors(), trusted_keys(root() / "keys"), asked.workload, asked.ring)
    return done


def announce(done: RolledBack) -> None:
    """Tell Prefect that the champion changed, so that scoring follows; told again by a rerun, it is the same event."""
    entry = done.entry
    emit_event(
        event="champion.changed",
        id=UUID(digest_of_entry(entry)[:32]),
        resource={"prefect.resource.id": f"workload.{entry.workload}", "prefect.resource.name": entry.workload},
        payload={"version": entry.version, "ring": entry.ring, "serves": list(entry.serves)},
    )


@patient(name="observe {workload} in {ring}")
def observe(workload: str, ring: str, seen: Sequence[Observation]) -> RolledBack | None:
    """Keep what was *seen* of the champion; roll back and stop the line if all that was seen meets the ring's policy.

    Returns the rollback, None where none was asked for or there is no version to go back to.
    """
    trust = trusted_keys(root() / "keys")
    for each in seen:
        observations.record(store(), workload, ring, each)
    champion = ledger.champion(store(), workload, ring, trust)
    rules = [each.rule for each in policies.of(workloads.get(workload), ring).automatic_rollback]
    if champion is None or not rules:
        return None
    known = observations.of_champion(store(), workload, ring, champion.number, rules)
    found = rollbacks.roll_back_if_alarmed(store(), signer(), trust, registry(), workload, ring, known, rules)
    done = found[1] if found else None
    if done is not None:
        mirrors.follow(store(), home.mirrors(), trust, workload, ring)
        announce(done)
    return done
