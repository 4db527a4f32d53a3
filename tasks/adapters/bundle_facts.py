"""What a bundle is, as facts that can be held beside another's: its data, features, models, code and environment.

They are read out of the bundle and the rows it was made of; which of them differ, and how that is said, is core's word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tasks.adapters import contents, frames
from tasks.adapters.bundles import Bundle
from tasks.adapters.store import Store
from tasks.core import training
from tasks.core.differences import Fact, Facts, Known
from tasks.core.evidence import Evidence
from tasks.core.values import Evaluation
from tasks.workloads.spec import Workload


def known(store: Store, spec: Workload, bundle: Bundle, serves: tuple[str, ...]) -> Known:
    """Return everything a dossier holds against another bundle's; *serves* are the targets it answers."""
    evidence = contents.evidence_of(bundle)
    return Known(
        serves=serves,
        data=_data(store, spec, evidence),
        features={each.target: _features(bundle, each) for each in evidence.evaluations},
        made_by=bundle.manifest.lineage.get(contents.DERIVED, "unknown"),
        models={each.target: _model(evidence, each) for each in evidence.evaluations},
        code={"code": evidence.code, "policy it was measured under": evidence.policy},
        environment=json.loads(bundle.read(contents.ENVIRONMENT)),
    )


def _data(store: Store, spec: Workload, evidence: Evidence) -> Facts:
    rows = frames.read(store, evidence.training_set.rows)
    first, last = (rows[spec.event_time].min(), rows[spec.event_time].max())
    return {
        "first observed": str(first or "unknown"),
        "last observed": str(last or "unknown"),
        "rows in": evidence.contracted.rows_in,
        "rows quarantined": evidence.contracted.rows_quarantined,
        "rows learned from": evidence.training_set.row_count,
        f"different {spec.entity}s": rows[spec.entity].n_unique(),
        "source": evidence.snapshot.source_digest,
    }


def _features(bundle: Bundle, evaluation: Evaluation) -> Mapping[str, str]:
    described: dict[str, Any] = json.loads(bundle.read(f"models/{evaluation.target}/model.json"))
    return {each["name"]: each["type"] for each in described["features"]}


def _model(evidence: Evidence, evaluation: Evaluation) -> Facts:
    of = (evaluation.target, evaluation.algorithm)
    winner = training.choose(card for card in evidence.scorecards if (card.target, card.algorithm) == of)
    params = {name: _fact(value) for name, value in sorted(winner.params.items())}
    origin = f"tuned in {winner.study.trials} trials" if winner.study else "declared"
    made = {"parameters": origin, "fitted on": evaluation.describes}
    served = next((each.name for each in evaluation.variants if each.chosen), "")
    return {"algorithm": evaluation.algorithm, **params, **made, **({"network run as": served} if served else {})}


def _fact(value: float | int | str | bool) -> Fact:
    return str(value).lower() if isinstance(value, bool) else value
