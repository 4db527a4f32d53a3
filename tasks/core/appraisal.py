"""What predictions were worth once the truth is known: how large their errors came out, and for whom. Pure.

Rows of one scored day come in with their truth, small values go out. Every figure is a ratio of sums with an interval
by witnesses (an entity, an artist), so that rows of one count as one. What was promised of the error before anybody
knew is ``promise``'s; how the truth is matched and kept belongs to the adapters.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np
import polars as pl
import scipy

from tasks.core.digests import digest_of
from tasks.core.drawing import short
from tasks.core.intervals import share_of_units
from tasks.core.metrics import error_of
from tasks.core.promise import Promise, expected_error
from tasks.core.rollback import Observation
from tasks.core.values import Interval
from tasks.workloads.spec import Gate

# Columns of the rows that are appraised; a slice's labels lie beside them under its name. The entity is what a row errs
# together with.
ENTITY, PREDICTED, LOW, HIGH, ACTUAL, NAIVE, RIVAL = "entity", "predicted", "low", "high", "actual", "naive", "rival"
ERROR, ONE, WHOLE = "_error", "_one", "_whole"
ROWS_PER_SLICE, SLICES_MOST = 10, 60
SMALL = "too few rows each"
# Fewer entities than this say too little of how much entities differ.
ENTITIES_LEAST = 20
# As for a drift: what happens once happens by chance now and then.
PERSISTENCE = 2
# Fewer ages are no curve.
AGES_LEAST = 5


@dataclass(frozen=True)
class SliceError:
    """The error on the rows of one label of one slice."""

    slice: str
    label: str
    rows: int
    mae: Interval


@dataclass(frozen=True)
class Realised:
    """How one target came out on the rows whose truth is known; ``mae`` and ``stated`` are in its unit.

    ``skill`` is 1 − MAE / MAE of the naive guess its gate was passed with; ``stated`` is the error that was to be
    expected of just these rows before their truth was known, None where the bundle says too little.
    """

    target: str
    rows: int
    entities: int
    mae: Interval
    skill: Interval
    coverage: Interval
    stated: Interval | None
    slices: tuple[SliceError, ...] = ()

    @property
    def surprising(self) -> bool:
        """Whether the error came out where it was not stated to."""
        return self.stated is not None and not self.stated.low <= self.mae.value <= self.stated.high


@dataclass(frozen=True)
class Expected:
    """The error to be expected of the rows of a target whose truth is not known yet."""

    target: str
    rows: int
    mae: Interval


@dataclass(frozen=True)
class Beside:
    """A challenger on the same rows as the champion; ``change`` is how much larger its error is, as a share."""

    target: str
    version: str
    rows: int
    mae: Interval
    change: Interval


@dataclass(frozen=True)
class Arrival:
    """What one batch of actuals brought for a day: labels that were missing, and labels that it changed."""

    batch: str
    labels: int
    revised: int


@dataclass(frozen=True)
class Judgement:
    """Whether a target fell below its floor on a day; None where too little is known of it."""

    target: str
    below: bool | None
    found: str
    wanted: str


@dataclass(frozen=True)
class Appraisal:
    """One scored day and what is known of its truth so far; a later batch of actuals replaces it as a whole.

    ``champion`` is the number of the ledger entry that let ``version`` out, ``run`` the scoring that is appraised,
    ``snapshot`` its rows, ``beside_runs`` name what challengers said of it. ``age_days`` counts from the newest row the
    champion learned from.
    """

    workload: str
    ring: str
    date: str
    run: str
    snapshot: str
    version: str
    champion: int
    age_days: float
    rows_scored: int
    arrivals: tuple[Arrival, ...]
    realised: tuple[Realised, ...]
    expected: tuple[Expected, ...]
    beside: tuple[Beside, ...]
    beside_runs: tuple[str, ...]
    judgements: tuple[Judgement, ...]

    @property
    def below(self) -> bool | None:
        """Whether any target fell below its floor; None where nothing can be said of any."""
        known = [each.below for each in self.judgements if each.below is not None]
        return any(known) if known else None

    @property
    def because(self) -> str:
        """Why, in one sentence with its figures."""
        told = [each for each in self.judgements if each.below] or self.judgements
        said = [f"{each.target}: {each.found}, wanted {each.wanted}" for each in told]
        return "; ".join(said) or "no truth is known yet"

    @property
    def late(self) -> int:
        """How many labels came after the first ones of the day."""
        return sum(each.labels for each in self.arrivals[1:])


@dataclass(frozen=True)
class Degraded:
    """What is told when a champion's errors stay too large: the incident's name, the days, and why."""

    incident: str
    since: str
    until: str
    because: str


@dataclass(frozen=True)
class Staleness:
    """How the error grows with the age of what was learned; ``points`` are (days, realised ÷ stated error).

    ``per_month`` is the rise in 30 days as a share, by least squares on logarithms; None for fewer than ``AGES_LEAST``
    ages.
    """

    target: str
    points: tuple[tuple[float, float], ...]
    per_month: Interval | None


def realise(
    target: str,
    rows: pl.DataFrame,
    slices: Sequence[str],
    promise: Promise | None,
    confidence: float,
    *,
    chance: bool = False,
) -> Realised:
    """Appraise *rows*: ``entity``, ``predicted``, ``low``, ``high``, ``actual``, ``naive``, and labels by slice."""
    known = rows.with_columns(
        error_of(ACTUAL, PREDICTED, chance=chance).alias(ERROR),
        error_of(ACTUAL, NAIVE, chance=chance).alias("_naive_error"),
        pl.lit(1.0).alias(ONE),
    )
    held = known.group_by(ENTITY, maintain_order=True).agg(
        pl.col(ACTUAL).is_between(LOW, HIGH).sum(), pl.col(ONE).sum()
    )
    beaten = ratio(known, ERROR, "_naive_error", confidence)
    return Realised(
        target=target,
        rows=rows.height,
        entities=rows[ENTITY].n_unique(),
        mae=ratio(known, ERROR, ONE, confidence),
        skill=Interval(1 - beaten.value, 1 - beaten.high, 1 - beaten.low),
        coverage=share_of_units(held[ACTUAL].to_numpy(), held[ONE].to_numpy(), confidence),
        stated=expected_error(promise, rows, confidence) if promise else None,
        slices=tuple(each for name in slices for each in _slice_errors(known, name, confidence)),
    )


def stand_beside(target: str, version: str, rows: pl.DataFrame, confidence: float, *, chance: bool = False) -> Beside:
    """Compare what a challenger said of the same *rows* (``rival``) with the champion's errors."""
    errors = rows.with_columns(
        error_of(ACTUAL, PREDICTED, chance=chance).alias(ERROR),
        error_of(ACTUAL, RIVAL, chance=chance).alias("_rival_error"),
        pl.lit(1.0).alias(ONE),
    )
    larger = ratio(errors, "_rival_error", ERROR, confidence)
    change = Interval(larger.value - 1, larger.low - 1, larger.high - 1)
    return Beside(target, version, rows.height, ratio(errors, "_rival_error", ONE, confidence), change)


