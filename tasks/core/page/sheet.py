"""All that a dossier's page and its machine-readable twin say, as one value: the page is drawn from nothing else.

Figures are kept as they were measured; words and marks belong to ``dossier``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.core.differences import Change
from tasks.core.dossier import Dossier
from tasks.core.page.reliability import Meant
from tasks.core.profile_shift import Shift
from tasks.core.run import StageTime
from tasks.core.shadow import Cycle
from tasks.core.values import Interval, Table, VariantScore
from tasks.core.variants import Speed

Side = Literal["challenger", "champion"]
State = Literal["open", "promoted", "not promoted", "held", "rejected", "expired", "superseded"]


@dataclass(frozen=True)
class TargetFacts:
    """One target as the challenger answers it; the skill is held against *least_skill*, the best guess is 0.

    ``meant`` is what a chance is worth on the holdout; None of anything else.
    """

    name: str
    meaning: str
    unit: str
    log: bool
    algorithm: str
    describes: str
    rows_holdout: int
    mae: Interval
    skill: Interval
    least_skill: float
    baseline: str
    coverage: Interval
    coverage_least: float
    coverage_wanted: float
    told: tuple[Table, ...] = ()
    meant: Meant | None = None


@dataclass(frozen=True)
class CalibrationBin:
    """Rows with alike predictions: their median prediction, and the quartiles of what was true."""

    rows: int
    predicted: float
    actual: float
    low: float
    high: float


@dataclass(frozen=True)
class Spread:
    """Quantiles of how far predictions lie from the truth: base-2 logarithm of the ratio, or the difference."""

    part: str
    rows: int
    q5: float
    q25: float
    q50: float
    q75: float
    q95: float


@dataclass(frozen=True)
class Fit:
    """How well one model fits one target on rows it did not learn from."""

    target: str
    side: Side
    rows: int
    bins: tuple[CalibrationBin, ...]
    spreads: tuple[Spread, ...]


@dataclass(frozen=True)
class Mover:
    """A row whose prediction changes much: what the champion says, what the challenger says, and what was true.

    Of a scored batch nobody knows yet what is true, nor by which row it came.
    """

    target: str
    row: int | None
    entity: str
    actual: float | None
    champion: float
    challenger: float


@dataclass(frozen=True)
class Landed:
    """What became known of the truth of a batch both have scored: the error of either on one target, in its unit.

    ``rows`` are those of the ``known`` ones that the challenger answered; ``change`` is how much larger its error is on
    them, as a share.
    """

    ring: str
    date: str
    target: str
    rows: int
    known: int
    champion: Interval
    challenger: Interval
    change: Interval


@dataclass(frozen=True)
class Ran:
    """One way a target's network was run when its bundle was made; ``speed`` is None where nobody could time it."""

    target: str
    score: VariantScore
    speed: Speed | None


@dataclass(frozen=True)
class Rollback:
    """What a rollback brings back, and what is known of its rehearsal; ``seconds`` is None where nobody timed it."""

    version: str
    number: int
    manifest: str
    seconds: float | None
    rehearsed: str


@dataclass(frozen=True)
class Said:
    """A decision on this dossier; it counts unless something refuses it."""

    kind: str
    approver: str
    reason: str
    at: str
    expires_at: str
    verified: bool
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Asking:
    """Who must decide, how, and what they have said so far."""

    automatic: bool
    signature: bool
    approvals: int
    roles: tuple[str, ...]
    min_reason: int
    people: tuple[str, ...]
    commands: tuple[str, ...]
    said: tuple[Said, ...]
    stands: str


@dataclass(frozen=True)
class Came:
    """What has come of the request by now."""

    state: State
    at: str = ""
    number: int = 0


@dataclass(frozen=True)
class Sheet:
    """The page of one dossier. ``digest`` is what a signature covers; ``champion_note`` what stood in the way.

    ``shadow`` is the newest batch that both have scored; ``movers`` are rows of it, else of ``movers_of``. ``landed``
    is the truth of such batches, oldest first, each once; ``landed_note`` says why it cannot be read. ``variants`` are
    the ways to run its networks; none where it has none.
    """

    title: str
    entity: str
    digest: str
    dossier: Dossier
    came: Came
    question: str
    answer: str
    targets: tuple[TargetFacts, ...]
    differences: tuple[Change, ...]
    champion_note: str
    shifts: tuple[Shift, ...]
    fits: tuple[Fit, ...]
    movers: tuple[Mover, ...]
    movers_of: str
    lineage: tuple[tuple[str, str], ...]
    costs: tuple[StageTime, ...]
    rollback: Rollback | None
    asking: Asking
    shadow: Cycle | None = None
    landed: tuple[Landed, ...] = ()
    landed_note: str = ""
    variants: tuple[Ran, ...] = ()
