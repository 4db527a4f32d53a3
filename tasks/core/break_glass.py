"""What a question becomes when the glass is broken: failed gates are overridden, but for those nobody may override.

Pure. Who may break it, and how many must agree, is said by its policy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.core.dossier import Dossier

# A broken model helps nobody, and whoever stopped the line knew something: it is resumed, not overridden.
NEVER_OVERRIDDEN = frozenset({"bundle rehearsed", "line running"})


def broken(question: Dossier, reason: str, policy: str, targets: Sequence[str]) -> Dossier:
    """Return *question* as it is put under the policy (digest) that overrides gates, letting out *targets*."""
    missed = [verdict for verdict in question.verdicts if verdict.outcome != "pass"]
    told = "; ".join(
        f"{each.target + ': ' if each.target else ''}{each.gate} {each.outcome} ({each.found})" for each in missed
    )
    firm = ", ".join(sorted({each.gate for each in missed} & NEVER_OVERRIDDEN))
    because = f"the glass is broken: {reason}; overridden: {told or 'nothing, every gate passed'}"
    if firm:
        because = f"the glass cannot be broken: {firm} is never overridden: {told}"
    return replace(question, break_glass=reason, policy=policy, serves=tuple(targets), because=because)


def may_be_overridden(dossier: Dossier) -> bool:
    """Say whether people may let out what *dossier* is about although gates failed."""
    firm = [verdict.outcome for verdict in dossier.verdicts if verdict.gate in NEVER_OVERRIDDEN]
    return bool(dossier.break_glass) and bool(dossier.serves) and firm != [] and set(firm) == {"pass"}
