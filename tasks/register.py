"""Register: publish the winners as a signed bundle, and tell MLflow what was tried and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tasks import workloads
from tasks.adapters import challengers, contents, home, measured, mirrors, variants
from tasks.adapters.home import registry, root, scratch, signer, store
from tasks.adapters.logged import record_of, studies_of
from tasks.adapters.signing import trusted_keys
from tasks.core.evidence import Evidence
from tasks.core.run import Run
from tasks.core.values import Challenger, Evaluation
from tasks.core.variants import Speed
from tasks.patience import patient
from tasks.stages import stage


@patient(name="register {run.workload}")
def register(run: Run, evidence: Evidence) -> Challenger:
    """Publish the bundle, log the run and register the version; all of it may be repeated without harm."""
    evidence, speeds = _with_fastest(run, evidence)
    with stage(run, "publish bundle") as told:
        challenger = contents.publish(store(), root() / "keys", workloads.get(run.workload), evidence)
        measured.note(
            store(), signer(), run.workload, challenger.version, datetime.now(UTC).isoformat(timespec="seconds")
        )
        if speeds:
            variants.note(store(), signer(), run.workload, challenger.version, speeds)
        told.note = f"version {challenger.version}{_mirrored(challenger)}"
    with stage(run, "register") as told:
        # A name is a tag: MLflow lets it change when the same bytes come again under another one.
        tags = {"reason": run.reason, "ring": run.ring, "source": Path(run.source).name}
        run_id = registry().log_run(record_of(evidence, tags))
        with scratch(run.workload) as folder:
            if trials := studies_of(store(), evidence, folder):
                registry().attach(run.workload, run.key, trials)
        version = registry().register(challenger, run_id, store(), {"run_key": run.key})
        registry().point(run.workload, "challenger", challenger.manifest_digest)
        challengers.point(store(), challenger)
        told.note = f"MLflow version {version}, {len(evidence.scorecards)} candidates logged"
    return challenger


def _with_fastest(run: Run, evidence: Evidence) -> tuple[Evidence, dict[str, Mapping[str, Speed]]]:
    """Have each winner's network run as the fastest variant within the budget; return how fast all were, by target."""
    networks = [each for each in evidence.evaluations if variants.has_network(each)]
    if not networks:
        return evidence, {}
    spec, found, speeds = workloads.get(run.workload), dict[str, Evaluation](), dict[str, Mapping[str, Speed]]()
    with stage(run, "measure networks") as told, scratch(run.workload) as folder:
        told.reused = True
        for each in networks:
            done = variants.fastest(store(), signer(), spec, evidence.training_set, each, folder)
            made = done.value
            found[each.target] = replace(each, files=made.files, variants=made.scores)
            speeds |= {each.target: made.speeds} if made.speeds else {}
            told.reused = told.reused and done.reused
        told.note = "; ".join(f"{name}: {_served(each)}" for name, each in found.items())
    return replace(evidence, evaluations=tuple(found.get(e.target, e) for e in evidence.evaluations)), speeds


def _served(evaluation: Evaluation) -> str:
    chosen = next((each.name for each in evaluation.variants if each.chosen), "")
    return f"{chosen} of {len(evaluation.variants)} variants" if chosen else "no network to run"


def _mirrored(challenger: Challenger) -> str:
    """Give mirrors the bundle early; one that does not answer stops a promotion, not a training run."""
    if not home.mirrors():
        return ""
    at = datetime.now(UTC).isoformat(timespec="seconds")
    trust = trusted_keys(root() / "keys")
    found = mirrors.replicate(store(), home.mirrors(), trust, challenger.workload, challenger.version, at)
    return f", {found.sentence}"
