"""Announce: tell Prefect, and with it whoever listens, what the ledger says. Nothing depends on being heard."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from prefect.events import emit_event

from tasks import workloads
from tasks.adapters import dossiers, policies, requests, shadows
from tasks.adapters.home import root, store
from tasks.adapters.signing import trusted_keys
from tasks.core.digests import digest_of
from tasks.core.dossier import Dossier
from tasks.core.run import Promotion
from tasks.core.scoring import Scored
from tasks.core.shadow import Cycle


def announce(dossier: Dossier, promotion: Promotion, *, onwards: bool) -> None:
    """Tell that the champion changed and, if it is to go *onwards*, have the next ring asked for it.

    Told again by a rerun, they are the same events. A run that was killed may have died before they were sent, so one
    that finds its version promoted tells them again; but a ring that has been asked is not asked for it once more.
    """
    anew = promotion.status == "promoted"
    entry = promotion.entry
    if entry is None or not (anew or entry.kind == "promotion"):
        return
    about = {"prefect.resource.id": f"workload.{promotion.workload}", "prefect.resource.name": promotion.workload}
    emit_event(
        event="champion.changed",
        id=UUID(promotion.dossier[:32]),
        resource=about,
        payload={"version": promotion.version, "ring": promotion.ring, "serves": list(promotion.serves)},
    )
    following = policies.next_ring(promotion.ring) if onwards else None
    if following and (anew or not _asked(promotion, following)):
        emit_event(
            event="challenger.ready",
            id=UUID(promotion.dossier[32:]),
            resource=about,
            payload={
                "version": promotion.version,
                "ring": following,
                "reason": f"let out in {promotion.ring}",
                "requested_by": dossier.requested_by,
            },
        )


def announce_soaked(day: Scored, cycles: Sequence[Cycle], *, onwards: bool) -> None:
    """Have the next ring asked for whatever has soaked long enough with this day's cycle, if it is to go *onwards*.

    It is asked in the name of who asked first; told again by a rerun of the day, it is the same event.
    """
    spec, trust = workloads.get(day.workload), trusted_keys(root() / "keys")
    versions = (day.version, *(each.challenger for each in cycles)) if onwards else ()
    for found in filter(None, (shadows.soaked(store(), trust, spec, version) for version in versions)):
        emit_event(
            event="challenger.ready",
            id=UUID(digest_of({"soaked": found, "date": day.date, "snapshot": day.snapshot})[:32]),
            resource={"prefect.resource.id": f"workload.{day.workload}", "prefect.resource.name": day.workload},
            payload={
                "version": found.version,
                "ring": found.ring,
                "reason": f"{found.clean} clean shadow cycles",
                "requested_by": dossiers.read(store(), found.evidence).requested_by,
            },
        )


def _asked(promotion: Promotion, ring: str) -> bool:
    trust = trusted_keys(root() / "keys")
    asked = (
        *requests.open_requests(store(), trust, promotion.workload, ring),
        *requests.closed_requests(store(), trust, promotion.workload, ring),
    )
    return any(each.version == promotion.version for each in asked)
