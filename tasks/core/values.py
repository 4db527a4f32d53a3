"""The nouns of the system: what one stage hands to the next. Small, frozen, JSON-able; never a frame.

Anything large is a blob named by its sha256 (``Blob``). A value says what was found, not how it was found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

Outcome = Literal["pass", "fail", "inconclusive"]
Severity = Literal["critical", "warning", "info"]
EntryKind = Literal["promotion", "rollback", "hold", "rejection", "expiry", "stop", "resume", "review", "repair"]


@dataclass(frozen=True)
class Blob:
    """Bytes in the store, by content."""

    digest: str
    size: int


@dataclass(frozen=True)
class Finding:
    """Something a person should know about the source, with the number of rows or cells it touches."""

    code: str
    message: str
    count: int = 0


@dataclass(frozen=True)
class Snapshot:
    """An immutable Parquet copy of the rows a run saw, as read: typed, normalised, nothing dropped.

    It does not say how the source was called: the same bytes under another name are the same snapshot.
    """

    workload: str
    rows: Blob
    row_count: int
    source_digest: str
    schema: Mapping[str, str]
    findings: tuple[Finding, ...] = ()

    @property
    def digest(self) -> str:
        """The digest of the Parquet bytes names the snapshot."""
        return self.rows.digest


@dataclass(frozen=True)
class RuleResult:
    """One rule of the contract on one snapshot."""

    rule: str
    kind: Literal["row", "table"]
    severity: Severity
    reason: str
    passed: bool
    failed_rows: int = 0
    observed: str = ""


@dataclass(frozen=True)
class Contracted:
    """A snapshot split by its contract: rows in = accepted + quarantined."""

    snapshot: str
    accepted: Blob
    quarantined: Blob
    rows_in: int
    rows_accepted: int
    rows_quarantined: int
    results: tuple[RuleResult, ...]


@dataclass(frozen=True)
class TrainingSet:
    """Point-in-time correct rows out of Feast: entity, event time, targets and features; one row per accepted row."""

    workload: str
    rows: Blob
    row_count: int
    snapshot: str
    definitions_digest: str
    online_rows: int


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """A few lines that somebody should read beside a model's figures; every cell as it is read."""

    title: str
    head: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Study:
    """What tuning tried for a candidate: so many trials, of which some were stopped early and some failed.

    ``mae`` is that of the best parameters, ``declared_mae`` that of the candidate as it is declared, on the same folds.
    ``table`` is a Parquet blob, one line per trial; columns: ``tasks.core.tuning.TRIALS``.
    """

    trials: int = 0
    pruned: int = 0
    failed: int = 0
    mae: float | None = None
    declared_mae: float | None = None
    table: Blob | None = None


@dataclass(frozen=True)
class Scorecard:
    """How one candidate did in cross-validation on the training part; a failed one says why.

    ``mae`` etc. are in the target's unit; ``skill`` = 1 − MAE / MAE(best naive baseline on the same folds). ``study``
    is where the parameters come from if tuning found them; None if they were declared.
    Where a target has a previous value, ``mase`` = MAE / MAE(last value) (Hyndman and Koehler 2006); ``mae_scaled`` and
    ``mase_scaled`` are on the learned scale, in standard deviations of the label. Of a chance, ``calibration_error`` is
    how far what was said is from how often it came, over ten bins.
    ``out_of_fold`` is a Parquet blob, one line per row and repeat; columns: ``tasks.core.training.out_of_fold``.
    """

    target: str
    algorithm: str
    params: Mapping[str, float | int | str | bool]
    status: Literal["scored", "failed"]
    reason: str = ""
    rows: int = 0
    mae: float | None = None
    rmse: float | None = None
    r2: float | None = None
    log_r2: float | None = None
    spearman: float | None = None
    skill: float | None = None
    mase: float | None = None
    mae_scaled: float | None = None
    mase_scaled: float | None = None
    calibration_error: float | None = None
    fold_mae: tuple[float, ...] = ()
    out_of_fold: Blob | None = None
    study: Study | None = None

    @property
    def tuned(self) -> bool:
        """Whether tuning found its parameters."""
        return self.study is not None

    @property
    def title(self) -> str:
        """What tells it from the other scorecards of its target."""
        marks = {"joint": self.params.get("joint"), "updated": "update" in self.params, "tuned": self.tuned}
        return " ".join([self.algorithm, *(mark for mark, is_so in marks.items() if is_so)])


@dataclass(frozen=True)
class BaselineScore:
    """A naive baseline on the holdout, in the target's unit."""

    name: str
    mae: float
    rmse: float
    r2: float


@dataclass(frozen=True)
class SliceScore:
    """The winner on the holdout rows of one slice."""

    slice: str
    label: str
    rows: int
    mae: float
    skill: Interval


@dataclass(frozen=True)
class VariantScore:
    """One way to run the winner's network, held against its fitted weights on the holdout.

    ``size`` is in bytes, ``error`` is MAE or the Brier score, ``apart`` the largest difference of an answer in standard
    deviations of the label; ``reason`` says why it is not ``within`` the budget, or could not be made.
    """

    name: str
    size: int = 0
    error: float | None = None
    apart: float | None = None
    within: bool = False
    chosen: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Reliability:
    """Rows of which a chance from *low* to *high* was said: what was said on average, and how often it came."""

    low: float
    high: float
    rows: int
    said: float
    came: float


