"""Release: the one commit point, and the projections that follow from it."""

from __future__ import annotations

from datetime import UTC, datetime

from tasks import workloads
from tasks.adapters import home, ledger, mirrors, numbering, policies, projections, requests, settlement
from tasks.adapters.home import registry, root, signer, store
from tasks.adapters.policies import Policy
from tasks.adapters.settlement import Settlement
from tasks.adapters.signing import trusted_keys
from tasks.core.dossier import Dossier
from tasks.core.run import Hearing, Promotion
from tasks.patience import patient
from tasks.stages import stage


@patient(name="decide {hearing.workload} {hearing.version}")
def decide(hearing: Hearing, dossier: Dossier) -> Promotion:
    """Append a promotion to the ledger if gates, policy and people let it; raises LedgerMoved if another was first."""
    with stage(hearing, "decide") as told:
        settled = _settled(hearing, dossier)
        entry = settled.entry
        told.note = f"{settled.status}: {f'ledger entry {entry.number}' if entry else settled.because}"
    return Promotion(
        workload=hearing.workload,
        version=hearing.version,
        ring=hearing.ring,
        champion_number=dossier.champion.number,
        dossier=dossier.digest,
        status=settled.status,
        because=settled.because,
        verdicts=dossier.verdicts,
        serves=entry.serves if entry else (),
        entry=entry,
        page="",
    )


@patient(name="project {hearing.workload}")
def project(hearing: Hearing) -> tuple[str, ...]:
    """Bring champion.json and the MLflow alias up to the ledger; say what was changed."""
    with stage(hearing, "project") as told:
        changes = projections.reconcile(
            store(), trusted_keys(root() / "keys"), registry(), hearing.workload, hearing.ring
        )
        changes += mirrors.follow(
            store(), home.mirrors(), trusted_keys(root() / "keys"), hearing.workload, hearing.ring
        )
        champion = ledger.champion(store(), hearing.workload, hearing.ring, trusted_keys(root() / "keys"))
        if champion is not None:
            numbering.show(store(), registry(), champion)
        told.note = "; ".join(changes) or "nothing to change"
    return changes


def _settled(hearing: Hearing, dossier: Dossier) -> Settlement:
    trust = trusted_keys(root() / "keys")
    if not hearing.serves_already:
        policy = policies.asked_under(workloads.get(dossier.workload), dossier)
        return settlement.settle(
            store(), signer(), trust, dossier, policy, datetime.now(UTC), lambda: _everywhere(hearing, policy)
        )
    # A request that is still open is that of a run which was killed after its entry was appended: it goes on.
    going_on = hearing.champion is not None and hearing.champion.evidence == dossier.digest
    going_on = going_on and requests.is_open(store(), trust, dossier)
    return Settlement("promoted" if going_on else "already champion", dossier.because, hearing.champion)


def _everywhere(hearing: Hearing, policy: Policy) -> None:
    """Let nothing out that not as many stores hold, byte for byte, as the policy wants."""
    trust, at = trusted_keys(root() / "keys"), datetime.now(UTC).isoformat(timespec="seconds")
    agreement = mirrors.replicate(store(), home.mirrors(), trust, hearing.workload, hearing.version, at)
    mirrors.hold_to(agreement, policy.stores, f"{hearing.workload} {hearing.version} in {hearing.ring}")
