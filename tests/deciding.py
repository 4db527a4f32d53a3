"""A dossier, people and their keys, small enough for a test of decisions."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.core.decisions import Approver, Decision, Wants
from tasks.core.dossier import Dossier
from tasks.core.gates import NONE_YET

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TWO_SIGNATURES = Wants(signature=True, approvals=2, roles=("approver",), min_reason=10)
SIGNATURE = Wants(signature=True, approvals=1, roles=("approver",), min_reason=10)
# Production right after dev, so that one promotion leads to the question.
SHORT_ROAD = {
    "prod": {"after": "dev", "decision": "signed", "roles": ["approver"], "min_reason_characters": 10},
    "break-glass": {"decision": "signed", "breaks_glass": True, "approvals": 2, "roles": ["release-manager"]},
}
A_CLAIM = Wants(signature=False, approvals=1, roles=(), min_reason=10)


def dossier(**changes: Any) -> Dossier:
    """Return a dossier asked for by carol this morning, open until tomorrow noon."""
    declared: dict[str, Any] = {
        "workload": "shops",
        "ring": "prod",
        "version": "v-new",
        "run_key": "run1",
        "requested_by": "carol",
        "requested_at": "2026-11-21T09:00:00+00:00",
        "expires_at": "2026-11-22T12:00:00+00:00",
        "nonce": "n" * 32,
        "manifest": "a" * 64,
        "evidence": "b" * 64,
        "snapshot": "c" * 64,
        "definitions": "d" * 64,
        "policy": "e" * 64,
        "champion": NONE_YET,
        "rollback": None,
        "comparisons": (),
        "verdicts": (),
        "serves": ("sales",),
        "rehearsal": None,
        "recommendation": "greenlight",
        "because": "every gate passed",
    }
    return Dossier(**(declared | changes))


def decision(asked: Dossier, **changes: Any) -> Decision:
    """Return alice's greenlight on *asked*, an hour old."""
    declared: dict[str, Any] = {
        "kind": "greenlight",
        "workload": asked.workload,
        "ring": asked.ring,
        "version": asked.version,
        "dossier": asked.digest,
        "nonce": asked.nonce,
        "approver": "alice",
        "reason": "holdout better, shadow clean",
        "at": "2026-11-21T11:00:00+00:00",
        "expires_at": asked.expires_at,
    }
    return Decision(**(declared | changes))


def approver(name: str, **changes: Any) -> Approver:
    """Return an approver whose fingerprint is their name in capitals."""
    declared: dict[str, Any] = {"roles": ("approver",), "key": f"key of {name}", "fingerprint": name.upper()}
    return Approver(name, **(declared | changes))


def short_road(checkout: Path, folder: Path) -> Path:
    """Copy the sources to *folder*, with production right after dev."""
    shutil.copytree(checkout, folder, dirs_exist_ok=True)
    for name in ("qa", "preprod"):
        (folder / "deployments/policies" / f"{name}.yaml").unlink()
    for ring, asks in SHORT_ROAD.items():
        (folder / "deployments/policies" / f"{ring}.yaml").write_text(json.dumps({"ring": ring, **asks}))
    return folder