def ratio(rows: pl.DataFrame, top: str, bottom: str, confidence: float) -> Interval:
    """Return Σ *top* / Σ *bottom* with its interval, by entities: the ratio estimator (Cochran 1977, 6.3), Student's t.

    One entity alone has no interval. Where *bottom* is nothing the ratio is 1 if *top* is nothing too, else 2.
    """
    found = _ratios(rows.with_columns(pl.lit("").alias(WHOLE)), WHOLE, top, bottom, confidence)
    value, low, high = found.select("value", "low", "high").row(0)
    return Interval(value, low, high)


def judge(realised: Realised, gate: Gate) -> Judgement:
    """Say whether the target fell below its floor: the gate's least skill, and the error stated for these very rows.

    Only what is beyond the doubt of its interval is below; fewer rows than ``min_slice_rows`` say nothing.
    """
    if realised.rows < gate.min_slice_rows or realised.entities < ENTITIES_LEAST:
        found = f"{realised.rows} labels of {realised.entities} entities"
        return Judgement(realised.target, None, found, f"{gate.min_slice_rows} labels of {ENTITIES_LEAST} entities")
    mae, stated, skill = realised.mae, realised.stated, realised.skill
    if skill.high < gate.min_skill:
        found = f"a skill of {skill.value:+.2f} over the naive guess [{skill.low:+.2f}, {skill.high:+.2f}]"
        return Judgement(realised.target, True, found, f"at least {gate.min_skill:+.2f}")
    if stated is None:
        return Judgement(realised.target, False, f"a skill of {skill.value:+.2f}", f"at least {gate.min_skill:+.2f}")
    most = max(stated.high, stated.value * (1 + gate.max_error_rise))
    found = f"an error of {short(mae.value)} [{short(mae.low)}, {short(mae.high)}]"
    wanted = f"at most {short(most)}, of {short(stated.value)} stated"
    return Judgement(realised.target, mae.low > most, found, wanted)


def witnesses(known: Iterable[Appraisal], champion: int) -> list[Appraisal]:
    """Return the days of *champion* of which enough is known, oldest first; the same rows twice are one."""
    days: dict[str, Appraisal] = {}
    for day in sorted(known, key=lambda each: each.date):
        if day.champion == champion and day.below is not None:
            days.setdefault(day.snapshot, day)
    return list(days.values())


