"""What a decision is made on, as one value: the question, all that was found out about it, and what is recommended.

A person signs its digest and the ledger names it, so whoever audits an entry finds what it was decided on. How it is
kept, asked and answered belongs to the adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from tasks.core.comparison import Comparison
from tasks.core.digests import digest_of
from tasks.core.gates import Incumbent, Recommendation, Rehearsal
from tasks.core.values import Verdict

# Who asked, when, until when, which time it is, and what was measured on the way (its verdict is among the verdicts):
# the same question asked again differs in these alone.
OF_THE_ASKING = frozenset({"requested_by", "requested_at", "expires_at", "nonce", "rehearsal", "rollback_rehearsal"})
# Follows from the verdicts, and tells an age in words.
WORDING = frozenset({"because"})


@dataclass(frozen=True)
class RollbackTarget:
    """What a rollback would bring back: a version, its bundle's manifest digest, the ledger entry that let it out."""

    version: str
    manifest: str
    number: int


@dataclass(frozen=True)
class Dossier:
    """One challenger before one ring.

    Times are ISO 8601 in UTC; ``expires_at`` is empty where a request never does. ``manifest``, ``evidence`` (the
    evaluation), ``snapshot``, ``definitions`` (of features) and ``policy`` are digests. ``champion`` is what served in
    the ring when it was judged: a decision is bound to its ledger entry's number, 0 if nothing served. ``serves`` are
    the targets a greenlight lets out; ``semantic_version`` is the number people will call the version by (1.4.0).
    ``break_glass`` says why failed gates are to be overridden, empty where they are not.
    """

    workload: str
    ring: str
    version: str
    run_key: str
    requested_by: str
    requested_at: str
    expires_at: str
    nonce: str
    manifest: str
    evidence: str
    snapshot: str
    definitions: str
    policy: str
    champion: Incumbent
    rollback: RollbackTarget | None
    comparisons: tuple[Comparison, ...]
    verdicts: tuple[Verdict, ...]
    serves: tuple[str, ...]
    rehearsal: Rehearsal | None
    recommendation: Recommendation
    because: str
    semantic_version: str = ""
    break_glass: str = ""
    rollback_rehearsal: Rehearsal | None = None

    @property
    def digest(self) -> str:
        """The sha256 of its canonical JSON: what a signature covers and a ledger entry names."""
        return digest_of(self)

    @property
    def subject(self) -> str:
        """The digest of the question itself, whoever asked it and whenever."""
        return subject_of({each.name: getattr(self, each.name) for each in fields(self)})


def subject_of(body: Mapping[str, object]) -> str:
    """Return the subject of a dossier as it was written, by this version of ours or an older one."""
    return digest_of({name: value for name, value in body.items() if _is_asked(name)})


def changes(asked: Dossier, now: Dossier) -> tuple[str, ...]:
    """Return the fields in which *now* is another question than *asked* was; how a verdict is worded is none."""
    return tuple(
        each.name
        for each in fields(Dossier)
        if _is_asked(each.name) and each.name not in WORDING and _weighed(asked, each.name) != _weighed(now, each.name)
    )


def rollback_target(champion: Incumbent) -> RollbackTarget | None:
    """Return what a rollback would bring back once a challenger has replaced *champion*; None if nothing serves."""
    return RollbackTarget(champion.version, champion.manifest, champion.number) if champion.version else None


def _is_asked(name: str) -> bool:
    return name not in OF_THE_ASKING


def _weighed(dossier: Dossier, name: str) -> object:
    if name == "verdicts":
        return [(verdict.gate, verdict.target, verdict.outcome) for verdict in dossier.verdicts]
    return getattr(dossier, name)
