"""The update of a champion: which rows are new to it, which it holds on to, who judges, and what it is judged as.

The champion never saw today's holdout, or it is not updated; the holdout judges the update afterwards like any other
candidate. How weights are held and when an update is refused is learners/ewc.py; of several networks, continued.py.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from tasks.core import training
from tasks.core.baselines import baselines
from tasks.core.encoding import masked, numbers
from tasks.core.estimators import fit_estimator
from tasks.core.experience import experience, unseen
from tasks.core.learners.lesson import Checkpoints, Continuing, Device, Judging, Lesson, Odds
from tasks.core.models import Learned, numbered, optional_features, standardised
from tasks.core.scales import label_unit
from tasks.core.splitting import split, stopping_rows, units
from tasks.core.training import Scored
from tasks.errors import UpdateRefused
from tasks.workloads.spec import Candidate, Target, Workload

# Fewer new rows teach nothing that could be told from chance.
NEW_ROWS_LEAST = 60
# Of the new rows: a third judges, of the others every sixth tells when to stop.
JUDGED_SHARE, STOP_SHARE = 0.34, 0.17
UPDATE, HELD = "update", "_held"


@dataclass(frozen=True)
class Champion:
    """What serves for a target, and what it remembers: rows, of which it was fitted on none that is ``HELD``.

    ``seen`` are all rows outside its holdout; ``refitted`` says that it saw the holdout as well.
    """

    version: str
    learned: Learned
    experience: pl.DataFrame
    seen: pl.DataFrame
    refitted: bool = False


@dataclass(frozen=True)
class Grown:
    """An accepted update, the buffer it leaves for the next, and its judgement on rows nobody was fitted on."""

    learned: Learned
    buffer: pl.DataFrame
    scored: Scored


@dataclass(frozen=True)
class _Parts:
    """The rows of an update, none in two of them."""

    fit: pl.DataFrame
    stop: pl.DataFrame
    remembered: pl.DataFrame
    judge_new: pl.DataFrame
    judge_old: pl.DataFrame
    buffer: pl.DataFrame


def grow(
    spec: Workload,
    rows: pl.DataFrame,
    target: Target,
    candidate: Candidate,
    champion: Champion,
    *,
    threads: int = 1,
    device: Device = "cpu",
    checkpoints: Checkpoints | None = None,
) -> Grown:
    """Let the *champion* go on learning from what is new in *rows*; raises UpdateRefused, with the reason."""
    parts = _parted(spec, rows, target, champion)
    learned, scale = champion.learned, champion.learned.scale
    x, y = standardised(learned, parts.fit, target)
    x_stop, y_stop = standardised(learned, parts.stop, target)
    lesson = Lesson(
        x=x,
        y=y,
        x_stop=x_stop,
        y_stop=y_stop,
        categories=learned.encoder.category_columns,
        params=candidate.params,
        seed=spec.holdout.seed,
        threads=threads,
        device=device,
        layout=learned.encoder.layout,
        checkpoints=checkpoints,
        odds=Odds(scale.center, scale.spread) if scale.chance and not learned.previous else None,
        continuing=Continuing(
            estimator=learned.estimator,
            x_old=standardised(learned, parts.remembered, target)[0],
            new=_judging(spec, learned, parts.judge_new, target),
            old=_judging(spec, learned, parts.judge_old, target),
            margin=spec.gate.non_inferiority_margin,
        ),
    )
    grown = replace(learned, estimator=fit_estimator(candidate.algorithm, lesson))
    return Grown(grown, parts.buffer, _scored(spec, target, candidate, grown, parts))


def first_experience(spec: Workload, seen: pl.DataFrame) -> pl.DataFrame:
    """Return what a champion that was fitted whole remembers: all it saw, ``HELD`` those that told it when to stop."""
    return seen.with_columns(pl.Series(HELD, stopping_rows(units(spec, seen), spec.holdout.seed)))


def _parted(spec: Workload, rows: pl.DataFrame, target: Target, champion: Champion) -> _Parts:
    """Part what is new, and what the champion remembers; UpdateRefused where nothing honest could be said."""
    both, seed, keys = split(spec, rows, target), spec.holdout.seed, (spec.entity, spec.event_time)
    known = pl.concat([champion.experience, champion.seen], how="diagonal")
    _refuse_seen_holdout(spec, rows[both.holdout], known, champion)
    new = unseen(rows[both.train], known, keys)
    if new.height < NEW_ROWS_LEAST:
        raise UpdateRefused(
            f"{new.height} rows are new to the champion {champion.version}; at least {NEW_ROWS_LEAST} are needed to "
            "tell what an update is worth"
        )
    judged = stopping_rows(units(spec, new), seed, JUDGED_SHARE)
    new = new.with_columns(pl.Series(HELD, judged))
    buffer = experience([champion.experience.select(new.columns), new], keys, spec.event_time)
    fitted, fresh = (_kept(part.filter(~pl.col(HELD)), buffer, keys) for part in (champion.experience, new))
    stop = stopping_rows(units(spec, fresh), seed, STOP_SHARE)
    return _Parts(
        fresh.filter(pl.Series(~stop)),
        fresh.filter(pl.Series(stop)),
        fitted,
        new.filter(pl.col(HELD)),
        champion.experience.filter(pl.col(HELD)),
        buffer,
    )


def _kept(rows: pl.DataFrame, buffer: pl.DataFrame, keys: tuple[str, str]) -> pl.DataFrame:
    """Return the *rows* that are in the buffer."""
    return rows.join(buffer.select(keys), on=list(keys), how="semi", maintain_order="left")


def _refuse_seen_holdout(spec: Workload, holdout: pl.DataFrame, known: pl.DataFrame, champion: Champion) -> None:
    both = units(spec, holdout).cast(pl.String).is_in(units(spec, known).cast(pl.String).unique().implode())
    if champion.refitted or both.any():
        what = "it was fitted again on all rows" if champion.refitted else f"{int(both.sum())} rows of it are of units"
        more = "" if champion.refitted else " it learned from"
        raise UpdateRefused(
            f"the champion {champion.version} has seen the holdout that an update would be judged on: {what}{more}; "
            "retrain without update"
        )


def _judging(spec: Workload, learned: Learned, rows: pl.DataFrame, target: Target) -> Judging:
    return Judging(*standardised(learned, rows, target), numbered(units(spec, rows)))


def _scored(spec: Workload, target: Target, candidate: Candidate, grown: Learned, parts: _Parts) -> Scored:
    """Judge the update on the rows that nobody was fitted on, in two folds, each corrected by the other."""
    judged = pl.concat([parts.judge_new, parts.judge_old], how="diagonal")
    label, optional = numbers(judged[target.column]), optional_features(spec, target)
    links = grown.link(pl.concat([judged, masked(judged, optional)]))
    found = pl.DataFrame(
        {
            "row": np.arange(judged.height),
            "repeat": np.zeros(judged.height, dtype=np.int64),
            "fold": stopping_rows(units(spec, judged), spec.holdout.seed, 0.5).astype(np.int64),
            "actual": label,
            "link": links[: judged.height],
            "link_bare": links[judged.height :],
            "link_actual": grown.scale.link(label),
        }
        | dict(baselines(spec, pl.concat([parts.fit, parts.remembered], how="diagonal"), judged, target))
    )
    added = training.in_unit(found, target, label_unit(target, label))
    return Scored(training.scorecard(target, candidate, added), added)