def degraded(known: Iterable[Appraisal], champion: int) -> Degraded | None:
    """Say whether the newest ``witnesses`` of *champion* were all below its floor: ``PERSISTENCE`` of them at least.

    The incident is named after the day it began with.
    """
    streak = list(takewhile(lambda day: day.below, reversed(witnesses(known, champion))))[::-1]
    if len(streak) < PERSISTENCE:
        return None
    incident = digest_of({"performance": champion, "since": streak[0].date})[:16]
    return Degraded(incident, streak[0].date, streak[-1].date, streak[-1].because)


def observation(appraised: Appraisal) -> Observation | None:
    """Return what a ring's policy may roll back by itself on; None where too little is known of the day."""
    if appraised.below is None:
        return None
    told = [each for each in appraised.judgements if each.below] or list(appraised.judgements)
    found, wanted = (
        "; ".join(f"{each.target}: {getattr(each, side)}" for each in told) for side in ("found", "wanted")
    )
    at = f"{appraised.date}T00:00:00+00:00"
    return Observation("performance_below_floor", appraised.champion, at, appraised.below, found, wanted)


def staleness(known: Iterable[Appraisal], target: str, confidence: float = 0.95) -> Staleness:
    """Return the target's error against its age, over all versions: each day beside what was stated of its own rows."""
    points = sorted(
        (day.age_days, each.mae.value / each.stated.value)
        for day in known
        for each in day.realised
        if each.target == target and each.stated is not None and each.stated.value > 0 and each.mae.value > 0
    )
    return Staleness(target, tuple(points), _rise(points, confidence))


def _rise(points: Sequence[tuple[float, float]], confidence: float) -> Interval | None:
    ages, shares = np.array(points).reshape(-1, 2).T
    if np.unique(ages).size < AGES_LEAST:
        return None
    apart, logs = (ages - ages.mean()) / 30, np.log(shares)
    spread = float(apart @ apart)
    slope = float(apart @ logs) / spread
    left = logs - logs.mean() - slope * apart
    free = ages.size - 2
    half = float(scipy.stats.t.ppf(0.5 + confidence / 2, free) * np.sqrt(left @ left / free / spread))
    return Interval(*(float(np.expm1(each)) for each in (slope, slope - half, slope + half)))


def _slice_errors(rows: pl.DataFrame, name: str, confidence: float) -> list[SliceError]:
    """Appraise the labels of a slice, the largest first; those with too few rows together, none is left out."""
    counts = rows[name].value_counts().sort(["count", name], descending=[True, False])
    large = counts.filter(pl.col("count") >= ROWS_PER_SLICE).head(SLICES_MOST)[name]
    label = pl.when(pl.col(name).is_in(large.implode())).then(name).otherwise(pl.lit(SMALL))
    found = _ratios(rows.with_columns(label.alias(name)), name, ERROR, ONE, confidence)
    ordered = found.sort([pl.col(name) == SMALL, "rows", name], descending=[False, True, False])
    return [
        SliceError(name, label, rows, Interval(value, low, high))
        for label, rows, value, low, high in ordered.select(name, "rows", "value", "low", "high").iter_rows()
    ]


def _ratios(rows: pl.DataFrame, by: str, top: str, bottom: str, confidence: float) -> pl.DataFrame:
    """Return per label of *by* the rows, and the ratio with its ends."""
    a, b, value = pl.col("a"), pl.col("b"), pl.col("value")
    nothing = pl.when(a.sum().over(by) > 0).then(2.0).otherwise(1.0)
    share = pl.when(b.sum().over(by) > 0).then(a.sum().over(by) / b.sum().over(by)).otherwise(nothing)
    # In the order of the rows, so that the last bits of a sum depend on no thread.
    sums = rows.group_by(by, ENTITY, maintain_order=True).agg(
        pl.sum(top).alias("a"), pl.sum(bottom).alias("b"), pl.len().alias("rows")
    )
    found = (
        sums.with_columns(share.alias("value"))
        .group_by(by, maintain_order=True)
        .agg(pl.sum("rows"), pl.first("value"), ((a - value * b) ** 2).sum().alias("pull"), pl.sum("b"), pl.len())
    )
    groups, below = found["len"].to_numpy(), found["b"].to_numpy()
    free = np.maximum(groups - 1, 1)
    reach = scipy.stats.t.ppf(0.5 + confidence / 2, free) * np.sqrt(found["pull"].to_numpy() * groups / free)
    half = pl.Series(np.where((groups > 1) & (below > 0), reach / np.where(below > 0, below, 1.0), 0.0))
    return found.with_columns((value - half).clip(lower_bound=0.0).alias("low"), (value + half).alias("high"))
