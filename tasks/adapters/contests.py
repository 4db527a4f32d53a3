"""Holds a challenger against the champion: both models on the holdout rows that neither has learned from.

A champion that cannot be asked, for whatever reason, is a comparison without a result and never the end of a run: what
that means is for the gates and, where they are in doubt, for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from tasks.adapters import contents, frames
from tasks.adapters.bundles import Bundle
from tasks.adapters.store import Store
from tasks.core import comparison
from tasks.core.comparison import Comparison, Part
from tasks.core.evaluation import ROWS_PER_SLICE
from tasks.core.evidence import Evidence
from tasks.core.splitting import blocks, witness_of
from tasks.core.values import Entry, Evaluation
from tasks.errors import BadRequest, Unreachable
from tasks.workloads.spec import Gate, Workload

LONGEST_REASON = 300


def held_against(
    store: Store, keys: Path, spec: Workload, gate: Gate, challenger: Evidence, champion: Entry
) -> tuple[Comparison, ...]:
    """Compare every target that both serve, corrected for their number; raises Unreachable for a silent store."""
    contest = _Contest(store, keys, spec, gate, challenger, champion)
    shared = (each for each in challenger.evaluations if each.target in champion.serves)
    return comparison.corrected([contest.attempted(each) for each in shared])


def side_by_side(
    store: Store, keys: Path, spec: Workload, gate: Gate, challenger: Evidence, champion: Entry, targets: Sequence[str]
) -> dict[str, pl.DataFrame]:
    """Return per target the challenger's holdout rows that are fair to both, with what either predicted.

    Columns: those of its predictions, ``entity``, ``unit`` (what is drawn whole) and ``by_champion``.
    """
    contest = _Contest(store, keys, spec, gate, challenger, champion)
    asked = (each for each in challenger.evaluations if each.target in targets)
    return {each.target: contest.paired(each, contest.ground(each)) for each in asked}


@dataclass(frozen=True)
class _Contest:
    store: Store
    keys: Path
    spec: Workload
    gate: Gate
    challenger: Evidence
    champion: Entry

    def attempted(self, evaluation: Evaluation) -> Comparison:
        try:
            return self._compared(evaluation)
        except Unreachable:
            raise
        except Exception as error:
            said = str(error).strip().splitlines()[:1] or [type(error).__name__]
            return self._without_result(
                evaluation, f"the champion could not be asked: {said[0][:LONGEST_REASON]} ({type(error).__name__})"
            )

    def ground(self, evaluation: Evaluation) -> comparison.Ground:
        rows = self._held_out(evaluation)
        return comparison.Ground(
            witness_of(self.spec, rows),
            unseen=self._unseen(rows, evaluation.target),
            answerable=self._answerable(rows),
            blocks=self._blocks(rows),
            seen_by_time=self._by_time,
        )

    def paired(self, evaluation: Evaluation, ground: comparison.Ground) -> pl.DataFrame:
        asked = self._as_taught(self._held_out(evaluation)).filter(ground.rows)
        by_champion = contents.model_of(self._incumbent, evaluation.target).predict(asked)
        fair = frames.read(self.store, evaluation.predictions).filter(ground.rows)
        return fair.with_columns(
            ground.entities.filter(ground.rows).alias("entity"),
            ground.units.filter(ground.rows).alias("unit"),
            by_champion=by_champion,
        )

    def _compared(self, evaluation: Evaluation) -> Comparison:
        ground = self.ground(evaluation)
        if ground.too_few:
            return self._without_result(evaluation, ground.too_few)
        paired = self.paired(evaluation, ground)
        return comparison.compare(
            paired["actual"].to_numpy(),
            paired["by_champion"].to_numpy(),
            paired["predicted"].to_numpy(),
            target=evaluation.target,
            champion=self.champion.version,
            margin=self.gate.non_inferiority_margin,
            confidence=self.gate.confidence,
            seed=self.spec.holdout.seed,
            entities=(paired["unit"].rank("dense") - 1).cast(pl.Int64).to_numpy(),
            reason=ground.left_out,
            gate=self.gate,
            parts=self._parts(paired),
            chance=self.spec.target(evaluation.target).is_chance,
        )

    def _blocks(self, rows: pl.DataFrame) -> pl.Series | None:
        return blocks(self.spec, rows) if self.spec.holdout.block_hours else None

    def _parts(self, rows: pl.DataFrame) -> tuple[Part, ...]:
        """Return the labels of every slice that the challenger was judged on."""
        parts: list[Part] = []
        for part in self.spec.slices:
            counts = rows[part.name].value_counts(name="rows").sort(["rows", part.name], descending=[True, False])
            labels = counts.filter(pl.col("rows") >= ROWS_PER_SLICE)[part.name]
            title = self.spec.title_of(part)
            parts += [Part(title, label, (rows[part.name] == label).to_numpy()) for label in labels]
        return tuple(parts)

    def _held_out(self, evaluation: Evaluation) -> pl.DataFrame:
        numbers = frames.read(self.store, evaluation.predictions).select(_row="row")
        return numbers.join(self._rows, on="_row", how="left", maintain_order="left")

    def _without_result(self, evaluation: Evaluation, reason: str) -> Comparison:
        return comparison.not_compared(
            evaluation.target,
            self.champion.version,
            margin=self.gate.non_inferiority_margin,
            confidence=self.gate.confidence,
            reason=reason,
        )

    def _unseen(self, rows: pl.DataFrame, target: str) -> pl.Series:
        """Say which *rows* the champion's model of *target* has not learned from: exactly, out of its own evidence.

        Where time parts the rows, those are the ones after all it learned from: a model knows the time it has seen.
        """
        evidence = contents.evidence_of(self._incumbent)
        evaluated = [each for each in evidence.evaluations if each.target == target]
        if len(evaluated) != 1:
            raise BadRequest(
                f"the champion {self.champion.version} has {len(evaluated)} evaluations of {target}, not 1"
            )
        known, held_out = self._champion_rows, frames.read(self.store, evaluated[0].predictions)["row"]
        label, refitted = self.spec.target(target).column, evaluated[0].describes != "shipped"
        if not self._by_time:
            entity = self.spec.witness
            learned = comparison.learned_from(known, held_out, entity=entity, label=label, refitted_on_all=refitted)
            # By their own column first: a champion may have been parted where two spellings were not one group yet.
            taught = known.filter(~comparison.unseen(known[entity], learned))
            return comparison.unseen(witness_of(self.spec, rows), witness_of(self.spec, taught).cast(pl.String))
        moment = self.spec.event_time
        until = comparison.learned_until(
            known,
            held_out,
            moment=moment,
            label=label,
            refitted_on_all=refitted,
            known_at=self.spec.holdout.known_at,
        )
        return rows.select(pl.lit(True) if until is None else pl.col(moment) > until).to_series()

    @property
    def _by_time(self) -> bool:
        return self.spec.holdout.by == "time"

    def _as_taught(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return *rows* as the champion was taught to read them; one of other features reads what it was given."""
        if self._taught_alike:
            return rows
        known = self._champion_rows.unique(self._moment, keep="first", maintain_order=True)
        return rows.select(self._moment).join(known, on=self._moment, how="left", maintain_order="left")

    def _answerable(self, rows: pl.DataFrame) -> pl.Series:
        if self._taught_alike:
            return pl.repeat(True, rows.height, eager=True)
        return self._as_taught(rows)["_row"].is_not_null()

    @property
    def _moment(self) -> list[str]:
        return [self.spec.entity, self.spec.event_time]

    @cached_property
    def _taught_alike(self) -> bool:
        try:
            contents.refuse_other_features(self._incumbent, self.spec)
        except BadRequest:
            return False
        return True

    @cached_property
    def _rows(self) -> pl.DataFrame:
        return frames.read(self.store, self.challenger.training_set.rows)

    @cached_property
    def _incumbent(self) -> Bundle:
        return contents.open_verified(self.store, self.keys, self.spec.name, self.champion.version)

    @cached_property
    def _champion_rows(self) -> pl.DataFrame:
        return frames.read(self.store, contents.evidence_of(self._incumbent).training_set.rows)
