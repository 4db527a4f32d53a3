"""What a workload is: one frozen value, checked at import, from which everything generic follows.

Only declarations belong here. Nothing in this module reads a file, a clock or the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import polars as pl

from tasks.errors import Misdeclared
from tasks.workloads.airtime import Airtime
from tasks.workloads.checks import problems
from tasks.workloads.likeness import Likeness
from tasks.workloads.spans import Span

ColumnType = Literal["float", "int", "text", "category", "month", "datetime"]
FeatureType = Literal["float", "category", "series", "text"]
Transform = Literal["identity", "log1p", "chance"]
Threshold = tuple[str, Literal["high", "low"], float]

POLARS_TYPES: Mapping[str, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {
        "float": pl.Float64,
        "int": pl.Int64,
        "text": pl.String,
        "category": pl.String,
        "month": pl.Int64,
        "datetime": pl.Datetime("us", "UTC"),
    }
)

# What a feature is stored as.
FEATURE_TYPES: Mapping[FeatureType, pl.DataType | type[pl.DataType]] = MappingProxyType(
    {"float": pl.Float64, "category": pl.String, "series": pl.List(pl.Float64), "text": pl.String}
)


@dataclass(frozen=True)
class Column:
    """A column of the source, under its normalised name.

    ``aliases`` are other normalised spellings seen in the wild; ``sentinels`` are values that mean *missing*; a
    *required* column must be present in the source (its values may still be missing; an event time that is required is
    never filled in). ``clock`` names the column whose HH:MM is the time of day of a moment that is written as a day.
    ``made`` is what a value is where the source gives none, out of the row's other columns: a label that is a rate.
    """

    name: str
    type: ColumnType
    meaning: str
    unit: str = ""
    aliases: tuple[str, ...] = ()
    sentinels: tuple[float | str, ...] = ()
    required: bool = False
    clock: str = ""
    made: Callable[[], pl.Expr] | None = None


@dataclass(frozen=True)
class Feature:
    """A model input, produced by the workload's ``derive``.

    A *series* is a list of numbers per row, what came before it, oldest first, ``width`` numbers to a step; only
    learners of sequences see it. A *text* is read piece by piece; only learners of text see it. ``aspect`` is what a
    feature says something of: the algorithm ``aspects`` scores the features of each by themselves.
    """

    name: str
    type: FeatureType
    meaning: str
    unit: str = ""
    width: int = 0
    aspect: str = ""


@dataclass(frozen=True)
class Target:
    """What is predicted: a column of the snapshot.

    ``blind_to`` names the features this target must not see because they contain it. A missing label is missing,
    never zero. ``transform`` is applied before fitting and undone with a bias correction after; a *chance* is a label
    of 0 or 1, answered with its probability and judged by the squared error (Brier 1950). ``previous`` is the feature
    that holds the entity's label of the time before: a naive guess that every candidate must beat, as is what
    ``trend`` holds, the label if it goes on as before. With ``as_change`` a model learns the change from the previous
    label, on the learned scale: for labels that mostly repeat themselves, such as counts that only grow. ``rule`` is
    what a person would go by, as (feature, side, edge): rows that meet equally many are guessed alike, and a random
    guess stands beside. ``by`` is the algorithm that answers it even where another came out better, because of what it
    says besides; what that costs stands on the page. ``limits`` are the least and the most a label can be: nothing that
    is said of it, prediction or end of an interval, lies beyond them.
    """

    name: str
    column: str
    meaning: str
    unit: str
    transform: Transform = "log1p"
    blind_to: tuple[str, ...] = ()
    previous: str = ""
    trend: str = ""
    as_change: bool = False
    rule: tuple[Threshold, ...] = ()
    by: str = ""
    limits: tuple[float, float] | None = None

    @property
    def is_chance(self) -> bool:
        """Whether its label is 0 or 1 and its prediction a probability."""
        return self.transform == "chance"

    @property
    def error_name(self) -> str:
        """What people call the error it is judged by."""
        return "Brier score" if self.is_chance else "mean absolute error"


@dataclass(frozen=True)
class Candidate:
    """An algorithm (one of ``checks.ALGORITHMS``), its parameters, and spans for tuning besides the algorithm's own."""

    algorithm: str
    params: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True)
class Holdout:
    """How rows are kept from training: ``share`` by a hash of the entity, then ``folds`` × ``repeats`` on the rest.

    Where rows follow one another in time, ``block_hours`` is how long they go on resembling each other: two models are
    then compared by whole blocks of time; 0: by whole entities. ``by`` time, the newest ``share`` is kept in whole
    blocks, and each fold is judged on what follows the rows it learned from: once, since time has one order.

    ``within`` names a column whose rows resemble each other across entities: its groups stay on one side, in every
    split, and the holdout takes ``share`` of the labelled rows from groups of like size and like mean label.
    ``goes_by`` is what a group is called, out of what that column says: what is called alike, in whatever case, is one.

    ``known_at`` names the column that says when a row's label was known, where that is later than its moment: none is
    learned from before the first row it is judged on. No label counts as known sooner than ``settled_days`` after its
    row's moment, which is also what holds of a row that does not say.
    """

    share: float = 0.2
    folds: int = 5
    repeats: int = 2
    seed: int = 7
    block_hours: int = 0
    by: Literal["entity", "time"] = "entity"
    within: str = ""
    goes_by: Callable[[pl.Expr], pl.Expr] | None = None
    known_at: str = ""
    settled_days: int = 0


