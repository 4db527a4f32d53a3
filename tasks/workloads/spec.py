"""What a workload is: one frozen value, checked at import, from which everything generic follows.

Only declarations belong here. Nothing in this module reads a file, a clock or the environment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import polars as pl

from tasks.errors import Misdeclared
from tasks.workloads.airtime import Airtime
from tasks.workloads.spans import Span, span_problems

ColumnType = Literal["float", "int", "text", "category", "month", "datetime"]
FeatureType = Literal["float", "category"]
Transform = Literal["identity", "log1p"]

# What a declaration is checked against: exactly the names of the table in tasks/core/estimators.py, which lies above.
ALGORITHMS = ("elastic_net", "random_forest", "hist_gradient_boosting", "xgboost", "catboost", "mlp")

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


@dataclass(frozen=True)
class Column:
    """A column of the source, under its normalised name.

    ``aliases`` are other normalised spellings seen in the wild; ``sentinels`` are values that mean *missing*; a
    *required* column must be present in the source (its values may still be missing; an event time that is required is
    never filled in). ``clock`` names the column whose HH:MM is the time of day of a moment that is written as a day.
    """

    name: str
    type: ColumnType
    meaning: str
    unit: str = ""
    aliases: tuple[str, ...] = ()
    sentinels: tuple[float | str, ...] = ()
    required: bool = False
    clock: str = ""


@dataclass(frozen=True)
class Feature:
    """A model input, produced by the workload's ``derive``."""

    name: str
    type: FeatureType
    meaning: str
    unit: str = ""


@dataclass(frozen=True)
class Target:
    """What is predicted: a column of the snapshot.

    ``blind_to`` names the features this target must not see because they contain it. A missing label is missing,
    never zero. ``transform`` is applied before fitting and undone with a bias correction after. ``previous`` is the
    feature that holds the entity's label of the time before: a naive guess that every candidate must beat.
    """

    name: str
    column: str
    meaning: str
    unit: str
    transform: Transform = "log1p"
    blind_to: tuple[str, ...] = ()
    previous: str = ""


@dataclass(frozen=True)
class Candidate:
    """An algorithm (one of ``ALGORITHMS``), its parameters, and spans for tuning besides the algorithm's own."""

    algorithm: str
    params: Mapping[str, Any] = field(default_factory=dict)
    search: Mapping[str, Span] = field(default_factory=dict)


@dataclass(frozen=True)
class Holdout:
    """How rows are kept from training: ``share`` by a hash of the entity, then ``folds`` × ``repeats`` on the rest.

    Where rows follow one another in time, ``block_hours`` is how long they go on resembling each other: two models are
    then compared by whole blocks of time; 0: by whole entities. ``by`` time, the newest ``share`` is kept in whole
    blocks, and each fold is judged on what follows the rows it learned from: once, since time has one order.
    """

    share: float = 0.2
    folds: int = 5
    repeats: int = 2
    seed: int = 7
    block_hours: int = 0
    by: Literal["entity", "time"] = "entity"


@dataclass(frozen=True)
class Gate:
    """The numbers a challenger is held to, whatever the ring; a policy may only tighten them."""

    max_quarantine_share: float = 0.2
    min_rows: int = 100
    min_skill: float = 0.0
    # The least R² on the holdout; 0 asks for none.
    min_r2: float = 0.0
    confidence: float = 0.95
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

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
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
    def feature_names(self) -> tuple[str, ...]:
        """Return the names of all features, in declared order."""
        return tuple(feature.name for feature in self.features)


def _problems(spec: Workload) -> Iterator[str]:
    for look in (
        _own_problems,
        _repeated_names,
        _candidate_problems,
        _target_problems,
        _slice_problems,
        _archetype_problems,
        _influence_problems,
        _lever_problems,
    ):
        yield from look(spec)


def _own_problems(spec: Workload) -> Iterator[str]:
    columns, features = _columns(spec), set(spec.feature_names)
    strangers = sorted(set(spec.always_known) - features)
    share, folds, repeats = spec.holdout.share, spec.holdout.folds, spec.holdout.repeats
    checks = (
        (
            spec.name.isidentifier() and spec.name == spec.name.lower(),
            "the name must be a lower-case identifier, because it names files, views and suites",
        ),
        (spec.entity in columns, f"the entity {spec.entity!r} is not a declared column"),
        (spec.event_time in columns, f"the event time {spec.event_time!r} is not a declared column"),
        (
            not spec.newest_year or spec.newest_year in columns,
            f"newest_year names {spec.newest_year!r}, which is not a declared column",
        ),
        (spec.targets, "it has no target, so there is nothing to learn"),
        (spec.candidates, "it has no candidate, so nothing can learn it"),
        (
            not spec.group or spec.group in columns | features,
            f"the group {spec.group!r} is neither a column nor a feature",
        ),
        (
            0 < share < 0.5 and folds >= 2 and repeats >= 1,
            "the holdout needs a share in (0, 0.5), at least 2 folds and 1 repeat",
        ),
        (spec.holdout.block_hours >= 0, f"a block of {spec.holdout.block_hours} hours is none; 0 means no blocks"),
        (spec.holdout.by in ("entity", "time"), f"a holdout is by entity or by time, not by {spec.holdout.by!r}"),
        (
            spec.holdout.by != "time" or (spec.holdout.block_hours > 0 and repeats == 1),
            f"a holdout by time takes block_hours above 0 and 1 repeat, not {spec.holdout.block_hours} and {repeats}",
        ),
        (not strangers, f"always_known names {', '.join(strangers)}, which are no features"),
    )
    yield from (sentence for holds, sentence in checks if not holds)
    for column in spec.columns:
        if column.clock and (column.type != "datetime" or column.clock not in columns):
            yield f"column {column.name!r} has the clock {column.clock!r}: it takes a datetime and a declared column"


