"""The training matrix: one candidate × target judged by cross-validation, grouped or by time, on the training part.

The holdout is never looked at here. Time is not measured here either: a clock belongs to the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.core import metrics
from tasks.core.baselines import BASELINES, baselines
from tasks.core.chances import Round, best_way, calibration_error
from tasks.core.encoding import masked, numbers
from tasks.core.learners.lesson import Checkpoints, Device
from tasks.core.models import Material, optional_features, prepare, teach
from tasks.core.scales import fit_correction, fit_scale, label_unit
from tasks.core.splitting import Fold, folds_of, hash_shares, split, units
from tasks.core.values import Scorecard
from tasks.errors import NoCandidatePassed
from tasks.workloads.spec import Candidate, Target, Workload

Floats = npt.NDArray[np.float64]

# The choice among candidates needs no more rows than this; the winner is fitted on all of them.
ROWS_MOST = 20_000
# The column of out-of-fold predictions that says where a change is learned and the value before is not known.
STARTS = "starts"


@dataclass(frozen=True)
class Scored:
    """A scorecard with its out-of-fold predictions (see ``out_of_fold``; empty if the candidate failed)."""

    scorecard: Scorecard
    out_of_fold: pl.DataFrame


@dataclass(frozen=True)
class Exercise:
    """One fold made ready for any candidate: what to learn from, the rows to answer, the naive guesses for them.

    ``asked`` are the ``judged`` rows and, once more, they with only what is always known.
    """

    fold: Fold
    material: Material
    judged: pl.DataFrame
    asked: pl.DataFrame
    guesses: Mapping[str, Floats]


def score_candidate(
    spec: Workload,
    rows: pl.DataFrame,
    target: Target,
    candidate: Candidate,
    *,
    threads: int = 1,
    device: Device = "cpu",
    exercises: Callable[[], Sequence[Exercise]] | None = None,
    checkpoints: Checkpoints | None = None,
) -> Scored:
    """Cross-validate *candidate*; whatever it raises becomes a failed scorecard. DataRejected passes through.

    *exercises* returns those of the same rows and target; they are made again where it is not handed in.
    """
    train = training_rows(spec, rows, target)
    try:
        ready = set_exercises(spec, train, target) if exercises is None else exercises()
        unit = label_unit(target, numbers(train[target.column]))
        found = in_unit(pl.concat(answers(ready, candidate, target, threads, device, checkpoints)), target, unit)
        return Scored(scorecard(target, candidate, found), found)
    except (Exception, MemoryError) as error:
        return Scored(failed(target, candidate, f"{type(error).__name__}: {error}"), pl.DataFrame())


def failed(target: Target, candidate: Candidate, reason: str) -> Scorecard:
    """Return the scorecard of a candidate that could not be judged."""
    return Scorecard(target.name, candidate.algorithm, dict(candidate.params), "failed", reason[:500])


def training_rows(spec: Workload, rows: pl.DataFrame, target: Target) -> pl.DataFrame:
    """Return the labelled rows outside the holdout that the choice is made on: ``ROWS_MOST``, in whole units."""
    train = rows[split(spec, rows, target).train]
    if train.height <= ROWS_MOST:
        return train
    return train.filter(pl.Series(hash_shares(units(spec, train), "choice sample") < ROWS_MOST / train.height))


def set_exercises(spec: Workload, train: pl.DataFrame, target: Target) -> tuple[Exercise, ...]:
    """Make each fold of each repeat ready once; every candidate for *target* takes the same ones."""
    optional = optional_features(spec, target)
    unit = label_unit(target, numbers(train[target.column]))
    found = []
    for fold in folds_of(spec, train):
        fit, judged = train[fold.fit], train[fold.judge]
        asked, guesses = pl.concat([judged, masked(judged, optional)]), baselines(spec, fit, judged, target)
        found.append(Exercise(fold, prepare(spec, fit, target, unit=unit), judged, asked, guesses))
    return tuple(found)


def out_of_fold(
    spec: Workload,
    train: pl.DataFrame,
    target: Target,
    candidate: Candidate,
    *,
    threads: int = 1,
    device: Device = "cpu",
) -> pl.DataFrame:
    """Predict every row of *train* by models that did not see its entity, or that saw only rows before it.

    Columns: ``row``, ``repeat``, ``fold``, ``actual``, ``predicted`` (median), ``expected`` (mean), ``baseline``
    (the best naive guess), and ``link``, ``link_bare`` (with only what is always known), ``link_actual`` on the
    learned scale, and ``starts`` (a change is learned and the value before is not known). Where the target has one,
    ``last_value`` and ``link_last_value`` as well.
    """
    unit = label_unit(target, numbers(train[target.column]))
    return in_unit(
        pl.concat(answers(set_exercises(spec, train, target), candidate, target, threads, device)), target, unit
    )


def answers(
    exercises: Iterable[Exercise],
    candidate: Candidate,
    target: Target,
    threads: int,
    device: Device,
    checkpoints: Checkpoints | None = None,
) -> Iterator[pl.DataFrame]:
    """Teach *candidate* fold after fold and yield what it answers in each, on the learned scale."""
    for each in exercises:
        learned = teach(each.material, candidate, threads=threads, device=device, checkpoints=checkpoints)
        rows = each.judged.height
        actual = numbers(each.judged[target.column])
        links = learned.link_or_typical(each.asked)
        part = {
            "row": each.judged["_row"],
            "repeat": np.full(rows, each.fold.repeat),
            "fold": np.full(rows, each.fold.fold),
            "actual": actual,
            "link": links[:rows],
            "link_bare": links[rows:],
            "link_actual": learned.scale.link(actual),
            STARTS: learned.starts(each.judged),
        }
        yield pl.DataFrame(part | dict(each.guesses))


def choose(scorecards: Iterable[Scorecard], by: str = "") -> Scorecard:
    """Return the scored one with the best skill, the earliest among equals; NoCandidatePassed if all failed.

    Of those of the algorithm *by*, where it is named and any of them could be fitted.
    """
    cards = list(scorecards)
    scored = [card for card in cards if card.status == "scored" and card.skill is not None]
    if not scored:
        reasons = "; ".join(f"{card.title}: {card.reason}" for card in cards) or "there were none"
        target = cards[0].target if cards else "?"
        raise NoCandidatePassed(
            f"target {target!r}: 0 of {len(cards)} candidates could be fitted, at least 1 is needed ({reasons})."
            " Fix what the reasons name, or declare another candidate."
        )
    of_choice = [card for card in scored if card.algorithm == by] or scored
    return max(of_choice, key=lambda card: card.skill if card.skill is not None else -np.inf)


def in_unit(found: pl.DataFrame, target: Target, unit: float) -> pl.DataFrame:
    """Add median, mean and best baseline; a fold is corrected by the residuals of the other folds, never its own."""
    log = target.transform == "log1p"
    scale = fit_scale(target, found["actual"].to_numpy(), unit)
    link, link_actual = found["link"].to_numpy(), found["link_actual"].to_numpy()
    predicted, expected, turns = np.empty_like(link), np.empty_like(link), rounds(found)
    way = best_way(link, link_actual, turns) if target.is_chance else None
    fit = partial(fit_correction, log=log, shifted=not target.as_change, way=way)
    for each in turns:
        own, correction = each.own, fit(link[each.others], link_actual[each.others])
        predicted[own], expected[own] = correction.median(link[own], scale), correction.mean(link[own], scale)
    names = [name for name in BASELINES if name in found.columns]
    actual, chance = found["actual"].to_numpy(), target.is_chance
    best = min(names, key=lambda name: metrics.mae(actual, found[name].to_numpy(), chance=chance))
    added = found.with_columns(
        pl.Series("predicted", predicted), pl.Series("expected", expected), baseline=pl.col(best)
    )
    if "previous" in names:
        link_last = pl.Series("link_last_value", scale.link(found["previous"].to_numpy()))
        added = added.with_columns(link_last, last_value="previous")
    return added.drop(names)


def rounds(found: pl.DataFrame, *, forward: bool = False) -> list[Round]:
    """Return the rows of each fold of each repeat, with those of its other folds: if *forward*, of earlier ones."""
    repeat, fold = found["repeat"].to_numpy(), found["fold"].to_numpy()
    pairs = found.select("repeat", "fold").unique(maintain_order=True).iter_rows()
    made = [Round((repeat == r) & (fold == f), (repeat == r) & (fold < f if forward else fold != f)) for r, f in pairs]
    # Before the first there is none.
    return [each for each in made if each.others.any()] if forward else made


def scorecard(target: Target, candidate: Candidate, found: pl.DataFrame) -> Scorecard:
    """Average over repeats; within a repeat every row counts once."""
    log = target.transform == "log1p"
    merits = [
        metrics.merit(
            *(part[name].to_numpy() for name in ("actual", "predicted", "expected")), log=log, chance=target.is_chance
        )
        for part in found.partition_by("repeat", maintain_order=True)
    ]
    baseline = metrics.mae(found["actual"].to_numpy(), found["baseline"].to_numpy(), chance=target.is_chance)
    mae = _mean([each.mae for each in merits])
    if not np.isfinite(mae):
        raise ArithmeticError("the predictions are not finite")
    folds_in_order = found.partition_by("repeat", "fold", maintain_order=True)
    card = Scorecard(
        target=target.name,
        algorithm=candidate.algorithm,
        params=dict(candidate.params),
        status="scored",
        rows=found["row"].n_unique(),
        mae=mae,
        rmse=_mean([each.rmse for each in merits]),
        r2=_mean([each.r2 for each in merits]),
        log_r2=_mean([each.log_r2 for each in merits]),
        spearman=_mean([each.spearman for each in merits]),
        skill=metrics.skill(mae, baseline),
        fold_mae=tuple(
            metrics.mae(part["actual"].to_numpy(), part["predicted"].to_numpy(), chance=target.is_chance)
            for part in folds_in_order
        ),
    )
    if target.is_chance:
        parts = found.partition_by("repeat", maintain_order=True)
        wrong = [calibration_error(part["actual"].to_numpy(), part["predicted"].to_numpy()) for part in parts]
        card = replace(card, calibration_error=_mean(wrong))
    return _against_last_value(card, found, chance=target.is_chance) if "last_value" in found.columns else card


def _against_last_value(card: Scorecard, found: pl.DataFrame, *, chance: bool) -> Scorecard:
    """Add the errors as multiples of the last value's, in the target's unit and on the learned scale."""
    names = ("actual", "predicted", "last_value", "link", "link_actual", "link_last_value")
    actual, predicted, last, link, link_actual, link_last = (found[name].to_numpy() for name in names)
    spread = float(link_actual.std()) or 1.0
    scaled, scaled_last = (
        metrics.mae(link_actual / spread, guess / spread, chance=chance) for guess in (link, link_last)
    )
    mase = metrics.mase(*(metrics.mae(actual, guess, chance=chance) for guess in (predicted, last)))
    return replace(card, mase=mase, mae_scaled=scaled, mase_scaled=metrics.mase(scaled, scaled_last))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