@dataclass(frozen=True)
class Gate:
    """The numbers a challenger is held to, whatever the ring; a policy may only tighten them."""

    max_quarantine_share: float = 0.2
    min_rows: int = 100
    min_skill: float = 0.0
    # The least R² on the holdout; 0 asks for none.
    min_r2: float = 0.0
    confidence: float = 0.95
    # A chance fails whose odds, or whose stretch, are surely off by more than this factor; it passes where they are
    # surely off by no more than its square (0134).
    max_chance_factor: float = 1.4
    # A fit of one feature on the target, on log ranks, above this is a copy of the target and not a predictor.
    leak_r2: float = 0.98
    # Share of rows in which target / feature is one constant (±1 %) above which the feature is a multiple of it.
    # Half is far beyond chance (an honest ratio puts 1 to 2 % of rows there) and finds a formula whose results were
    # rounded or partly overwritten: the known one holds in 76 % of the public file's rows.
    leak_multiple_share: float = 0.5
    non_inferiority_margin: float = 0.02
    # The rise of the champion's error whose chance to be noticed is stated beside every comparison.
    regression_to_detect: float = 0.05
    # No slice of so many rows may be worse than the champion by more; in smaller ones chance alone moves the error by
    # about as much, so they are shown and decide nothing.
    slice_margin: float = 0.1
    min_slice_rows: int = 100
    # Share of columns unlike the champion's rows, or the latest batch, above which a person looks first.
    max_drifted_share: float = 0.5
    # Once it serves: how much larger than stated its error may come out before it counts as degraded.
    max_error_rise: float = 0.25


@dataclass(frozen=True)
class Slice:
    """Rows that are judged on their own: a category column, or a number cut at ``edges`` (``labels`` one longer)."""

    name: str
    column: str
    edges: tuple[float, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Archetypes:
    """What the clustering looks at: columns or features, on a log scale where ``log`` says so."""

    features: tuple[str, ...]
    log: tuple[str, ...]
    # Name → rules (feature, side, quantile of all rows that the cluster's median must pass). A feature may also be
    # "column=value|value": its number is share in the cluster ÷ (that + share in all rows); 0.6 is 1.5 times as common.
    rules: Mapping[str, tuple[tuple[str, Literal["high", "low"], float], ...]]


@dataclass(frozen=True)
class Influence:
    """The columns of the influence tables: who has how much of what; ``codes`` maps a group's column to its code's."""

    by: tuple[str, ...]
    amounts: tuple[str, ...]
    codes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Lever:
    """What a what-if may turn: a source column, or what ``sets`` makes of a value; the models see it as ``feature``.

    A number lies between ``low`` and ``high``; a category may be any level. ``brings`` names the columns that go with
    a level: a country's figures with the country.
    """

    name: str
    feature: str
    column: str = ""
    low: float | None = None
    high: float | None = None
    brings: tuple[str, ...] = ()
    sets: Callable[[pl.Expr], Mapping[str, pl.Expr]] | None = None

    def made(self, value: pl.Expr) -> Mapping[str, pl.Expr]:
        """Return what *value* makes of the source's columns."""
        return self.sets(value) if self.sets else {self.column: value}


@dataclass(frozen=True)
class RowTable:
    """A table for whoever reads the store: what makes it of all rows ever delivered, and what names one row of it."""

    make: Callable[[pl.LazyFrame], pl.LazyFrame]
    key: tuple[str, ...]


@dataclass(frozen=True)
class Workload:
    """One prediction problem, declared in one place."""

    name: str
    title: str
    entity: str
    event_time: str
    columns: tuple[Column, ...]
    features: tuple[Feature, ...]
    targets: tuple[Target, ...]
    derive: Callable[[pl.LazyFrame], pl.LazyFrame]
    generate: Callable[..., pl.DataFrame]
    candidates: tuple[Candidate, ...]
    holdout: Holdout = Holdout()
    gate: Gate = Gate()
    slices: tuple[Slice, ...] = ()
    group: str = ""
    # Where a source does not say when its rows were seen: the column of years whose newest dates them.
    newest_year: str = ""
    # Its policy class: each ring's policy says which it lets in and what it asks of them beyond the rest.
    policy: str = "standard"
    # Feature sets a user may have at scoring time: any other feature may be missing and the row is still scored.
    always_known: tuple[str, ...] = ()
    archetypes: Archetypes | None = None
    influence: Influence | None = None
    levers: tuple[Lever, ...] = ()
    airtime: Airtime | None = None
    # Tables made of all rows that were ever delivered, for whoever reads the store; by name.
    tables: Mapping[str, RowTable] = field(default_factory=dict)
    likeness: Likeness | None = None

    def __post_init__(self) -> None:
        problem = next(problems(self), None)
        if problem:
            raise Misdeclared(f"workload {self.name!r}: {problem}")

    def target(self, name: str) -> Target:
        """Return the target called *name*."""
        return next(target for target in self.targets if target.name == name)

    def features_for(self, target: Target) -> tuple[Feature, ...]:
        """Return the features *target* may see, in declared order."""
        return tuple(feature for feature in self.features if feature.name not in target.blind_to)

    def title_of(self, part: Slice) -> str:
        """Return what a slice is called where people read it.

        A slice of a target's column says so: it sorts rows by an outcome that nobody knows when a row is scored.
        """
        targets = [target.name for target in self.targets if target.column == part.column]
        return f"{part.name} (by the actual {targets[0]})" if targets else part.name

    @property
    def witness(self) -> str:
        """Return the column whose rows stay on one side of every split, and are drawn as one."""
        return self.holdout.within or self.entity

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of all features, in declared order."""
        return tuple(feature.name for feature in self.features)
