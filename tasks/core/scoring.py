"""What models say of rows, and what is kept of a scored batch. Pure: models and rows are handed in.

How a batch is read, kept and published belongs to the adapters; whether the champion is any good to the gates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from tasks.core.aspects import aspect_columns
from tasks.core.digests import digest_of
from tasks.core.experiments import Experiment
from tasks.core.models import Model
from tasks.core.rollback import Observation
from tasks.core.run import Run
from tasks.core.shadow import Cycle
from tasks.core.values import Entry, Finding

# The last bits of a matrix product depend on its shape, so rows are always answered in blocks of this many, counted
# from the first row of a part: whoever recomputes a block gets the same bits.
BLOCK_ROWS = 16_384
RUN_DIGITS = 16
MODEL_SAYS = ("predicted", "low", "high")
# Findings after which nobody should act on a day's predictions.
NOT_FINITE, SKEW = ALARMS = ("not_finite", "skew")


@dataclass(frozen=True)
class Asked:
    """What is to be scored: *source*, or its newest *window_days*, as the rows of *date*, else today (UTC).

    ``output`` is the address of the store it is published in, empty for the home's own. ``observed_at`` dates rows that
    do not say when they were seen.
    """

    workload: str
    source: str
    ring: str = "prod"
    date: str | None = None
    output: str = ""
    observed_at: str | None = None
    window_days: float | None = None


@dataclass(frozen=True)
class Batch:
    """A batch to be scored: its request, its day, and the ring's champion as it was when the work began.

    ``output`` is the address of the store it is published in, ``replaces`` the version of the manifest that stood
    there, empty for none. Where an ``experiment`` runs, half of the entities get another version's answer.
    """

    run: Run
    date: str
    champion: Entry
    output: str
    replaces: str
    experiment: Experiment | None = None

    def run_id(self, snapshot: str) -> str:
        """Return the name of this scoring: the same rows, versions and day have the same, in any process."""
        named = {"snapshot": snapshot, "bundle": self.champion.manifest_digest, "date": self.date, **self.tried}
        return digest_of(named)[:RUN_DIGITS]

    @property
    def tried(self) -> dict[str, str]:
        """What an experiment adds to the name of whatever is made of the batch."""
        return {"experiment": self.experiment.name} if self.experiment else {}


@dataclass(frozen=True)
class Skew:
    """Scored rows recomputed from the offline store: how many, how many came out different, and in which columns."""

    rows: int
    differing: int
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Scored:
    """What is to be known of a scored day: who scored what, and rows in = scored + quarantined.

    ``snapshot`` and ``bundle`` are digests, ``champion`` the number of the ledger entry that let ``version`` out.
    Where an ``experiment`` ran, each row says its arm and which version answered it.
    """

    workload: str
    ring: str
    date: str
    run: str
    version: str
    bundle: str
    champion: int
    snapshot: str
    targets: tuple[str, ...]
    rows_in: int
    rows_scored: int
    rows_quarantined: int
    quarantine_reasons: tuple[tuple[str, int], ...]
    skew: Skew
    findings: tuple[Finding, ...]
    experiment: str = ""


@dataclass(frozen=True)
class Published:
    """What came of a scoring: the day that readers see, where, and what the challengers made of the same rows.

    ``behind`` are the mirrors that did not get it.
    """

    status: Literal["published", "unchanged"]
    day: Scored
    manifest: str
    cycles: tuple[Cycle, ...]
    behind: tuple[str, ...] = ()


def answers(rows: pl.DataFrame, models: Mapping[str, Model]) -> pl.DataFrame:
    """Return for every target its median and the ends of its interval: ``<target>``, ``_low`` and ``_high``.

    Where a chain of models answers, or what is typical where no label before is known, ``<target>_by`` says which of
    them answered the row. Where aspects are weighed, ``<target>_aspect_<aspect>`` is what that aspect alone would
    answer.
    """
    return pl.concat([_answered(block, models) for block in rows.iter_slices(BLOCK_ROWS)])


def columns_of(target: str) -> tuple[str, str, str]:
    """Return the columns a target is answered in."""
    return target, f"{target}_low", f"{target}_high"


def sampled_block(rows: int, run: str) -> int:
    """Return the first row of the block that is recomputed: another for every run, the same for the same run."""
    return int(run, 16) % -(-rows // BLOCK_ROWS) * BLOCK_ROWS


def skew_between(published: pl.DataFrame, recomputed: pl.DataFrame) -> Skew:
    """Compare what was published with what the offline store gives, bit by bit; a missing value equals a missing one.

    Rows that are in only one of the two all differ.
    """
    if published.height != recomputed.height:
        return Skew(published.height, abs(published.height - recomputed.height), ("rows",))
    apart = published.select(~pl.col(name).eq_missing(recomputed[name]) for name in published.columns)
    columns = tuple(name for name in apart.columns if apart[name].any())
    return Skew(published.height, int(np.count_nonzero(apart.to_numpy().any(axis=1))), columns)


def alarms(skew: Skew, not_finite: Mapping[str, int]) -> tuple[Finding, ...]:
    """Return what somebody has to look at before anybody trusts these predictions; nothing if all is well."""
    found = [
        Finding(NOT_FINITE, f"{rows} rows have a {target} that is no number; the model is broken", rows)
        for target, rows in not_finite.items()
        if rows
    ]
    if skew.differing:
        found.append(
            Finding(
                SKEW,
                f"{skew.differing} of {skew.rows} sampled rows come out different from the offline store, in "
                f"{', '.join(skew.columns)}: training saw other features than scoring; do not act on them, compare "
                "feature_repo and derive",
                skew.differing,
            )
        )
    return tuple(found)


def observation(day: Scored, share_most: float) -> Observation:
    """Return what a ring's policy may roll back by itself on: whether more than *share_most* of its rows have alarms.

    Each alarm's share is of the rows that were looked at for it: of a skew those that were sampled.
    """
    looked = {NOT_FINITE: day.rows_scored, SKEW: day.skew.rows}
    shares = {each: each.count / max(1, looked[each.code]) for each in day.findings if each.code in ALARMS}
    found = "; ".join(
        f"{each.count} of {looked[each.code]} rows {each.code.replace('_', ' ')} ({share:.2%})"
        for each, share in shares.items()
    )
    return Observation(
        "scoring_errors",
        day.champion,
        f"{day.date}T00:00:00+00:00",
        max(shares.values(), default=0.0) > share_most,
        found or "none",
        f"at most {share_most:.2%} of the rows with an alarm",
    )


def _answered(rows: pl.DataFrame, models: Mapping[str, Model]) -> pl.DataFrame:
    found = []
    for target, model in models.items():
        said = model.score(rows)
        found.append(said.select(said[name].alias(to) for name, to in zip(MODEL_SAYS, columns_of(target), strict=True)))
        by = model.scored_by(rows)
        if by is not None:
            found.append(pl.DataFrame({f"{target}_by": by}, schema={f"{target}_by": pl.String}))
        found.append(aspect_columns(model, rows))
    return pl.concat(found, how="horizontal")