def _repeated_names(spec: Workload) -> Iterator[str]:
    for what, named in (
        ("columns", spec.columns),
        ("features", spec.features),
        ("targets", spec.targets),
        ("slices", spec.slices),
        ("levers", spec.levers),
    ):
        names = [each.name for each in named]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            yield f"{what} are declared twice: {', '.join(repeated)}"


def _candidate_problems(spec: Workload) -> Iterator[str]:
    for name in dict.fromkeys(candidate.algorithm for candidate in spec.candidates):
        if name not in ALGORITHMS:
            yield f"no algorithm is called {name!r}; there are {', '.join(ALGORITHMS)}"
    for candidate in spec.candidates:
        for problem in span_problems(candidate.search, candidate.params):
            yield f"{candidate.algorithm} is searched for {problem}"


def _target_problems(spec: Workload) -> Iterator[str]:
    columns, features = _columns(spec), set(spec.feature_names)
    for target in spec.targets:
        if target.column not in columns:
            yield f"target {target.name!r} reads column {target.column!r}, which is not declared"
        if target.column in features and target.column not in target.blind_to:
            yield f"target {target.name!r} would see its own column as a feature; add it to blind_to"
        strangers = sorted(set(target.blind_to) - features)
        if strangers:
            yield f"target {target.name!r} is blind to {', '.join(strangers)}, which are no features"
        if not features - set(target.blind_to):
            yield f"target {target.name!r} may see no feature at all"
        if target.previous and target.previous not in features - set(target.blind_to):
            yield f"target {target.name!r} takes {target.previous!r} for its previous value, no feature it may see"


def _slice_problems(spec: Workload) -> Iterator[str]:
    for part in spec.slices:
        if part.column not in _known(spec):
            yield f"slice {part.name!r} reads {part.column!r}, which is neither a column nor a feature"
        if part.edges and len(part.labels) != len(part.edges) + 1:
            yield f"slice {part.name!r} has {len(part.edges)} edges and needs {len(part.edges) + 1} labels"


def _archetype_problems(spec: Workload) -> Iterator[str]:
    if spec.archetypes is None:
        return
    looked_at, known = set(spec.archetypes.features), _known(spec)
    strangers = sorted(looked_at - known)
    if strangers:
        yield f"archetypes look at {', '.join(strangers)}, which are neither columns nor features"
    unlooked = sorted(set(spec.archetypes.log) - looked_at)
    if unlooked:
        yield f"archetypes take the log of {', '.join(unlooked)}, which they do not look at"
    for name, rules in spec.archetypes.rules.items():
        for subject, side, quantile in rules:
            column, is_share, _ = subject.partition("=")
            if column not in (known if is_share else looked_at):
                wanted = "neither a column nor a feature" if is_share else "not among the archetypes' features"
                yield f"the archetype {name!r} has a rule on {column!r}, which is {wanted}"
            if side not in ("high", "low") or not 0 <= quantile <= 1:
                yield f"the archetype {name!r} asks for {side!r} {quantile:g}; wanted: high or low, and 0 to 1"


def _influence_problems(spec: Workload) -> Iterator[str]:
    if spec.influence is None:
        return
    by, columns = spec.influence.by, _columns(spec)
    strangers = sorted({*by, *spec.influence.amounts, *spec.influence.codes.values()} - columns)
    if strangers:
        yield f"influence reads {', '.join(strangers)}, which are not declared columns"
    uncoded = sorted(set(spec.influence.codes) - set(by))
    if uncoded:
        yield f"influence has codes for {', '.join(uncoded)}, by which it has no table"


def _lever_problems(spec: Workload) -> Iterator[str]:
    columns, kinds = _columns(spec), {feature.name: feature.type for feature in spec.features}
    for lever in spec.levers:
        strangers = sorted({*lever.brings, *([] if lever.sets else [lever.column])} - columns)
        if strangers:
            yield f"the lever {lever.name!r} turns {', '.join(strangers)}, which are not declared columns"
        if lever.feature not in kinds:
            yield f"the lever {lever.name!r} is seen as {lever.feature!r}, which is no feature"
        kind, low, high = kinds.get(lever.feature), lever.low, lever.high
        if kind == "category" and ((low, high) != (None, None) or lever.sets):
            yield f"the lever {lever.name!r} is a category: it takes a column and no bounds"
        if kind == "float" and (low is None or high is None or low >= high or lever.brings):
            yield f"the lever {lever.name!r} is a number: it takes bounds, low below high, and brings nothing"


def _known(spec: Workload) -> set[str]:
    return _columns(spec) | set(spec.feature_names)


def _columns(spec: Workload) -> set[str]:
    return {column.name for column in spec.columns}