@dataclass(frozen=True)
class Recalibration:
    """What was said and what came of all rows, and by which factor the odds, and the logits (*slope*), must change.

    Both are 1 where chances mean what they say; a slope below 1 is too sure of itself. None, with the reason, where it
    cannot be told. ``units`` is how many were drawn whole.
    """

    said: float
    came: float
    units: int
    odds: Interval | None = None
    slope: Interval | None = None
    reason: str = ""


@dataclass(frozen=True)
class Judged:
    """The winner of one target on the untouched holdout: the verdict's evidence.

    ``describes`` says which fit the numbers describe: the shipped model, or the one fitted on the training part when
    the policy has the shipped model refitted on all rows. ``model`` is the folder of the model inside the bundle.
    ``mae`` judges the conditional median (``predicted``), ``rmse`` and ``r2`` the conditional mean (``expected``).
    ``importances`` is the rise of MAE, as a share of it, when a feature is shuffled. Of a chance every ``mae`` is the
    Brier score, and ``reliability`` says how often it came by what was said, ``uncorrected`` the same of what the
    learner said before ``corrected_by``. The last two intervals, and the ``recalibration`` of a chance, are None in
    evidence written before there were any, and so is ``units``: of how much that errs together (entities, blocks of
    time) intervals were drawn. ``rows_late`` lie before the holdout and were left out: their label was not known yet
    when its first row was.
    ``aspects`` are the weights of an estimator that weighs any; ``told`` is how alike both sides of the split are,
    where groups were parted so, and what the learner says of itself, such as which of its parts were kept and why.
    """

    target: str
    algorithm: str
    model: str
    describes: Literal["shipped", "training part"]
    rows_trained: int
    rows_holdout: int
    mae: Interval
    rmse: float
    r2: Interval
    log_r2: float
    spearman: float
    skill: Interval
    baseline: str
    baselines: tuple[BaselineScore, ...]
    slices: tuple[SliceScore, ...]
    coverage_wanted: float
    coverage: Interval
    importances: Mapping[str, float]
    rmse_interval: Interval | None = field(default=None, kw_only=True)
    spearman_interval: Interval | None = field(default=None, kw_only=True)
    units: int | None = field(default=None, kw_only=True)
    aspects: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    told: tuple[Table, ...] = field(default=(), kw_only=True)
    calibration_error: float | None = field(default=None, kw_only=True)
    reliability: tuple[Reliability, ...] = field(default=(), kw_only=True)
    uncorrected: tuple[Reliability, ...] = field(default=(), kw_only=True)
    corrected_by: str = field(default="", kw_only=True)
    recalibration: Recalibration | None = field(default=None, kw_only=True)
    rows_late: int = field(default=0, kw_only=True)

    @property
    def mase(self) -> float | None:
        """MAE / MAE(last value) on the holdout (Hyndman and Koehler 2006); None where there is no value before."""
        last = self._last_value
        return self.mae.value / last.mae if last and last.mae > 0 else None

    @property
    def r2_beyond_last_value(self) -> float | None:
        """The share of the last value's squared error that is explained: R² with what was before for the mean."""
        last = self._last_value
        return 1 - (self.rmse / last.rmse) ** 2 if last and last.rmse > 0 else None

    @property
    def _last_value(self) -> BaselineScore | None:
        return next((each for each in self.baselines if each.name == "previous"), None)

    def stored(self, predictions: Blob, files: Mapping[str, Blob]) -> Evaluation:
        """Return the evaluation whose frame and files lie in the store."""
        found = {each.name: getattr(self, each.name) for each in fields(Judged)}
        return Evaluation(**found, predictions=predictions, files=files)


@dataclass(frozen=True)
class Evaluation(Judged):
    """What ``Judged`` says, with its blobs.

    ``predictions`` is a Parquet blob: ``row`` (the training set's ``_row``), ``actual``, ``predicted``, ``expected``,
    ``low``, ``high``, ``baseline``, plus one column per slice, named as the slice. ``variants`` are the ways to run its
    network that were tried; none where it has none.
    """

    predictions: Blob
    files: Mapping[str, Blob] = field(default_factory=dict)
    variants: tuple[VariantScore, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """One gate's answer, with the number found and the number wanted."""

    gate: str
    outcome: Outcome
    found: str
    wanted: str
    reason: str
    target: str = ""


@dataclass(frozen=True)
class Challenger:
    """A registered bundle: the winner of every target, content-addressed and signed."""

    workload: str
    version: str
    manifest_digest: str
    targets: tuple[str, ...]
    mlflow_version: str = ""
    mlflow_run: str = ""


@dataclass(frozen=True)
class Entry:
    """One line of the ledger.

    ``previous`` is the digest of the entry before it; ``serves`` the targets let out; ``evidence`` the digest of the
    dossier it was decided on (for a rollback, of the one its version was promoted on); ``decisions`` the digests of
    what people said, where they decided.
    """

    workload: str
    number: int
    kind: EntryKind
    ring: str
    version: str
    manifest_digest: str
    serves: tuple[str, ...]
    evidence: str
    policy: str
    decided_by: str
    reason: str
    at: str
    previous: str
    run_key: str = ""
    decisions: tuple[str, ...] = ()
