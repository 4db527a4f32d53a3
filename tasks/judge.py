"""Judge: verify the bundle, rehearse it, hold it against the champion on the same rows, and ask every gate."""

from __future__ import annotations

from tasks import workloads
from tasks.adapters import cases, challengers, contents, contests, ledger, numbering, policies, rehearsal
from tasks.adapters.bundles import Bundle
from tasks.adapters.home import root, store
from tasks.adapters.signing import trusted_keys
from tasks.core import gates
from tasks.core.comparison import Comparison
from tasks.core.dossier import Dossier, rollback_target
from tasks.core.gates import Rehearsal
from tasks.core.run import Hearing
from tasks.core.values import Verdict
from tasks.patience import patient
from tasks.stages import stage


@patient(name="verify bundle {workload} {version}")
def verify_bundle(workload: str, version: str, ring: str, requested_by: str, break_glass: str = "") -> Hearing:
    """Open a challenger's hearing: its bundle verified, the ring's champion noted before anything is judged."""
    champion = ledger.champion(store(), workload, ring, trusted_keys(root() / "keys"))
    found = challengers.resolve(store(), workload, version)
    bundle = contents.open_verified(store(), root() / "keys", workload, found)
    run_key = contents.evidence_of(bundle).run_key
    return Hearing(workload, found, ring, champion, run_key, requested_by, break_glass)


@patient(name="compare {hearing.workload} with champion")
def compare_with_champion(hearing: Hearing) -> tuple[Comparison, ...]:
    """Predict the challenger's holdout with the champion too, for every target both serve."""
    champion, spec = hearing.champion, workloads.get(hearing.workload)
    if champion is None or hearing.serves_already:
        return ()
    with stage(hearing, "compare with champion") as told:
        gate = policies.measured_for(spec, hearing.ring).gate
        evidence = contents.evidence_of(_bundle(hearing))
        found = contests.held_against(store(), root() / "keys", spec, gate, evidence, champion)
        told.note = f"{len(found)} targets against {champion.version}"
    return found


@patient(name="judge {hearing.workload} {hearing.version}")
def judge(hearing: Hearing, comparisons: tuple[Comparison, ...]) -> Dossier:
    """Rehearse it and the way back in a clean process, ask every gate, and return the question nobody asked yet."""
    with stage(hearing, "judge") as told:
        spec = workloads.get(hearing.workload)
        policy = policies.of(spec, hearing.ring)
        way_back = [hearing.champion.version] if hearing.champion else []
        done = rehearsal.rehearse(store().uri, root() / "keys", hearing.workload, hearing.version, *way_back)
        case = cases.gather(store(), root() / "keys", spec, hearing, comparisons, done)
        verdicts = gates.judge(case, spec.gate, policy)
        passed = sum(verdict.outcome == "pass" for verdict in verdicts)
        told.note = f"{passed} of {len(verdicts)} verdicts pass"
    return _question(hearing, comparisons, done, verdicts)


def _question(
    hearing: Hearing,
    comparisons: tuple[Comparison, ...],
    done: tuple[Rehearsal, ...],
    verdicts: tuple[Verdict, ...],
) -> Dossier:
    bundle, policy = _bundle(hearing), policies.of(workloads.get(hearing.workload), hearing.ring)
    evidence, champion = contents.evidence_of(bundle), cases.incumbent(hearing.champion)
    served = gates.on_greenlight(verdicts, (target.name for target in workloads.get(hearing.workload).targets))
    return Dossier(
        workload=hearing.workload,
        ring=hearing.ring,
        version=hearing.version,
        run_key=hearing.run_key,
        requested_by=hearing.requested_by,
        requested_at="",
        expires_at="",
        nonce="",
        manifest=bundle.manifest.digest,
        evidence=bundle.manifest.files[contents.EVIDENCE].digest,
        snapshot=evidence.snapshot.digest,
        definitions=evidence.training_set.definitions_digest,
        policy=policy.digest,
        champion=champion,
        rollback=rollback_target(champion),
        comparisons=comparisons,
        verdicts=verdicts,
        serves=served,
        rehearsal=done[0],
        recommendation=gates.recommend(verdicts),
        because=gates.because(verdicts, served, policy),
        semantic_version=numbering.wanted(
            store(), root() / "keys", hearing.version, evidence, hearing.champion, comparisons
        ),
        rollback_rehearsal=done[1] if len(done) > 1 else None,
    )


def _bundle(hearing: Hearing) -> Bundle:
    return contents.open_verified(store(), root() / "keys", hearing.workload, hearing.version)
