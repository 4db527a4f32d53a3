"""What a run was asked, what its stages cost, and what came of it: the first and the last value of the road."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from tasks.core.values import Entry, Evaluation, Finding, Scorecard, Verdict

RunStatus = Literal["promoted", "not promoted", "already champion", "waiting", "rejected"]


@dataclass(frozen=True)
class Run:
    """One request to retrain a workload. ``key`` names its inputs: the same key means the same outcome.

    ``code`` and ``policy`` are digests. ``observed_at`` (ISO 8601) dates rows that do not say when they were seen;
    ``as_of`` (ISO date) is the day the freshness of the data is judged on. With ``window_days`` only the newest rows of
    the source are looked at.
    """

    workload: str
    source: str
    source_digest: str
    key: str
    code: str
    policy: str
    as_of: str
    ring: str = "dev"
    reason: str = "asked"
    observed_at: str | None = None
    window_days: float | None = None


@dataclass(frozen=True)
class StageTime:
    """What a stage cost. ``reused`` when its result was already there.

    ``peak_mib`` is the most memory its process had held until it ended, 0 where nobody looked.
    """

    stage: str
    wall_seconds: float
    cpu_seconds: float
    rows: int = 0
    reused: bool = False
    note: str = ""
    peak_mib: float = 0.0


@dataclass(frozen=True)
class Promotion:
    """What the promote flow decided, and on what.

    ``champion_number`` is the ledger entry of what served in the ring when it was judged, 0 if nothing did;
    ``dossier`` the digest of what it was decided on.
    """

    workload: str
    version: str
    ring: str
    champion_number: int
    dossier: str
    status: RunStatus
    because: str
    verdicts: tuple[Verdict, ...]
    serves: tuple[str, ...]
    entry: Entry | None
    page: str


@dataclass(frozen=True)
class RunSummary:
    """What the command line prints at the end, and keeps so that a repeated run can say *unchanged*.

    ``untrained`` are the targets that no candidate could be fitted for, with the reason.
    """

    run: Run
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    quarantine: str
    quarantine_reasons: tuple[tuple[str, int], ...]
    findings: tuple[Finding, ...]
    scorecards: tuple[Scorecard, ...]
    evaluations: tuple[Evaluation, ...]
    untrained: Mapping[str, str]
    promotion: Promotion
    bundle: str
    times: tuple[StageTime, ...]


@dataclass(frozen=True)
class Hearing:
    """A challenger before its gates: what is judged, for which ring and whom, and what served there when it began.

    ``break_glass`` says why failed gates are to be overridden, empty where they are not.
    """

    workload: str
    version: str
    ring: str
    champion: Entry | None
    run_key: str
    requested_by: str
    break_glass: str = ""

    @property
    def key(self) -> str:
        """The run the challenger came from."""
        return self.run_key

    @property
    def serves_already(self) -> bool:
        """Whether the challenger is the champion itself."""
        return self.champion is not None and self.champion.version == self.version
